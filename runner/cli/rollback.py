"""`trey rollback`: the way back of an environment, in one step."""

import contextlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner import gates, record
from runner.cli import candidate, live, options
from runner.errors import BadRequest, RunBusy, RunFailed
from runner.record import Record, ReleaseEntry

if TYPE_CHECKING:
    from delivery.endpoint import Endpoint, Slot


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
    switched unless a release of that run brought what is live now, however it ended; where there is nothing to go back
    to from it, the command ends with 1, and what is live stays live.

    \b
    Examples:
      trey rollback --env production
      trey rollback --env staging --model connected-car
      trey rollback --env production --of 20261123-101500
    """
    from delivery.endpoint import Endpoint

    run_dir = options.run_folder(run_name, pipeline, runs) if run_name is not None else None
    if run_dir and champion_only:
        fault = "--champion-only switches nothing, so there is nothing of a run to take back"
        raise BadRequest(fault, next_step=f"trey rollback --env {environment} --champion-only")
    found = _settled(run_dir) if run_dir else None
    given = live.parameters_of(found)
    endpoint_store = endpoint_store or given.get("endpoint_store")
    endpoints = live.endpoints(endpoint_store, pipeline)
    registry_store = registry_store or given.get("registry_store") or str(live.project(pipeline) / "registry")
    if run_dir and found:
        way_back = _way_back(_Released.of(run_dir, found, environment), endpoints)
        endpoint, undone = way_back.endpoint, way_back.undone
        if endpoint is None:
            click.echo(json.dumps(way_back.json(), indent=1) if as_json else way_back.text())
            return
    else:
        name = live.model_in(endpoints, environment, model_name, "trey rollback")
        endpoint, undone = Endpoint(endpoints, name, environment), ""
    name = endpoint.model_name
    again = f"trey rollback --env {environment} --model {name}"
    again += f" --endpoint-store {endpoint_store}" if endpoint_store else ""
    try:
        if not (run_dir or champion_only):
            undone = _claim(endpoint, f"{again} --registry-store {registry_store}")
        slot, seconds = _gone_back(endpoint, environment, champion_only=champion_only, further=run_dir is not None)
        if run_dir:
            _note(run_dir, environment)
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
        *filter(None, [undone]),
        f"{environment} answers with {name} version {slot.version}, digest {slot.digest[:12]}…, from slot {slot.name}; "
        + switched,
        f"champion of {environment}: version {slot.version}",
        f"next: trey serve --env {environment}, where no service runs that follows it"
        if slot.folder
        else "next: trey models",
    ]
    click.echo(json.dumps(result, indent=1) if as_json else "\n".join(lines))


@dataclass(frozen=True)
class _Released:
    """What a run released to an environment, as far as its record tells.

    Attributes:
        digest: Of its model.
        is_told: Whether the record tells of a release there, by `trey release` or in the run itself.
        brought: Whether that brought the model that is live there, if it is this one.
        before: Digest of what was live before, empty for nothing; None where the record does not tell.
    """

    run: str
    environment: str
    digest: str
    is_told: bool
    brought: bool
    before: str | None

    @classmethod
    def of(cls, run_dir: Path, found: Record, environment: str) -> "_Released":
        """Read a run's record. A release that found the model live brought nothing, so that an earlier one counts."""
        digest = gates.judged_digest(found["phases"], "")
        there = [entry for entry in found.get("releases", []) if entry["environment"] == environment]
        if not there:
            own = candidate.pipeline_of(run_dir, found).release.phase
            was_live = candidate.was_live(found, own, environment)
            return cls(run_dir.name, environment, digest, was_live, was_live, None)
        others = [entry for entry in there if entry.get("before") != digest]
        brought = bool(others) and _brought(others[-1])
        return cls(run_dir.name, environment, digest, True, brought, others[-1].get("before") if others else None)


def _brought(entry: ReleaseEntry) -> bool:
    """Tell whether a release brought its model. Where the runner was killed, it may have, and is taken back."""
    may_have = entry["status"] == "succeeded" or (entry["status"] in ("failed", "interrupted") and "before" in entry)
    return entry.get("switched", may_have)


@dataclass(frozen=True)
class _WayBack:
    """Where what a run released is to be taken back.

    Attributes:
        endpoint: Claimed; None where nothing is to be switched.
        undone: What the claim undid, in a sentence; empty where nothing was.
        why_not: Why nothing is to be switched.
    """

    released: _Released
    endpoint: "Endpoint | None" = None
    undone: str = ""
    why_not: str = ""

    def json(self) -> dict[str, Any]:
        """Say for programs that nothing was switched."""
        said = {"environment": self.released.environment, "run_id": self.released.run, "switched": False}
        return said | {"undone": self.undone, "reason": self.why_not}

    def text(self) -> str:
        """Say for people that nothing was switched."""
        said = f"{self.why_not}; nothing was switched"
        return "\n".join([*filter(None, [self.undone]), said, f"next: trey show {self.released.run}"])


def _settled(run_dir: Path) -> Record:
    """Give a run's record, in order where its runner was killed."""
    from runner.aftermath import settle

    settle(run_dir)
    return record.load(run_dir)


