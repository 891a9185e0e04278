"""What the service says of itself, held to what it does."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service import feedback
from service.app import Application, create_app
from service.collection import Record
from service.docs import page
from service.model import Routing, from_folder
from service.openapi import document
from service.settings import Settings

from ..fixtures_model import MakeModel, digest_of

SAMPLE = re.compile(r'[a-z_]+(\{([a-z_]+="[^"\\]*"(,|(?=\})))*\})? [-+0-9.e]+')


class Kept:
    """A collector that keeps what it is told."""

    dropped = 0

    def __init__(self) -> None:
        self.records: list[Record] = []

    def put(self, record: Record) -> bool:
        self.records.append(record)
        return True

    def close(self) -> None:
        pass


def in_process(app: Application, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
    """Send requests to an application without a port."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return [await client.request(method, path, **content) for method, path, content in requests]

    return asyncio.run(run())


def test_the_page_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"<script|https?://|<link|<img|@import", answer.text)
    assert "POST /score" in answer.text
    assert "/v2/models/{name}/infer" in answer.text


def test_the_page_says_what_is_allowed_and_shows_examples() -> None:
    described = document(Settings(explained_texts=7), "1", maximum_length=9)
    shown = page(described)
    assert "<code>true</code> or <code>false</code>, <code>false</code> by default" in shown
    assert "for up to 7 texts" in shown
    assert "list of (string, up to 9 characters), 1 to 1,000" in shown
    assert "`" not in shown
    targets = set(re.findall(r'href="#([^"]+)"', shown))
    assert targets <= set(re.findall(r'id="([^"]+)"', shown))
    assert {"score", "Word", "status-503"} <= targets


def test_every_field_of_a_word_is_described(client: httpx.Client) -> None:
    [result] = client.post("/score?explain=true", json=["iron"]).json()["results"]
    described = document(Settings(), "1", maximum_length=9)["components"]["schemas"]["Word"]["properties"]
    assert list(result["words"][0]) == list(described)
    assert all(field["description"] for field in described.values())


