"""Writes report.html: one page for whoever signs off a run. The verdict and why first, then the evidence.

All words come from the record; nothing here knows what the notebooks are about.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from runner import record, render, templates
from runner.fingerprint import RESERVED_FOLDER
from runner.gates import CHAMPION, OUTCOME
from runner.notebook import own_cells
from runner.record import GateEntry, PhaseEntry, Record, ScrapEntry

DOCUMENT = "document_"  # how the name of a display begins that is a text to read
DIGEST = 64  # characters of a sha256
HEADLINES = {
    "release": ("good", "Release"),
    "succeeded": ("good", "Succeeded"),
    "stopped": ("bad", "Stopped: not released"),
    "failed": ("bad", "Failed: not released"),
    "interrupted": ("warn", "Interrupted: not released"),
    "detached": ("warn", "Left to its engine: not collected yet"),
    "incomplete": ("warn", "Incomplete: nothing was decided"),
    "running": ("warn", "Still running"),
}
VERDICTS = {
    "pass": ("good", "✓ pass"),
    "fail": ("bad", "✗ fail"),
    "inconclusive": ("warn", "? too little data"),
    "waived": ("warn", "! waived"),
    "not-applicable": ("none", "– not applicable"),
}
URGENT = ("fail", "inconclusive", "waived")  # verdicts that come first, in this order
STATUSES = {
    "succeeded": ("good", "✓ succeeded"),
    "cached": ("good", "✓ reused"),
    "failed": ("bad", "✗ failed"),
    "skipped": ("none", "– skipped"),
    "running": ("warn", "… running"),
    "pending": ("none", "– pending"),
}
RELEASES = {"succeeded": "good", "rolled-back": "warn", "running": "warn", "interrupted": "warn"}  # any other is bad
BOUNDS = {"min": "at least", "max": "at most", "equals": "equal to"}
NEXT = {
    "cell-error": "open the notebook at the failing cell, mend it, and run again: what succeeded is reused",
    "bad-input": "mend what the message names, and run again: what succeeded is reused",
    "kernel-died": "the kernel was killed, most often for want of memory: run on less data or a larger machine",
    "timeout": "give it more time (--timeout, timeouts in pipeline.yaml, or the tag of the cell), or less to do",
    "interrupted": "trey resume goes on at this phase",
    "disk-full": "free some disk space; then trey resume goes on at this phase",
    "leaked-secret": "let the notebook write what it opens, not the secret, and run again",  # pragma: allowlist secret
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
    place: str
    name: str
    description: str
    href: str
    value: str
    interval: str
    bound: str
    n: str
    about: str
    reason: str
    why: str


@dataclass(frozen=True)
class Champion:
    """The comparison of a phase with what production runs."""

    phase: str
    exists: bool
    href: str
    results: list[Result]


@dataclass(frozen=True)
class Fact:
    """One line of where a run comes from."""

    name: str
    shown: str
    full: str
    link: str = ""


@dataclass(frozen=True)
class Display:
    """A picture, table or document with the cell that shows it."""

    name: str

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
    displays = {name: list(_displays(name, entry, run_dir)) for name, entry in phases.items()}
    return templates.render(
        "report.html",
        run=found,
        tone=tone,
        headline=headline,
        reason=decision["reason"],
        failures=[(name, entry, NEXT[entry["cause"] or "internal"]) for name, entry in _failed(phases)],
        gates=[_judged(gate, phases, found) for gate in sorted(found["gates"], key=_urgency)],
        champions=list(_champions(phases)),
        sign_offs=found.get("sign_offs", []),
        releases=list(_releases(found, run_dir)),
        provenance=list(_provenance(found)),
        results={name: list(_results(name, entry)) for name, entry in phases.items() if entry["scraps"]},
        displays=_by_phase(displays, documents=False),
        documents=_by_phase(displays, documents=True),
        phases=phases,
        statuses=STATUSES,
        notebooks={name for name in phases if (run_dir / "notebooks" / f"{name}.html").is_file()},
        as_json=lambda value: json.dumps(value, ensure_ascii=False, indent=1),
        shown=shown,
        breakable=breakable,
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
        small = math.isfinite(value) and 0 < abs(value) < 1e-3  # noqa: PLR2004
        return f"{value:.4g}" if small else f"{value:,.4f}".rstrip("0").rstrip(".")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) == DIGEST and text.isalnum():
        return f"{text[:12]}…"
    return text


def breakable(text: str) -> Markup:
    """Let a long name go on in the next line behind its dots and underscores."""
    return Markup(re.sub(r"([._])(?=\w)", r"\1<wbr>", str(escape(text))))  # noqa: S704  escaped


def _failed(phases: dict[str, PhaseEntry]) -> Iterator[tuple[str, PhaseEntry]]:
    return ((name, entry) for name, entry in phases.items() if entry["status"] == "failed")


def _results(phase: str, entry: PhaseEntry) -> Iterator[Result]:
    """Give a line per scrap; `x_low` and `x_high` become the interval of `x`."""
    scraps = entry["scraps"]
    for name in scraps:
        if any(name == f"{base}{end}" and base in scraps for end in ("_low", "_high") for base in [name[: -len(end)]]):
            continue
        yield _result(phase, name, scraps)


def _result(phase: str, name: str, scraps: dict[str, ScrapEntry]) -> Result:
    scrap = scraps[name]
    return Result(
        name, _with_interval(name, scraps), str(scrap["value"]), scrap.get("description", ""),
        _href(phase, scrap["cell"]), scrap.get("fault", ""),
    )  # fmt: skip


def _with_interval(name: str, scraps: dict[str, ScrapEntry]) -> str:
    """Give a result and, where its ends were recorded, its interval: 0.98 (0.97 to 0.99), or 0.98 (at least 0.97)."""
    ends = {end: shown(scraps[f"{name}_{end}"]["value"]) for end in ("low", "high") if f"{name}_{end}" in scraps}
    text = shown(scraps[name]["value"])
    match ends:
        case {"low": low, "high": high}:
            return f"{text} ({low} to {high})"
        case {"low": low}:
            return f"{text} (at least {low})"
        case {"high": high}:
            return f"{text} (at most {high})"
    return text


def _champions(phases: dict[str, PhaseEntry]) -> Iterator[Champion]:
    """Give the comparisons with a champion: of each phase that glued whether there is one."""
    for phase, entry in phases.items():
        scraps = entry["scraps"]
        if CHAMPION in scraps and "fault" not in scraps[CHAMPION]:
            results = [result for result in _results(phase, entry) if result.name.startswith(f"{CHAMPION}_")]
            yield Champion(phase, scraps[CHAMPION]["value"] is True, _href(phase, scraps[CHAMPION]["cell"]), results)


def _judged(gate: GateEntry, phases: dict[str, PhaseEntry], found: Record) -> Judged:
    tone, verdict = VERDICTS[gate["verdict"]]
    phase, _, name = (gate["scrap"] or "").partition(".")
    scrap = phases[phase]["scraps"].get(name) if phase in phases else None
    rule = next(((kind, gate["rule"][kind]) for kind in BOUNDS if kind in gate["rule"]), None)
    reference = f" ({rule[1]})" if rule and isinstance(rule[1], str) and rule[1] != gate["bound"] else ""
    return Judged(
        tone=tone,
        verdict=verdict,
        place="after the last phase" if gate["phase"] == OUTCOME else f"before {gate['phase']}",
        name=gate["scrap"] or "no rules",
        description=found["pipeline"]["scraps"].get(phase, {}).get(name, ""),
        href=_href(phase, scrap["cell"]) if scrap else "",
        value="" if gate["verdict"] == "not-applicable" else shown(gate["value"]),
        interval=_estimated(gate, phases),
        bound=f"{BOUNDS[rule[0]]} {shown(gate['bound'])}{reference}" if rule else "",
        n=shown(gate["n"]) if gate.get("n") is not None else "",
        about=gate.get("about", ""),
        reason=gate["reason"],
        why=gate.get("why", ""),
    )


def _urgency(gate: GateEntry) -> int:
    """Order what a reader must look at before what passed or does not apply; otherwise as it was judged."""
    return URGENT.index(gate["verdict"]) if gate["verdict"] in URGENT else len(URGENT)


def _releases(found: Record, run_dir: Path) -> Iterator[dict[str, Any]]:
    """Give the attempts to release this run, each with its tone and, where it was executed, its notebook's page."""
    for entry in found.get("releases", []):
        page = f"{entry['folder']}/{RESERVED_FOLDER}/notebook.html"
        tone = RELEASES.get(entry["status"], "bad")
        page = page if (run_dir / page).is_file() else ""
        yield dict(entry) | {"tone": tone, "page": page, "reason": record.why_ended(entry)}


