"""Answers the two routes that score texts: `POST /score` and the Open Inference Protocol's `infer`.

They are ASGI applications of their own, below any framework: nearly every request is one of theirs, and what a
framework does for each would cost more than scoring a text.
"""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import orjson
from starlette.types import Receive, Scope, Send

from service import problems
from service.body import JSON, read_body, require_json, require_plain, unsupported
from service.collection import Collector
from service.correlation import ALLOWED, HEADER, identify
from service.desk import Desk
from service.following import Source
from service.headers import header
from service.inference import LENGTH_HEADER, Inference, read_inference, write_inference
from service.metrics import Metrics
from service.mirror import Mirror, record_of
from service.model import NoSlot, Routing, ServedModel
from service.problems import Problem
from service.security import admit
from service.settings import Settings
from service.texts import check_texts, read_explain, read_texts, unfit

SCORE = "/score"
INFER = "/v2/models/{name}/infer"
INFER_VERSION = "/v2/models/{name}/versions/{version}/infer"
INFER_PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
SLOT_HEADER = b"azureml-model-deployment"
BINARY = "application/octet-stream"
FAILED = 500


@dataclass
class Core:
    """What answers are made with."""

    settings: Settings
    source: Source
    desk: Desk
    collector: Collector
    mirror: Mirror
    metrics: Metrics = field(default_factory=Metrics)
    draining: bool = False


@dataclass(slots=True)
class Asked:
    """A request on its way to an answer."""

    scope: Scope
    receive: Receive
    identity: str
    start: float
    routing: Routing
    model: ServedModel | None = None


class Reply(NamedTuple):
    """An answer's body and the headers that not every answer has."""

    body: bytes
    media_type: str = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Answer = Callable[[Asked], Awaitable[Reply]]


class Answers:
    """The two routes.

    Args:
        core: What answers are made with.
    """

    def __init__(self, core: Core):
        self._core = core

    async def score(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `POST /score`."""
        await self._answer(scope, receive, send, SCORE, self._score)

    async def infer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `POST /v2/models/{name}/infer`, and the same for a version."""
        await self._answer(scope, receive, send, INFER, self._infer)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, route: str, answer: Answer) -> None:
        core = self._core
        identity, sound = identify(scope)
        asked = Asked(scope, receive, identity, time.perf_counter(), core.source.routing)
        core.metrics.under_way += 1
        status = FAILED
        try:
            self._admit(scope, sound=sound)
            reply = await answer(asked)
            status = 200
        except Problem as problem:
            status, reply = problem.status, _refusal(problem, identity)
        except Exception as error:  # noqa: BLE001 - it is logged, and the client hears of it
            reply = _refusal(problems.defect(error, identity), identity)
        finally:
            core.metrics.under_way -= 1
        seconds = time.perf_counter() - asked.start
        core.metrics.answered(route, status, seconds)
        if status >= FAILED and asked.model:
            core.collector.put(record_of(asked.model, identity, (), (), (), seconds=seconds, status=status))
        await _send(send, status, reply, asked)

    def _admit(self, scope: Scope, *, sound: bool) -> None:
        """Refuse what need not be read."""
        core = self._core
        admit(scope, core.settings.token_sha256)
        if not sound:
            raise Problem(400, "bad-correlation-id", f"the header {HEADER} may hold {ALLOWED}")
        if core.metrics.under_way > core.settings.requests:
            raise problems.busy(503, f"{core.settings.requests:,} requests are under way; ask again later")
        require_plain(scope)

    async def _score(self, asked: Asked) -> Reply:
        settings = self._core.settings
        require_json(asked.scope)
        explain = read_explain(asked.scope["query_string"])
        body = await read_body(asked.receive, settings.maximum_body, settings.read_seconds)
        model = self._choose(asked)
        texts = read_texts(body, settings, model.scorer.maximum_length)
        if explain and len(texts) > settings.explained_texts:
            raise unfit(f"{len(texts):,} texts arrived; {settings.explained_texts:,} can be explained in one request")
        labels, probabilities = await self._scored(asked, model, texts)
        results: list[dict[str, Any]] = [
            {"label": label, "probability": probability}
            for label, probability in zip(labels, probabilities, strict=True)
        ]
        if explain:
            for result, words in zip(results, await self._core.desk.explain(model.scorer, texts), strict=True):
                result["words"] = words
        content = {
            "model": model.identity,
            "slot": model.slot,
            "results": results,
            "correlation_id": asked.identity,
        }
        return Reply(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))

    async def _infer(self, asked: Asked) -> Reply:
        settings = self._core.settings
        media_type = header(asked.scope, b"content-type")
        if media_type and media_type.partition(";")[0].strip().lower() not in (JSON, BINARY):
            raise unsupported(f"{media_type[:80]} arrived; send {JSON}, or {BINARY} with {LENGTH_HEADER}")
        model = self._named(asked)
        body = await read_body(asked.receive, settings.maximum_body, settings.read_seconds)
        inference = read_inference(body, header(asked.scope, LENGTH_HEADER.encode()), settings.maximum_texts)
        check_texts(inference.texts, settings, model.scorer.maximum_length)
        labels, probabilities = await self._scored(asked, model, inference.texts)
        return _inferred(asked, inference, labels, probabilities)

    def _choose(self, asked: Asked) -> ServedModel:
        """Give the model that answers: that of the slot the client names, or one by the weights."""
        slot = header(asked.scope, SLOT_HEADER)
        try:
            asked.model = asked.routing.choose(asked.identity) if slot is None else asked.routing.forced(slot)
        except NoSlot as error:
            raise Problem(404, "no-such-slot", str(error)) from error
        return asked.model

    def _named(self, asked: Asked) -> ServedModel:
        """Give the model that the path names."""
        match = INFER_PATH.fullmatch(asked.scope["path"])
        name, version = match.groups() if match else ("", None)
        check_name(asked.routing, unquote(name))
        if version is None:
            return self._choose(asked)
        asked.model = versioned(asked.routing, version)
        return asked.model

    async def _scored(self, asked: Asked, model: ServedModel, texts: list[str]) -> tuple[list[str], np.ndarray]:
        """Score texts, and tell who wants to know."""
        core = self._core
        probabilities = await core.desk.score(model.scorer, texts)
        labels = model.labels(probabilities)
        core.metrics.texts[str(model.slot or ""), str(model.version or "")] += len(texts)
        seconds = time.perf_counter() - asked.start
        core.collector.put(record_of(model, asked.identity, texts, labels, probabilities, seconds=seconds))  # type: ignore[arg-type]
        if asked.routing.mirror:
            core.mirror.copy(asked.routing.mirrors(asked.identity), asked.identity, texts)
        return labels, probabilities