def examples(described: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, schema in described["components"]["schemas"].items():
        for found in (schema, *schema.get("oneOf", ())):
            yield from ((name, example) for example in found.get("examples", ()))


def test_the_examples_are_as_described_and_can_be_sent(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    shown = dict(examples(described))
    assert {"Texts", "Scored", "Result", "Word", "Decision", "Problem", "InferenceRequest"} <= shown.keys()
    for name, example in shown.items():
        reference = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        Draft202012Validator(reference).validate(example)
    assert client.post("/score", json=shown["Texts"]).status_code == 200
    assert client.post("/v2/models/parts/infer", json=shown["InferenceRequest"]).status_code == 200
    assert feedback.read_decision(orjson.dumps(shown["Decision"])) == shown["Decision"]


def test_every_path_is_described_and_no_other(client: httpx.Client, model_dir: Path) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    app = create_app(from_folder(model_dir), Settings(), routes=feedback.routes(None))
    assert set(described["paths"]) == set(app.paths)


def test_the_limits_described_are_those_that_hold() -> None:
    described = document(Settings(maximum_texts=7), "1", maximum_length=9)
    texts = described["components"]["schemas"]["Texts"]["oneOf"][0]
    assert (texts["maxItems"], texts["items"]["maxLength"]) == (7, 9)
    assert described["security"] == []
    assert document(Settings(token_sha256="a" * 64), "1", maximum_length=9)["security"] == [{"token": []}]


def test_metrics_are_in_prometheus_format_and_count(client: httpx.Client) -> None:
    client.post("/score", json=["steel", "iron"])
    client.post("/score", json=[])
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert all(line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line) for line in lines)
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert int(values['scoring_requests_total{route="/score",status="200"}']) >= 1
    assert int(values['scoring_requests_total{route="/score",status="422"}']) >= 1
    total = int(values['scoring_request_seconds_count{route="/score"}'])
    assert int(values['scoring_request_seconds_bucket{route="/score",le="+Inf"}']) == total
    assert int(values['scoring_texts_total{slot="",version=""}']) >= 2


def test_explanations_are_those_of_the_scorer(client: httpx.Client, model_dir: Path) -> None:
    text = "poor iron component"
    [result] = client.post("/score?explain=true", json=[text]).json()["results"]
    expected = from_folder(model_dir).scorer.explain(text)
    assert [(word["word"], word["start"], word["end"]) for word in result["words"]] == [
        (word.word, word.start, word.end) for word in expected
    ]
    assert [word["log_odds"] for word in result["words"]] == pytest.approx([word.log_odds for word in expected])
    assert "words" not in client.post("/score?explain=false", json=[text]).json()["results"][0]
    assert client.post("/score?explain=true", json=["x"] * 11).status_code == 422
    assert client.post("/score?explain=perhaps", json=["x"]).status_code == 422


def test_every_answer_is_collected_once_and_mirrors_are_told_apart(model_dir: Path, make_model: MakeModel) -> None:
    blue, green = from_folder(model_dir), from_folder(make_model(bias=9.0))
    models = {"blue": type(blue)(blue.scorer, 1, "blue"), "green": type(blue)(green.scorer, 2, "green")}
    kept = Kept()

    class Source:
        routing = Routing(models, "blue", {"blue": 100}, {"green": 100})

        def describe(self) -> dict[str, Any]:
            return {}

        async def run(self) -> None:
            pass

    app = create_app(Source(), Settings(), kept)
    answers = in_process(
        app,
        ("POST", "/score", {"json": ["steel", "new steel"], "headers": {"x-correlation-id": "one"}}),
        ("POST", "/score", {"json": []}),
    )
    app.core.mirror._thread.shutdown(wait=True)
    assert [answer.status_code for answer in answers] == [200, 422]
    assert [result["label"] for result in answers[0].json()["results"]] == ["compliant", "compliant"]
    plain, mirrored = kept.records
    assert (plain.correlation_id, plain.slot, plain.mirrored, plain.status) == ("one", "blue", False, 200)
    assert (plain.texts, plain.labels) == (["steel", "new steel"], ["compliant", "compliant"])
    assert plain.digest == digest_of(model_dir)
    assert (mirrored.correlation_id, mirrored.slot, mirrored.mirrored) == ("one", "green", True)
    assert mirrored.labels == ["non-compliant", "non-compliant"]


def test_a_defect_is_a_problem_and_is_collected(model_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    served, kept = from_folder(model_dir), Kept()
    app = create_app(served, Settings(), kept)

    def broken(*_: object) -> None:
        raise RuntimeError("the network is gone")

    object.__setattr__(served.scorer, "session", type("Session", (), {"run": broken})())
    [answer] = in_process(app, ("POST", "/score", {"json": ["steel"], "headers": {"x-correlation-id": "seven"}}))
    assert answer.status_code == answer.json()["status"] == 500
    assert "gone" not in answer.text
    assert "seven" in caplog.text
    [record] = kept.records
    assert (record.status, list(record.texts)) == (500, [])


CASES = [
    (method, path, mode)
    for path, item in document(Settings(), "0", maximum_length=10_000)["paths"].items()
    for method in item.keys() - {"parameters"}
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or method == "post"  # what takes nothing, or any name, cannot be wrong
]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def described(model_dir: Path) -> Any:
    """Give the schema of an application that schemathesis calls in process, and ends with the test."""
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(from_folder(model_dir), Settings()))


@pytest.mark.parametrize(("method", "path", "mode"), CASES, ids=lambda part: getattr(part, "value", part))
def test_no_input_makes_the_service_fail_and_answers_are_as_described(
    described: Any, method: str, path: str, mode: GenerationMode
) -> None:
    strategy = described[path][method].as_strategy(generation_mode=mode)

    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def ask(case: schemathesis.Case) -> None:
        answer = case.call()
        case.validate_response(answer, checks=CHECKS)
        seen.append(answer.status_code)

    seen: list[int] = []
    ask()
    assert seen
    if mode is GenerationMode.POSITIVE and path == "/score":
        assert 200 in seen
