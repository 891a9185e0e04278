"""What a cell prints, as the executed notebook keeps it: one output, progress bars collapsed, a flood cut.

A kernel sends many small messages. They are folded into one output for each stretch of stdout or stderr; of a line that
was written over (carriage return), the last state stays. Past HEAD + TAIL characters the middle is left out of the
notebook, and all of it lies in a log beside it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from nbformat import NotebookNode

from runner.redaction import RedactedStream, Redactor

HEAD = TAIL = 500_000  # characters that a stretch keeps of its beginning and of its end
LINE = 10_000  # characters up to which a line can still be written over
MOST_OUTPUTS = 1_000  # of a cell that prints to both streams in turns
_GROWTH = 1.05  # the notebook's text is made anew when the stretch has grown by so much


class Streams:
    """Folds the stream outputs of one notebook.

    Args:
        log: Gives the path of the log for a cell's index and a stream's name.
        redactor: Takes secrets out, also out of the log, and where they arrive in pieces.
    """

    def __init__(self, log: Callable[[int, str], Path], redactor: Redactor):
        self._log = log
        self._redactor = redactor
        self._open: dict[str, _Stretch] = {}  # the last stretch of each stream of the running cell
        self._logs: set[Path] = set()

    def fold(self, outputs: list[NotebookNode], cell: int) -> NotebookNode:
        """Take the stream output that was appended last into an earlier one, where that is possible.

        That is the output before it, if it is of the same stream. A cell with MOST_OUTPUTS outputs gets no more: what
        it prints goes to the last output of its stream.

        Returns:
            The output that holds its text now.
        """
        new = outputs[-1]
        stretch = self._open.get(new.name)
        beside = len(outputs) > 1 and stretch is not None and outputs[-2] is stretch.output
        if stretch is not None and (beside or len(outputs) > MOST_OUTPUTS):
            outputs.pop()
        else:
            if stretch is not None:
                stretch.close()
            stretch = self._open[new.name] = _Stretch(
                new, self._log(cell, new.name), self._logs, self._redactor.stream()
            )
        stretch.add(new.text)
        return stretch.output

    def settle(self) -> None:
        """Bring the texts of the outputs up to date; called when a cell ends."""
        for stretch in self._open.values():
            stretch.close()
        self._open.clear()


class _Stretch:
    """One output while it grows."""

    def __init__(self, output: NotebookNode, log: Path, logs: set[Path], safe: RedactedStream):
        self.output = output
        self._safe = safe
        self._log = log
        self._logs = logs
        self._file: TextIO | None = None
        self._raw: list[str] | None = []  # all of it, until it goes to the log
        self._head = ""
        self._lines: list[str] = []  # whole lines behind the head
        self._held = 0  # characters in `_lines`
        self._left_out = 0
        self._line = ""  # the last line, which may be written over
        self._shown = 0

    def add(self, text: str) -> None:
        self._take(self._safe.add(text))

    def close(self) -> None:
        self._take(self._safe.end())
        self._show(0)
        if self._file:
            self._file.close()

    def _take(self, text: str) -> None:
        if self._raw is None:
            self._write(text)
        else:
            self._raw.append(text)
        whole, newline, self._line = _collapsed(self._line + text).rpartition("\n")
        self._keep(whole + newline)
        if len(self._line) > LINE:  # a flood without an end of line
            self._keep(self._line)
            self._line = ""
        size = len(self._head) + self._held + len(self._line)
        if size <= self._shown or size >= self._shown * _GROWTH:
            self._show(size)

    def _keep(self, text: str) -> None:
        if len(self._head) < HEAD and not self._lines:
            room = HEAD - len(self._head)
            self._head, text = self._head + text[:room], text[room:]
        if text:
            self._lines.append(text)
            self._held += len(text)
        if self._held > 2 * TAIL:
            kept = "".join(self._lines)[-TAIL:]
            self._left_out += self._held - len(kept)
            self._lines, self._held = [kept], len(kept)
            if self._raw is not None:
                self._write("".join(self._raw))
                self._raw = None

    def _write(self, text: str) -> None:
        if self._file is None:
            how: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
            self._file = self._log.open("a", **how) if self._log in self._logs else self._log.open("w", **how)
            self._logs.add(self._log)
        self._file.write(text)
        self._file.flush()

    def _show(self, size: int) -> None:
        cut = f"\n… {self._left_out:,} characters are left out here; {self._log.name} has all …\n"
        middle = cut if self._left_out else ""
        self.output["text"] = self._head + middle + "".join(self._lines) + self._line
        self._shown = size


def _collapsed(text: str) -> str:
    """Drop what was written over: of each line all but what follows its last carriage return."""
    if "\r" not in text:
        return text
    lines = []
    for line in text.split("\n"):
        body = line.rstrip("\r")  # a return at the end writes nothing over yet
        lines.append(body.rpartition("\r")[2] + line[len(body) :])
    return "\n".join(lines)
