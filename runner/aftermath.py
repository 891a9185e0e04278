"""Brings a run in order whose runner was killed: its record, its notebook and its report then say what became of it.

A killed runner leaves a record that says "running" and a notebook saved some moments before. What happened until the
end stands in events.jsonl, line by line.
"""

import contextlib
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from runner import record
from runner.errors import RunBusy
from runner.notebook import banner, own_cells
from runner.parameters import is_secret
from runner.record import Record
from runner.render import notebook_html
from runner.report import write_report

EVENTS = "events.jsonl"


def settle(run_dir: Path) -> None:
    """Write down that a run or a release of it was interrupted, where its runner was killed; others are left alone.

    Raises:
        NoSuchRun: The folder has no record.
        BadRecord: The record cannot be read.
    """
    shown = record.load(run_dir)
    if "interrupted" not in {shown["status"], *(entry["status"] for entry in shown.get("releases", []))}:
        return
    with contextlib.suppress(RunBusy, OSError), record.hold(run_dir):
        found = record.load(run_dir)
        is_releasing = record.is_releasing(found)
        record.end_releases(found)
        if found["status"] != "running":  # its runner lived to write it down
            if is_releasing:
                record.save(run_dir, found)
                write_report(run_dir)
            return
        at_work = [phase for phase, entry in found["phases"].items() if entry["status"] == "running"]
        found = record.abandoned(found)
        for phase in at_work:
            cells = _cells(run_dir / EVENTS, phase)
            entry = found["phases"][phase]
            open_cells = [str(cell) for cell, status in cells.items() if status == "failed"]
            entry["message"] = f"{entry['message']}, in cell {open_cells[-1]}" if open_cells else entry["message"]
            if any(is_secret(name, value) for name, value in entry["params"].items()):
                shutil.rmtree(run_dir / phase, ignore_errors=True)  # nobody could look through it for secrets
            _mark(run_dir / "notebooks" / f"{phase}.ipynb", cells, entry["message"] or "")
        found["seconds"] = seconds_worked(run_dir, found)
        found["finished_at"] = found["finished_at"] or _last_sign(run_dir / EVENTS)
        record.save(run_dir, found)
        write_report(run_dir)
        record.free_reserve(run_dir)


def seconds_worked(run_dir: Path, found: Record) -> float | None:
    """Give how long runners worked on a run that is at rest, all of them together; None where nothing tells.

    One that was killed could not write it down: it counts until its last line in events.jsonl.
    """
    last = _last_sign(run_dir / EVENTS)
    if found["finished_at"] is not None or last is None:
        return found["seconds"]
    began = datetime.fromisoformat(found["runner"]["started_at"])
    lived = (datetime.fromisoformat(last) - began).total_seconds()
    return round((found["seconds"] or 0.0) + max(lived, 0.0), 3)


def _last_sign(events: Path) -> str | None:
    """Give the time of the last whole line of what happened; None where nothing did."""
    return next((str(event["at"]) for event in reversed(_happened(events))), None)


def _happened(events: Path) -> list[dict[str, Any]]:
    """Read what happened. A line that a kill or a full disk cut in half, even within a character, is left out."""
    happened = []
    for line in events.read_bytes().split(b"\n") if events.is_file() else ():
        with contextlib.suppress(ValueError):
            happened.append(json.loads(line))
    return happened


def _cells(events: Path, phase: str) -> dict[int, str]:
    """Give the last known status of each cell that was begun, by its index: completed, or failed if it never ended."""
    cells: dict[int, str] = {}
    for event in _happened(events):
        if event.get("phase") != phase:
            continue
        if event["event"] in ("phase-started", "phase-retried"):
            cells = {}
        elif event["event"] in ("cell-started", "cell-ended"):
            cells[event["cell"]] = event.get("status", "failed")
    return cells


def _mark(executed: Path, cells: dict[int, str], message: str) -> None:
    """Mark the cells of a notebook as the events tell, put the banner on top, and write the page of it."""
    if not executed.is_file():
        return
    document: dict[str, Any] = json.loads(executed.read_text(encoding="utf-8"))
    document["cells"] = own_cells(document)
    for index, cell in enumerate(document["cells"]):
        if cell["cell_type"] == "code":
            own = cell["metadata"].setdefault("papermill", {})
            own["status"] = cells.get(index, "pending")
            own["exception"] = None if own["status"] == "pending" else own["status"] == "failed"
    document["metadata"]["papermill"]["exception"] = True
    document["cells"].insert(0, banner(document, "interrupted", message))
    record.write_atomic(executed, json.dumps(document, indent=1, ensure_ascii=False).encode())
    notebook_html(executed, executed.with_suffix(".html"))
