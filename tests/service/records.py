"""Records for the tests of collection, sinks that do as they are told, and what reads collected lines."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from service.collection import Record
from service.sinks import SinkFault

PATIENCE = 60  # seconds until a test gives up


def record(identity: str = "a-1", texts: Sequence[str] = ("iron",), **changes: Any) -> Record:
    """Give a record."""
    values: dict[str, Any] = {
        "correlation_id": identity,
        "texts": texts,
        "labels": ["non-compliant"] * len(texts),
        "probabilities": [0.97] * len(texts),
        "model": "parts",
        "version": 3,
        "digest": "d" * 64,
        "slot": "blue",
        "mirrored": False,
        "seconds": 0.0004,
    }
    return Record(**values | changes)


class Told:
    """A sink that fails or blocks when it is told to, and keeps what it takes."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.writes = 0
        self.faulty = False
        self.free = threading.Event()
        self.free.set()
        self.closed = False

    def write(self, day: str, lines: Sequence[bytes]) -> None:
        self.writes += 1
        assert self.free.wait(PATIENCE)
        if self.faulty:
            raise SinkFault("told to")
        self.lines += [(day, json.loads(line)) for line in lines]

    def close(self) -> None:
        self.closed = True


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def collected(folder: Path) -> list[dict[str, Any]]:
    """Give the lines below a folder; every line must be whole."""
    files = sorted(folder.rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


class Client:
    """Asks an ASGI application, without a server."""

    def __init__(self, app: ASGIApp):
        self._app = app

    def post(self, path: str, **request: Any) -> httpx.Response:
        """Send with POST."""
        return self.send("POST", path, **request)

    def get(self, path: str, **request: Any) -> httpx.Response:
        """Send with GET."""
        return self.send("GET", path, **request)

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request; what the application raises becomes its answer."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, path, **request)

        return asyncio.run(ask())
