"""Tokens, limits, time limits, back-pressure, and how the service leaves."""

import asyncio
import hashlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from compliance.scorer import Scorer
from service.desk import Desk
from service.problems import Problem
from service.settings import Settings

from ..fixtures_model import TEXTS
from .conftest import Start
from .test_app import problem

TOKEN = "a-token-of-the-tests"
HASH = hashlib.sha256(TOKEN.encode()).hexdigest()


@pytest.fixture(scope="module")
def guarded(start: Start, model_dir: Path) -> str:
    """Give the URL of a service that asks for a token."""
    return start("--model", str(model_dir), environment=os.environ | {"SCORING_TOKEN_SHA256": HASH})[1]


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {HASH}"])
@pytest.mark.parametrize("path", ["/score", "/metrics", "/docs", "/openapi.json", "/v2", "/v2/models/parts/infer"])
def test_without_the_token_nothing_is_answered(guarded: str, path: str, sent: str) -> None:
    method = "POST" if path.endswith(("score", "infer")) else "GET"
    headers = {"authorization": sent} if sent else {}
    answer = httpx.request(method, f"{guarded}{path}", headers=headers, trust_env=False)
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_with_the_token_everything_is_answered(guarded: str) -> None:
    with httpx.Client(base_url=guarded, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
        assert client.post("/score", json=["steel"]).status_code == 200
        assert client.get("/metrics").status_code == client.get("/docs").status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"])
def test_health_needs_no_token(guarded: str, path: str) -> None:
    assert httpx.get(f"{guarded}{path}", trust_env=False).status_code == 200


@contextmanager
def begun(url: str, length: int) -> Iterator[socket.socket]:
    """Begin a request whose body does not arrive yet, but for its first byte."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        head = "POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {length}\r\n\r\n[".encode())
        yield connection


def test_a_body_that_does_not_arrive_is_given_up(start: Start, model_dir: Path) -> None:
    _, url = start("--model", str(model_dir), environment=os.environ | {"SCORING_READ_SECONDS": "1"})
    with begun(url, length=99) as connection:
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 1 seconds" in answer


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert "gzip" in problem(client.post("/score", content=b"[]", headers=headers), 415)


def test_a_request_beyond_those_under_way_is_refused(start: Start, model_dir: Path) -> None:
    _, url = start("--model", str(model_dir), environment=os.environ | {"SCORING_REQUESTS": "1"})
    with begun(url, length=9) as connection:
        deadline = time.monotonic() + 20
        while (answer := httpx.post(f"{url}/score", json=["steel"], trust_env=False)).status_code == 200:
            assert time.monotonic() < deadline
        assert "under way" in problem(answer, 503)
        assert answer.headers["retry-after"] == "1"
        connection.sendall(b'"steel"]')
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert httpx.post(f"{url}/score", json=["steel"], trust_env=False).status_code == 200


class Slow:
    """A scorer that takes its time."""

    def score(self, texts: list[str]) -> list[float]:
        time.sleep(0.4)
        return [0.5] * len(texts)


def test_more_texts_than_may_wait_are_refused_and_the_others_are_scored() -> None:
    async def run() -> None:
        desk = Desk(Settings(inline_texts=1, queue_texts=5))
        first = [asyncio.create_task(desk.score(Slow(), ["a", "b"])) for _ in range(2)]  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        with pytest.raises(Problem) as refused:
            await desk.score(Slow(), ["a", "b"])  # type: ignore[arg-type]
        assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "1"})
        assert [len(found) for found in await asyncio.gather(*first)] == [2, 2]
        await asyncio.sleep(0)
        assert desk.waiting == 0
        desk.close()

    asyncio.run(run())


def test_texts_to_be_explained_count_as_those_that_are_scored_for_it(model_dir: Path) -> None:
    async def run() -> None:
        desk, scorer, text = Desk(Settings(queue_texts=100)), Scorer.load(model_dir), "iron part " * 20
        found = await asyncio.gather(*(desk.explain(scorer, [text]) for _ in range(2)), return_exceptions=True)
        assert isinstance(found[0], list)
        assert isinstance(found[1], Problem)
        assert found[1].detail == "82 texts wait to be scored; ask again later"
        await desk.explain(scorer, [text])
        desk.close()

    asyncio.run(run())


def test_an_answer_that_comes_too_late_is_given_up() -> None:
    async def run() -> None:
        desk = Desk(Settings(inline_texts=1, deadline_seconds=0))
        with pytest.raises(Problem) as refused:
            await desk.score(Slow(), ["a", "b"])  # type: ignore[arg-type]
        assert (refused.value.status, refused.value.headers) == (503, {"retry-after": "1"})
        while desk.waiting:
            await asyncio.sleep(0.02)
        desk.close()

    asyncio.run(run())


class Counted:
    """A scorer that remembers what it was asked together."""

    def __init__(self, scorer: Scorer):
        self.scorer = scorer
        self.calls: list[int] = []

    def score(self, texts: list[str]) -> object:
        self.calls.append(len(texts))
        return self.scorer.score(texts)


def test_texts_of_one_turn_are_scored_together_and_told_apart(model_dir: Path) -> None:
    counted = Counted(Scorer.load(model_dir))

    async def run() -> list:
        desk = Desk(Settings())
        answers = await asyncio.gather(*(desk.score(counted, [text]) for text in TEXTS))  # type: ignore[arg-type]
        desk.close()
        return answers

    answers = asyncio.run(run())
    assert counted.calls == [len(TEXTS)]
    assert [answer[0] for answer in answers] == list(counted.scorer.score(TEXTS))


class Broken:
    """A scorer that fails."""

    def score(self, texts: list[str]) -> object:
        raise RuntimeError("broken")


def test_a_failure_reaches_everybody_who_asked() -> None:
    async def run() -> list:
        desk = Desk(Settings())
        found = await asyncio.gather(*(desk.score(Broken(), ["a"]) for _ in range(3)), return_exceptions=True)  # type: ignore[arg-type]
        desk.close()
        return found

    assert [str(error) for error in asyncio.run(run())] == ["broken"] * 3


def test_while_it_drains_it_is_not_ready_and_goes_on_to_answer(start: Start, model_dir: Path) -> None:
    process, url = start("--model", str(model_dir), environment=os.environ | {"SCORING_DRAIN_SECONDS": "3"})
    assert httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 2
    while (answer := httpx.get(f"{url}/health/ready", trust_env=False)).status_code == 200:
        assert time.monotonic() < deadline
    assert answer.headers["retry-after"]
    assert "about to end" in problem(answer, 503)
    assert httpx.get(f"{url}/v2/health/ready", trust_env=False).status_code == 503
    assert httpx.get(f"{url}/health/live", trust_env=False).status_code == 200
    assert httpx.post(f"{url}/score", json=["steel"], trust_env=False).status_code == 200
    process.communicate(timeout=20)
    assert process.returncode == 0