def _displays(phase: str, entry: PhaseEntry, run_dir: Path) -> Iterator[Display]:
    """Give the pictures, tables and documents that a phase glued, out of its executed notebook."""
    path = run_dir / "notebooks" / f"{phase}.ipynb"
    if not entry["displays"] or not path.is_file():
        return
    cells = own_cells(json.loads(path.read_text(encoding="utf-8")))
    for glued in entry["displays"]:
        for output in cells[glued["cell"]].get("outputs", []):
            if output.get("metadata", {}).get("scrapbook", {}).get("name") == glued["name"]:
                caption = re.sub(r"^(plot|table|document)_", "", glued["name"]).replace("_", " ")
                yield Display(glued["name"], render.display(output), caption, _href(phase, glued["cell"]))


def _by_phase(displays: dict[str, list[Display]], *, documents: bool) -> dict[str, list[Display]]:
    """Give, of each phase that has any, its documents or all else."""
    wanted = {
        phase: [display for display in found if display.name.startswith(DOCUMENT) == documents]
        for phase, found in displays.items()
    }
    return {phase: found for phase, found in wanted.items() if found}


def _href(phase: str, cell: int) -> str:
    return f"notebooks/{phase}.html#cell-{cell}"


def _estimated(gate: GateEntry, phases: dict[str, PhaseEntry]) -> str:
    """Give the estimate whose cautious end a gate judges, with its interval; empty where the end stands alone."""
    phase, _, end = (gate["scrap"] or "").partition(".")
    name = re.sub("_(low|high)$", "", end)
    scraps = phases[phase]["scraps"] if phase in phases else {}
    return _with_interval(name, scraps) if name != end and name in scraps else ""


