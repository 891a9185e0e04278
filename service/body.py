"""Reads what a request holds, within its limits."""

import asyncio

from starlette.types import Receive, Scope

from service.headers import header
from service.problems import Problem

JSON = "application/json"
DRAIN = 8  # an oversized body is read on for this many times the limit, so that its sender sees the answer


def require_json(scope: Scope) -> None:
    """Refuse a body that does not say it is JSON in UTF-8.

    Raises:
        Problem: 415.
    """
    sent = header(scope, b"content-type")
    if sent == JSON:
        return
    media_type, _, parameters = (sent or "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != JSON or charset not in ("", "utf-8"):
        raise unsupported(f"{sent or 'no content-type'} arrived; send {JSON}, in UTF-8")


def require_plain(scope: Scope) -> None:
    """Refuse a compressed body.

    Raises:
        Problem: 415.
    """
    coding = header(scope, b"content-encoding")
    if coding and coding.lower() != "identity":
        raise unsupported(f"content-encoding {coding[:40]} arrived; send the body as it is")


def unsupported(detail: str) -> Problem:
    """Give the problem of a body that is of another kind."""
    return Problem(415, "unsupported-media-type", detail)


async def read_body(receive: Receive, limit: int, seconds: int) -> bytes:
    """Read a body.

    Args:
        receive: Gives the parts of the request.
        limit: Bytes that a body may have.
        seconds: Time in which it must arrive.

    Raises:
        Problem: 400 where it is incomplete, 408 where it does not arrive in time, 413 where it is too long.
    """
    chunks, size, more = [], 0, True
    try:
        async with asyncio.timeout(seconds):
            while more and size <= DRAIN * limit:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "incomplete", "the client went away before its body was complete")
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size <= limit:
                    chunks.append(chunk)
    except TimeoutError as error:
        detail = f"the body did not arrive within {seconds} seconds"
        raise Problem(408, "too-slow", detail) from error
    if size > limit:
        raise Problem(413, "too-large", f"the body is longer than the {limit:,} bytes that are allowed")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
