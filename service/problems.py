"""What the service answers when it cannot score: problem documents (RFC 9457) with an honest status code."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.correlation import HEADER, correlation_id

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:trey:problem:"
UNREAD = {408, 413, 431}  # statuses after which the rest of the request is not read: the connection ends
logger = logging.getLogger(__name__)


class Problem(Exception):
    """A request that cannot be answered as it was meant. `kind` is stable, for programs; `detail` is for people.

    Args:
        status: The status code of the answer.
        kind: What went wrong, in a word or two.
        detail: What arrived, what was allowed.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None):
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(detail)


def busy(status: int, detail: str, seconds: int = 1, kind: str = "busy") -> Problem:
    """Give the problem of a service that cannot answer now, by default for it has too much to do.

    Every 429 and 503 comes from here, so that each says after how many seconds to ask again.
    """
    return Problem(status, kind, detail, {"retry-after": str(seconds)})


def defect(error: Exception, identity: str) -> Problem:
    """Log a defect of ours under the request's id, and give what the client hears of it."""
    logger.error("request %s failed", identity, exc_info=error)
    return Problem(500, "defect", "the service failed; its log has the reason under this correlation id")


async def answer_problem(request: Request, error: Exception) -> Response:
    """Answer a `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this type alone
    return _response(request, error)


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what the router raises: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{request.method} {request.url.path} is not served here; GET /docs says what is"
    return _response(
        request, Problem(error.status_code, phrase.lower().replace(" ", "-"), detail, dict(error.headers or {}))
    )


async def answer_defect(request: Request, error: Exception) -> Response:
    """Answer a defect of ours; its traceback goes to the log, not to the client."""
    return _response(request, defect(error, correlation_id(request)))


def document(problem: Problem, identity: str) -> bytes:
    """Give a problem document. `error` repeats the detail, for clients of the Open Inference Protocol look there."""
    return orjson.dumps(
        {
            "type": f"{TYPE}{problem.kind}",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "detail": problem.detail,
            "error": problem.detail,
            "correlation_id": identity,
        }
    )


def headers(problem: Problem) -> dict[str, str]:
    """Give the headers of a problem's answer, but for those that every answer has."""
    return problem.headers | ({"connection": "close"} if problem.status in UNREAD else {})


def _response(request: Request, problem: Problem) -> Response:
    identity = correlation_id(request)
    return Response(
        document(problem, identity), problem.status, headers(problem) | {HEADER: identity}, media_type=MEDIA_TYPE
    )
