"""A technician's decision is stored before it is acknowledged, and finds the answer it is about."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from compliance.feedback import judged
from service.collection import from_settings
from service.collection_settings import CollectionSettings
from service.feedback import MOST_BYTES, Feedback, read_decision, routes
from service.problems import Problem, answer_defect, answer_http_error, answer_problem
from service.redaction import Redactor
from service.sink_blob import Blobs
from service.sinks import SinkFault

from ..project import ROOT
from .azurite import Azurite, azurite  # noqa: F401 - a fixture
from .fault_proxy import REFUSE, before
from .records import Client, Told, collected, record

DECISION = {"correlation_id": "a-1", "label": "compliant"}


def application(feedback: Feedback | None) -> Client:
    handlers: dict[Any, Any] = {Problem: answer_problem, HTTPException: answer_http_error, Exception: answer_defect}
    return Client(Starlette(routes=routes(feedback), exception_handlers=handlers))


@pytest.fixture
def settings(tmp_path: Path) -> CollectionSettings:
    return CollectionSettings(dir=str(tmp_path / "collected"), redact=(r"\d{4,}",))


@pytest.fixture
def client(settings: CollectionSettings) -> Iterator[Client]:
    feedback = Feedback.from_settings(settings, "parts", "staging")
    assert feedback
    yield application(feedback)
    feedback.close()


def test_a_decision_is_stored_when_it_is_acknowledged(client: Client, tmp_path: Path) -> None:
    sent = DECISION | {"item": 2, "comment": "call 01751234567: it is steel"}
    answer = client.post("/feedback", json=sent, headers={"x-correlation-id": "own-id"})
    assert answer.status_code == 201
    assert answer.json() == {"stored": sent, "correlation_id": "own-id"}
    assert answer.headers["x-correlation-id"] == "own-id"
    (file,) = tmp_path.rglob("*.jsonl")
    assert file.relative_to(tmp_path).parts[:4] == ("collected", "parts", "staging", "feedback")
    (line,) = collected(tmp_path)
    assert line.pop("time").startswith("-".join(file.parts[-4:-1]))
    assert line == sent | {"comment": "call [redacted]: it is steel"}


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"{", 400, "the body is no JSON"),
        (b'{"label": "\\ud800"}', 400, "the body is no JSON"),
        (b"[]", 422, "give an object"),
        (b"{}", 422, "correlation_id must be that of an answer"),
        (DECISION | {"correlation_id": "a b"}, 422, "1 to 128 letters, digits"),
        (DECISION | {"correlation_id": 7}, 422, "correlation_id must be"),
        (DECISION | {"label": "maybe"}, 422, "label must be 'compliant' or 'non-compliant'"),
        (DECISION | {"label": ["compliant"]}, 422, "label must be"),
        (DECISION | {"item": -1}, 422, "item must be the text's place"),
        (DECISION | {"item": True}, 422, "item must be the text's place"),
        (DECISION | {"item": 10**30}, 422, "item must be the text's place"),
        (DECISION | {"item": "0"}, 422, "item must be the text's place"),
        (DECISION | {"comment": "x" * 1_001}, 422, "comment must be a text of up to 1,000 characters"),
        (DECISION | {"comment": 5}, 422, "comment must be a text"),
        (
            DECISION | {"x" * 500: 1},
            422,
            f"'{'x' * 40}' is no key of a decision; comment, correlation_id, item, label are",
        ),
        (b" " * (MOST_BYTES + 1), 413, "the body is longer than the 16,384 bytes"),
    ],
)
def test_other_content_is_a_problem_document(
    client: Client, tmp_path: Path, content: Any, status: int, said: str
) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = client.post("/feedback", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert not list(tmp_path.rglob("*.jsonl"))


def test_other_media_types_and_methods_are_refused(client: Client) -> None:
    assert client.post("/feedback", content="{}").status_code == 415
    assert client.get("/feedback").status_code == 405


def test_null_is_as_good_as_nothing() -> None:
    body = json.dumps(DECISION | {"item": None, "comment": None}).encode()
    assert read_decision(body) == DECISION | {"item": 0}


def test_without_a_place_feedback_is_refused() -> None:
    assert Feedback.from_settings(CollectionSettings(), "parts", "staging") is None
    assert Feedback.from_settings(CollectionSettings(azureml="scoring"), "parts", "staging") is None
    answer = application(None).post("/feedback", json=DECISION)
    assert (answer.status_code, answer.json()["type"]) == (501, "urn:trey:problem:no-feedback")


def test_what_cannot_be_stored_is_not_acknowledged() -> None:
    sink = Told()
    sink.faulty = True
    client = application(Feedback(sink, Redactor()))
    answer = client.post("/feedback", json=DECISION)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:trey:problem:not-stored")
    sink.faulty = False
    assert client.post("/feedback", json=DECISION).status_code == 201
    assert len(sink.lines) == 1


def test_decisions_are_stored_in_blob_storage_too(azurite: Azurite) -> None:  # noqa: F811
    where = "parts/decided/feedback"
    with before(azurite.port) as proxy:
        feedback = Feedback(Blobs(azurite.container(proxy.port), where, "p"), Redactor())
        client = application(feedback)
        assert client.post("/feedback", json=DECISION).status_code == 201
        proxy.fault = REFUSE
        proxy.drop()
        assert client.post("/feedback", json=DECISION).status_code == 503
        proxy.fault = "pass"
        assert client.post("/feedback", json=DECISION | {"comment": "again"}).status_code == 201
        feedback.close()
    (stored,) = azurite.lines(where).values()
    assert [line.get("comment") for line in stored] == [None, "again"]


def test_decisions_outlast_a_process_that_is_killed(settings: CollectionSettings) -> None:
    command = (
        "import os, signal, sys\n"
        "from service.collection_settings import CollectionSettings\n"
        "from service.feedback import Feedback\n"
        "feedback = Feedback.from_settings(CollectionSettings(dir=sys.argv[1]), 'parts', 'staging')\n"
        "feedback.store({'correlation_id': 'a-1', 'item': 0, 'label': 'compliant'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", command, settings.dir], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [line["label"] for line in collected(Path(settings.dir))] == ["compliant"]


def test_a_decision_finds_the_answer_it_is_about(client: Client, settings: CollectionSettings) -> None:
    collector = from_settings(settings, "parts", "staging")
    for n in range(5):
        collector.put(record(f"a-{n}", [f"iron {n}", f"tin {n}"], mirrored=n == 4))
    collector.close()
    for sent in (
        {"correlation_id": "a-1", "label": "compliant", "comment": "it is steel"},
        {"correlation_id": "a-1", "item": 1, "label": "non-compliant"},
        {"correlation_id": "a-2", "label": "non-compliant"},
        {"correlation_id": "a-2", "label": "compliant"},
        {"correlation_id": "a-4", "label": "compliant"},
        {"correlation_id": "unknown", "label": "compliant"},
    ):
        assert client.post("/feedback", json=sent).status_code == 201
    found = judged(Path(settings.dir) / "parts" / "staging")
    rows = found.answers.sort_values(["correlation_id", "item"])
    assert rows[["correlation_id", "item", "text", "label", "decision", "comment"]].to_numpy().tolist() == [
        ["a-1", 0, "iron 1", "non-compliant", "compliant", "it is steel"],
        ["a-1", 1, "tin 1", "non-compliant", "non-compliant", ""],
        ["a-2", 0, "iron 2", "non-compliant", "compliant", ""],
    ]
    assert (found.unmatched, found.revised, found.refused) == (2, 1, 0)


def test_a_fault_of_the_disk_is_a_fault_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "parts").write_text("a file where a folder must be", encoding="utf-8")
    feedback = Feedback.from_settings(CollectionSettings(dir=str(tmp_path)), "parts", "staging")
    assert feedback
    with pytest.raises(SinkFault, match=os.strerror(20)):
        feedback.store(DECISION)
