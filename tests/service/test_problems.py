"""Problems, held to what the code raises: whoever is to ask again hears when."""

import ast
import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from service import feedback
from service.app import create_app
from service.feedback import Feedback
from service.model import from_folder
from service.redaction import Redactor
from service.settings import Settings

from ..project import ROOT
from .records import Client, Told

AGAIN = (429, 503)  # statuses after which a client may ask again


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Give every place where the service makes a problem with a status of its own: by which name, and the call."""
    for path in sorted((ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.args[0] if node.args else None, ast.Constant):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in ("Problem", "busy"):
                    yield name, node


def drained(model_dir: Path) -> Client:
    app = create_app(from_folder(model_dir), Settings())
    app.core.draining = True
    return Client(app)


def ready(path: str) -> Callable[[Path], httpx.Response]:
    return lambda model_dir: drained(model_dir).get(path)


def crowded(model_dir: Path) -> httpx.Response:
    app = create_app(from_folder(model_dir), Settings())
    app.core.metrics.under_way = 1024
    return Client(app).post("/score", json=["steel"])


def unstored(model_dir: Path) -> httpx.Response:
    sink = Told()
    sink.faulty = True
    app = create_app(from_folder(model_dir), Settings(), routes=feedback.routes(Feedback(sink, Redactor())))
    return Client(app).post("/feedback", json={"correlation_id": "a-1", "label": "compliant"})


def slowed(settings: Settings, texts: int) -> Callable[[Path], httpx.Response]:
    """Ask twice, at once, for what takes its time; give the answer that was refused."""

    def provoke(model_dir: Path) -> httpx.Response:
        served = from_folder(model_dir)
        whole = served.scorer.session.run

        def slow(*arguments: object) -> object:
            time.sleep(1.2)
            return whole(*arguments)

        object.__setattr__(served.scorer, "session", type("Session", (), {"run": staticmethod(slow)})())
        app = create_app(served, settings)

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                asked = [client.post("/score", json=["steel"] * texts) for _ in range(2)]
                return max(await asyncio.gather(*asked), key=lambda answer: answer.status_code)

        return asyncio.run(ask())

    return provoke


PROVOKED: dict[str, tuple[Callable[[Path], httpx.Response], int]] = {
    "too many requests under way": (crowded, 503),
    "too many texts wait": (slowed(Settings(inline_texts=1, queue_texts=3), 2), 429),
    "too late": (slowed(Settings(inline_texts=1, deadline_seconds=1), 2), 503),
    "a decision that is not stored": (unstored, 503),
    "draining": (ready("/health/ready"), 503),
    "draining, by the protocol": (ready("/v2/health/ready"), 503),
    "draining, of a model": (ready("/v2/models/parts/ready"), 503),
}


@pytest.mark.parametrize(("provoke", "status"), PROVOKED.values(), ids=PROVOKED.keys())
def test_whoever_is_to_ask_again_hears_when(
    model_dir: Path, provoke: Callable[[Path], httpx.Response], status: int
) -> None:
    answer = provoke(model_dir)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


def test_no_other_place_makes_a_429_or_503() -> None:
    places = [name for name, call in raised() if call.args[0].value in AGAIN]  # type: ignore[attr-defined]
    assert all(name == "busy" for name in places)
    assert len(places) == len(PROVOKED) - 2  # three ways to ask whether it is ready share a place
