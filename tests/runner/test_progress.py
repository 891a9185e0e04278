"""What is printed while a run goes on."""

import io
from typing import Any

import pytest

from runner.progress import LiveProgress, Progress

GATE: Any = {"phase": "register", "scrap": "evaluate.recall", "verdict": "fail", "reason": "0.9 < 0.95"}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def story(progress: Progress) -> None:
    with progress:
        progress.phase_skipped("prepare", "cached", "unchanged")
        progress.phase_started("train", "params train.epochs 6 → 8")
        for number in range(1, 801):
            progress.cell("train", number, 800, "fit()")
        progress.phase_ended("train", "succeeded", 12.34, None)
        progress.gate(GATE)
        progress.phase_ended("evaluate", "failed", 1.0, "cell 3 raised ValueError\nof two lines")
        progress.note("the report is written")


def test_a_log_has_one_line_per_event_and_few_about_cells() -> None:
    stream = io.StringIO()
    progress = Progress.choose(stream)
    assert not isinstance(progress, LiveProgress)
    story(progress)
    assert stream.getvalue().splitlines() == [
        "prepare: cached (unchanged)",
        "train: runs (params train.epochs 6 → 8)",
        "train: succeeded in 12.3 s",
        "gate of register: fail: evaluate.recall: 0.9 < 0.95",
        "evaluate: failed in 1.0 s: cell 3 raised ValueError …",
        "the report is written",
    ]


def test_a_terminal_keeps_what_is_finished() -> None:
    stream = Terminal()
    progress = Progress.choose(stream)
    assert isinstance(progress, LiveProgress)
    story(progress)
    for line in ("✓ prepare: cached (unchanged)", "✓ train: succeeded in 12.3 s", "✗ gate of register: fail"):
        assert line in stream.getvalue()


def test_markup_in_what_notebooks_say_is_text() -> None:
    stream = Terminal()
    with Progress.choose(stream) as progress:
        progress.note("[bold]not bold[/bold]")
    assert "[bold]not bold[/bold]" in stream.getvalue()


@pytest.mark.parametrize(("kind", "typed", "expected"), [(Terminal, "y\n", True), (Terminal, "\n", False)])
def test_a_person_is_asked_where_there_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, kind: type[io.StringIO], typed: str, expected: bool
) -> None:
    monkeypatch.setattr("sys.stdin", kind(typed))
    with Progress.choose(Terminal()) as progress:
        assert progress.confirm("cancel the job, too?") is expected


def test_nobody_is_asked_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert Progress(io.StringIO()).confirm("cancel the job, too?") is False
