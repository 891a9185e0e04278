"""What stands before the application and sees each request: its kind, its status and its time, never its content."""

import asyncio
import random
import re
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.answers import Headers, Take, Write
from service.correlation import HEADER
from service.exporters import NAME, Telemetry

SLOT = "azureml-model-deployment"  # header that says which slot answered
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"}
BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
FAILED = 500
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")  # whether it is recorded
_PROPAGATED = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
_TRACED = "traced"  # key of what was decided
_ENDS = ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed")
_PROPAGATOR = TraceContextTextMapPropagator()
_ATTRIBUTES = {HEADER.encode(): "correlation.id", SLOT.encode(): "scoring.slot"}


class Observed:
    """An ASGI application that is traced and measured; its telemetry starts and ends with its lifespan.

    Args:
        app: The application.
        telemetry: What sends.
        routes: Paths as the application knows them.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry, routes: Iterable[str] = ()):
        self._app = app
        self._take: Take | None = getattr(app, "take", None)
        self._telemetry = telemetry
        self._tracer = telemetry.tracers.get_tracer(NAME) if telemetry.tracers else None
        self._share = telemetry.share
        self._routes = Routes(routes)
        self._durations = None
        if telemetry.meters:
            self._durations = telemetry.meters.get_meter(NAME).create_histogram(
                "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=BUCKETS
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and observe it."""
        if scope["type"] == "http":
            await self._observe(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def take(self, scope: Scope, body: bytes, write: Write) -> bool:
        """Let the application take a request that has arrived whole, unless it is traced; False where `__call__` shall.

        What was decided about tracing is kept for `__call__`.
        """
        if self._take is None or (self._tracer is not None and self._is_traced(scope)):
            return False
        if self._durations is None:
            return self._take(scope, body, write)
        began = time.perf_counter()

        def measured(status: int, headers: Headers, content: bytes) -> None:
            write(status, headers, content)
            self._measure(began, scope, _outcome(status))

        return self._take(scope, body, measured)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def last(message: Message) -> None:
            if message["type"] in _ENDS:  # the server does not wait for what comes after
                await asyncio.to_thread(self._telemetry.close)
            await send(message)

        self._telemetry.start()
        await self._app(scope, receive, last)

    async def _observe(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send)
        began = time.perf_counter()
        try:
            if self._tracer is None or not self._is_traced(scope):
                await self._app(scope, receive, answer.send)
            else:
                await self._trace(scope, receive, answer)
        except BaseException as error:
            answer.status = answer.status or FAILED
            answer.error = type(error).__qualname__
            raise
        finally:
            self._measure(began, scope, answer.outcome())

    def _measure(self, began: float, scope: Scope, outcome: dict[str, Any]) -> None:
        if self._durations is not None:
            self._durations.record(time.perf_counter() - began, self._seen(scope) | outcome)

    def _seen(self, scope: Scope) -> dict[str, Any]:
        """Give what is seen of a request."""
        return {
            "http.request.method": scope["method"] if scope["method"] in METHODS else "_OTHER",
            "http.route": self._routes.of(scope["path"]),
        }

    def _is_traced(self, scope: Scope) -> bool:
        """Decide as the sampler would, once and before anything is made: most requests are not traced."""
        state = scope.setdefault("state", {})
        if _TRACED not in state:
            state[_TRACED] = self._decided(scope)
        traced: bool = state[_TRACED]
        return traced

    def _decided(self, scope: Scope) -> bool:
        if self._share is None:
            return True  # the environment's sampler decides
        parent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        if known := _TRACEPARENT.fullmatch(parent):
            return int(known[1], 16) % 2 == 1
        return random.random() < self._share  # noqa: S311 - no secret

    async def _trace(self, scope: Scope, receive: Receive, answer: "Answer") -> None:
        assert self._tracer is not None  # noqa: S101 - asked by the caller
        seen = self._seen(scope)
        name = f"{seen['http.request.method']} {seen['http.route']}".rstrip()
        span = self._tracer.start_span(name, _parent(scope), SpanKind.SERVER, seen)
        token = context.attach(set_span_in_context(span))
        try:
            await self._app(scope, receive, answer.send)
        except BaseException as error:
            answer.error = type(error).__qualname__
            raise
        finally:
            context.detach(token)
            if span.is_recording():
                span.set_attributes(answer.outcome() | answer.told())
                if answer.status >= FAILED or answer.error:
                    span.set_status(Status(StatusCode.ERROR))
            span.end()


class Answer:
    """What is seen of an answer on its way to the client."""

    def __init__(self, send: Send):
        self._send = send
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self.status = 0
        self.error = ""

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = message.get("headers", ())
        await self._send(message)

    def outcome(self) -> dict[str, Any]:
        """Give the status, and the kind of the error where there was one."""
        return _outcome(self.status, self.error)

    def told(self) -> dict[str, str]:
        """Give what its headers tell about the request."""
        return {_ATTRIBUTES[name]: value.decode("latin-1") for name, value in self._headers if name in _ATTRIBUTES}


def _outcome(status: int, error: str = "") -> dict[str, Any]:
    seen: dict[str, Any] = {"http.response.status_code": status} if status else {}
    if error or status >= FAILED:
        seen["error.type"] = error or str(status)
    return seen


class Routes:
    """Knows which paths there are, so that no other becomes a name.

    Args:
        routes: Paths; `{…}` stands for one part.
    """

    def __init__(self, routes: Iterable[str]):
        routes = list(dict.fromkeys(routes))
        self._plain = {route: route for route in routes if "{" not in route}
        self._patterns = [(_pattern(route), route) for route in routes if "{" in route]

    def of(self, path: str) -> str:
        """Give the route of a path, and the empty text for a path that there is not."""
        if path in self._plain:
            return path
        return next((route for pattern, route in self._patterns if pattern.fullmatch(path)), "")


def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]*\}", route)
    return re.compile("[^/]+".join(map(re.escape, parts)))


def _parent(scope: Scope) -> Context | None:
    """Give the trace that the client's headers name (W3C), if they do."""
    carrier = {_PROPAGATED[name]: value.decode("latin-1") for name, value in scope["headers"] if name in _PROPAGATED}
    return _PROPAGATOR.extract(carrier) if "traceparent" in carrier else None
