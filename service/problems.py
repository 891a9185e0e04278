"""What the service answers when it cannot score: problem documents (RFC 9457) with an honest status code."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.correlation import HEADER, correlation_id

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:trey:problem:"


class Problem(Exception):
    """A request that cannot be answered as it was meant. `kind` is stable, for programs; `detail` is for people.

    Args:
        status: The status code of the answer.
        kind: What went wrong, in a word or two.
        detail: What arrived, what was allowed.
    """

    def __init__(self, status: int, kind: str, detail: str):
        self.status = status
        self.kind = kind
        self.detail = detail
        super().__init__(detail)


async def answer_problem(request: Request, error: Exception) -> Response:
    """Answer a `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this type alone
    return _document(request, error.status, error.kind, error.detail)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router raises: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{request.method} {request.url.path} is not served here; POST /score, GET /health/live, GET /health/ready"
    return _document(request, error.status_code, phrase.lower().replace(" ", "-"), detail, error.headers)


async def answer_defect(request: Request, error: Exception) -> Response:
    """Answer a defect of ours; its traceback goes to the log, not to the client."""
    detail = "the service failed; its log has the reason under this correlation id"
    return _document(request, HTTPStatus.INTERNAL_SERVER_ERROR, "defect", detail)


def _document(
    request: Request, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    identity = correlation_id(request)
    content = {
        "type": f"{TYPE}{kind}",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "correlation_id": identity,
    }
    return Response(orjson.dumps(content), status, {**(headers or {}), HEADER: identity}, MEDIA_TYPE)
