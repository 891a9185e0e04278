"""How a run begins, or goes on: its folder, its parameters and its first record."""

import os
import shutil
import subprocess
from pathlib import Path

from runner import fingerprint, identity, record, yaml_file
from runner.errors import BadRequest
from runner.phase import new_entry
from runner.planning import Prepared
from runner.record import Record, Source


def new_folder(prepared: Prepared) -> Path:
    """Make the folder of a run that starts; one in which an earlier runner was killed before it wrote anything will do.

    Raises:
        BadRequest: The name that was asked for is taken.
    """
    run_dir = prepared.runs / (prepared.request.run_id or record.new_run_id())
    try:
        run_dir.mkdir(parents=True)
    except FileExistsError:
        if prepared.request.run_id is None:  # another run began in this second and drew the same letters
            return new_folder(prepared)
        name = run_dir.name
        if record.is_held(run_dir):
            raise BadRequest(f"another runner is at work in {run_dir}", next_step=f"trey show {name}") from None
        if (run_dir / record.FILE).is_file():
            step = f"trey show {name}, trey resume {name}, or choose another --run-id"
            raise BadRequest(f"there is a run {name} already", next_step=step) from None
        if not _never_began(run_dir):
            raise BadRequest(f"{run_dir} exists and is no run", next_step="choose another --run-id") from None
    (run_dir / "notebooks").mkdir(exist_ok=True)
    return run_dir


def _never_began(run_dir: Path) -> bool:
    """Tell whether a runner was killed here before it wrote its first record: nothing else lies in the folder."""
    if not run_dir.is_dir():
        return False
    own = {record.LOCK, record.PARAMS, record.RESERVE, "notebooks"}
    left = [path for path in run_dir.iterdir() if path.name not in own and not record.is_temporary(path)]
    notebooks = run_dir / "notebooks"
    return not left and (not notebooks.exists() or (notebooks.is_dir() and not any(notebooks.iterdir())))


def clear(run_dir: Path, phase: str) -> None:
    """Delete what a phase left in the run folder: its output, its notebook with page and logs, its gate file."""
    output = run_dir / phase
    if output.is_symlink():
        output.unlink()
    elif output.exists():
        shutil.rmtree(output)
    notebooks = run_dir / "notebooks"
    for path in (*notebooks.glob(f"{phase}.*"), run_dir / "gates" / f"{phase}.json"):
        path.unlink(missing_ok=True)


def new_record(prepared: Prepared, run_id: str, earlier: Record | None) -> Record:
    """Make the record of a run that starts; one that is resumed keeps its beginning and its first phases."""
    pipeline, now, request = prepared.pipeline, record.now(), prepared.request
    entries = {phase: new_entry(pipeline, phase, prepared.params[phase]) for phase in pipeline.order}
    for phase in pipeline.order if earlier else ():
        entry = earlier["phases"].get(phase) if earlier else None
        if entry is None or entry["status"] not in record.USABLE:
            break
        entries[phase] = entry
    return {
        "schema": record.SCHEMA,
        "run_id": run_id,
        "status": "running",
        "engine": prepared.request.engine,
        "created_at": earlier["created_at"] if earlier else now,
        "finished_at": None,
        "seconds": earlier["seconds"] if earlier else None,
        "resumed_at": [*earlier.get("resumed_at", []), now] if earlier else [],
        "command": request.command,
        "why": earlier.get("why", "") if earlier else request.why,
        "request": {
            "pipeline": str(request.pipeline),
            "first": request.first,
            "last": request.last,
            "taken_from": prepared.taken[1]["run_id"] if prepared.taken else None,
            "fresh": request.fresh,
            "timeout": request.timeout,
            "workspace": request.workspace,
        },
        "runner": {"pid": os.getpid(), "started_at": now},
        "source": _source(pipeline.root, prepared.lock),
        "params_sha256": earlier["params_sha256"] if earlier else fingerprint.digest_of(prepared.params),
        "pipeline": {
            "phases": list(pipeline.order),
            "edges": {phase: list(pipeline.edges[phase]) for phase in pipeline.order},
            "scraps": {phase: dict(words) for phase, words in pipeline.scraps.items()},
        },
        "phases": entries,
        "gates": [],
        "decision": None,
        "authors": list(dict.fromkeys([*(earlier.get("authors", []) if earlier else []), identity.who()])),
        "sign_offs": earlier.get("sign_offs", []) if earlier else [],
        "releases": earlier.get("releases", []) if earlier else [],
        "jobs": earlier.get("jobs", []) if earlier else [],
    }


def _source(root: Path, lock: str | None) -> Source:
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", ".") if commit else None
    return {"commit": commit or None, "dirty": None if changes is None else bool(changes), "lock_sha256": lock}


def _git(root: Path, *words: str) -> str | None:
    """Ask git; None where there is none, or no repository."""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def write_params(run_dir: Path, prepared: Prepared) -> None:
    """Write the parameters of a run, as `trey resume` and `--params` read them."""
    text = yaml_file.dump(prepared.params)
    record.write_atomic(run_dir / record.PARAMS, text.encode("utf-8", "surrogatepass"))
