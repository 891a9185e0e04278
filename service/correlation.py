"""The id that ties a request to its answer, its log lines and, later, the technician's decision."""

import re
import uuid

from starlette.requests import Request

HEADER = "x-correlation-id"
ALLOWED = "1 to 128 letters, digits and . _ : -"
_ALLOWED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def correlation_id(request: Request) -> str:
    """Give the id that the client sent, or a new one where it sent none that can be used; once for a request."""
    if not hasattr(request.state, "correlation_id"):
        sent = request.headers.get(HEADER)
        request.state.correlation_id = sent if sent and _ALLOWED.fullmatch(sent) else str(uuid.uuid4())
    identity: str = request.state.correlation_id
    return identity


def is_sound(request: Request) -> bool:
    """Tell whether the client sent no id, or one that can be used."""
    sent = request.headers.get(HEADER)
    return sent is None or bool(_ALLOWED.fullmatch(sent))
