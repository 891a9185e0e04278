"""`trey azure doctor` and `trey azure provision`: whom Azure sees, what it may do, and what a workspace has."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud.errors import BadSettings, BadWorkspace, CloudError, NoIdentity, NotFound, NotInstalled
from runner import fingerprint, yaml_file
from runner.cli import options
from runner.cli.tables import aligned
from runner.errors import BadRequest, RunFailed

if TYPE_CHECKING:
    from cloud.workspace import Workspace
    from provisioning.doctor import Findings
    from provisioning.resources import Resource, Step
    from provisioning.signs import Signs
    from runner.pipeline import Pipeline

FILE = "provision.yaml"  # beside pipeline.yaml
_DIGITS = 32  # of a digest that is a version
WORKSPACE = click.option(
    "--workspace",
    "address",
    metavar="ADDRESS",
    help="azureml://subscriptions/…; without it, as TREY_AZURE_WORKSPACE says.",
)


@click.group()
def azure() -> None:
    """Look at an Azure ML workspace, or bring it to what the lifecycle needs.

    \b
    Examples:
      trey azure doctor
      trey azure provision --plan
    """


@azure.command()
@WORKSPACE
@click.option("--live", is_flag=True, help="Ask the workspace, too; reads only.")
@click.option("--actions", is_flag=True, help="List the actions behind each role, too: what a custom role allows.")
@options.JSON
def doctor(address: str | None, live: bool, actions: bool, as_json: bool) -> None:
    """Explain which identity is used, what is missing, and which rights each task needs.

    Alone it asks nobody: it tells from environment variables who this process would be (whether one is set, never what
    it holds), and lists the roles. With --live it signs in, and tells which rights that identity lacks.

    Ends with 1 where something is missing or wrong.

    \b
    Examples:
      trey azure doctor
      trey azure doctor --live --json
      trey azure doctor --actions
    """
    from provisioning import signs

    told = signs.read(os.environ, shutil.which)
    faults = list(told.faults)
    place = None
    try:
        place = _place(address)
    except BadRequest as error:
        faults += error.faults
    asked = _ask(place) if live and place and told.packages["azure-ai-ml"] else None
    faults += [f"{one.name}: {one.said}" for one in asked.checks if not one.passed] if asked else []
    if asked and asked.rights and all(one.lacking for one in asked.rights):
        faults.append(
            "this identity may do none of the tasks above as a whole; somebody who may assign roles gives it one"
        )
    if as_json:
        click.echo(json.dumps(_doctor_json(told, place, asked, faults), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(_doctor_lines(told, place, asked, faults, live=live, actions=actions)))
    click.get_current_context().exit(1 if faults else 0)


@azure.command()
@WORKSPACE
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@options.PIPELINE
@options.JSON
def provision(address: str | None, only_plan: bool, yes: bool, pipeline: Path | None, as_json: bool) -> None:
    """Bring a workspace to what the lifecycle needs: clusters, environment, data, endpoints.

    Shows a plan and asks before anything is changed; what is as wanted is left alone, so a second plan has nothing to
    do. The workspace itself must exist. Clusters scale to zero and have an identity; no key is made or read. What is
    wanted stands in params/provision.yaml and params/azure.yaml. Ends with 1 where something is blocked, also with
    --plan: a person must decide.

    \b
    Examples:
      trey azure provision --plan
      trey azure provision --yes
    """
    from cloud.client import client
    from provisioning import plan

    if only_plan and yes:
        raise BadRequest("--plan does nothing and --yes does it; give one of them", next_step="trey azure provision")
    place, wanted = _wanted(address, pipeline)
    with _translated():
        ml = client(place)
        steps = plan.look(ml, place, wanted)
    if as_json and only_plan:
        click.echo(json.dumps([_step_json(step) for step in steps], indent=1, ensure_ascii=False))
    elif not as_json:
        click.echo(_plan_text(steps))
    if only_plan:
        with _translated():
            plan.check(steps, place)
        return
    if any(step.changes or step.action == "blocked" for step in steps):
        _confirm(place, steps, yes=yes)
        with _translated():
            plan.carry_out(ml, place, wanted, steps, _tell)
    if as_json:
        click.echo(json.dumps([_step_json(step) for step in steps], indent=1, ensure_ascii=False))
    else:
        click.echo("next: trey azure doctor --live")


def _place(address: str | None) -> "Workspace":
    from cloud import workspace

    try:
        return workspace.find(address)
    except BadWorkspace as error:
        raise BadRequest(error.message, next_step=error.next_step) from error


def _ask(place: "Workspace") -> "Findings":
    from cloud.client import client
    from cloud.identity import credential
    from provisioning import doctor as asking

    with _translated():
        who = credential()
        return asking.ask(client(place, who), who, place)


def _wanted(address: str | None, pipeline: Path | None) -> tuple["Workspace", list["Resource"]]:
    """Read what a workspace shall have.

    Raises:
        BadRequest: No workspace is named, or a file is wrong.
    """
    from provisioning import settings
    from provisioning.resources import Cluster, Dataset, Image
    from runner.engines.azureml import settings as azureml
    from runner.pipeline import load_pipeline, locate

    loaded = load_pipeline(locate(pipeline, Path.cwd()))
    where = azureml.read(loaded)
    path = loaded.path.parent / FILE
    with _translated():
        try:
            content = yaml_file.read_mapping(path)
        except ValueError as error:
            raise BadSettings(str(error), next_step=f"mend {path}, as docs/WORKSPACE.md says") from error
        asked = settings.read(path, content, where.computes, partial(_endpoint_fault, loaded))
    clusters = [
        Cluster(name, asked.clusters[kind].size, asked.clusters[kind].most, asked.clusters[kind].idle_minutes)
        for kind, name in where.computes.items()
    ]
    image = Image(where.environment, where.version, where.image, where.conda)
    data = [Dataset(name, fingerprint.path_digest(one)[:_DIGITS], one) for name, one in asked.data.items()]
    place = _place(address or where.workspace)
    return place, [*clusters, image, *data, *_endpoints(place, asked.endpoints)]


def _endpoints(place: "Workspace", named: Mapping[str, Sequence[str]]) -> list["Resource"]:
    """Give the endpoints that releases of some models use, by their environments."""
    from delivery import managed
    from delivery.host_azureml import endpoint_name
    from provisioning.resources import Endpoint

    wanted: list[Resource] = []
    for model, environments in named.items():
        for environment in environments:
            name = endpoint_name(place, model, environment)
            wanted.append(Endpoint(name, partial(managed.endpoint, name, model, environment)))
    return wanted


def _endpoint_fault(pipeline: "Pipeline", model: str, environment: str) -> str:
    """Say why a model can have no endpoint in an environment to which releases of a pipeline go; empty where it can."""
    from delivery.errors import BadName
    from delivery.names import ENVIRONMENT, SCRATCH, checked
    from runner.cli.candidate import check_environment

    if environment == SCRATCH:
        return f"{SCRATCH} is for notebooks by hand; no release goes there"
    try:
        checked("model", model)
        checked(ENVIRONMENT, environment)
        check_environment(pipeline, environment)
    except BadName as error:
        return str(error)
    except BadRequest as error:
        return error.faults[0]
    return ""


def _confirm(place: "Workspace", steps: Sequence["Step"], *, yes: bool) -> None:
    """Ask whether the plan is to be carried out.

    Raises:
        BadRequest: There is nobody to ask, or the answer is no.
    """
    changes = sum(step.changes for step in steps)
    if yes or not changes:
        return
    if not sys.stdin.isatty():
        raise BadRequest("nobody is there to ask, and nothing was changed", next_step="trey azure provision --yes")
    if not click.confirm(f"change {place} in {changes} places?", err=True):
        raise BadRequest("nothing was changed", next_step="trey azure provision --plan")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what Azure refuses into what the command line says."""
    try:
        yield
    except (BadSettings, BadWorkspace, NotInstalled, NoIdentity, NotFound) as error:
        raise BadRequest(*error.message.splitlines(), next_step=error.next_step) from error
    except CloudError as error:
        raise RunFailed(error.message, next_step=error.next_step) from error


