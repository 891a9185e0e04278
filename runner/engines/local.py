"""Runs a phase on this machine, in a kernel of this interpreter."""

from collections.abc import Callable

from runner.engines import Job
from runner.execute import CellEvent, Outcome, execute


class LocalEngine:
    """The default engine."""

    def run(self, job: Job, on_cell: Callable[[CellEvent], None]) -> Outcome:
        """Execute the notebook with papermill."""
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
