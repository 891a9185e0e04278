"""Runs a phase on this machine, in a kernel of this interpreter."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from runner.engines import Ahead, Job

if TYPE_CHECKING:
    from runner.execute import CellEvent, Outcome
    from runner.phase import Listener
    from runner.pipeline import Pipeline
    from runner.planning import Prepared
    from runner.record import JobEntry, RunStatus


class LocalEngine:
    """The default engine."""

    remote = False
    submitted: "JobEntry | None" = None

    def computes(self, pipeline: "Pipeline") -> Mapping[str, str]:
        """Run all on this machine."""
        return {}

    def check(self, prepared: "Prepared") -> None:
        """Take any request."""

    def expect(self, phase: str, ahead: Callable[[], Ahead], listener: "Listener") -> None:
        """Wait for each phase."""

    def close(self, status: "RunStatus") -> str | None:
        """Leave nothing behind."""
        return None

    def run(self, job: Job, on_cell: Callable[["CellEvent"], None]) -> "Outcome":
        """Execute the notebook with papermill."""
        from runner.execute import execute  # not before: a run in which nothing changed comes without papermill

        return execute(
            job.notebook,
            job.executed,
            job.parameters,
            secrets=job.secrets,
            redactor=job.redactor,
            reserve=job.reserve,
            timeout=job.timeout,
            on_cell=on_cell,
        )
