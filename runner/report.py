"""Writes report.html: one page for whoever signs off a run. The verdict and why first, then the evidence.

All words come from the record; nothing here knows what the notebooks are about.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from runner import record, render, templates
from runner.notebook import own_cells
from runner.record import GateEntry, PhaseEntry, Record

DIGEST = 64  # characters of a sha256
HEADLINES = {
    "release": ("good", "Release"),
    "succeeded": ("good", "Succeeded"),
    "stopped": ("bad", "Stopped: not released"),
    "failed": ("bad", "Failed: not released"),
    "interrupted": ("warn", "Interrupted: not released"),
    "incomplete": ("warn", "Incomplete: nothing was decided"),
    "running": ("warn", "Still running"),
}
VERDICTS = {
    "pass": ("good", "✓ pass"),
    "fail": ("bad", "✗ fail"),
    "inconclusive": ("warn", "? too little data"),
    "not-applicable": ("none", "– not applicable"),
}
STATUSES = {
    "succeeded": ("good", "✓ succeeded"),
    "cached": ("good", "✓ reused"),
    "failed": ("bad", "✗ failed"),
    "skipped": ("none", "– skipped"),
    "running": ("warn", "… running"),
    "pending": ("none", "– pending"),
}
BOUNDS = {"min": "at least", "max": "at most", "equals": "equal to"}
NEXT = {
    "cell-error": "open the notebook at the failing cell, mend it, and run again: what succeeded is reused",
    "bad-input": "mend what the message names, and run again: what succeeded is reused",
    "kernel-died": "the kernel was killed, most often for want of memory: run on less data or a larger machine",
    "timeout": "give it more time (--timeout, timeouts in pipeline.yaml, or the tag of the cell), or less to do",
    "interrupted": "trey resume goes on at this phase",
    "disk-full": "free some disk space; then trey resume goes on at this phase",
    "leaked-secret": "let the notebook write what the secret opens, not the secret, and run again",
    "internal": "read events.jsonl beside this page, and report the fault",
}


@dataclass(frozen=True)
class Result:
    """A recorded result as a line of a table."""

    name: str
    shown: str
    full: str
    description: str
    href: str
    fault: str


@dataclass(frozen=True)
class Judged:
    """A gate as a line of a table."""

    tone: str
    verdict: str
    phase: str
    name: str
    description: str
    href: str
    value: str
    bound: str
    n: str
    reason: str
    why: str


@dataclass(frozen=True)
class Display:
    """A picture or table with the cell that shows it."""

    shown: Markup
    caption: str
    href: str


def write_report(run_dir: Path) -> Path:
    """Write a run's page from its record and executed notebooks, and give its path.

    Raises:
        NoSuchRun: The folder has no record.
        BadRecord: The record cannot be read.
    """
    found = record.load(run_dir)
    path = run_dir / record.REPORT
    record.write_atomic(path, page(found, run_dir).encode(), durable=False)
    return path


def page(found: Record, run_dir: Path) -> str:
    """Give the page of a run."""
    decision = found["decision"] or {"verdict": "running", "reason": "the run has not ended"}
    tone, headline = HEADLINES[decision["verdict"]]
    phases = found["phases"]
    return templates.render(
        "report.html",
        run=found,
        tone=tone,
        headline=headline,
        reason=decision["reason"],
        failures=[(name, entry, NEXT[entry["cause"] or "internal"]) for name, entry in _failed(phases)],
        gates=[_judged(gate, phases, found) for gate in found["gates"]],
        results={name: list(_results(name, entry)) for name, entry in phases.items() if entry["scraps"]},
        displays={name: glued for name in phases if (glued := list(_displays(name, phases[name], run_dir)))},
        phases=phases,
        statuses=STATUSES,
        notebooks={name for name in phases if (run_dir / "notebooks" / f"{name}.html").is_file()},
        dirty=_dirty(found),
        as_json=lambda value: json.dumps(value, ensure_ascii=False, indent=1),
        shown=shown,
    )


def shown(value: Any) -> str:
    """Give a value as people read it: four figures, thousands apart, digests cut short."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) and 0 < abs(value) < 1e-3 else f"{value:.4f}"  # noqa: PLR2004
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) == DIGEST and text.isalnum():
        return f"{text[:12]}…"
    return text


def _failed(phases: dict[str, PhaseEntry]) -> Iterator[tuple[str, PhaseEntry]]:
    return ((name, entry) for name, entry in phases.items() if entry["status"] == "failed")


def _results(phase: str, entry: PhaseEntry) -> Iterator[Result]:
    """Give a line per scrap; `x_low` and `x_high` become the interval of `x`."""
    scraps = entry["scraps"]
    for name, scrap in scraps.items():
        if any(name == f"{base}{end}" and base in scraps for end in ("_low", "_high") for base in [name[: -len(end)]]):
            continue
        text = shown(scrap["value"])
        ends = [scraps.get(f"{name}{end}") for end in ("_low", "_high")]
        if ends[0] and ends[1]:
            text += f" ({shown(ends[0]['value'])} to {shown(ends[1]['value'])})"
        yield Result(
            name, text, str(scrap["value"]), scrap.get("description", ""), _href(phase, scrap["cell"]),
            scrap.get("fault", ""),
        )  # fmt: skip


def _judged(gate: GateEntry, phases: dict[str, PhaseEntry], found: Record) -> Judged:
    tone, verdict = VERDICTS[gate["verdict"]]
    phase, _, name = (gate["scrap"] or "").partition(".")
    scrap = phases[phase]["scraps"].get(name) if phase in phases else None
    rule = next(((kind, gate["rule"][kind]) for kind in BOUNDS if kind in gate["rule"]), None)
    reference = f" ({rule[1]})" if rule and isinstance(rule[1], str) and rule[1] != gate["bound"] else ""
    return Judged(
        tone=tone,
        verdict=verdict,
        phase=gate["phase"],
        name=gate["scrap"] or "no rules",
        description=found["pipeline"]["scraps"].get(phase, {}).get(name, ""),
        href=_href(phase, scrap["cell"]) if scrap else "",
        value="" if gate["verdict"] == "not-applicable" else shown(gate["value"]),
        bound=f"{BOUNDS[rule[0]]} {shown(gate['bound'])}{reference}" if rule else "",
        n=shown(gate["n"]) if gate.get("n") is not None else "",
        reason=gate["reason"],
        why=gate.get("why", ""),
    )


def _displays(phase: str, entry: PhaseEntry, run_dir: Path) -> Iterator[Display]:
    """Give the pictures and tables that a phase glued, out of its executed notebook."""
    path = run_dir / "notebooks" / f"{phase}.ipynb"
    if not entry["displays"] or not path.is_file():
        return
    cells = own_cells(json.loads(path.read_text(encoding="utf-8")))
    for glued in entry["displays"]:
        for output in cells[glued["cell"]].get("outputs", []):
            if output.get("metadata", {}).get("scrapbook", {}).get("name") == glued["name"]:
                caption = glued["name"].partition("_")[2].replace("_", " ")
                yield Display(render.display(output), caption, _href(phase, glued["cell"]))


def _href(phase: str, cell: int) -> str:
    return f"notebooks/{phase}.html#cell-{cell}"


def _dirty(found: Record) -> str:
    source = found["source"]
    if source["commit"] is None:
        return "unknown: not in a git repository"
    return f"{source['commit'][:12]}{', with changes that were not committed' if source['dirty'] else ''}"
