"""The id that ties a request to its answer, its log lines and, later, the technician's decision."""

import random
import re

from starlette.requests import Request
from starlette.types import Scope

from service.headers import header

HEADER = "x-correlation-id"
ALLOWED = "1 to 128 letters, digits and . _ : -"
_HEADER = HEADER.encode()
_KEY = "correlation_id"
_ALLOWED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def correlation_id(request: Request) -> str:
    """Give the id that the client sent, or a new one where it sent none that can be used; once for a request."""
    return identify(request.scope)[0]


def identify(scope: Scope) -> tuple[str, bool]:
    """Give a request's id, and whether the client sent none, or one that can be used."""
    state = scope.setdefault("state", {})
    if _KEY not in state:
        sent = header(scope, _HEADER)
        sound = sent is None or is_identity(sent)
        state[_KEY] = (sent if sent and sound else new_identity(), sound)
    identity: tuple[str, bool] = state[_KEY]
    return identity


def new_identity() -> str:
    """Give a random UUID, version 4 (RFC 9562): no secret, and `uuid.uuid4` costs a tenth of a request's time."""
    digits = f"{random.getrandbits(128):032x}"
    variant = "89ab"[random.getrandbits(2)]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def is_identity(text: str) -> bool:
    """Tell whether a text may be an id."""
    return bool(_ALLOWED.fullmatch(text))
