"""Takes over what a phase left on Azure ML, once it is found to be what was recorded there."""

import json
import shutil
from pathlib import Path
from typing import Any, get_args

from runner import fingerprint, notebook, record, scraps
from runner.engines import Job
from runner.execute import Outcome
from runner.fingerprint import RESERVED_FOLDER
from runner.single import FILE, NOTEBOOK

_CAUSES = get_args(record.Cause)


def take_over(job: Job, came: Path) -> Outcome:
    """Move a phase's output and notebook to where the run keeps them, and say how the phase ended.

    Args:
        job: The phase as this run knows it.
        came: The folder that was brought back; it is emptied.

    Returns:
        How it ended on the compute; a failure of this side where what came back cannot be trusted.
    """
    own = came / RESERVED_FOLDER
    try:
        found = json.loads((own / FILE).read_text(encoding="utf-8"))
        entry = found["phases"][job.phase]
        stopped = entry["status"] == "skipped"
        reason = (found["decision"] or {}).get("reason") if stopped else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        said = f"what came back says not how it ended ({type(error).__name__}: {error})"
        return Outcome("internal", said)
    executed = own / NOTEBOOK
    if stopped:
        return Outcome("internal", f"{reason}; here they held, so the code differs")
    if executed.is_file():
        _move_notebook(job, own)
    if entry["status"] != "succeeded":
        cause: record.Cause = entry["cause"] if entry["cause"] in _CAUSES else "internal"
        _move(came, job.output_dir)
        return Outcome(cause, str(entry["message"]), entry["error"], entry["seconds"])
    if fault := _fault(job, entry, came):
        return Outcome("internal", f"what came back is not what the compute recorded: {fault}")
    _move(came, job.output_dir)
    return Outcome(seconds=entry["seconds"])


def _fault(job: Job, entry: dict[str, Any], came: Path) -> str | None:
    """Say what does not agree between a phase's record and what came with it."""
    if fingerprint.folder_digest(came) != entry["output_sha256"]:
        return "the output has another digest"
    if not scraps.agree(job.executed, entry["scraps"]):
        return "the notebook does not hold the scraps of its record"
    ran, here = entry["notebook"]["code_sha256"], fingerprint.notebook_digest(notebook.read(job.notebook))
    return None if ran == here else f"{job.notebook.name} was another one"


def _move_notebook(job: Job, own: Path) -> None:
    """Bring the executed notebook and the logs of its cells, under the names that they have here."""
    stem, name = Path(NOTEBOOK).stem, job.executed.stem
    text = (own / NOTEBOOK).read_text(encoding="utf-8").replace(f"{stem}.cell-", f"{name}.cell-")
    record.write_atomic(job.executed, text.encode())
    for log in own.glob(f"{stem}.cell-*.log"):
        shutil.move(log, job.executed.with_name(log.name.replace(stem, name, 1)))


def _move(came: Path, output_dir: Path) -> None:
    for path in sorted(came.iterdir()):
        if path.name != RESERVED_FOLDER:
            shutil.move(path, output_dir / path.name)
