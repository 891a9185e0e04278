"""Answers the two routes that score texts: `POST /score` and the Open Inference Protocol's `infer`.

Nearly every request is one of theirs, and what a framework does for each would cost more than scoring a text. A request
that has arrived whole is taken as it is and answered from callbacks, with no task of its own; what takes its time to
arrive, or asks for more, is answered by ASGI applications over the same steps.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

import numpy as np
import orjson
from starlette.types import Receive, Scope, Send

from compliance.scorer import Contribution
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
IDENTITY_HEADER = HEADER.encode()
JSON_TYPE = JSON.encode()
BINARY = "application/octet-stream"
FAILED = 500
Words = Sequence[Sequence[Contribution]]  # of each text


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


class Reply(NamedTuple):
    """An answer's body and the headers that not every answer has."""

    body: bytes
    media_type: bytes = JSON_TYPE
    headers: tuple[tuple[bytes, bytes], ...] = ()
    status: int = 200


Headers = list[tuple[bytes, bytes]]
Write = Callable[[int, Headers, bytes], None]  # sends a whole answer: its status, its headers, its body
Take = Callable[[Scope, bytes, Write], bool]  # answers a request that has arrived whole, or says that it does not


class Form(Protocol):
    """What the requests of a route look like, and their answers."""

    route: str

    def check(self, asked: "Asked") -> None:
        """Refuse what need not be read.

        Raises:
            Problem: The head says so.
        """

    def read(self, asked: "Asked", body: bytes) -> list[str]:
        """Choose the model and give the texts.

        Raises:
            Problem: There is no such model, or the body is not what it should be.
        """

    def reply(self, asked: "Asked", labels: list[str], probabilities: np.ndarray, words: Words | None) -> Reply:
        """Write the answer."""


@dataclass(slots=True)
class Asked:
    """A request on its way to an answer."""

    scope: Scope
    form: Form
    identity: str
    sound: bool  # whether the client's own identity can be used, if it sent one
    start: float
    routing: Routing
    model: ServedModel | None = None
    explain: bool = False
    inference: Inference | None = None


