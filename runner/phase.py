"""Runs one phase with an engine and writes down what came of it."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runner import fingerprint, parameters, record, scraps
from runner.engines import Engine, Job
from runner.fingerprint import Inputs
from runner.notebook import Notebook
from runner.pipeline import Pipeline
from runner.record import AttemptEntry, ExternalState, PhaseEntry
from runner.redaction import Redactor
from runner.references import Secret

if TYPE_CHECKING:
    from runner.execute import CellEvent, Outcome

EXTERNAL = "external.json"
FIRST_PAUSE = 2.0  # seconds before a dead kernel is followed by another


class Listener(Protocol):
    """Is told what happens, while it happens."""

    def cell(self, phase: str, index: int, total: int, first_line: str) -> None:
        """A code cell starts, or prints: which one, from 1, of how many, and its first line, or the line it printed."""

    def note(self, text: str) -> None:
        """Something else worth a line."""

    def confirm(self, question: str) -> bool:
        """Ask a person; where nobody is there to answer, it is no."""


class Events:
    """Appends what happens to events.jsonl, one JSON object a line, each with its time and without a secret."""

    def __init__(self, path: Path, redactor: Redactor):
        self.path = path
        self._redactor = redactor

    def write(self, event: str, **details: Any) -> None:
        """Append one event."""
        details = self._redactor.value(details)
        line = json.dumps({"at": record.now(), "event": event, **details}, ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def new_entry(pipeline: Pipeline, phase: str, params: Mapping[str, Any]) -> PhaseEntry:
    """Make the entry of a phase that has not run."""
    notebook = pipeline.notebooks[phase]
    return {
        "status": "pending",
        "cause": None,
        "message": None,
        "why": "",
        "started_at": None,
        "seconds": None,
        "key": None,
        "cached_from": None,
        "notebook": {
            "path": _relative(notebook.path, pipeline.root),
            "source_sha256": fingerprint.bytes_digest(notebook.content),
            "code_sha256": fingerprint.notebook_digest(notebook),
            "cells": len(notebook.cells),
            "code_cells": len(notebook.code),
        },
        "params": dict(params),
        "inputs": {},
        "code": {},
        "external": [],
        "output_sha256": None,
        "scraps": {},
        "displays": [],
        "error": None,
    }


def add_inputs(entry: PhaseEntry, inputs: Inputs) -> None:
    """Write down what the phase's key is made of."""
    entry["key"] = inputs.key
    entry["inputs"] = dict(inputs.inputs)
    entry["code"] = dict(inputs.code)
    entry["lock_sha256"] = inputs.lock
    entry["python"] = inputs.python


def injected(
    notebook: Notebook, values: Mapping[str, Any], folders: Mapping[str, Path], reserved: Mapping[str, str]
) -> dict[str, Any]:
    """Give what the injected cell sets: values that differ from the defaults, given folders, reserved parameters.

    Secrets are not among them: a job has them apart.

    Args:
        notebook: Whose parameters they are.
        values: The values, references to secrets included.
        folders: The output folder of each phase it reads.
        reserved: output_dir, gates_path and run_id; those that the notebook does not declare are left out.
    """
    declared = notebook.parameters
    plain = {name: value for name, value in values.items() if not parameters.is_secret(name, value)}
    result = parameters.overridden(declared, plain, notebook.path.parent)
    result |= {f"{name}_dir": str(folder) for name, folder in folders.items()}
    return result | {name: value for name, value in reserved.items() if name in declared}


def new_job(  # noqa: PLR0913  # all by name
    pipeline: Pipeline,
    phase: str,
    *,
    parameters: Mapping[str, Any],
    output_dir: Path,
    executed: Path,
    timeout: float | None,
    secrets: Mapping[str, Secret],
    redactor: Redactor,
    reserve: Path | None = None,
) -> Job:
    """Make the job of a phase, with the limits that the pipeline gives it; a `timeout` goes before the pipeline's."""
    return Job(
        phase=phase,
        notebook=pipeline.notebooks[phase].path,
        parameters=parameters,
        output_dir=output_dir,
        executed=executed,
        timeout=timeout or pipeline.timeouts.get(phase),
        retries=pipeline.retries.get(phase, 0),
        secrets=secrets,
        redactor=redactor,
        reserve=reserve,
    )


def tell_cells(phase: str, events: Events, listener: Listener) -> Callable[["CellEvent"], None]:
    """Make the function that an engine tells of each cell: a line in events.jsonl for start and end.

    The listener hears of starts, and of what is printed.
    """

    def on_cell(event: "CellEvent") -> None:
        if event.kind != "ended":
            listener.cell(phase, event.number, event.total, event.first_line)
        if event.kind != "printed":
            ended = {"status": event.status, "seconds": event.seconds} if event.kind == "ended" else {}
            events.write(f"cell-{event.kind}", phase=phase, cell=event.cell, **ended)

    return on_cell


