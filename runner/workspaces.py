"""Says which workspace `azureml://workspace` is, before anything starts: keys and records hold its address."""

from collections.abc import Collection, Mapping
from typing import Any

from cloud import workspace
from cloud.errors import BadWorkspace
from runner.errors import BadRequest
from runner.pipeline import Pipeline

Params = Mapping[str, Mapping[str, Any]]


def absolute(
    pipeline: Pipeline, params: Params, phases: Collection[str], given: str | None
) -> dict[str, dict[str, Any]]:
    """Put the address of the workspace that is meant in place of `azureml://workspace`.

    Args:
        pipeline: Beside which azure.yaml may name the workspace.
        params: The values of each phase's parameters.
        phases: Those that are to run; where no workspace is named, the values of others stay as they are.
        given: The address that was asked for.

    Raises:
        BadRequest: A phase that is to run needs a workspace, and none is named; or azure.yaml is wrong.
    """
    named = {
        phase: [name for name, value in values.items() if value == workspace.NAMED] for phase, values in params.items()
    }
    found = {phase: dict(values) for phase, values in params.items()}
    if not any(named.values()):
        return found
    try:
        meant = workspace.find(given or _configured(pipeline)).address
    except BadWorkspace as error:
        if lacking := [f"{phase}.{name}" for phase in phases for name in named[phase]]:
            fault = f"{' and '.join(lacking)}: {workspace.NAMED}: {error.message}"
            raise BadRequest(fault, next_step=error.next_step) from error
        return found
    return {phase: values | dict.fromkeys(named[phase], meant) for phase, values in found.items()}


def _configured(pipeline: Pipeline) -> str:
    """Give the workspace that azure.yaml names; nothing where it names none, or there is no such file."""
    from runner.engines.azureml import settings

    return settings.read(pipeline).workspace if (pipeline.path.parent / settings.FILE).is_file() else ""
