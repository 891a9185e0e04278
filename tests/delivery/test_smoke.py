"""The smoke test passes a service that does as it should, and finds each way in which one may not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from compliance.scorer import Scorer
from delivery.process import scoring_process
from delivery.smoke import Example, examples_of, smoke_test
from delivery.target import Target

from ..fixtures_model import TEXTS, digest_of

LABELS = ("compliant", "non-compliant")


@pytest.fixture(scope="module")
def examples(model_dir: Path) -> list[Example]:
    """Give the texts of the tests with what the scorer says of them."""
    probabilities = Scorer.load(model_dir).score(TEXTS)
    return examples_of(TEXTS, list(probabilities), labels=LABELS, threshold=0.5, count=99)


@pytest.fixture(scope="module")
def target(model_dir: Path) -> Iterator[Target]:
    """Give the URL of a real scoring process."""
    with scoring_process(model_dir) as url:
        yield Target(url)


def test_a_sound_service_passes(target: Target, examples: list[Example], model_dir: Path) -> None:
    report = smoke_test(target, examples, digest=digest_of(model_dir))
    assert report.failures == []
    assert report.digest == digest_of(model_dir)
    assert [(answer.text, answer.label) for answer in report.answers] == [(one.text, one.label) for one in examples]
    groups = [check.group for check in report.checks]
    assert {group: groups.count(group) for group in groups} == {"health": 2, "contract": 8, "texts": len(examples) + 1}


def test_another_digest_fails(target: Target, examples: list[Example], model_dir: Path) -> None:
    report = smoke_test(target, examples, digest="0" * 64)
    [failure] = report.failures
    assert failure.name == "GET /health/ready"
    assert digest_of(model_dir) in failure.detail


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Example(TEXTS[0], "compliant", 0.5), "probability"),
        (Example(TEXTS[0], "compliant", float("nan")), "probability"),
        (Example(TEXTS[0], "non-compliant", 0.0179862), "label compliant"),
    ],
)
def test_another_answer_fails_alone_and_in_company(target: Target, model_dir: Path, wrong: Example, says: str) -> None:
    report = smoke_test(target, [wrong], digest=digest_of(model_dir))
    assert len(report.failures) == 2
    assert all(says in failure.detail for failure in report.failures)


def test_a_small_difference_passes(target: Target, model_dir: Path, examples: list[Example]) -> None:
    near = [Example(one.text, one.label, one.probability + 5e-6) for one in examples]
    assert smoke_test(target, near, digest=digest_of(model_dir)).failures == []
    far = [Example(one.text, one.label, one.probability + 5e-5) for one in examples]
    assert len(smoke_test(target, far, digest=digest_of(model_dir)).failures) == len(examples) + 1


def test_nobody_there_fails_everything(examples: list[Example]) -> None:
    report = smoke_test(Target("http://127.0.0.1:9"), examples, digest="x")
    assert len(report.failures) == len(report.checks)
    assert all("no answer" in failure.detail for failure in report.failures)
    assert report.answers == []


class AlwaysFine(BaseHTTPRequestHandler):
    """Answers everything with 200 and the same JSON, as some scoring scripts do."""

    content: object = {}

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps(self.content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    "content",
    [{}, [], None, {"results": None}, {"results": [{"label": 1}]}, {"results": [7]}, {"model": 3, "results": "x"}],
    ids=repr,
)
def test_a_service_that_says_200_to_everything_fails(content: object, examples: list[Example]) -> None:
    handler = type("Handler", (AlwaysFine,), {"content": content})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        report = smoke_test(Target(f"http://127.0.0.1:{server.server_port}"), examples, digest="x")
        server.shutdown()
    assert [check.name for check in report.checks if check.passed] == ["GET /health/live"]
    assert report.answers == []


def test_examples_reach_from_end_to_end_and_are_always_the_same() -> None:
    texts = [f"text {place}" for place in range(100)]
    probabilities = [place / 99 for place in range(100)]
    chosen = examples_of(texts, probabilities, labels=LABELS, threshold=0.5, count=10)
    backwards = examples_of(texts[::-1], probabilities[::-1], labels=LABELS, threshold=0.5, count=10)
    assert chosen == backwards
    assert [example.text for example in chosen] == [f"text {place}" for place in range(0, 100, 11)]
    assert [example.label for example in chosen] == ["compliant"] * 5 + ["non-compliant"] * 5


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (3, 3), (9, 3)])
def test_there_are_never_more_examples_than_texts(count: int, expected: int) -> None:
    chosen = examples_of(["a", "b", "c", "a"], [0.1, 0.2, 0.3, 0.1], labels=LABELS, threshold=0.5, count=count)
    assert len(chosen) == expected
