"""`trey release` and `trey rollback`: the one door to an environment, and the way back."""

import contextlib
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import engines, gates, identity, planning, record, single
from runner.cli import candidate, live, next_step, options
from runner.errors import BadRequest, RunFailed
from runner.gates import NoEvidence, Reference
from runner.record import Record, ReleaseEntry

if TYPE_CHECKING:
    from delivery.endpoint import Endpoint, Slot
    from runner.cli.candidate import Candidate

ROLLED_BACK = "rolled_back"  # the scrap by which the releasing phase says that it took everything back, and why
STATUSES = {"succeeded": "released", "rolled-back": "rolled back by itself"}
UNFINISHED = ("running", "failed", "interrupted")  # releases that may have switched before they ended


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


@click.command()
@click.option("--env", "environment", required=True, metavar="ENV", help="Environment to take back.")
@click.option("--model", "model_name", metavar="NAME", help="Its model, where the environment has several.")
@click.option("--of", "run_name", metavar="RUN", help="Only where what this run released is live.")
@click.option("--champion-only", is_flag=True, help="Only let the registry follow what is live.")
@click.option(
    "--registry-store",
    envvar="TREY_REGISTRY_STORE",
    show_envvar=True,
    metavar="DIR|URI",
    help="Its registry; without it, registry/ of the project.",
)
@options.ENDPOINT_STORE
@options.RUNS
@options.PIPELINE
@options.JSON
def rollback(  # noqa: PLR0913, PLR0917 - one for each option
    environment: str,
    model_name: str | None,
    run_name: str | None,
    champion_only: bool,
    registry_store: str | None,
    endpoint_store: str | None,
    runs: Path | None,
    pipeline: Path | None,
    as_json: bool,
) -> None:
    """Go back to what was live before, in one step.

    The endpoint is switched first, and then the registry is told which version is champion. A service that runs follows
    by itself. One step is all there is: to go further back, release the version that is wanted. With --of, nothing is
    switched unless a release of that run brought what is live now, however it ended.

    \b
    Examples:
      trey rollback --env production
      trey rollback --env staging --model connected-car
      trey rollback --env production --of 20261123-101500
    """
    from delivery.endpoint import Endpoint

    run_dir = options.run_folder(run_name, pipeline, runs) if run_name is not None else None
    found = record.load(run_dir) if run_dir else None
    given = live.parameters_of(found)
    endpoint_store = endpoint_store or given.get("endpoint_store")
    endpoints = live.endpoints(endpoint_store, pipeline)
    endpoint = _live_of(run_dir, found, endpoints, environment) if run_dir and found else None
    if run_dir and endpoint is None:
        said = f"nothing that {run_dir.name} released is live in {environment}; nothing was switched"
        result = {"environment": environment, "run_id": run_dir.name, "switched": False}
        click.echo(json.dumps(result, indent=1) if as_json else f"{said}\nnext: trey show {run_dir.name}")
        return
    if endpoint is None:
        name = live.model_in(endpoints, environment, model_name, "trey rollback")
        endpoint = Endpoint(endpoints, name, environment)
    name = endpoint.model_name
    registry_store = registry_store or given.get("registry_store") or str(live.project(pipeline) / "registry")
    again = f"trey rollback --env {environment} --model {name}"
    again += f" --endpoint-store {endpoint_store}" if endpoint_store else ""
    try:
        slot, undone, seconds = _gone_back(endpoint, champion_only, again, registry_store)
        _follow(name, slot, environment, again, registry_store)
    finally:
        endpoint.release()
    result = {
        "environment": environment,
        "model": name,
        "version": slot.version,
        "digest": slot.digest,
        "slot": slot.name,
        "seconds": round(seconds, 3),
        "undone": undone,
    }
    switched = "nothing was switched" if champion_only else f"switched in {seconds:.2f} s"
    lines = [
        *([undone] if undone else []),
        f"{environment} answers with {name} version {slot.version}, digest {slot.digest[:12]}…, from slot {slot.name}; "
        + switched,
        f"champion of {environment}: version {slot.version}",
        f"next: trey serve --env {environment}, where no service runs that follows it"
        if slot.folder
        else "next: trey models",
    ]
    click.echo(json.dumps(result, indent=1) if as_json else "\n".join(lines))


