"""Where phases run: a name and a class. The class is imported when it is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runner.errors import BadRequest
from runner.redaction import Redactor
from runner.references import Secret

if TYPE_CHECKING:
    from runner.execute import CellEvent, Outcome
    from runner.phase import Listener
    from runner.pipeline import Pipeline
    from runner.planning import Prepared
    from runner.record import JobEntry, Record, RunStatus

ENGINES = {
    "local": "runner.engines.local:LocalEngine",
    "azureml": "runner.engines.azureml:AzureEngine",
    "azureml-v1": "runner.engines.azureml_v1:AzureV1Engine",
}


@dataclass(frozen=True)
class Job:
    """One phase to run.

    Attributes:
        phase: Its name.
        notebook: Its notebook, as committed.
        parameters: What to inject: overridden values, given folders, output_dir.
        output_dir: Where the phase writes; it exists and is empty.
        executed: Where the executed notebook is to be written.
        timeout: Seconds for all cells together; None for no limit.
        retries: How often it may start again after its kernel died.
        secrets: Parameters to inject whose values are nowhere written.
        reserve: A file to give up when the disk is full.
        redactor: Takes the secrets of the whole run out of what is written.
    """

    phase: str
    notebook: Path
    parameters: Mapping[str, Any]
    output_dir: Path
    executed: Path
    timeout: float | None
    retries: int
    secrets: Mapping[str, Secret]
    redactor: Redactor
    reserve: Path | None = None


@dataclass(frozen=True)
class Ahead:
    """What a run has come to, and what is to follow: what an engine needs that sends several phases on together.

    Attributes:
        run_dir: The run's folder, with the output of the phases that stand.
        pipeline: The pipeline.
        params: The values of each phase's parameters.
        phases: The phase that is about to run, and those after it that will, unless a gate stops them.
        code: Files of the project that these phases use, by their names in it.
        record: The run's record up to now.
        timeout: Seconds for each phase, where that was asked for.
    """

    run_dir: Path
    pipeline: "Pipeline"
    params: Mapping[str, Mapping[str, Any]]
    phases: tuple[str, ...]
    code: frozenset[str]
    record: "Record"
    timeout: float | None


class Engine(Protocol):
    """Runs one phase with the folders it is given, and brings back its folder and its executed notebook.

    Attributes:
        submitted: The job that runs elsewhere for this run, once there is one.
        remote: Whether phases run elsewhere, by `trey phase`: it resolves secrets there, and repeats what died.
    """

    remote: bool
    submitted: "JobEntry | None"

    def computes(self, pipeline: "Pipeline") -> Mapping[str, str]:
        """Name what each phase would run on, where that is not this machine, without asking there.

        Raises:
            BadRequest: The engine's settings are absent or wrong.
        """

    def check(self, prepared: "Prepared") -> None:
        """Look at a request before anything starts.

        Raises:
            BadRequest: It cannot run here; every fault is listed.
        """

    def expect(self, phase: str, ahead: Callable[[], Ahead], listener: "Listener") -> None:
        """Hear that a phase is about to run, and what is to follow, where that is asked for: it takes a while to tell.

        Raises:
            RunFailed: Nothing can be sent to where it would run.
        """

    def run(self, job: Job, on_cell: "Callable[[CellEvent], None]") -> "Outcome":
        """Run the phase and say how it ended; a phase that fails is an outcome, not an exception."""

    def close(self, status: "RunStatus") -> str | None:
        """Let go of what is still at work for a run that has ended so; a sentence on it, where there is one."""


def choose(name: str) -> Engine:
    """Give the engine of this name.

    Raises:
        BadRequest: There is none.
    """
    if name not in ENGINES:
        raise BadRequest(
            f"there is no engine {name!r}; allowed are {', '.join(ENGINES)}", next_step="trey run --engine local"
        )
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), attribute)()
    return engine