class Answers:
    """The two routes.

    Args:
        core: What answers are made with.
    """

    def __init__(self, core: Core):
        self._core = core
        self._score, self._infer = Score(core.settings), Infer(core.settings)
        self._tasks: set[asyncio.Task] = set()

    async def score(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `POST /score`."""
        await self._answer(scope, receive, send, self._score)

    async def infer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `POST /v2/models/{name}/infer`, and the same for a version."""
        await self._answer(scope, receive, send, self._infer)

    def take(self, scope: Scope, body: bytes, write: Write) -> bool:
        """Answer a request of either route that has arrived whole; False where the ASGI application shall answer it.

        False is said before anything is done or counted. The answer is written now or later, once.
        """
        core, path = self._core, scope["path"]
        if scope["method"] != "POST" or scope["query_string"] or len(body) > core.settings.maximum_body:
            return False
        form: Form = self._score
        if path != SCORE:
            if not INFER_PATH.fullmatch(path):
                return False
            form = self._infer
        asked = self._begin(scope, form)
        try:
            self._admit(asked)
            texts = form.read(asked, body)
            if core.desk.is_small(texts):
                core.desk.score_soon(_model(asked).scorer, texts, partial(self._found, asked, texts, write))
            else:
                task = asyncio.get_running_loop().create_task(self._later(asked, texts, write))
                self._tasks.add(task)  # the loop itself holds tasks weakly
                task.add_done_callback(self._tasks.discard)
        except Exception as error:  # noqa: BLE001 - the client hears of it
            self._end(asked, reply := _refusal(error, asked))
            write(reply.status, _headers(reply, asked), reply.body)
        return True

    async def _answer(self, scope: Scope, receive: Receive, send: Send, form: Form) -> None:
        asked = self._begin(scope, form)
        reply: Reply | None = None
        try:
            self._admit(asked)
            settings = self._core.settings
            body = await read_body(receive, settings.maximum_body, settings.read_seconds)
            reply = await self._replied(asked, form.read(asked, body))
        except Exception as error:  # noqa: BLE001 - the client hears of it
            reply = _refusal(error, asked)
        finally:
            self._end(asked, reply)
        await send({"type": "http.response.start", "status": reply.status, "headers": _headers(reply, asked)})
        await send({"type": "http.response.body", "body": reply.body})

    async def _later(self, asked: Asked, texts: list[str], write: Write) -> None:
        """Answer what is not scored within this turn."""
        reply: Reply | None = None
        try:
            reply = await self._replied(asked, texts)
        except Exception as error:  # noqa: BLE001 - the client hears of it
            reply = _refusal(error, asked)
        finally:
            self._end(asked, reply)
        write(reply.status, _headers(reply, asked), reply.body)

    def _found(self, asked: Asked, texts: list[str], write: Write, probabilities: np.ndarray | Exception) -> None:
        """Answer what was scored in this turn."""
        try:
            if isinstance(probabilities, Exception):
                raise probabilities
            reply = asked.form.reply(asked, self._tell(asked, texts, probabilities), probabilities, None)
        except Exception as error:  # noqa: BLE001 - the client hears of it
            reply = _refusal(error, asked)
        self._end(asked, reply)
        write(reply.status, _headers(reply, asked), reply.body)

    def _begin(self, scope: Scope, form: Form) -> Asked:
        start = time.perf_counter()
        identity, sound = identify(scope)
        self._core.metrics.under_way += 1
        return Asked(scope, form, identity, sound, start, self._core.source.routing)

    def _admit(self, asked: Asked) -> None:
        """Refuse what need not be read."""
        core = self._core
        admit(asked.scope, core.settings.token_sha256)
        if not asked.sound:
            raise Problem(400, "bad-correlation-id", f"the header {HEADER} may hold {ALLOWED}")
        if core.metrics.under_way > core.settings.requests:
            raise problems.busy(503, f"{core.settings.requests:,} requests are under way; ask again later")
        require_plain(asked.scope)
        asked.form.check(asked)

    async def _replied(self, asked: Asked, texts: list[str]) -> Reply:
        """Score texts, however many, and write the answer."""
        desk, scorer = self._core.desk, _model(asked).scorer
        probabilities = await desk.score(scorer, texts)
        labels = self._tell(asked, texts, probabilities)
        words = await desk.explain(scorer, texts) if asked.explain else None
        return asked.form.reply(asked, labels, probabilities, words)

    def _tell(self, asked: Asked, texts: list[str], probabilities: np.ndarray) -> list[str]:
        """Give the labels, and tell who wants to know what was answered."""
        core, model = self._core, _model(asked)
        labels = model.labels(probabilities)
        core.metrics.texts[model.names] += len(texts)
        seconds = time.perf_counter() - asked.start
        core.collector.put(record_of(model, asked.identity, texts, labels, probabilities, seconds=seconds))  # type: ignore[arg-type]
        if asked.routing.mirror:
            core.mirror.copy(asked.routing.mirrors(asked.identity), asked.identity, texts)
        return labels

    def _end(self, asked: Asked, reply: Reply | None) -> None:
        """Count an answer; None where its client is gone, or the service ends."""
        core = self._core
        core.metrics.under_way -= 1
        if reply is None:
            return
        seconds = time.perf_counter() - asked.start
        core.metrics.answered(asked.form.route, reply.status, seconds)
        if reply.status >= FAILED and asked.model:
            record = record_of(asked.model, asked.identity, (), (), (), seconds=seconds, status=reply.status)
            core.collector.put(record)


class Score:
    """`POST /score`.

    Args:
        settings: The limits of a request.
    """

    route = SCORE

    def __init__(self, settings: Settings):
        self._settings = settings

    def check(self, asked: Asked) -> None:
        """Refuse another media type, and read what the query asks."""
        require_json(asked.scope)
        asked.explain = read_explain(asked.scope["query_string"])

    def read(self, asked: Asked, body: bytes) -> list[str]:
        """Read a list of texts."""
        settings, model = self._settings, _choose(asked)
        texts = read_texts(body, settings, model.scorer.maximum_length)
        if asked.explain and len(texts) > settings.explained_texts:
            raise unfit(f"{len(texts):,} texts arrived; {settings.explained_texts:,} can be explained in one request")
        return texts

    def reply(self, asked: Asked, labels: list[str], probabilities: np.ndarray, words: Words | None) -> Reply:
        """Give a label and a probability for each text, and its words where they are asked for."""
        results: list[dict[str, Any]] = [
            {"label": label, "probability": probability}
            for label, probability in zip(labels, probabilities, strict=True)
        ]
        for result, found in zip(results, words or (), strict=words is not None):
            result["words"] = found
        model = _model(asked)
        content = {
            "model": model.fragment,
            "slot": model.slot,
            "results": results,
            "correlation_id": asked.identity,
        }
        return Reply(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


class Infer:
    """The Open Inference Protocol's `infer`.

    Args:
        settings: The limits of a request.
    """

    route = INFER

    def __init__(self, settings: Settings):
        self._settings = settings

    def check(self, asked: Asked) -> None:
        """Refuse another media type."""
        media_type = header(asked.scope, b"content-type")
        if media_type and media_type.partition(";")[0].strip().lower() not in (JSON, BINARY):
            raise unsupported(f"{media_type[:80]} arrived; send {JSON}, or {BINARY} with {LENGTH_HEADER}")
        _named(asked)

    def read(self, asked: Asked, body: bytes) -> list[str]:
        """Read the elements of a tensor."""
        settings = self._settings
        inference = read_inference(body, header(asked.scope, LENGTH_HEADER.encode()), settings.maximum_texts)
        check_texts(inference.texts, settings, _model(asked).scorer.maximum_length)
        asked.inference = inference
        return inference.texts

    def reply(self, asked: Asked, labels: list[str], probabilities: np.ndarray, words: Words | None) -> Reply:
        """Give the tensors that were asked for."""
        assert asked.inference  # noqa: S101 - what was scored was read
        model = _model(asked)
        answer = {
            "model_name": model.scorer.name,
            "model_version": str(model.version or ""),
            "parameters": {
                "digest": model.scorer.digest,
                "slot": model.slot or "",
                "correlation_id": asked.identity,
            },
        }
        body, length = write_inference(asked.inference, labels, probabilities, answer)
        if length is None:
            return Reply(body)
        return Reply(body, BINARY.encode(), ((LENGTH_HEADER.encode(), str(length).encode()),))


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


def _choose(asked: Asked) -> ServedModel:
    """Give the model that answers: that of the slot the client names, or one by the weights."""
    slot = header(asked.scope, SLOT_HEADER)
    try:
        asked.model = asked.routing.choose(asked.identity) if slot is None else asked.routing.forced(slot)
    except NoSlot as error:
        raise Problem(404, "no-such-slot", str(error)) from error
    return asked.model


def _named(asked: Asked) -> None:
    """Choose the model that the path names."""
    match = INFER_PATH.fullmatch(asked.scope["path"])
    name, version = match.groups() if match else ("", None)
    check_name(asked.routing, unquote(name))
    if version is None:
        _choose(asked)
    else:
        asked.model = versioned(asked.routing, version)


def _model(asked: Asked) -> ServedModel:
    """Give the model that was chosen."""
    assert asked.model  # noqa: S101 - chosen with the head or with the body
    return asked.model


def _refusal(error: Exception, asked: Asked) -> Reply:
    problem = error if isinstance(error, Problem) else problems.defect(error, asked.identity)
    pairs = problems.headers(problem).items()
    return Reply(
        problems.document(problem, asked.identity),
        problems.MEDIA_TYPE.encode(),
        tuple((name.encode(), value.encode()) for name, value in pairs),
        problem.status,
    )


def _headers(reply: Reply, asked: Asked) -> Headers:
    headers = [
        (b"content-type", reply.media_type),
        (b"content-length", b"%d" % len(reply.body)),
        (IDENTITY_HEADER, asked.identity.encode()),
        *reply.headers,
    ]
    if asked.model and asked.model.slot:
        headers.append((SLOT_HEADER, asked.model.slot.encode()))
    return headers
