"""`POST /feedback`: a technician's decision about an answer, found again by the answer's correlation id.

A decision is stored when the answer to it is sent: on disk, or in blob storage. compliance/feedback.py joins decisions
with the answers they are about.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compliance.scorer import LABELS
from service.body import JSON, read_body, require_json
from service.collection_settings import CollectionSettings
from service.correlation import ALLOWED, HEADER, correlation_id, is_identity
from service.problems import Problem, busy
from service.redaction import Redactor
from service.settings import Settings
from service.sinks import Sink, SinkFault, place, sinks

PATH = "/feedback"
MOST_BYTES = 16_384  # of a request's body
MOST_CHARACTERS = 1_000  # of a comment
MOST_ITEMS = 1_000_000  # of a request
AGAIN_SECONDS = 5  # after which a decision that was not stored may be sent again
_KEYS = {"correlation_id", "item", "label", "comment"}


class Feedback:
    """Stores decisions.

    Args:
        sink: A place whose writes last.
        redactor: What takes out of comments what must not be stored.
    """

    def __init__(self, sink: Sink, redactor: Redactor):
        self._sink = sink
        self._redactor = redactor
        self._lock = Lock()

    @classmethod
    def from_settings(cls, settings: CollectionSettings, model: str, environment: str) -> "Feedback | None":
        """Give the store beside the collected answers; None where neither a folder nor a container is set.

        Args:
            settings: Where answers are collected; the folder comes first.
            model: The model's name.
            environment: Where it is served.

        Raises:
            BadSettings: A package is not installed.
        """
        found = sinks(settings, f"{place(model, environment)}/feedback", durable=True)
        return cls(found[0], Redactor(settings.redact)) if found else None

    def store(self, decision: Mapping[str, Any]) -> None:
        """Store a decision, and return when it lasts.

        Raises:
            SinkFault: It is not stored.
        """
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": moment, **decision}
        if "comment" in line:
            line["comment"] = self._redactor.text(line["comment"])
        with self._lock:
            self._sink.write(moment[:10], [orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)])

    def close(self) -> None:
        """Give back what is held."""
        self._sink.close()


def routes(feedback: Feedback | None, seconds: int = Settings.read_seconds) -> list[Route]:
    """Give the route, to be put among those of the application.

    Args:
        feedback: Where decisions are stored; without it, they are refused with 501.
        seconds: Time in which a decision must arrive.
    """

    async def endpoint(request: Request) -> Response:
        return await take(request, feedback, seconds)

    return [Route(PATH, endpoint, methods=["POST"], name="feedback")]


async def take(request: Request, feedback: Feedback | None, seconds: int) -> Response:
    """Store the decision of a request."""
    if feedback is None:
        raise Problem(501, "no-feedback", "this service stores no feedback; start it with SCORING_COLLECT_DIR")
    require_json(request.scope)
    decision = read_decision(await read_body(request.receive, MOST_BYTES, seconds))
    identity = correlation_id(request)
    try:
        await run_in_threadpool(feedback.store, decision)
    except SinkFault as error:
        detail = "the decision is not stored, since the storage does not answer; send it again"
        raise busy(503, detail, AGAIN_SECONDS, "not-stored") from error
    return Response(
        orjson.dumps({"stored": decision, "correlation_id": identity}), 201, {HEADER: identity}, media_type=JSON
    )


def read_decision(body: bytes) -> dict[str, Any]:
    """Read a decision: `correlation_id` and `label`, and, if they are given, `item` and `comment`.

    Raises:
        Problem: 400 where it is no JSON, 422 where it is JSON of another form; every fault is named.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "malformed-json", f"the body is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise Problem(422, "unfit-content", 'give an object: {"correlation_id": "…", "label": "compliant"}')
    if faults := _faults(content):
        raise Problem(422, "unfit-content", "; ".join(faults))
    return {"item": 0} | {key: value for key, value in content.items() if value is not None}


def _faults(content: dict[str, Any]) -> list[str]:
    faults = [
        f"{key[:40]!r} is no key of a decision; {', '.join(sorted(_KEYS))} are"
        for key in sorted(content.keys() - _KEYS)
    ]
    identity, item, comment = content.get("correlation_id"), content.get("item"), content.get("comment")
    if not isinstance(identity, str) or not is_identity(identity):
        faults.append(f"correlation_id must be that of an answer: {ALLOWED}")
    if item is not None and (type(item) is not int or not 0 <= item < MOST_ITEMS):
        faults.append(f"item must be the text's place in its request, a whole number from 0 to {MOST_ITEMS - 1:,}")
    if content.get("label") not in LABELS:
        faults.append(f"label must be {LABELS[0]!r} or {LABELS[1]!r}")
    if comment is not None and (not isinstance(comment, str) or len(comment) > MOST_CHARACTERS):
        faults.append(f"comment must be a text of up to {MOST_CHARACTERS:,} characters")
    return faults