def _way_back(released: _Released, store: str) -> _WayBack:
    """Claim the endpoint where what a run released is live and can be taken back.

    Where the run's release was killed, its candidate loses its share, whether or not it is live.

    Raises:
        BadRequest: The endpoints cannot be read, or another process deploys to one of them.
        RunFailed: The run's model is live and a person must look: nobody knows who released it, or there is nothing to
            go back to.
    """
    from delivery.endpoint import Endpoint, live_models
    from delivery.errors import DeliveryError

    run, environment = released.run, released.environment
    kept = _WayBack(released, why_not=f"nothing that a release of {run} brought is live in {environment}")
    try:
        for name in live_models(store, environment):
            endpoint = Endpoint(store, name, environment)
            at_work, beside = endpoint.live(), endpoint.standby()
            is_live = at_work is not None and at_work.digest == released.digest
            if is_live and not released.brought and released.is_told:
                continue
            if is_live or (beside is not None and beside.digest == released.digest):
                found = _claimed(endpoint, released)
                if found.endpoint:
                    return found
                kept = replace(kept, undone=found.undone or kept.undone, why_not=found.why_not or kept.why_not)
    except DeliveryError as error:
        raise BadRequest(str(error), next_step=f"trey rollback --env {environment} --of {run}") from error
    return kept


def _claimed(endpoint: "Endpoint", released: _Released) -> _WayBack:
    """Claim an endpoint, and keep it where what a run released is live and can be taken back.

    A deployment that the claim waits for may have switched meanwhile, so what is live is looked at behind it. What is
    live by a step back is left alone: a second step would lead forth again.

    Raises:
        DeliveryError: Another process deploys there, or the endpoint does not tell.
        RunFailed: A person must look.
    """
    kept = False
    undone = endpoint.claim()
    try:
        state = endpoint.state()
        at_work = state["slots"][state["live"]] if state["live"] else None
        if at_work is None or at_work["digest"] != released.digest:
            return _WayBack(released, undone=undone)
        model = f"{endpoint.model_name} version {at_work['version']}"
        if not released.is_told:
            raise _unrecorded(released, model, undone)
        if not released.brought:
            return _WayBack(released, undone=undone)
        if state["stepped_back"]:
            why = f"{model} is live in {released.environment} by a step back, and a second one would lead forth again"
            return _WayBack(released, undone=undone, why_not=why)
        if state["previous"] is None:
            raise _without_way_back(released, model, undone)
        kept = True
        return _WayBack(released, endpoint, undone)
    finally:
        if not kept:
            endpoint.release()


def _without_way_back(released: _Released, model: str, undone: str) -> RunFailed:
    """Say that what a run released stays live, since there is nothing to go back to from it."""
    told = {None: "there is nothing to go back to", "": "nothing was live before it"}
    why = told.get(released.before, "what was live before it is there no more")
    said = f"{model}, which {released.run} released, stays live in {released.environment}: {why}; nothing was switched"
    step = f"trey release {released.run if released.before == '' else 'RUN'} --to {released.environment}"
    return RunFailed(*filter(None, [undone, said]), next_step=step)


def _unrecorded(released: _Released, model: str, undone: str) -> RunFailed:
    """Say that a run's model is live, and that a person must find out who released it."""
    said = f"{model}, which {released.run} has judged, is live in {released.environment}, and no record here says who "
    said += "released it: a release of this run whose record was lost, or another run"
    step = f"trey smoke --env {released.environment}, or trey rollback --env {released.environment}"
    return RunFailed(*filter(None, [undone, said]), next_step=step)


def _note(run_dir: Path, environment: str) -> None:
    """Note in a run's record that its release was taken back; while a runner is at work in it, the endpoint tells."""
    from runner.report import write_report

    with contextlib.suppress(RunBusy, OSError):  # the registry must follow, whatever becomes of the note
        with record.amend(run_dir) as found:
            for entry in found.get("releases", []):
                if entry["environment"] == environment and entry.get("switched", True):
                    entry.setdefault("taken_back", record.now())
        write_report(run_dir)


def _claim(endpoint: "Endpoint", again: str) -> str:
    """Claim an endpoint, and give what had to be undone.

    Raises:
        BadRequest: Another deployment is under way, or the endpoint does not tell.
    """
    from delivery.errors import DeliveryError, EndpointBusy

    try:
        return endpoint.claim()
    except DeliveryError as error:
        step = again if isinstance(error, EndpointBusy) else "trey runs"
        raise BadRequest(str(error), next_step=step) from error


def _gone_back(endpoint: "Endpoint", environment: str, *, champion_only: bool, further: bool) -> "tuple[Slot, float]":
    """Switch an endpoint, unless only the registry shall follow, and give what is live, and how many seconds it took.

    Raises:
        BadRequest: There is nothing to go back to, or nothing is live.
    """
    from delivery.errors import DeliveryError

    started = time.monotonic()
    try:
        slot = endpoint.live() if champion_only else endpoint.roll_back(further=further)
    except DeliveryError as error:
        raise BadRequest(str(error), next_step=f"trey release RUN --to {environment}") from error
    if slot is None:  # it was found live a moment ago
        raise BadRequest("nothing is live there any more", next_step="trey runs")
    return slot, time.monotonic() - started


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
