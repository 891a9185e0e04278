"""Looks, before anything is sent, whether a workspace has what a run needs: clusters, a datastore, data assets."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cloud.client import answering
from cloud.registered import found
from cloud.workspace import Workspace
from runner.engines.azureml import settings
from runner.engines.azureml.settings import Settings
from runner.errors import BadRequest
from runner.pipeline import did_you_mean

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def check(ml: "MLClient", workspace: Workspace, where: Settings, phases: Iterable[str]) -> None:
    """Ask a workspace whether it is there, and has what azure.yaml names for these phases.

    Raises:
        BadRequest: It lacks something; every fault is listed.
        CloudError: It does not answer.
    """
    with answering(workspace, "look at the workspace"):
        ml.workspaces.get(workspace.name)
        clusters = [str(one.name) for one in ml.compute.list()]
        datastore = found(lambda: ml.datastores.get(where.datastore))
    faults = []
    for kind in dict.fromkeys(where.phases.get(phase, where.default) for phase in phases):
        if (name := where.computes[kind]) not in clusters:
            hint = did_you_mean(name, clusters) if clusters else "it has none"
            faults.append(f"{settings.FILE}: computes.{kind} is {name}, which {workspace} does not have; {hint}")
    if datastore is None:
        hint = "each has workspaceblobstore"
        faults.append(f"{settings.FILE}: datastore is {where.datastore}, which {workspace} does not have; {hint}")
    if faults:
        step = f"mend {settings.FILE}, or see what would be made: trey azure provision --plan"
        raise BadRequest(*faults, next_step=step)


def kinds(ml: "MLClient", workspace: Workspace, assets: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Tell whether each data asset, by name and version, is a uri_file or a uri_folder.

    Raises:
        BadRequest: One of them does not exist; all are listed.
        CloudError: The workspace does not answer.
    """
    known, faults = {}, []
    for name, version in sorted(assets):
        with answering(workspace, f"look at the data asset {name}:{version}"):
            asset = found(lambda: ml.data.get(name, version=version))  # noqa: B023 - called before the next turn
        if asset is None:
            faults.append(f"{workspace} has no data asset {name} of version {version}")
        else:
            known[name, version] = str(asset.type)
    if faults:
        step = f"az ml data list {workspace.az}, or trey azure provision, which registers data"
        raise BadRequest(*faults, next_step=step)
    return known
