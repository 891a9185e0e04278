"""Plans what a workspace lacks, and carries a plan out."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cloud.client import answering
from cloud.errors import Refused
from cloud.workspace import Workspace
from provisioning.resources import Resource, Step

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_AZ = {"cluster": "compute", "endpoint": "online-endpoint"}  # what Azure's own command calls what may be blocked


def look(ml: "MLClient", workspace: Workspace, resources: Sequence[Resource]) -> list[Step]:
    """Compare a workspace with what is wanted; reads only. The first step is the workspace itself, which must exist.

    Raises:
        CloudError: Azure does not tell, or the workspace does not exist.
    """
    with answering(workspace, "look at the workspace"):
        found = ml.workspaces.get(workspace.name)
        steps = [_of_the_workspace(workspace, found)]
    for resource in resources:
        with answering(workspace, "look at what it has"):
            steps.append(resource.look(ml))
    return steps


def check(steps: Sequence[Step], workspace: Workspace) -> None:
    """Refuse a plan that cannot be carried out.

    Args:
        steps: The plan.
        workspace: Where it would be.

    Raises:
        Refused: A step is blocked: a person must decide first.
    """
    blocked = [step for step in steps if step.action == "blocked"]
    if blocked:
        said = "; ".join(f"{step.kind} {step.name}: {step.why}" for step in blocked)
        first = blocked[0]
        step = f"az ml {_AZ[first.kind]} delete --name {first.name} {workspace.az}"
        raise Refused(f"nothing was changed: {said}", next_step=step)


def carry_out(
    ml: "MLClient",
    workspace: Workspace,
    resources: Sequence[Resource],
    steps: Sequence[Step],
    tell: Callable[[Step], None],
) -> None:
    """Do what a plan says, in its order; what was done before a failure stays, and the next plan has only the rest.

    Args:
        ml: The workspace's client.
        workspace: Which one.
        resources: What is wanted.
        steps: The plan that `look` gave for them.
        tell: Is told of each step that was done.

    Raises:
        CloudError: Azure refuses, or a step is blocked; in that case nothing was written.
    """
    check(steps, workspace)
    for resource, step in zip(resources, steps[1:], strict=True):
        if step.changes:
            with answering(workspace, f"{step.action} {step.kind} {step.name}"):
                resource.make(ml)
            tell(step)


def _of_the_workspace(workspace: Workspace, found: object) -> Step:
    identity = getattr(found, "identity", None)
    said = f"exists in {getattr(found, 'location', 'an unknown region')}"
    if identity is None:
        return Step("workspace", workspace.name, "unchanged", f"{said}; it has no identity, and keys in its place")
    return Step("workspace", workspace.name, "unchanged", f"{said}; its identity is {identity.type}")
