"""The ASGI application: texts in, labels and probabilities out.

`POST /score` takes what Azure ML's convention takes: a list of texts, or `{"data": [...]}`.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import numpy as np
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from service.correlation import ALLOWED, HEADER, correlation_id, is_sound
from service.model import ServedModel
from service.problems import Problem, answer_defect, answer_http_error, answer_problem
from service.settings import Settings

JSON = "application/json"
DRAIN = 8  # an oversized body is read on for this many times the limit, so that its sender sees the answer
KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class State(TypedDict):
    """What the lifespan hands to the handlers."""

    model: ServedModel
    settings: Settings
    executor: ThreadPoolExecutor


def create_app(model: ServedModel, settings: Settings) -> Starlette:
    """Give the application that answers with a loaded model."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="score") as executor:
            yield {"model": model, "settings": settings, "executor": executor}

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/score", score, methods=["POST"]),
            Route("/health/live", live, methods=["GET"]),
            Route("/health/ready", ready, methods=["GET"]),
        ],
        exception_handlers={Problem: answer_problem, HTTPException: answer_http_error, Exception: answer_defect},
    )
    app.router.redirect_slashes = False
    return app


async def live(request: Request) -> Response:
    """Say that the process runs."""
    return _answer(request, {"status": "live"})


async def ready(request: Request) -> Response:
    """Say that a verified model is loaded, and which."""
    return _answer(request, {"status": "ready", "model": request.state.model.identity})


async def score(request: Request) -> Response:
    """Label texts."""
    model: ServedModel = request.state.model
    if not is_sound(request):
        raise Problem(400, "bad-correlation-id", f"the header {HEADER} may hold {ALLOWED}")
    texts = read_texts(await _body(request), request.state.settings, model.scorer.maximum_length)
    probabilities = await _score(request, texts)
    results = [{"label": model.scorer.label(probability), "probability": probability} for probability in probabilities]
    return _answer(request, {"model": model.identity, "results": results})


def read_texts(body: bytes, settings: Settings, maximum_length: int) -> list[str]:
    """Read the texts of a request.

    Args:
        body: What arrived.
        settings: The limits of a request.
        maximum_length: Characters that a text may have.

    Raises:
        Problem: 400 where it is no JSON, 422 where it is JSON of another form or over a limit.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "surrogate" in str(error) and _is_utf8(body):
            raise _unfit(f"a text holds half a character (a lone surrogate): {error}") from error
        raise Problem(400, "malformed-json", f"the body is no JSON: {error}") from error
    texts = content["data"] if isinstance(content, dict) and content.keys() == {"data"} else content
    if not isinstance(texts, list):
        raise _unfit(f'{KINDS[type(texts)]} arrived; give a list of texts, or {{"data": [...]}} and no other key')
    if not texts:
        raise _unfit("the list is empty; give at least one text")
    if len(texts) > settings.maximum_texts:
        raise _unfit(f"{len(texts):,} texts arrived; {settings.maximum_texts:,} are allowed in one request")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise _unfit(f"item {place} of the list is {KINDS[type(text)]}; every item must be a text")
        if len(text) > maximum_length:
            raise _unfit(f"text {place} has {len(text):,} characters; {maximum_length:,} are allowed")
    return texts


def _unfit(detail: str) -> Problem:
    return Problem(422, "unfit-content", detail)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


async def _score(request: Request, texts: list[str]) -> np.ndarray:
    """Score a few texts here, where that is fastest; more in a thread, so that small requests need not wait."""
    settings: Settings = request.state.settings
    scorer = request.state.model.scorer
    if len(texts) <= settings.inline_texts and sum(map(len, texts)) <= settings.inline_characters:
        probabilities: np.ndarray = scorer.score(texts)
        return probabilities
    return await asyncio.get_running_loop().run_in_executor(request.state.executor, scorer.score, texts)


async def _body(request: Request) -> bytes:
    """Read a JSON body within the limit."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != JSON or charset not in ("", "utf-8"):
        sent = request.headers.get("content-type", "no content-type")
        raise Problem(415, "unsupported-media-type", f"{sent} arrived; send {JSON}, in UTF-8")
    limit = request.state.settings.maximum_body
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            elif size > DRAIN * limit:
                break
    except ClientDisconnect as error:
        raise Problem(400, "incomplete", "the client went away before its body was complete") from error
    if size > limit:
        raise Problem(413, "too-large", f"the body is longer than the {limit:,} bytes that are allowed")
    return b"".join(chunks)


def _answer(request: Request, content: dict[str, Any]) -> Response:
    identity = correlation_id(request)
    body = orjson.dumps(content | {"correlation_id": identity}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, headers={HEADER: identity}, media_type=JSON)
