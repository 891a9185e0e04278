"""What is known of a phase that does not run in the job, in the form in which `trey phase` looks for it."""

import json
import shutil
from pathlib import Path

from runner.fingerprint import RESERVED_FOLDER
from runner.pipeline import Pipeline
from runner.record import PhaseEntry, Record
from runner.single import FILE, NOTEBOOK

_TIMELESS = {"status": "succeeded", "why": "", "started_at": None, "seconds": None, "cached_from": None}


def write(pipeline: Pipeline, run_dir: Path, phase: str, found: Record, folder: Path) -> None:
    """Copy a phase's output into a folder, which is made, with the record of it and its notebook beside it.

    When and why it ran is left out: what an earlier run has is the same in each that takes it, and is uploaded once.
    """
    shutil.copytree(run_dir / phase, folder, symlinks=True)
    own = folder / RESERVED_FOLDER
    if own.exists():
        shutil.rmtree(own)
    own.mkdir()
    upstream = (*pipeline.before(phase), phase)
    entry: PhaseEntry = {**found["phases"][phase], **_TIMELESS}  # type: ignore[typeddict-item]
    content = {
        "schema": found["schema"],
        "phase": phase,
        "phases": {phase: entry},
        "gates": [gate for gate in found["gates"] if gate["phase"] in upstream],
        "sign_offs": found.get("sign_offs", []),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (own / FILE).write_text(f"{text}\n", encoding="utf-8")
    shutil.copyfile(run_dir / "notebooks" / f"{phase}.ipynb", own / NOTEBOOK)