def _tell(step: "Step") -> None:
    click.echo(f"{step.action}d: {step.kind} {step.name}", err=True)


def _plan_text(steps: Sequence["Step"]) -> str:
    rows = [[step.action, step.kind, step.name, step.why] for step in steps]
    changes = sum(step.changes for step in steps)
    blocked = sum(step.action == "blocked" for step in steps)
    said = f"{changes} to change" if changes or blocked else "nothing to do"
    said += f"; {blocked} blocked" if blocked else ""
    return f"{aligned(rows)}\n{said}"


def _step_json(step: "Step") -> dict[str, str]:
    return {"action": step.action, "kind": step.kind, "name": step.name, "why": step.why}


def _doctor_lines(  # noqa: PLR0913 - what was found, and how much of it is told
    told: "Signs",
    place: "Workspace | None",
    asked: "Findings | None",
    faults: Sequence[str],
    *,
    live: bool,
    actions: bool,
) -> Iterator[str]:
    from provisioning.needs import NEEDS

    packages = [f"{name} {found or 'missing'}" for name, found in told.packages.items()]
    present = [name for name, found in told.variables.items() if found]
    absent = [name for name, found in told.variables.items() if not found]
    yield f"identity: {told.identity}"
    yield f"workspace: {place or 'none is named'}"
    yield f"packages: {', '.join(packages)}"
    yield f"variables that are set: {', '.join(present) or 'none'}"
    yield f"variables that are not: {', '.join(absent)}"
    if asked:
        yield ""
        yield from (f"{'ok' if one.passed else 'FAULT':5}  {one.name}: {one.said}" for one in asked.checks)
        yield from (f"has    {role}" for role in asked.roles)
    lacking: Mapping[str, list[str]] = {one.need.task: one.lacking for one in asked.rights} if asked else {}
    for need in NEEDS:
        yield ""
        yield need.task
        yield f"  done by  {need.who}"
        yield from (f"  role     {role}" for role in need.roles)
        if actions:
            yield from (f"  action   {action}" for action in (*need.actions, *need.data))
        yield from (f"  lacks    {action}" for action in lacking.get(need.task, ()))
        if need.task in lacking and not lacking[need.task]:
            yield "  this identity may do all of it"
    yield ""
    yield from faults
    step = "trey azure provision --plan" if live and not faults else "trey azure doctor --live"
    yield f"next: {step if not faults else 'mend what is named above, then trey azure doctor'}"


def _doctor_json(
    told: "Signs", place: "Workspace | None", asked: "Findings | None", faults: Sequence[str]
) -> dict[str, Any]:
    from provisioning.needs import NEEDS

    lacking = {one.need.task: one.lacking for one in asked.rights} if asked else {}
    checks = [{"name": one.name, "passed": one.passed, "said": one.said} for one in asked.checks] if asked else None
    return {
        "identity": told.identity,
        "workspace": place.address if place else None,
        "packages": {name: found or None for name, found in told.packages.items()},
        "variables": {name: "set" if found else "missing" for name, found in told.variables.items()},
        "checks": checks,
        "roles": asked.roles if asked else None,
        "needs": [
            {
                "task": need.task,
                "done_by": need.who,
                "roles": list(need.roles),
                "actions": list(need.actions),
                "data_actions": list(need.data),
                "lacking": lacking.get(need.task),
            }
            for need in NEEDS
        ],
        "faults": list(faults),
    }
