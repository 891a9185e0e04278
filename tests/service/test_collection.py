"""Collection never waits, loses nothing silently, and stores nothing that must not be stored."""

import logging
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import collection
from service.collection import Nothing, Queue, Several, from_settings, is_sampled
from service.collection_settings import CollectionSettings
from service.redaction import Redactor

from .records import Told, collected, record, until


def queue(sink: Any, **settings: Any) -> Queue:
    return Queue(sink, CollectionSettings(**{"flush_seconds": 0.01} | settings), Redactor(settings.get("redact", ())))


def test_a_text_is_a_line_with_all_that_is_known_of_its_answer(tmp_path: Path) -> None:
    collector = from_settings(CollectionSettings(dir=str(tmp_path)), "parts", "staging")
    moment = datetime(2026, 3, 1, 23, 59, 59, 123_456, UTC).timestamp()
    probabilities = np.array([0.97, 0.123_456_78], dtype=np.float32)
    labels = ["non-compliant", "compliant"]
    assert collector.put(record("a-1", ["iron", "ſteel"], labels=labels, probabilities=probabilities, time=moment))
    collector.close()
    (file,) = tmp_path.rglob("*.jsonl")
    assert str(file.parent.relative_to(tmp_path)) == "parts/staging/2026/03/01"
    assert file.stat().st_mode & 0o777 == 0o600
    first, second = collected(tmp_path)
    assert first == {
        "time": "2026-03-01T23:59:59.123Z",
        "correlation_id": "a-1",
        "item": 0,
        "text": "iron",
        "label": "non-compliant",
        "probability": 0.97,
        "model": "parts",
        "version": 3,
        "digest": "d" * 64,
        "slot": "blue",
        "mirrored": False,
        "latency_ms": 0.4,
        "status": 200,
    }
    assert (second["item"], second["text"], second["probability"]) == (1, "ſteel", 0.123457)


def test_a_failure_leaves_one_line_without_texts() -> None:
    sink = Told()
    collector = queue(sink, share=0.0)
    assert collector.put(record("b", ["secret", "secret"], status=503, mirrored=True))
    assert collector.put(record("c", [], labels=[], probabilities=[], status=500, slot=None, version=None))
    collector.close()
    assert [line["correlation_id"] for _, line in sink.lines] == ["b", "c"]
    assert not any(key in line for _, line in sink.lines for key in ("text", "label", "probability"))
    assert [(line["status"], line["mirrored"], line["slot"]) for _, line in sink.lines] == [
        (503, True, "blue"),
        (500, False, None),
    ]


def test_texts_are_redacted_before_they_reach_a_sink() -> None:
    sink = Told()
    collector = queue(sink, redact=(r"\d{4,}",))
    collector.put(record(texts=["call 01751234567", "part 12"]))
    collector.close()
    assert [line["text"] for _, line in sink.lines] == ["call [redacted]", "part 12"]


def test_while_the_sink_blocks_put_returns_and_what_does_not_fit_is_counted() -> None:
    sink = Told()
    sink.free.clear()
    collector = queue(sink, queue=10)
    taken = [collector.put(record(f"r-{n}")) for n in range(50)]
    assert taken == [True] * 10 + [False] * 40
    until(lambda: sink.writes == 1)
    assert not collector.put(record("late"))  # what was handed to the sink still counts
    assert (collector.dropped, collector.stored, collector.waiting) == (41, 0, 10)
    sink.free.set()
    until(lambda: collector.stored == 10)
    assert collector.put(record("again"))
    collector.close()
    assert [line["correlation_id"] for _, line in sink.lines] == [*(f"r-{n}" for n in range(10)), "again"]
    assert (collector.dropped, collector.waiting, sink.closed) == (41, 0, True)


def test_the_queue_is_bounded_by_characters_too() -> None:
    sink = Told()
    sink.free.clear()
    collector = queue(sink, queue_characters=10_000)
    taken = [collector.put(record(texts=["x" * 900] * 3)) for _ in range(10)]
    assert taken == [True] * 2 + [False] * 8
    sink.free.set()
    collector.close()
    assert len(sink.lines) == 6


def test_what_the_sink_refuses_is_given_again_whole_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "FIRST_WAIT", 0.01)
    sink = Told()
    sink.faulty = True
    collector = queue(sink)
    for n in range(100):
        collector.put(record(f"r-{n}"))
    until(lambda: sink.writes > 3)
    assert collector.dropped == 0
    sink.faulty = False
    collector.close()
    assert [line["correlation_id"] for _, line in sink.lines] == [f"r-{n}" for n in range(100)]


def test_what_is_never_stored_counts_as_dropped_when_the_service_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(collection, "LAST_SECONDS", 0.2)
    sink = Told()
    sink.faulty = True
    collector = queue(sink)
    collector.put(record())
    collector.close()
    assert (collector.dropped, collector.stored) == (1, 0)
    assert not collector.put(record())
    collector.close()
    assert collector.dropped == 2


