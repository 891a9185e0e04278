"""trey runs, trey show, trey report: what was recorded."""

import json
from pathlib import Path
from typing import Any

import click

from runner import gates, record
from runner.cli import next_step, options
from runner.cli.tables import aligned
from runner.record import Record
from runner.terminal import first_line

LONGEST = 100  # characters of a reason in the list; trey show has all of it
RUN = click.argument("name", metavar="RUN")


@click.command()
@options.RUNS
@options.PIPELINE
@options.JSON
def runs(runs: Path | None, pipeline: Path | None, as_json: bool) -> None:
    """List the runs, newest first.

    \b
    Examples:
      trey runs
      trey runs --json
    """
    found = list(record.history(options.runs_folder(pipeline, runs)))
    if as_json:
        click.echo(json.dumps([_line(entry) for _, entry in found], indent=1, ensure_ascii=False))
    elif found:
        click.echo(_table([_line(entry) for _, entry in found]))
    else:
        click.echo("no runs yet\nnext: trey run")


@click.command()
@RUN
@options.RUNS
@options.PIPELINE
@options.JSON
def show(name: str, runs: Path | None, pipeline: Path | None, as_json: bool) -> None:
    """Show what a run did and what came of it.

    RUN is a run's id, the beginning of one, or last.

    \b
    Examples:
      trey show last
      trey show 20261123-101500 --json
    """
    from runner.aftermath import settle

    run_dir = options.run_folder(name, pipeline, runs)
    settle(run_dir)
    found = record.load(run_dir)
    click.echo(json.dumps(found, indent=1, ensure_ascii=False) if as_json else _summary(found, run_dir))


@click.command()
@RUN
@options.RUNS
@options.PIPELINE
def report(name: str, runs: Path | None, pipeline: Path | None) -> None:
    """Write a run's report again and say where it is.

    RUN is a run's id, the beginning of one, or last.

    \b
    Example:
      trey report last
    """
    from runner.aftermath import settle
    from runner.report import write_report

    run_dir = options.run_folder(name, pipeline, runs)
    settle(run_dir)
    click.echo(write_report(run_dir))


def _line(found: Record) -> dict[str, Any]:
    statuses = [entry["status"] for entry in found["phases"].values()]
    return {
        "run_id": found["run_id"],
        "status": found["status"],
        "created_at": found["created_at"],
        "seconds": found["seconds"],
        "ran": statuses.count("succeeded") + statuses.count("failed"),
        "reused": statuses.count("cached"),
        "verdict": found["decision"]["verdict"] if found["decision"] else None,
        "reason": found["decision"]["reason"] if found["decision"] else None,
    }


def _table(lines: list[dict[str, Any]]) -> str:
    rows = [["run", "status", "seconds", "ran", "reused", "why"]]
    for line in lines:
        seconds = "" if line["seconds"] is None else f"{line['seconds']:.1f}"
        rows.append(
            [line["run_id"], line["status"], seconds, str(line["ran"]), str(line["reused"]), _short(line["reason"])]
        )
    return aligned(rows)


def _short(reason: str | None) -> str:
    return first_line(reason or "", LONGEST)


def _summary(found: Record, run_dir: Path) -> str:
    from runner.report import shown

    decision = found["decision"] or {"verdict": "running", "reason": "the run has not ended"}
    lines = [f"{found['run_id']}  {decision['verdict']}: {decision['reason']}"]
    lines += [f"run for: {found['why']}"] if found.get("why") else []
    lines += [f"job: {', '.join(filter(None, [one['name'], one['link']]))}" for one in found.get("jobs", [])]
    lines.append("")
    for phase, entry in found["phases"].items():
        seconds = "" if entry["seconds"] is None else f"{entry['seconds']:7.1f} s"
        lines.append(f"{phase:<12}{entry['status']:<11}{seconds:>9}  {first_line(entry['message'] or entry['why'])}")
    for gate in found["gates"]:
        lines.append(f"gate of {gate['phase']}: {gate['verdict']}: {gates.said(gate)}")
    lines += [
        f"{one['kind']} of {one['subject']} by {one['by']}, {record.minute(one['at'])}: {one['comment']}"
        for one in found.get("sign_offs", [])
    ]
    lines += [
        f"release to {one['environment']} by {one['by']}, {record.minute(one['at'])}: {one['status']}"
        + (f": {why}" if (why := record.why_ended(one)) else f", {one['folder']}")
        for one in found.get("releases", [])
    ]
    for phase, entry in found["phases"].items():
        if entry["scraps"]:
            lines += ["", phase]
            lines += [f"  {name:<28}{shown(scrap['value'])}" for name, scrap in entry["scraps"].items()]
    lines += ["", f"report: {run_dir / record.REPORT}"]
    if last := record.doubtful(found):
        lines.append(f"next: {next_step.after_release(last, found['run_id'], found)}")
    return "\n".join(lines)
