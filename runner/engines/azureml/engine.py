"""The engine: checks a request, submits the job of a run or finds it again, follows it, and brings back each phase."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import workspace as address
from cloud.client import answering, client
from cloud.errors import CloudError
from cloud.identity import credential
from cloud.storage import download
from runner.engines import Ahead, Job
from runner.engines.azureml import following, places, presence, returning, settings, snapshot, state, submission
from runner.engines.azureml.job import output_path
from runner.errors import BadRequest, RunFailed
from runner.execute import Outcome
from runner.record import JobEntry, RunStatus

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from runner.execute import CellEvent
    from runner.phase import Listener
    from runner.pipeline import Pipeline
    from runner.planning import Prepared


class AzureEngine:
    """Runs all phases of a run in one pipeline job of Azure ML."""

    remote = True

    def __init__(self) -> None:
        self.submitted: JobEntry | None = None
        self._settings: settings.Settings
        self._workspace: address.Workspace
        self._ml: MLClient
        self._identity: Any = None
        self._state: state.State | None = None
        self._kinds: dict[tuple[str, str], str]
        self._run_dir: Path
        self._own = False  # whether this very runner submitted the job
        self._run_id = ""
        self._listener: Listener
        self._follower: following.Follower | None = None

    def computes(self, pipeline: "Pipeline") -> Mapping[str, str]:
        """Name the cluster of each phase, as params/azure.yaml does."""
        return settings.read(pipeline).clusters(pipeline)

    def check(self, prepared: "Prepared") -> None:
        """Look at settings and parameters, then whether the workspace and its clusters answer.

        Raises:
            BadRequest: Something is wrong; nothing was sent.
        """
        self._settings = settings.read(prepared.pipeline)
        pipeline, asked = prepared.pipeline, prepared.asked
        faults = [fault for phase in asked for fault in places.faults(pipeline, phase, prepared.params[phase])]
        if faults:
            raise BadRequest(*faults, next_step="give --set PHASE.NAME=VALUE, or --params params/prod.yaml")
        try:
            self._workspace = address.find(prepared.request.workspace or self._settings.workspace)
            self._identity = credential()
            self._ml = client(self._workspace, self._identity)
            code = (name for phase in asked for name in prepared.code(phase))
            snapshot.check(pipeline, code, self._settings.conda)
            presence.check(self._ml, self._workspace, self._settings, asked)
            assets = {one for phase in asked for one in places.named(prepared.params[phase]).values()}
            self._kinds = presence.kinds(self._ml, self._workspace, assets)
        except CloudError as error:
            raise BadRequest(error.message, next_step=error.next_step) from error

    def expect(self, phase: str, ahead: Callable[[], Ahead], listener: "Listener") -> None:
        """Submit the job of the phases ahead, or find the one that an earlier runner of this run submitted.

        Raises:
            RunFailed: Azure ML does not take it.
        """
        with _failing_the_run(self._run_id):
            if self._state and phase in self._state.phases and (self._own or self._exists(self._state.job)):
                return
        coming = ahead()
        self._listener, self._run_id, self._run_dir = listener, str(coming.record["run_id"]), coming.run_dir
        with _failing_the_run(self._run_id):
            self._state = self._submitted(coming)
            self._follower = following.Follower(self._ml, self._workspace, self._state.job, self._settings.poll)

    def _submitted(self, ahead: Ahead) -> state.State:
        earlier = state.load(ahead.run_dir)
        with tempfile.TemporaryDirectory(prefix="trey-azureml-") as folder:
            package = submission.pack(ahead, self._settings, Path(folder), self._kinds)
            if earlier and self._is_of(earlier, package):
                self._listener.note(f"job {earlier.job}: found again, and followed")
                self.submitted = {"name": earlier.job, "workspace": earlier.workspace, "link": ""}
                return earlier
            new = self._next(earlier.number if earlier else 0, package)
            state.save(ahead.run_dir, new)
            link = submission.submit(self._ml, self._workspace, ahead, self._settings, package, new.job)
        self._own = True
        self.submitted = {"name": new.job, "workspace": new.workspace, "link": link}
        self._listener.note(f"job {new.job}: submitted; {link}")
        return new

    def _is_of(self, earlier: state.State, package: submission.Package) -> bool:
        """Tell whether an earlier runner's job is of the same things, and still has something to tell of them."""
        same = all(earlier.phases.get(one) == digest for one, digest in package.digests.items())
        return same and earlier.workspace == self._workspace.address and self._exists(earlier.job)

    def _next(self, number: int, package: submission.Package) -> state.State:
        """Name a job that does not exist; the run may have been collected elsewhere, too, and have gone on there."""
        while True:
            number += 1
            job = f"trey-{self._run_id}-{number}"
            if not self._exists(job):
                return state.State(self._workspace.address, job, package.digests, number)

    def _exists(self, job: str) -> bool:
        return following.status_of(self._ml, self._workspace, job) is not None

    def run(self, job: Job, on_cell: Callable[["CellEvent"], None]) -> Outcome:
        """Follow the phase's node to its end, bring back its folder and its notebook, and check them."""
        if not (self._state and self._follower):
            raise RuntimeError("a phase was asked for that nobody expected")
        with _failing_the_run(self._run_id):
            node = self._follower.follow(job.phase, on_cell, self._listener.note)
            outcome = self._brought(job, node, self._state, self._follower.last_lines(node))
        self._leave(self._state, job.phase)
        return outcome

    def _brought(self, job: Job, node: following.Node, of: state.State, log: list[str]) -> Outcome:
        came = job.output_dir.parent / f".{job.phase}.azureml"
        shutil.rmtree(came, ignore_errors=True)
        try:
            with answering(self._workspace, f"bring back the output of {job.phase}"):
                prefix = output_path(self._run_id, job.phase, of.job)
                count = download(self._ml, self._identity, self._settings.datastore, prefix, came)
            if not count:
                return following.without_output(node, log)
            return following.explained(node, returning.take_over(job, came))
        finally:
            shutil.rmtree(came, ignore_errors=True)

    def _leave(self, of: state.State, *phases: str) -> None:
        """Take phases from a job that has told their end: if they run again, it is in another one."""
        self._state = replace(of, phases={name: digest for name, digest in of.phases.items() if name not in phases})
        state.save(self._run_dir, self._state)

    def close(self, status: RunStatus) -> str | None:
        """Cancel what still runs of a run that ended before its time; after Ctrl-C, if a person says so."""
        if not self._state or status == "succeeded":
            return None
        name = self._state.job
        try:
            if following.status_of(self._ml, self._workspace, name) in {None, *following.ENDED}:
                if status == "stopped":  # once a person waives the gate, what it kept from running runs in another job
                    self._leave(self._state, *self._state.phases)
                return None
            if status == "interrupted" and not self._listener.confirm(f"cancel job {name} on Azure ML, too?"):
                return f"job {name} goes on; next: trey resume {self._run_id}"
            with answering(self._workspace, f"cancel job {name}"):
                self._ml.jobs.begin_cancel(name).result()
            self._leave(self._state, *self._state.phases)
        except CloudError as error:
            return f"{error.message}; job {name} may go on; next: {error.next_step}"
        return f"job {name} is cancelled"


@contextmanager
def _failing_the_run(run_id: str) -> Iterator[None]:
    """Turn an error of this room into one of the runner's, which ends the run and says how to go on."""
    try:
        yield
    except CloudError as error:
        raise RunFailed(error.message, next_step=f"{error.next_step}; then trey resume {run_id}") from error
