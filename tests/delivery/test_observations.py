"""Collected lines are read once each, while the files grow, and a line that tells nothing is counted."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from delivery.observations import Observation, Reader, observed

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def line(at: datetime = NOON, **other: object) -> str:
    found: dict[str, object] = {
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "correlation_id": "r1",
        "item": 0,
        "text": "steel",
        "label": "compliant",
        "probability": 0.1,
        "model": "parts",
        "version": 1,
        "digest": "d",
        "slot": "blue",
        "mirrored": False,
        "latency_ms": 0.4,
        "status": 200,
    }
    return json.dumps(found | other) + "\n"


def write(folder: Path, content: str, day: str = "2026/11/26", name: str = "a.jsonl") -> None:
    path = folder / day / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(content)


def test_each_line_is_given_once_and_a_half_one_when_it_is_whole(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "collected", NOON)
    assert reader.read() == []
    folder = tmp_path / "collected"
    whole = line(correlation_id="r3", text="größer")
    write(folder, line() + line(correlation_id="r2") + whole[:70])
    assert [seen.correlation_id for seen in reader.read()] == ["r1", "r2"]
    assert reader.read() == []
    write(folder, whole[70:])
    write(folder, line(correlation_id="r4"), name="b.jsonl")
    write(folder, line(NOON + timedelta(days=1), correlation_id="r5"), day="2026/11/27")
    assert [seen.correlation_id for seen in reader.read()] == ["r3", "r4", "r5"]
    assert reader.unreadable == 0


def test_what_was_collected_before_and_feedback_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, line(NOON - timedelta(milliseconds=1)) + line(correlation_id="now"))
    write(tmp_path, "no JSON\n", day="2026/11/25")
    write(tmp_path, '{"time": "x"}\n', day="feedback/2026/11/26")
    reader = Reader(tmp_path, NOON)
    assert [seen.correlation_id for seen in reader.read()] == ["now"]
    assert reader.unreadable == 0


def test_a_request_that_failed_is_observed_without_a_label() -> None:
    found = {"time": "2026-11-26T12:00:00.000Z", "correlation_id": "r", "slot": "green", "status": 503}
    assert observed(json.dumps(found).encode()) == Observation(
        NOON, "r", 0, "green", "", False, 503, label=None, latency_ms=None
    )


@pytest.mark.parametrize(
    "content",
    ["", "[]", "7", '"text"', "{}", "no JSON", line(slot="blue")[:-20], line(status=None), line(time="noon"),
     line(status=float("inf")), line(latency_ms=[])],
)  # fmt: skip
def test_a_line_that_tells_nothing_is_counted_and_passed_over(tmp_path: Path, content: str) -> None:
    write(tmp_path, f"{content.strip()}\n{line()}")
    reader = Reader(tmp_path, NOON)
    assert len(reader.read()) == 1
    assert reader.unreadable == 1
