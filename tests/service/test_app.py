"""What the service answers over HTTP: texts with labels, and everything else with an honest status."""

import json
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.scorer import Scorer
from service.problems import Problem
from service.settings import Settings
from service.texts import read_texts

from ..fixtures_model import TEXTS, digest_of

JSON = {"content-type": "application/json"}


def problem(answer: httpx.Response, status: int) -> str:
    """Check that an answer is a problem document with this status, and give its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document.keys() == {"type", "title", "status", "detail", "error", "correlation_id"}
    assert document["status"] == status
    assert document["type"].startswith("urn:trey:problem:")
    assert document["correlation_id"] == answer.headers["x-correlation-id"]
    return document["detail"]


def test_a_list_of_texts_is_scored_as_the_scorer_does(client: httpx.Client, model_dir: Path) -> None:
    answer = client.post("/score", json=list(TEXTS))
    assert answer.status_code == 200
    content = answer.json()
    assert content.keys() == {"model", "slot", "results", "correlation_id"}
    assert content["model"] == {"name": "parts", "version": None, "digest": digest_of(model_dir)}
    expected = Scorer.load(model_dir).score(TEXTS)
    assert np.array_equal(np.array([result["probability"] for result in content["results"]], "float32"), expected)
    labels = ["compliant", "non-compliant", "compliant", "non-compliant", "non-compliant"]
    assert [result["label"] for result in content["results"]] == labels


def test_the_other_form_gives_the_same(client: httpx.Client) -> None:
    one, other = (client.post("/score", json=form).json() for form in (list(TEXTS), {"data": list(TEXTS)}))
    assert one["results"] == other["results"]


@pytest.mark.parametrize("count", [1, 32, 33, 1000])
def test_a_text_scores_the_same_in_company(client: httpx.Client, count: int) -> None:
    texts = [TEXTS[place % len(TEXTS)] for place in range(count)]
    results = client.post("/score", json=texts).json()["results"]
    alone = [client.post("/score", json=[text]).json()["results"][0]["probability"] for text in TEXTS]
    assert len(results) == count
    assert [result["probability"] for result in results] == pytest.approx(
        [alone[place % len(TEXTS)] for place in range(count)], abs=1e-6
    )


def test_requests_at_once_get_their_own_answers(client: httpx.Client) -> None:
    def ask(place: int) -> bool:
        text = TEXTS[place % 2]
        answer = client.post("/score", json=[text], headers={"x-correlation-id": f"id-{place}"}).json()
        return answer["correlation_id"] == f"id-{place}" and (answer["results"][0]["label"] == "compliant") == (
            place % 2 == 0
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


def test_small_requests_pass_large_ones(client: httpx.Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        large = [pool.submit(client.post, "/score", json=[TEXTS[0] * 20] * 1000) for _ in range(3)]
        assert client.post("/score", json=[TEXTS[1]]).status_code == 200
        assert [future.result().status_code for future in large] == [200, 200, 200]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.json()["status"] == path.rpartition("/")[2]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "no JSON"),
        (b'["steel', 400, "no JSON"),
        (b'["steel"] x', 400, "no JSON"),
        (b"\xff\xfe[", 400, "no JSON"),
        (b'["\xff"]', 400, "no JSON"),
        (b"[NaN]", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b'["\\ud800"]', 422, "lone surrogate"),
        (b'["\\udc00 steel"]', 422, "lone surrogate"),
        (b"[]", 422, "empty"),
        (b'{"data": []}', 422, "empty"),
        (b"{}", 422, "an object arrived"),
        (b'{"texts": ["steel"]}', 422, "an object arrived"),
        (b'{"data": ["steel"], "more": 1}', 422, "an object arrived"),
        (b'{"data": "steel"}', 422, "a text arrived"),
        (b'"steel"', 422, "a text arrived"),
        (b"null", 422, "null arrived"),
        (b"7", 422, "a number arrived"),
        (b"true", 422, "true or false arrived"),
        (b'["steel", 1]', 422, "item 1 of the list is a number"),
        (b"[null]", 422, "item 0 of the list is null"),
        (b'[["steel"]]', 422, "item 0 of the list is a list"),
        (json.dumps(["x"] * 1001).encode(), 422, "1,001 texts arrived; 1,000 are allowed"),
        (json.dumps(["x" * 10_001]).encode(), 422, "text 0 has 10,001 characters; 10,000 are allowed"),
        (b'["' + b"x" * 4_100_000 + b'"]', 413, "4,000,000 bytes"),
        (b'["' + b"x" * 20_000_000 + b'"]', 413, "4,000,000 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_cannot_be_scored_is_refused(client: httpx.Client, body: bytes, status: int, says: str) -> None:
    assert says in problem(client.post("/score", content=body, headers=JSON), status)


@pytest.mark.parametrize(
    "media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_other_media_types_are_refused(client: httpx.Client, media_type: str) -> None:
    headers = {"content-type": media_type} if media_type else {}
    assert "send application/json" in problem(client.post("/score", content=b'["steel"]', headers=headers), 415)


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json; charset="utf-8"']
)
def test_json_is_accepted_however_it_is_written(client: httpx.Client, media_type: str) -> None:
    assert client.post("/score", content=b'["steel"]', headers={"content-type": media_type}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/score/"), ("GET", "/documents"), ("POST", "/score/x")]
)
def test_unknown_paths(client: httpx.Client, method: str, path: str) -> None:
    assert "is not served here" in problem(client.request(method, path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/score", "POST"), ("DELETE", "/score", "POST"), ("POST", "/health/live", "GET")],
)
def test_wrong_methods_hear_which_are_allowed(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    problem(answer, 405)
    assert allowed in answer.headers["allow"]


def test_the_correlation_id_comes_back(client: httpx.Client) -> None:
    answer = client.post("/score", json=["steel"], headers={"x-correlation-id": "part-7:2026.11"})
    assert answer.headers["x-correlation-id"] == answer.json()["correlation_id"] == "part-7:2026.11"
    refused = client.post("/score", json=[], headers={"x-correlation-id": "part-8"})
    assert refused.json()["correlation_id"] == "part-8"


def test_without_one_each_request_gets_its_own(client: httpx.Client) -> None:
    ids = {client.post("/score", json=["steel"]).json()["correlation_id"] for _ in range(10)}
    assert len(ids) == 10
    assert {(str(uuid.UUID(identity)), uuid.UUID(identity).version) for identity in ids} == {(one, 4) for one in ids}


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "<script>", "é"])
def test_an_unsound_correlation_id_is_refused(client: httpx.Client, sent: str) -> None:
    answer = client.post("/score", json=["steel"], headers={"x-correlation-id": sent.encode("latin-1")})
    assert "1 to 128" in problem(answer, 400)
    assert answer.headers["x-correlation-id"] != sent


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
        b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
    ids=["no-http", "negative-length", "two-lengths", "bad-chunk", "long-header", "tls"],
)
def test_what_is_no_http_is_refused_and_harms_nobody(client: httpx.Client, url: str, sent: bytes) -> None:
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        connection.sendall(sent)
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert client.get("/health/ready").status_code == 200


def test_a_client_that_leaves_harms_nobody(client: httpx.Client, url: str) -> None:
    where = urlsplit(url)
    for _ in range(20):
        with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
            connection.sendall(
                b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n["
            )
    assert client.get("/health/ready").status_code == 200


def test_a_body_in_chunks_is_read(client: httpx.Client) -> None:
    answer = client.post("/score", content=iter([b'["st', b'eel"', b"]"]), headers=JSON)
    assert len(answer.json()["results"]) == 1


def test_answers_do_not_wait_for_a_full_packet(client: httpx.Client) -> None:
    """Nagle's algorithm would hold each answer back for 40 ms."""
    times = sorted(client.post("/score", json=["steel"]).elapsed.total_seconds() for _ in range(50))
    assert times[25] < 0.03


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "x"]), inner, max_size=2),
)


@given(json_values)
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        texts = read_texts(orjson.dumps(value), Settings(), 100)
    except Problem as refused:
        assert refused.status == 422
    else:
        assert texts
        assert all(isinstance(text, str) for text in texts)
