"""Starts the scoring service.

Example:
    python -m service --model runs/interactive/evaluate/model --port 8080
    python -m service --endpoint endpoints/connected-car/staging

The model is loaded and verified before the port is opened: what cannot be served is refused with exit code 2.
"""

import argparse
import gc
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from compliance.scorer import ModelCorrupt
from service import collection, feedback
from service.app import Application, create_app
from service.collection_settings import CollectionSettings
from service.following import Fixed, Following, Source
from service.model import NoModel, Routing, alone, from_folder
from service.settings import BadSettings, Settings
from service.telemetry import Count, TelemetrySettings, instrument
from service.transport import Protocol

REFUSED, INTERRUPTED = 2, 130
EXAMPLE = """curl -s {url}/score -H 'content-type: application/json' -d '["good condition steel component"]'"""
BY_HAND = "local"  # the environment of a model folder that is served by itself
YOUNG = 5_000  # new objects between two looks of the garbage collector: requests leave few cycles behind
BACKLOG = 2048  # connections that may wait to be accepted


class AnnouncedServer(uvicorn.Server):
    """A server that says where it listens, once it does.

    Args:
        config: uvicorn's configuration.
        app: What it serves, which hears that the end is near.
        drain_seconds: Time between SIGTERM and the closing of the port.
        url: Where it will listen.
        port_file: File to write the port to, for whoever started this; None for none.
    """

    def __init__(
        self, config: uvicorn.Config, app: Application, drain_seconds: int, *, url: str, port_file: Path | None
    ):
        super().__init__(config)
        self.app = app
        self.drain_seconds = drain_seconds
        self.url = url
        self.port_file = port_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then announce it."""
        await super().startup(sockets)
        print(f"listening on {self.url}\ntry: {EXAMPLE.format(url=self.url)}", flush=True)  # noqa: T201
        if self.port_file:
            _write_whole(self.port_file, self.url.rpartition(":")[2])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Say that it is not ready, go on until whoever shares out requests has seen it, then end."""
        first, self.app.core.draining = not self.app.core.draining, True
        if first and sig == signal.SIGTERM and self.drain_seconds:
            timer = threading.Timer(self.drain_seconds, super().handle_exit, (sig, frame))
            timer.daemon = True
            timer.start()
        else:
            super().handle_exit(sig, frame)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C, and give the exit code.

    Args:
        arguments: What follows `python -m service`; by default this process's own.
    """
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    if options.until_stdin_ends:
        threading.Thread(target=_watch_stdin, daemon=True).start()
    ends = ExitStack()
    try:
        settings = Settings.from_environment(os.environ)
        source = _load(options)
        app, observed = _application(options, settings, source, ends)
        listener = _listen(options.host, options.port)
    except (BadSettings, ModelCorrupt, NoModel, OSError) as error:
        print(f"the scoring service does not start: {error}", file=sys.stderr)  # noqa: T201
        return REFUSED
    identity = source.routing.models[source.routing.live].identity
    print(f"serving {identity['name']}, version {identity['version'] or 'unknown'}, digest {identity['digest']}")  # noqa: T201
    gc.collect()
    gc.freeze()  # what is loaded now stays: the collector need not look at it between requests
    gc.set_threshold(YOUNG)
    server = AnnouncedServer(
        _configuration(observed, settings),
        app,
        settings.drain_seconds,
        url=_url(options.host, listener),
        port_file=options.port_file,
    )
    try:
        with ends:
            server.run([listener])
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, metavar="DIR", help="model folder to serve")
    source.add_argument("--endpoint", type=Path, metavar="DIR", help="endpoint folder to serve and follow")
    parser.add_argument("--model-version", type=int, metavar="N", help="registered version of --model, for its answers")
    parser.add_argument("--slot", metavar="NAME", help="slot that --model stands in, for its answers")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--port-file", type=Path, metavar="FILE", help="write the port here once requests are answered")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when standard input is closed")
    return parser


def _load(options: argparse.Namespace) -> Source:
    if options.endpoint:
        return Following(options.endpoint, _say_switch)
    return Fixed(alone(from_folder(options.model, options.model_version, options.slot)))


def _say_switch(routing: Routing) -> None:
    """Print which version answers now, and from which slot."""
    whole = len(routing.traffic) == 1
    answering = [
        f"version {model.version}{'' if whole else f' ({weight} %)'}, from slot {model.slot}"
        for weight, model in routing.answering()
    ]
    with suppress(OSError):  # whoever read it may be gone; requests are answered all the same
        print(f"now answers: {routing.name} {'; '.join(answering)}", flush=True)  # noqa: T201


def _application(
    options: argparse.Namespace, settings: Settings, source: Source, ends: ExitStack
) -> tuple[Application, ASGIApp]:
    """Give the application with what collects its answers and takes decisions, and the same behind what observes it.

    What must be given back when it has ended is left with `ends`.
    """
    collects = CollectionSettings.from_environment(os.environ)
    observes = TelemetrySettings.from_environment(os.environ)
    if options.endpoint:
        folder = options.endpoint.resolve()
        model, environment = folder.parent.name, folder.name
    else:
        model, environment = source.routing.models[source.routing.live].identity["name"], BY_HAND
    collector = collection.from_settings(collects, model, environment)
    if decisions := feedback.Feedback.from_settings(collects, model, environment):
        ends.callback(decisions.close)
    app = create_app(source, settings, collector, feedback.routes(decisions, settings.read_seconds))
    dropped = Count("scoring.collection.dropped", "records that were lost", lambda: collector.dropped)
    return app, instrument(app, observes, app.paths, [dropped])


def _configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        proxy_headers=False,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_seconds,
        timeout_graceful_shutdown=settings.graceful_seconds,
    )


def _listen(host: str, port: int) -> socket.socket:
    """Open the port. The protocol is named, or asyncio would leave Nagle's algorithm on, and each answer wait 40 ms."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        raise OSError(f"{host} port {port}: {error}; try another with --port, 0 for a free one") from error
    return listener


def _url(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _write_whole(path: Path, content: str) -> None:
    """Write a file that its reader sees either not at all or whole."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """Leave with 0. The server takes over the signal while it runs, and hands it back here after it has drained."""
    sys.exit(0)


def _watch_stdin() -> None:
    """Stop the process when whoever holds the other end of its standard input is gone, even by SIGKILL."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
