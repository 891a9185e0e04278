"""Prepares a run that began before to go on, with the parameters it began with."""

from pathlib import Path
from typing import Any

from runner import fingerprint, parameters, planning, record, yaml_file
from runner.errors import BadRecord, BadRequest, NoSuchRun
from runner.pipeline import load_pipeline, locate
from runner.planning import Prepared, Request
from runner.record import Record


def prepare(run_dir: Path, found: Record) -> Prepared:
    """Check a run that began before as a whole: its pipeline, its parameters, what it took from another run.

    Raises:
        BadRequest: It cannot go on; every fault is listed.
    """
    asked = found["request"]
    request = Request(
        pipeline=Path(asked["pipeline"]),
        cwd=Path(asked["pipeline"]).parent,
        first=asked["first"],
        last=asked["last"],
        engine=found["engine"],
        run_id=found["run_id"],
        runs=run_dir.parent,
        fresh=asked["fresh"],
        timeout=asked["timeout"],
        workspace=asked.get("workspace"),
        command=found["command"],
    )
    pipeline = load_pipeline(locate(request.pipeline, request.cwd))
    planning.check_options(request, pipeline)
    lock = fingerprint.file_digest(pipeline.lock) if pipeline.lock else None
    prepared = Prepared(request, pipeline, {}, run_dir.parent, None, lock, resumed=run_dir)
    values = _params_of(run_dir, found)
    origin = f"{run_dir.name}/{record.PARAMS}"
    prepared.params = parameters.resolve_again(pipeline, origin, values, prepared.asked)
    if asked["first"] and asked["taken_from"]:
        prepared.taken = _taken_before(run_dir.parent / asked["taken_from"])
    planning.check_values(prepared)
    return prepared


def _params_of(run_dir: Path, found: Record) -> dict[Any, Any]:
    """Read the parameters of a run, and make sure that they are those it began with."""
    try:
        values = yaml_file.read_mapping(run_dir / record.PARAMS)
    except ValueError as error:
        raise BadRequest(f"the parameters of the run cannot be read: {error}", next_step="trey run") from None
    if fingerprint.digest_of(values) != found["params_sha256"]:
        fault = f"{run_dir / record.PARAMS} is not as {run_dir.name} began"
        raise BadRequest(fault, next_step=f"trey run --params {run_dir / record.PARAMS}")
    return values


def _taken_before(source: Path) -> tuple[Path, Record] | None:
    """Read the run that a resumed one took its first phases from; None if it is gone: the copies may do."""
    try:
        return source, record.load(source)
    except (NoSuchRun, BadRecord):
        return None
