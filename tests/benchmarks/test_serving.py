"""What the comparison of servers makes of what it measured."""

from typing import Any

import pytest

from benchmarks import serving


def cell(rate: float, **more: float) -> dict[str, float]:
    return {"rate": rate, "p50": 1.0, "p99": 2.0} | more


def turns(*rates: float, **needs: float) -> list[dict[str, Any]]:
    needed = {"start": 0.5, "fresh": 90.0, "memory": 100.0} | needs
    cells = {f"{size}@{connections}": 1 for size, connections in serving.CELLS}
    return [
        {name: cell(rate, processor=1e6 / rate) for name in cells} | {"beside": cell(rate)} | needed for rate in rates
    ]


@pytest.fixture
def measured() -> dict[str, list[dict[str, Any]]]:
    """Give two turns in which ours is twice and five times as fast as FastAPI."""
    limit = [{name: cell(1_000) for name in ("1@1", "32@1", "1000@1")} for _ in range(2)]
    return {serving.OURS: turns(200, 500), serving.BASE: turns(100, 100), serving.LIMIT: limit}


def test_ratios_are_taken_within_a_turn(measured: dict[str, list[dict[str, Any]]]) -> None:
    assert serving.ratios(measured, serving.OURS, serving.BASE, "1@1") == [2, 5]
    assert serving.ratios(measured, serving.BASE, serving.OURS, "1@1", "processor") == [2, 5]
    assert serving.ratios(measured, serving.OURS, serving.LIMIT, "1@64") == []
    assert serving.spread([2, 5]) == "3.5 (2 to 5)"
    assert serving.spread([]) == "–"


def test_aims_say_what_was_seen_and_whether_they_are_met(measured: dict[str, list[dict[str, Any]]]) -> None:
    lines = serving.aims(measured, {serving.OURS: 150_000_000, serving.AZURE: 250_000_000}).splitlines()
    assert "| 1 text, 1 connection: 1.4 times FastAPI | 3.5 (2 to 5) | 3.5 (2 to 5) | yes |" in lines
    assert "| 1 text, 64 connections: 4 times FastAPI | 3.5 (2 to 5) | 3.5 (2 to 5) | **no** |" in lines
    assert "| 1,000 texts: within 1.1 times of the bare session | 3.5 (2 to 5) | – | **no** |" in lines
    assert "| first answer in under 0.8 s | 0.5 (0.5 to 0.5) | – | yes |" in lines
    assert "| ours: under 200 MB installed | 150 | – | yes |" in lines
    assert f"| {serving.AZURE}: under 240 MB installed | 250 | – | **no** |" in lines


def test_what_was_not_answered_in_time_is_no_figure(measured: dict[str, list[dict[str, Any]]]) -> None:
    del measured[serving.OURS][1]["1@64"]
    made = serving.tables(measured, {serving.OURS: 1, serving.BASE: 1}, serving.BASE)
    assert "| ours | 350 | 350 | – | 350 | 350 | 350 |" in made
    assert "| bare session | 1,000 | – | – | 1,000 | – | 1,000 |" in made


def test_a_way_that_cannot_be_had_is_named_with_the_reason() -> None:
    with pytest.raises(serving.NotMeasured, match=r"^the last word$"):
        serving.done(["sh", "-c", "echo first >&2; echo 'the last word' >&2; exit 3"])