def test_a_write_that_never_returns_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "LAST_SECONDS", 0.05)
    sink = Told()
    sink.free.clear()
    collector = queue(sink)
    collector.put(record())
    collector.close()
    assert collector.dropped == 1
    sink.free.set()


def test_a_defect_of_a_sink_loses_its_lines_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    sink = Told()
    broken = [True]
    write = sink.write

    def sometimes(day: str, lines: Any) -> None:
        if broken.pop() if broken else False:
            raise RuntimeError("a defect")
        write(day, lines)

    sink.write = sometimes  # type: ignore[method-assign]
    collector = queue(sink)
    collector.put(record("lost"))
    until(lambda: collector.dropped == 1)
    collector.put(record("kept"))
    collector.close()
    assert [line["correlation_id"] for _, line in sink.lines] == ["kept"]
    assert "collected records cannot be stored" in caplog.text


def test_a_record_that_cannot_be_written_is_dropped_alone(caplog: pytest.LogCaptureFixture) -> None:
    sink = Told()
    collector = queue(sink)
    collector.put(record("odd", ["half a character: \ud800"]))
    collector.put(record("short", ["a", "b"], labels=["compliant"]))
    collector.put(record("kept"))
    collector.close()
    assert sink.lines[-1][1]["correlation_id"] == "kept"
    assert (collector.dropped, collector.stored, collector.waiting) == (2, 1, 0)


def test_a_day_and_a_block_end_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "BLOCK", 1_000)
    sink = Told()
    sink.free.clear()
    midnight = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
    collector = queue(sink)
    collector.put(record("first"))
    until(lambda: sink.writes == 1)
    for n, time in enumerate((midnight - 0.001, midnight, midnight + 1)):
        collector.put(record(f"r-{n}", [str(item) for item in range(10)], time=time))
    sink.free.set()
    collector.close()
    lines = [(day, line["correlation_id"], line["item"]) for day, line in sink.lines[1:]]
    days = {"r-0": "2026-03-01", "r-1": "2026-03-02", "r-2": "2026-03-02"}
    assert lines == [(day, identity, item) for identity, day in days.items() for item in range(10)]
    assert sink.writes > 4
    assert (collector.stored, collector.waiting) == (4, 0)


def test_put_may_be_called_from_several_threads() -> None:
    sink = Told()
    collector = queue(sink, queue=100_000)

    def work(name: int) -> None:
        for n in range(500):
            collector.put(record(f"{name}-{n}"))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    collector.close()
    assert {line["correlation_id"] for _, line in sink.lines} == {
        f"{name}-{n}" for name in range(8) for n in range(500)
    }
    assert (len(sink.lines), collector.stored, collector.waiting) == (4_000, 4_000, 0)


def test_the_sample_is_repeatable_and_of_the_size_asked_for() -> None:
    names = [f"request-{n}" for n in range(20_000)]
    chosen = [name for name in names if is_sampled(name, 0.2)]
    assert chosen == [name for name in names if is_sampled(name, 0.2)]
    assert 3_700 < len(chosen) < 4_300  # 4,000, and five standard deviations
    assert all(is_sampled(name, 0.5) for name in chosen)
    assert not any(is_sampled(name, 0.0) for name in names)
    sink = Told()
    collector = queue(sink, share=0.2, queue=100_000)
    assert all(collector.put(record(name)) for name in names)
    collector.close()
    assert [line["correlation_id"] for _, line in sink.lines] == chosen
    assert collector.dropped == 0


def test_several_places_are_kept_apart() -> None:
    good, bad = Told(), Told()
    bad.free.clear()
    both = Several([queue(good), queue(bad, queue=1)])
    assert [both.put(record(str(n))) for n in range(3)] == [True, False, False]
    assert both.dropped == 2
    bad.free.set()
    both.close()
    assert (len(good.lines), len(bad.lines)) == (3, 1)


def test_nothing_collects_nothing() -> None:
    collector = from_settings(CollectionSettings(), "parts", "staging")
    assert isinstance(collector, Nothing)
    assert collector.put(record())
    collector.close()
    assert collector.dropped == 0


def test_a_fault_is_logged_once_and_names_no_text(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    monkeypatch.setattr(collection, "FIRST_WAIT", 0.01)
    caplog.set_level(logging.INFO)
    sink = Told()
    sink.faulty = True
    collector = queue(sink)
    collector.put(record(texts=["planted-text"]))
    until(lambda: sink.writes > 5)
    sink.faulty = False
    collector.close()
    assert len(re.findall("cannot be stored, and are tried again: told to", caplog.text)) == 1
    assert len(re.findall("are stored again", caplog.text)) == 1
    assert "planted-text" not in caplog.text