def run_job(  # noqa: PLR0913, PLR0917  # what runs, what it means, who is told
    engine: Engine,
    job: Job,
    entry: PhaseEntry,
    descriptions: Mapping[str, str],
    events: Events,
    listener: Listener,
    save: Callable[[], None],
) -> None:
    """Run a phase and complete its entry: status, cause, scraps, displays, digest of the output.

    Args:
        engine: Who runs it.
        job: What is to run.
        entry: The phase's entry in the record.
        descriptions: What its scraps mean.
        events: Where what happens is written.
        listener: Is told of it.
        save: Saves the record, in between.
    """
    entry["status"], entry["started_at"] = "running", record.now()
    save()
    outcome, entry["seconds"] = _attempts(engine, job, entry, events, listener, save)
    entry["cause"], entry["message"], entry["error"] = outcome.cause, outcome.message, outcome.error
    if job.executed.is_file():  # what died elsewhere may have left none
        entry["scraps"], entry["displays"] = scraps.read(job.executed, descriptions)
    if outcome.cause is None:
        try:
            entry["external"] = read_external(job.output_dir / EXTERNAL)
            entry["output_sha256"] = fingerprint.folder_digest(job.output_dir)
        except ValueError as error:
            entry["cause"], entry["message"] = "internal", str(error)
    entry["status"] = "failed" if entry["cause"] else "succeeded"


def _attempts(  # noqa: PLR0913, PLR0917
    engine: Engine,
    job: Job,
    entry: PhaseEntry,
    events: Events,
    listener: Listener,
    save: Callable[[], None],
) -> tuple["Outcome", float]:
    """Run a job, and again after its kernel died, as often as it may; any other failure is final.

    Returns:
        How the last attempt ended, and how many seconds it took.
    """
    on_cell = tell_cells(job.phase, events, listener)
    for attempt in range(1, job.retries + 2):
        started = time.monotonic()
        outcome = _attempt(engine, job, on_cell)
        seconds = round(time.monotonic() - started, 3) if outcome.seconds is None else outcome.seconds
        if outcome.cause != "kernel-died" or attempt > job.retries:
            break
        failed: AttemptEntry = {"message": outcome.message or "", "seconds": seconds}
        entry["attempts"] = [*entry.get("attempts", []), failed]
        save()
        pause = FIRST_PAUSE * 2 ** (attempt - 1)
        events.write("phase-retried", phase=job.phase, attempt=attempt, pause=pause, **failed)
        listener.note(f"{job.phase}: attempt {attempt} of {job.retries + 1}: {outcome.message}; again in {pause:g} s")
        _start_over(job, attempt)
        time.sleep(pause)
    return outcome, seconds


def _attempt(engine: Engine, job: Job, on_cell: Callable[["CellEvent"], None]) -> "Outcome":
    """Run a job once; no secret is left in its output, however it ends."""
    try:
        outcome = engine.run(job, on_cell)
    except BaseException:
        _remove_secrets(job)
        raise
    held = _remove_secrets(job)
    if not held:
        return outcome
    said = f"a secret stood in its output, in {', '.join(held)}; what held it was deleted"
    if outcome.cause:
        return replace(outcome, message=f"{outcome.message}; {said}")
    return replace(outcome, cause="leaked-secret", message=said)


def _start_over(job: Job, attempt: int) -> None:
    """Empty the output, and put the notebook of a failed attempt and its logs aside."""
    for path in job.output_dir.iterdir():
        if path.name != fingerprint.RESERVED_FOLDER:
            _delete(path)
    stem = job.executed.stem
    aside = f"{stem}.attempt-{attempt}"
    for path in job.executed.parent.glob(f"{stem}.cell-*.log"):
        path.rename(path.with_name(path.name.replace(stem, aside, 1)))
    if job.executed.is_file():
        text = job.executed.read_text(encoding="utf-8").replace(f"{stem}.cell-", f"{aside}.cell-")
        record.write_atomic(job.executed.with_name(f"{aside}.ipynb"), text.encode())
        job.executed.unlink()


def _remove_secrets(job: Job) -> list[str]:
    """Delete what holds a secret in the output of a job, and name it, without the secret."""
    leaks = job.redactor.find(job.output_dir) if job.redactor else []
    for path, _ in leaks:
        _delete(path)
    return [f"{job.redactor.text(path.relative_to(job.output_dir).as_posix())} ({mark})" for path, mark in leaks]


def _delete(path: Path) -> None:
    """Delete a file, a link or a whole folder; what is gone already is no fault."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_external(path: Path) -> list[ExternalState]:
    """Read what a phase says it read or changed outside the run; nothing where it says nothing.

    Raises:
        ValueError: The file is not as agreed.
    """
    if not path.is_file():
        return []
    wanted = f"{path.name} must be a list of {{uri, sha256}}"
    try:
        states = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{wanted}; it is no JSON: {error}") from None
    if not isinstance(states, list):
        raise ValueError(f"{wanted}; it is {type(states).__name__}")
    for state in states:
        if not (isinstance(state, dict) and all(isinstance(state.get(key), str) for key in ("uri", "sha256"))):
            raise ValueError(f"{wanted}; it holds {state!r}")
    return [{"uri": state["uri"], "sha256": state["sha256"]} for state in states]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
