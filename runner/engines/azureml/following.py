"""Follows a job: what its nodes do, what a phase prints while it runs, and why a node ended without a result."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloud.client import answering
from cloud.errors import Unavailable
from cloud.registered import found
from cloud.storage import read_tail
from cloud.workspace import Workspace
from runner.execute import CellEvent, Outcome

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

ENDED = ("Completed", "Failed", "Canceled", "NotResponding", "Paused")
LOST = ("Failed", "Canceled", "NotResponding")  # of a node: there is an error to be told
LOG = "user_logs/std_log.txt"
PATIENCE = 600.0  # seconds that a workspace may not answer while a job runs
_LAST = 5  # lines of a log that a failure is told with
_CELL = re.compile(r"(?P<phase>\w+): cell (?P<number>\d+) of (?P<total>\d+): (?P<line>.*)")


@dataclass(frozen=True)
class Node:
    """A phase in a job, as run history tells it."""

    phase: str
    run: str
    status: str
    error: str = ""


class Follower:
    """Looks at one job again and again, until the phase that is waited for has ended."""

    def __init__(self, ml: "MLClient", workspace: Workspace, job: str, poll: float):
        self._ml = ml
        self._workspace = workspace
        self._job = job
        self._poll = poll
        self._read: dict[str, int] = {}
        self._last: dict[str, list[str]] = {}

    def follow(self, phase: str, on_cell: Callable[[CellEvent], None], note: Callable[[str], None]) -> Node:
        """Wait until a phase has ended, or the job without it, and tell meanwhile what happens.

        Args:
            phase: The phase.
            on_cell: Is told of cells.
            note: Is told of each status.

        Raises:
            CloudError: The workspace has not answered for a long while.
        """
        said, silent_since = "", None
        while True:
            try:
                node = self._node(phase)
                self._tell_cells(node, on_cell)
                silent_since = None
            except Unavailable as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > PATIENCE:
                    raise
                note(f"{phase}: {error.message}; asked again in {self._poll:g} s")
                time.sleep(self._poll)
                continue
            if node.status != said:
                said = node.status
                note(f"{phase}: {said} on Azure ML")
            if node.status in ENDED:
                return node
            time.sleep(self._poll)

    def last_lines(self, node: Node) -> list[str]:
        """Give the last lines of a node's log, as far as it was followed."""
        return self._last.get(node.run, [])

    def _node(self, phase: str) -> Node:
        """Give what is known of a phase; where its job has ended without it, that is how it ended, too."""
        with answering(self._workspace, f"follow job {self._job}"):
            job = self._ml.jobs.get(self._job)
            children = [child for child in self._ml.jobs.list(parent_job_name=self._job) if child]
        # A node that lost its machine may be there twice, in any order: what completed counts, or else what goes on.
        found = sorted((child for child in children if child.display_name == phase), key=_lateness)
        if found:
            status = _status(found[-1])
            error = self._error(str(found[-1].name)) if status in LOST else ""
            if status in ENDED or _status(job) not in ENDED:
                return Node(phase, str(found[-1].name), status, error)
        if (ended := _status(job)) in ENDED:
            said = self._error(self._job) or f"job {self._job} is {ended}, and {phase} did not run in it"
            return Node(phase, "", "Canceled" if ended == "Canceled" else "Failed", said)
        return Node(phase, "", ended)

    def _details(self, run: str) -> Any:
        with answering(self._workspace, f"look at {run}"):
            # The SDK's own way to logs and errors; its public one prints to standard output.
            return self._ml.jobs._runs_operations.get_run_details(run)

    def _error(self, run: str) -> str:
        details = self._details(run)
        inner = getattr(getattr(details, "error", None), "error", None)
        return " ".join(str(getattr(inner, "message", None) or "").split())

    def _tell_cells(self, node: Node, on_cell: Callable[[CellEvent], None]) -> None:
        """Tell of the cells that the phase has printed since the last look."""
        if not node.run:
            return
        url = (self._details(node.run).log_files or {}).get(LOG)
        if not url:
            return
        start = self._read.get(node.run, 0)
        with answering(self._workspace, f"read the log of {node.phase}"):
            new = read_tail(url, start)
        whole = new[: new.rfind(b"\n") + 1]
        self._read[node.run] = start + len(whole)
        lines = whole.decode("utf-8", "replace").splitlines()
        self._last[node.run] = [*self._last.get(node.run, []), *lines][-_LAST:]
        for line in lines:
            if (cell := _CELL.fullmatch(line)) and cell["phase"] == node.phase:
                number, total = int(cell["number"]), int(cell["total"])
                on_cell(CellEvent("started", number, number, total, cell["line"], None, "running"))


def _lateness(node: Any) -> int:
    """Order the nodes of one phase by how much they tell of its end."""
    return 2 if _status(node) == "Completed" else int(_status(node) not in ENDED)


def status_of(ml: "MLClient", workspace: Workspace, job: str) -> str | None:
    """Give the status of a job; None where there is no such job.

    Raises:
        CloudError: The workspace does not answer.
    """
    with answering(workspace, f"look at job {job}"):
        there = found(lambda: ml.jobs.get(job))
    return None if there is None else _status(there)


def _status(job: Any) -> str:
    """Give a status as Azure ML spells it: of a job, the SDK gives a member of an enumeration."""
    return str(getattr(job.status, "value", job.status))


def without_output(node: Node, log: Sequence[str]) -> Outcome:
    """Say how a phase ended that left nothing, with the last lines of its log."""
    said = f"it is {node.status} on Azure ML and left no output" + (f": {node.error}" if node.error else "")
    said += f"; its log ends: {' / '.join(line.strip() for line in log)}" if log else ""
    return Outcome("interrupted" if node.status == "Canceled" else "internal", said)


def explained(node: Node, outcome: Outcome) -> Outcome:
    """Add to what came back, where it does not say why the phase failed, what Azure ML says."""
    if outcome.cause != "internal" or not node.error:
        return outcome
    return replace(outcome, message=f"{outcome.message}; Azure ML says: {node.error}")
