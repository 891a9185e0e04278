"""What arrives whole and what arrives otherwise is answered alike and in order; connections go on or end as told."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ..fixtures_model import TEXTS
from .conftest import Start

LARGE = [TEXTS[place % len(TEXTS)] for place in range(1_000)]


def request(content: Any, path: str = "/score", *, version: str = "1.1", **headers: str) -> bytes:
    body = json.dumps(content).encode()
    lines = [f"POST {path} HTTP/{version}", "host: x", "content-type: application/json"]
    lines += [
        f"content-length: {len(body)}",
        *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A connection on which answers are read one by one."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self._file = connection.makefile("rb")

    def send(self, *parts: bytes, pause: float = 0) -> None:
        for part in parts:
            self.socket.sendall(part)
            time.sleep(pause)

    def answer(self) -> tuple[HTTPResponse, dict]:
        response = HTTPResponse(self)  # type: ignore[arg-type] - only makefile is used
        response.begin()
        return response, json.loads(response.read())

    def makefile(self, *_: Any) -> Any:
        """Give the one file of the connection, which a response must not close."""
        file = self._file

        class Kept:
            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def close(self) -> None:
                """Leave it open."""

        return Kept()

    def has_ended(self) -> bool:
        return self._file.read(1) == b""


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Connection(connection)


def labels(content: dict) -> list[str]:
    return [result["label"] for result in content["results"]]


def test_what_arrives_in_one_piece_is_answered_in_order(url: str) -> None:
    tensor = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["iron"]}]}
    with connected(url) as connection:
        connection.send(
            request(["iron"], x_correlation_id="a")
            + request(LARGE, x_correlation_id="b")
            + request(["steel"], x_correlation_id="c")
            + request(tensor, "/v2/models/parts/infer", x_correlation_id="d")
            + b"GET /health/live HTTP/1.1\r\nhost: x\r\nx-correlation-id: e\r\n\r\n"
            + request([1], x_correlation_id="f")
            + request(["iron"], x_correlation_id="g")
        )
        answers = [connection.answer() for _ in "abcdefg"]
    assert [response.headers["x-correlation-id"] for response, _ in answers] == list("abcdefg")
    assert [response.status for response, _ in answers] == [200, 200, 200, 200, 200, 422, 200]
    assert labels(answers[0][1]) == ["non-compliant"]
    assert labels(answers[2][1]) == ["compliant"]
    assert len(answers[1][1]["results"]) == len(LARGE)


@pytest.mark.parametrize("content", [["iron"], LARGE])
def test_it_does_not_matter_in_how_many_pieces_a_request_arrives(url: str, content: list[str]) -> None:
    whole = request(content)
    cuts = [1, 20, whole.index(b"\r\n\r\n") + 4, len(whole) - 3, len(whole)]
    with connected(url) as connection:
        connection.send(whole)
        _, expected = connection.answer()
        parts = [whole[start:end] for start, end in zip([0, *cuts], cuts, strict=False)]
        connection.send(*parts, pause=0.02)
        response, content = connection.answer()
        assert content["results"] == expected["results"]
        connection.send(whole)
        assert connection.answer()[1]["results"] == expected["results"]
        assert response.headers["date"]


def test_the_same_headers_come_with_every_answer(url: str) -> None:
    whole = request(["iron"], x_correlation_id="a")
    with connected(url) as connection:
        connection.send(whole)
        taken, _ = connection.answer()
        connection.send(whole[:-1], whole[-1:], pause=0.02)
        declined, _ = connection.answer()
    assert [name for name, _ in taken.headers.items()] == [name for name, _ in declined.headers.items()]


def test_a_client_that_expects_to_go_on_is_told_to(url: str) -> None:
    whole = request(["iron"], expect="100-continue")
    end = whole.index(b"\r\n\r\n") + 4
    with connected(url) as connection:
        connection.send(whole[:end])
        assert connection.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(whole[end:])
        assert labels(connection.answer()[1]) == ["non-compliant"]


@pytest.mark.parametrize("whole", [request(["iron"], connection="close"), request(["iron"], version="1.0")])
def test_a_connection_ends_where_its_client_wants_it(url: str, whole: bytes) -> None:
    with connected(url) as connection:
        connection.send(whole)
        response, content = connection.answer()
        assert (response.status, labels(content)) == (200, ["non-compliant"])
        assert response.headers["connection"] == "close"
        assert connection.has_ended()


def test_a_refusal_does_not_end_the_connection(url: str) -> None:
    with connected(url) as connection:
        for content, status in [({}, 422), (["iron"], 200), ([], 422), (["iron"], 200)]:
            connection.send(request(content))
            assert connection.answer()[0].status == status


def test_a_body_over_the_limit_is_told_and_ends_the_connection(start: Start, model_dir: Path) -> None:
    _, url = start("--model", str(model_dir), environment=os.environ | {"SCORING_MAXIMUM_BODY": "20"})
    with connected(url) as connection:
        connection.send(request(["iron"]))
        assert connection.answer()[0].status == 200
        connection.send(request(["iron" * 10]))
        response, content = connection.answer()
        assert (response.status, content["type"]) == (413, "urn:trey:problem:too-large")
        assert connection.has_ended()


def test_what_is_under_way_at_the_end_is_answered(start: Start, model_dir: Path) -> None:
    process, url = start("--model", str(model_dir))
    with connected(url) as connection:
        connection.send(request(["iron"]))
        connection.answer()
        connection.send(request(LARGE))
        time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        response, content = connection.answer()
        assert (response.status, len(content["results"])) == (200, len(LARGE))
        assert connection.has_ended()
    process.communicate(timeout=20)
    assert process.returncode == 0
