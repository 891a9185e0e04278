"""`trey release`: the one door to an environment."""

import contextlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import engines, gates, identity, planning, record, single
from runner.cli import candidate, live, next_step, options
from runner.errors import BadRequest, RunFailed
from runner.gates import NoEvidence, Reference
from runner.record import Record, ReleaseEntry

if TYPE_CHECKING:
    from runner.cli.candidate import Candidate

ROLLED_BACK = "rolled_back"  # the scrap by which the releasing phase says that it took everything back, and why
STATUSES = {"succeeded": "released", "rolled-back": "rolled back by itself"}


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--to", "environment", required=True, metavar="ENV", help="Environment to release to.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit for the phase.")
@click.option("--fail-on-stop", is_flag=True, help="End with 3 where the release is stopped or rolls back by itself.")
@options.BY
@options.RUNS
@options.PIPELINE
@options.JSON
@click.pass_context
def release(
    ctx: click.Context, /, name: str, environment: str, as_json: bool, fail_on_stop: bool, **asked: Any
) -> None:
    """Release a run's model to an environment: the one door to it.

    Executes the deploy notebook with the run's folders and parameters. Staging asks for the run's gates, production for
    an approval besides. A refusal ends with 2 and nothing was touched; a release that rolls back by itself is a planned
    end, 0, or 3 with --fail-on-stop; otherwise as trey run ends. What it did lies in releases/ENV-N of the run.

    \b
    Examples:
      trey release last --to staging
      trey release 20261123-101500 --to production
    """
    from runner.aftermath import settle
    from runner.report import write_report

    run_dir = options.run_folder(name, asked["pipeline"], asked["runs"])
    settle(run_dir)
    with record.hold(run_dir):
        found = record.load(run_dir)
        record.end_releases(found)
        new = _checked(run_dir, found, environment)
        entry = _entry(run_dir, environment, identity.who(asked["by"]), new)
        if (at_work := _at_work(found, new, environment)) is not None:
            entry["before"] = at_work
            if at_work == new.digest:
                entry["switched"] = False
        found["releases"] = [*found.get("releases", []), entry]
        record.save(run_dir, found)
        try:
            done = _execute(run_dir, found, new, entry, asked["timeout"])
        except RunFailed as error:
            entry["status"], entry["reason"] = "failed", error.faults[0]
            if entry.get("switched"):
                step = next_step.after_release(entry, run_dir.name, found)
                raise RunFailed(*error.faults, next_step=step) from error
            raise
        finally:
            record.save(run_dir, found)
            write_report(run_dir)
    click.echo(json.dumps(entry, indent=1, ensure_ascii=False) if as_json else _said(run_dir, new, entry, found))
    if entry["status"] == "rolled-back":
        ctx.exit(3 if fail_on_stop else 0)
    ctx.exit(single.exit_code(done, fail_on_stop=fail_on_stop))


def _checked(run_dir: Path, found: Record, environment: str) -> "Candidate":
    """Compose the release and ask whether the environment takes it, before anything starts.

    Raises:
        BadRequest: It does not; the last line says what to type.
    """
    from delivery.errors import DeliveryError, ReleaseRefused
    from delivery.names import SCRATCH

    new = candidate.compose(run_dir, found, environment)
    try:
        new.check(found, environment)
    except ReleaseRefused as error:
        step = f"trey approve {run_dir.name} --env {environment} --comment WHY"
        raise BadRequest(
            f"{environment} refuses {run_dir.name}", *(error.reasons or [str(error)]), next_step=step
        ) from error
    except DeliveryError as error:
        raise BadRequest(str(error), next_step="trey release --help") from error
    if environment == SCRATCH:
        raise BadRequest(
            f"{environment} is for notebooks by hand", next_step=f"trey release {run_dir.name} --to staging"
        )
    return new


def _entry(run_dir: Path, environment: str, by: str, new: "Candidate") -> ReleaseEntry:
    """Begin the record of a release; its folder has the next free number."""
    taken = [
        int(match[1])
        for path in (run_dir / candidate.FOLDER).iterdir()
        if (match := re.fullmatch(rf"{re.escape(environment)}-(\d+)", path.name))
    ]
    return {
        "environment": environment,
        "folder": f"{candidate.FOLDER}/{environment}-{max(taken, default=0) + 1}",
        "status": "running",
        "reason": "",
        "by": by,
        "at": record.now(),
        "seconds": None,
        "release_sha256": new.sha256,
    }


def _at_work(found: Record, new: "Candidate", environment: str) -> str | None:
    """Give the digest of what is live where a release goes, empty for nothing; None where the run names no endpoint.

    Raises:
        BadRequest: The endpoint does not tell.
    """
    store = live.parameters_of(found).get("endpoint_store")
    return live.digest(store, new.manifest["model"]["name"], environment) if isinstance(store, str) else None


def _look_back(found: Record, new: "Candidate", entry: ReleaseEntry) -> None:
    """Say in the entry of a release that has ended whether it brought its model there."""
    if "before" not in entry:
        return
    with contextlib.suppress(BadRequest):  # the endpoint does not tell: the way back asks it again
        after = _at_work(found, new, entry["environment"])
        entry["switched"] = entry["before"] != new.digest == after


def _execute(
    run_dir: Path, found: Record, new: "Candidate", entry: ReleaseEntry, timeout: float | None
) -> dict[str, Any]:
    """Execute the phase that releases, and complete the entry."""
    from runner.progress import Progress

    phase = new.pipeline.release.phase
    request = single.Request(
        phase,
        cwd=run_dir,
        out=run_dir / entry["folder"],
        folders=tuple(f"{name}_dir={folder}" for name, folder in new.folders.items()),
        engine="local" if engines.choose(found["engine"]).remote else found["engine"],  # the deploy notebook runs here
        timeout=timeout,
        pipeline=new.pipeline.path,
        values=found["phases"][phase]["params"] | {planning.ENVIRONMENT: entry["environment"]},
        sign_offs=new.signed(found),
        run_id=run_dir.name,
        why=f"release to {entry['environment']} by {entry['by']}",
    )
    try:
        with Progress.choose(sys.stderr) as progress:
            done = single.run(request, progress)
    except BadRequest as error:
        entry["status"], entry["reason"] = "failed", error.faults[0]
        raise
    finally:
        _look_back(found, new, entry)
    entry["status"], entry["reason"] = _outcome(done)
    entry["seconds"] = done["phases"][phase]["seconds"]
    return done


def _outcome(done: dict[str, Any]) -> tuple[Any, str]:
    """Tell how a release ended, and why if not well."""
    phase = done["phase"]
    entry = done["phases"][phase]
    if entry["status"] == "skipped":
        return "stopped", done["decision"]["reason"]
    if entry["status"] == "failed":
        return ("interrupted" if entry["cause"] == "interrupted" else "failed"), entry["message"] or entry["cause"]
    try:
        why = gates.scrap_value(Reference(phase, ROLLED_BACK), done["phases"])
    except NoEvidence:
        return "succeeded", ""
    return ("rolled-back", str(why)) if why else ("succeeded", "")


def _said(run_dir: Path, new: "Candidate", entry: ReleaseEntry, found: Record) -> str:
    environment, status = entry["environment"], entry["status"]
    what = f"{environment}: {STATUSES.get(status, status)}: {new.name}"
    step = next_step.after_release(entry, run_dir.name, found)
    return "\n".join(
        [
            f"{what}: {why}" if (why := record.why_ended(entry)) else what,
            f"release: {live.near(run_dir / entry['folder'])}",
            f"report: {live.near(run_dir / record.REPORT)}",
            f"next: {step}",
        ]
    )
