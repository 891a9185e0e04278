"""Shows how a run goes on: a live display in a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from runner.gates import said
from runner.record import GateEntry
from runner.terminal import first_line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

QUIET = 10.0  # seconds between two lines about cells
SIGNS = {"succeeded": "✓", "cached": "✓", "kept": "✓", "failed": "✗", "skipped": "·", "running": "▸"}
GATE_SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "waived": "!", "not-applicable": "·"}
STYLES = {"✓": "green", "✗": "bold red", "?": "bold yellow", "!": "yellow", "·": "dim", "▸": "cyan"}


class Progress:
    """One line per event; nothing but text, each line out at once, so that a log is readable while it grows."""

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._last_line = 0.0

    @staticmethod
    def choose(stream: TextIO) -> "Progress":
        """Give the display that suits a stream."""
        return LiveProgress(stream) if stream.isatty() else Progress(stream)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; nothing is left open."""

    def phase_started(self, phase: str, why: str) -> None:
        """A phase starts, for this reason."""
        self._say(f"{phase}: runs ({why})")

    def cell(self, phase: str, index: int, total: int, first_line: str) -> None:
        """A code cell starts, or prints a line. Only one in ten seconds is told: a notebook may have 800 cells."""
        if time.monotonic() - self._last_line >= QUIET:
            self._say(f"{phase}: cell {index} of {total}: {first_line}")

    def phase_ended(self, phase: str, status: str, seconds: float, message: str | None) -> None:
        """A phase that ran has ended; the message says why it failed."""
        self._say(_ended(phase, status, seconds, message))

    def phase_skipped(self, phase: str, status: str, why: str) -> None:
        """A phase does not run: its results are there already, or it is left out."""
        self._say(f"{phase}: {status} ({why})")

    def gate(self, gate: GateEntry) -> None:
        """A rule was judged."""
        self._say(_judged(gate))

    def note(self, text: str) -> None:
        """Something else worth a line."""
        self._say(text)

    def confirm(self, question: str) -> bool:
        """Ask whoever sits at the terminal; without one, the answer is no."""
        import click

        return sys.stdin.isatty() and click.confirm(question, default=False, err=True)

    def _say(self, line: str) -> None:
        self._last_line = time.monotonic()
        self._stream.write(f"{line}\n")
        self._stream.flush()


class LiveProgress(Progress):
    """Finished events as lines; below them the phase at work, for how long, and its cell."""

    _live: "Live"

    def __init__(self, stream: TextIO):
        super().__init__(stream)
        self._phase = ""
        self._started = 0.0
        self._cell = ""

    def __enter__(self) -> Self:
        """Begin to draw."""
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._stream, highlight=False, markup=False)
        self._live = Live(console=console, get_renderable=self._at_work, refresh_per_second=4, transient=True)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the finished lines on the screen."""
        self._live.stop()

    def phase_started(self, phase: str, why: str) -> None:
        """Draw the phase until it ends."""
        self._phase, self._started, self._cell = phase, time.monotonic(), why

    def cell(self, phase: str, index: int, total: int, first_line: str) -> None:
        """Draw the cell at work."""
        self._cell = f"cell {index} of {total}: {first_line}"

    def phase_ended(self, phase: str, status: str, seconds: float, message: str | None) -> None:
        """Write a line that stays."""
        self._phase = ""
        self._say(f"{SIGNS[status]} {_ended(phase, status, seconds, message)}")

    def phase_skipped(self, phase: str, status: str, why: str) -> None:
        """Write a line that stays."""
        self._say(f"{SIGNS[status]} {phase}: {status} ({why})")

    def gate(self, gate: GateEntry) -> None:
        """Write a line that stays."""
        self._say(f"{GATE_SIGNS[gate['verdict']]} {_judged(gate)}")

    def confirm(self, question: str) -> bool:
        """Ask without drawing meanwhile."""
        self._live.stop()
        try:
            return super().confirm(question)
        finally:
            self._live.start()

    def _say(self, line: str) -> None:
        from rich.text import Text

        self._live.console.print(Text(line, style=STYLES.get(line[:1], "")))

    def _at_work(self) -> "Text":
        from rich.text import Text

        if not self._phase:
            return Text("")
        elapsed = time.monotonic() - self._started
        text = Text(f"▸ {self._phase}  {elapsed:.0f} s  {self._cell}", style="cyan", no_wrap=True, overflow="ellipsis")
        return text


def _ended(phase: str, status: str, seconds: float, message: str | None) -> str:
    """Say how a phase ended; all lines of the message follow in the last words of the command."""
    return f"{phase}: {status} in {seconds:.1f} s" + (f": {first_line(message)}" if message else "")


def _judged(gate: GateEntry) -> str:
    return f"gate of {gate['phase']}: {gate['verdict']}: {said(gate)}"