def _provenance(found: Record) -> Iterator[Fact]:
    """Say where a run comes from: what for, command, commit, data, seeds, lock, parameters, notebooks."""
    source, phases = found["source"], found["phases"]
    if found.get("why"):
        yield Fact("Run for", found["why"], "")
    yield Fact("Command", found["command"], "")
    yield Fact("Commit", _dirty(found), source["commit"] or "")
    for job in found.get("jobs", []):
        yield Fact("Job", f"{job['name']} in {job['workspace']}", "", job["link"])
    for phase, entry in phases.items():
        for name, digest in entry["inputs"].items():
            if name in entry["params"] and entry["params"][name]:
                yield Fact(f"Data of {phase}: {name}", f"{entry['params'][name]}, {shown(digest)}", digest)
    seeds = {phase: entry["params"]["seed"] for phase, entry in phases.items() if "seed" in entry["params"]}
    if seeds:
        alike = len(set(map(str, seeds.values()))) == 1
        yield Fact("Seed", shown(next(iter(seeds.values()))) if alike else json.dumps(seeds), "")
    yield Fact("Lock", shown(source["lock_sha256"]) if source["lock_sha256"] else "none", source["lock_sha256"] or "")
    yield Fact("Parameters", shown(found["params_sha256"]), found["params_sha256"])
    for phase, entry in phases.items():
        if entry["key"]:
            digest = entry["notebook"]["source_sha256"]
            said = f"{entry['notebook']['path']} {shown(digest)}, {len(entry['code'])} modules of the project"
            yield Fact(f"Notebook of {phase}", f"{said}, Python {entry.get('python', 'unknown')}", digest)


def _dirty(found: Record) -> str:
    source = found["source"]
    if source["commit"] is None:
        return "unknown: not in a git repository"
    return f"{source['commit'][:12]}{', with changes that were not committed' if source['dirty'] else ''}"
