"""`trey rollback`: the way back of an environment, in one step."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner import gates, record
from runner.cli import candidate, live, options
from runner.errors import BadRequest, RunFailed
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
    run_dir = options.run_folder(run_name, pipeline, runs) if run_name is not None else None
    if run_dir and champion_only:
        fault = "--champion-only switches nothing, so there is nothing of a run to take back"
        raise BadRequest(fault, next_step=f"trey rollback --env {environment} --champion-only")
    found = _settled(run_dir) if run_dir else None
    given = live.parameters_of(found)
    endpoint_store = endpoint_store or given.get("endpoint_store")
    endpoints = live.endpoints(endpoint_store, pipeline)
    if run_dir and found:
        claimed, undone = _claimed_of(run_dir.name, _Released.of(run_dir, found, environment), endpoints)
        if claimed is None:
            click.echo(_unswitched(run_dir.name, environment, undone, as_json=as_json))
            return
        endpoint = claimed
    else:
        endpoint, undone = _endpoint(endpoints, environment, model_name, pipeline), ""
    name = endpoint.model_name
    registry_store = registry_store or given.get("registry_store") or str(live.project(pipeline) / "registry")
    again = f"trey rollback --env {environment} --model {name}"
    again += f" --endpoint-store {endpoint_store}" if endpoint_store else ""
    try:
        if not (run_dir or champion_only):
            undone = _claim(endpoint, f"{again} --registry-store {registry_store}")
        slot, seconds = _gone_back(endpoint, environment, champion_only=champion_only, further=run_dir is not None)
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


@dataclass(frozen=True)
class _Released:
    """What a run released to an environment, as far as its record tells.

    Attributes:
        digest: Of its model.
        is_told: Whether the record tells of a release there, by `trey release` or in the run itself.
        brought: Whether that brought the model that is live there, if it is this one.
        before: Digest of what was live before, empty for nothing; None where the record does not tell.
    """

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
            return cls(environment, digest, was_live, was_live, None)
        others = [entry for entry in there if entry.get("before") != digest]
        brought = bool(others) and _brought(others[-1])
        return cls(environment, digest, True, brought, others[-1].get("before") if others else None)


def _brought(entry: ReleaseEntry) -> bool:
    """Tell whether a release brought its model. Where the runner was killed, it may have, and is taken back."""
    may_have = entry["status"] == "succeeded" or (entry["status"] in record.UNFINISHED and "before" in entry)
    return entry.get("switched", may_have)


def _settled(run_dir: Path) -> Record:
    """Give a run's record, in order where its runner was killed."""
    from runner.aftermath import settle

    settle(run_dir)
    return record.load(run_dir)


def _endpoint(store: str, environment: str, model_name: str | None, pipeline: Path | None) -> "Endpoint":
    """Give the endpoint of the model that is live in an environment."""
    from delivery.endpoint import Endpoint

    return Endpoint(store, live.model_in(store, environment, model_name, "trey rollback"), environment)


def _claimed_of(run: str, released: _Released, store: str) -> "tuple[Endpoint | None, str]":
    """Give the endpoint, claimed, where what a run released is live and can be taken back, and what the claim undid.

    Where the run's release was killed, its candidate loses its share, whether or not it is live.

    Raises:
        BadRequest: The endpoints cannot be read, or another process deploys to one of them.
        RunFailed: The run's model is live and a person must look: nobody knows who released it, or there is nothing to
            go back to.
    """
    from delivery.endpoint import Endpoint, live_models
    from delivery.errors import DeliveryError

    undone = ""
    try:
        for name in live_models(store, released.environment):
            endpoint = Endpoint(store, name, released.environment)
            at_work, beside = endpoint.live(), endpoint.standby()
            is_live = at_work is not None and at_work.digest == released.digest
            if at_work and is_live and not released.is_told:
                raise _unrecorded(run, f"{name} version {at_work.version}", released.environment)
            if released.brought if is_live else (beside is not None and beside.digest == released.digest):
                undone = endpoint.claim() or undone  # a deployment that it waits for may have switched meanwhile
                if _is_to_go(endpoint, released, run, undone):
                    return endpoint, undone
                endpoint.release()
    except DeliveryError as error:
        raise BadRequest(str(error), next_step=f"trey rollback --env {released.environment} --of {run}") from error
    return None, undone


def _is_to_go(endpoint: "Endpoint", released: _Released, run: str, undone: str) -> bool:
    """Tell whether what is live at a claimed endpoint is what a run's release brought.

    What is live by a step back was brought by nobody's release: a second step would lead forth again.

    Raises:
        RunFailed: It is, and there is nothing to go back to; the claim has ended.
    """
    at_work = endpoint.live()
    if not released.brought or at_work is None or at_work.digest != released.digest or endpoint.state()["stepped_back"]:
        return False
    if endpoint.previous():
        return True
    endpoint.release()
    is_first = released.before == ""
    why = "nothing was live before it" if is_first else "what was live before it is there no more"
    model = f"{endpoint.model_name} version {at_work.version}"
    said = f"{model}, which {run} released, stays live in {released.environment}"
    step = f"trey release {run if is_first else 'RUN'} --to {released.environment}"
    raise RunFailed(*([undone] if undone else []), f"{said}: {why}; nothing was switched", next_step=step)


def _unrecorded(run: str, model: str, environment: str) -> RunFailed:
    """Say that a run's model is live, and that a person must find out who released it."""
    said = f"{model}, which {run} has judged, is live in {environment}, and no record here says who released it: "
    said += "a release of this run whose record was lost, or another run"
    return RunFailed(said, next_step=f"trey smoke --env {environment}, or trey rollback --env {environment}")


def _unswitched(run: str, environment: str, undone: str, *, as_json: bool) -> str:
    """Say that nothing which a run released is to be taken back."""
    if as_json:
        result = {"environment": environment, "run_id": run, "switched": False, "undone": undone}
        return json.dumps(result, indent=1)
    said = f"what is live in {environment} was not brought there by a release of {run}; nothing was switched"
    return "\n".join([*([undone] if undone else []), said, f"next: trey show {run}"])


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