def check_name(routing: Routing, name: str) -> None:
    """Refuse the name of another model.

    Raises:
        Problem: 404.
    """
    if name != routing.name:
        raise Problem(404, "no-such-model", f"model {name[:80]!r} is not served here; {routing.name!r} is")


def versioned(routing: Routing, version: str) -> ServedModel:
    """Give the model of a version.

    Raises:
        Problem: 404 where no slot holds it.
    """
    try:
        return routing.versioned(unquote(version))
    except NoSlot as error:
        raise Problem(404, "no-such-version", str(error)) from error


def _inferred(asked: Asked, inference: Inference, labels: list[str], probabilities: np.ndarray) -> Reply:
    assert asked.model  # noqa: S101 - what was scored has a model
    answer = {
        "model_name": asked.model.scorer.name,
        "model_version": str(asked.model.version or ""),
        "parameters": {
            "digest": asked.model.scorer.digest,
            "slot": asked.model.slot or "",
            "correlation_id": asked.identity,
        },
    }
    body, length = write_inference(inference, labels, probabilities, answer)
    if length is None:
        return Reply(body)
    return Reply(body, BINARY, ((LENGTH_HEADER.encode(), str(length).encode()),))


def _refusal(problem: Problem, identity: str) -> Reply:
    pairs = problems.headers(problem).items()
    return Reply(
        problems.document(problem, identity),
        problems.MEDIA_TYPE,
        tuple((name.encode(), value.encode()) for name, value in pairs),
    )


async def _send(send: Send, status: int, reply: Reply, asked: Asked) -> None:
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        (HEADER.encode(), asked.identity.encode()),
        *reply.headers,
    ]
    if asked.model and asked.model.slot:
        headers.append((SLOT_HEADER, asked.model.slot.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