def _gone_back(endpoint: "Endpoint", champion_only: bool, again: str, store: str) -> "tuple[Slot, str, float]":
    """Switch an endpoint, unless only the registry shall follow, and give what is live, what was undone, and seconds.

    Raises:
        BadRequest: Another deployment is under way, there is nothing to go back to, or nothing is live.
    """
    from delivery.errors import DeliveryError, EndpointBusy

    started = time.monotonic()
    try:
        undone = "" if champion_only else endpoint.claim()
        slot = endpoint.live() if champion_only else endpoint.roll_back()
    except DeliveryError as error:
        step = again if isinstance(error, EndpointBusy) else "trey models"
        raise BadRequest(str(error), next_step=f"{step} --registry-store {store}") from error
    if slot is None:  # it was found live a moment ago
        raise BadRequest("nothing is live there any more", next_step="trey runs")
    return slot, undone, time.monotonic() - started


def _follow(name: str, slot: "Slot", environment: str, again: str, store: str) -> None:
    """Let the registry say which version is champion: the one that is live.

    Raises:
        RunFailed: The registry takes no word of it; the endpoint has switched.
    """
    from delivery import registry
    from delivery.errors import DeliveryError

    try:
        registry.set_champion(name, slot.version, environment, store)
    except DeliveryError as error:
        said = f"{environment} answers with {name} version {slot.version} again, but the registry does not say so"
        raise RunFailed(f"{said}: {error}", next_step=f"{again} --champion-only --registry-store {store}") from error


def _live_of(run_dir: Path, found: Record, store: str, environment: str) -> "Endpoint | None":
    """Give the endpoint, claimed, at which what a run released is live; where its release was killed, end that.

    Raises:
        BadRequest: The endpoints cannot be read, or another process deploys to one of them.
        RunFailed: The run's model is live, and the record that is here knows of no release: a person must look.
    """
    from delivery.endpoint import Endpoint, live_models
    from delivery.errors import DeliveryError

    digest = gates.judged_digest(found["phases"], "")
    there = [entry for entry in found.get("releases", []) if entry["environment"] == environment]
    own = candidate.pipeline_of(run_dir, found).release.phase
    brought = _brought(there, digest) if there else candidate.was_live(found, own, environment)
    try:
        for name in live_models(store, environment):
            endpoint = Endpoint(store, name, environment)
            at_work, beside = endpoint.live(), endpoint.standby()
            is_live = at_work is not None and at_work.digest == digest
            if at_work and is_live and not (brought or there):
                raise _unrecorded(run_dir.name, f"{name} version {at_work.version}", environment)
            if brought if is_live else (beside is not None and beside.digest == digest):
                endpoint.claim()  # a deployment that it waits for may have switched meanwhile
                if brought and (now := endpoint.live()) and now.digest == digest:
                    return endpoint
                endpoint.release()
    except DeliveryError as error:
        raise BadRequest(str(error), next_step=f"trey rollback --env {environment} --of {run_dir.name}") from error
    return None


def _brought(there: list[ReleaseEntry], digest: str) -> bool:
    """Tell whether a run's releases to an environment brought the model that is live there.

    One that found it live brought nothing. Where the runner was killed, it may have come so far, and is taken back.
    """
    others = [entry for entry in there if entry.get("before") != digest]
    if not others:
        return False
    last = others[-1]
    return last.get("switched", last["status"] == "succeeded" or (last["status"] in UNFINISHED and "before" in last))


def _unrecorded(run: str, model: str, environment: str) -> RunFailed:
    """Say that a run's model is live, and that a person must find out who released it."""
    said = f"{model}, which {run} has judged, is live in {environment}, and no record here says who released it: "
    said += "a release of this run whose record was lost, or another run"
    return RunFailed(said, next_step=f"trey smoke --env {environment}, or trey rollback --env {environment}")


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
            f"{what}: {entry['reason']}" if entry["reason"] else what,
            *_all_the_same(entry),
            f"release: {live.near(run_dir / entry['folder'])}",
            f"report: {live.near(run_dir / record.REPORT)}",
            f"next: {step}",
        ]
    )


def _all_the_same(entry: ReleaseEntry) -> list[str]:
    """Say of a release that did not end well that its model is live all the same, or that nobody can tell."""
    if entry["status"] not in UNFINISHED or not record.may_have_switched(entry):
        return []
    answers = "answers" if "switched" in entry else "may answer"
    return [f"{entry['environment']} {answers} with it all the same"]
