"""The ASGI application: texts in, labels and probabilities out.

`POST /score` takes what Azure ML's convention takes, `/v2` speaks the Open Inference Protocol, and beside them stand
health, metrics and the description of it all.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import about, problems
from service.answers import INFER, INFER_PATH, INFER_VERSION, SCORE, Answers, Core, Write, check_name, versioned
from service.collection import Collector, Nothing
from service.correlation import HEADER, correlation_id
from service.desk import Desk
from service.docs import page
from service.following import Fixed, Source
from service.metrics import MEDIA_TYPE as METRICS
from service.mirror import Mirror
from service.model import ServedModel, alone
from service.openapi import document
from service.problems import Problem, answer_defect, answer_http_error, answer_problem
from service.security import admit
from service.settings import Settings

JSON = "application/json"
OTHER = "other"  # the route of paths that are not served
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
STATUS_OF_NOBODY = 499  # counted where the client went before the answer


def create_app(
    source: Source | ServedModel,
    settings: Settings,
    collector: Collector | None = None,
    routes: Sequence[BaseRoute] = (),
) -> "Application":
    """Give the application that answers with a loaded model.

    Args:
        source: The model, or what says which model answers.
        settings: The limits of a request.
        collector: What hears of every answer.
        routes: Further routes.
    """
    followed = Fixed(alone(source)) if isinstance(source, ServedModel) else source
    collector = collector or Nothing()
    return Application(Core(settings, followed, Desk(settings), collector, Mirror(collector)), routes)


class Application:
    """What uvicorn runs.

    Args:
        core: What answers are made with.
        routes: Further routes.
    """

    def __init__(self, core: Core, routes: Sequence[BaseRoute] = ()):
        self.core = core
        self._answers = Answers(core)
        self._others = _others(core, self._answers, routes)
        self.paths = [path for route in self._others.routes if (path := getattr(route, "path", None))]

    def take(self, scope: Scope, body: bytes, write: Write) -> bool:
        """Answer a request to score that has arrived whole; False where `__call__` shall."""
        return self._answers.take(scope, body, write)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["method"] == "POST" and scope["path"] == SCORE:
            await self._answers.score(scope, receive, send)
        elif scope["method"] == "POST" and INFER_PATH.fullmatch(scope["path"]):
            await self._answers.infer(scope, receive, send)
        else:
            await self._other(scope, receive, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the framework answer what is asked seldom, and count it."""
        start = time.perf_counter()
        status = STATUS_OF_NOBODY

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._others(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            self.core.metrics.answered(route, status, time.perf_counter() - start)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the endpoint from start-up to shut-down."""
        await receive()
        following = asyncio.create_task(self.core.source.run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        self.core.desk.close()
        self.core.mirror.close()
        await asyncio.to_thread(self.core.collector.close)
        await send({"type": "lifespan.shutdown.complete"})


def _others(core: Core, answers: Answers, routes: Sequence[BaseRoute]) -> Starlette:
    """Give the routes that are asked seldom. Those that score stand here, too, for their methods and their paths."""
    app = Starlette(
        routes=[
            Route(SCORE, _Direct(answers.score), methods=["POST"]),
            Route(INFER, _Direct(answers.infer), methods=["POST"]),
            Route(INFER_VERSION, _Direct(answers.infer), methods=["POST"]),
            *_health(core),
            *_models(core),
            *_descriptions(core),
            *routes,
        ],
        exception_handlers={Problem: answer_problem, HTTPException: answer_http_error, Exception: answer_defect},
    )
    app.router.redirect_slashes = False
    app.add_middleware(_Admitted, token_sha256=core.settings.token_sha256)
    return app


class _Direct:
    """An ASGI application as the endpoint of a route."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Admitted:
    """Lets through who knows the token."""

    def __init__(self, app: ASGIApp, token_sha256: str):
        self._app = app
        self._token_sha256 = token_sha256

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            admit(scope, self._token_sha256)
        except Problem as problem:
            await (await answer_problem(Request(scope, receive), problem))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _health(core: Core) -> list[Route]:
    async def live(request: Request) -> Response:
        return answer(request, {"status": "live"})

    async def ready(request: Request) -> Response:
        """Say that verified models are loaded, which one is live, and that this service is not about to end."""
        _require_ready(core)
        routing = core.source.routing
        content = {"status": "ready", "model": routing.models[routing.live].identity, "slot": routing.live}
        return answer(request, content | core.source.describe())

    async def server_live(request: Request) -> Response:
        return answer(request, {"live": True})

    async def server_ready(request: Request) -> Response:
        _require_ready(core)
        return answer(request, {"ready": True})

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/v2/health/live", server_live),
        Route("/v2/health/ready", server_ready),
    ]


def _models(core: Core) -> list[Route]:
    async def server(request: Request) -> Response:
        return answer(request, about.server(service_version()))

    async def model(request: Request) -> Response:
        return answer(request, about.model(core.source.routing, _model_asked(core, request)))

    async def model_ready(request: Request) -> Response:
        found = _model_asked(core, request)
        _require_ready(core)
        return answer(request, {"name": found.scorer.name, "ready": True})

    paths = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    return [
        Route("/v2", server),
        *(Route(path, model) for path in paths),
        *(Route(f"{path}/ready", model_ready) for path in paths),
    ]


def _descriptions(core: Core) -> list[Route]:
    async def openapi(request: Request) -> Response:
        return answer_bytes(request, orjson.dumps(_document(core)), JSON)

    async def docs(request: Request) -> Response:
        response = answer_bytes(request, page(_document(core)).encode(), "text/html; charset=utf-8")
        response.headers["content-security-policy"] = PAGE_POLICY
        return response

    async def metrics(request: Request) -> Response:
        return answer_bytes(request, "".join(f"{line}\n" for line in about.metrics(core)).encode(), METRICS)

    return [Route("/openapi.json", openapi), Route("/docs", docs), Route("/metrics", metrics)]


def _document(core: Core) -> dict:
    routing = core.source.routing
    maximum_length = min(model.scorer.maximum_length for model in routing.models.values())
    return document(core.settings, service_version(), maximum_length=maximum_length)


def _model_asked(core: Core, request: Request) -> ServedModel:
    routing = core.source.routing
    check_name(routing, request.path_params["name"])
    asked = request.path_params.get("version")
    return versioned(routing, asked) if asked is not None else routing.models[routing.live]


def _require_ready(core: Core) -> None:
    if core.draining:
        raise problems.busy(503, "the service is about to end; ask another one")


def service_version() -> str:
    """Give the version of this service."""
    try:
        return version("trey")
    except PackageNotFoundError:  # a copy that is not installed
        return "0"


def answer(request: Request, content: dict) -> Response:
    """Answer with JSON."""
    identity = correlation_id(request)
    return answer_bytes(request, orjson.dumps(content | {"correlation_id": identity}), JSON)


def answer_bytes(request: Request, body: bytes, media_type: str) -> Response:
    """Answer with something else."""
    return Response(body, headers={HEADER: correlation_id(request)}, media_type=media_type)
