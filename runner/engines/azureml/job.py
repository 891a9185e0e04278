"""The pipeline job as Azure ML reads it: a component for each phase, bound to each other as the graph is."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner import yaml_file
from runner.engines.azureml.settings import Settings
from runner.engines.azureml.snapshot import PARAMS
from runner.pipeline import Pipeline

OUT = "_out"  # folder in the working directory that a phase writes to, before it is copied to its output
OUTPUT = "out"  # name of each component's output
_INSTANCES = 1
_FOUND = 'export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"'  # kernels start in the notebooks' folder


def text(  # noqa: PLR0913  # all by name
    *,
    variables: Mapping[str, Mapping[str, str]],
    name: str,
    run_id: str,
    pipeline: Pipeline,
    phases: tuple[str, ...],
    settings: Settings,
    assets: Mapping[str, Mapping[str, Any]],
    timeout: float | None,
    code: Path,
    tags: Mapping[str, str],
) -> str:
    """Write the job in the YAML of Azure ML's command line.

    Args:
        variables: What each phase finds in its environment, such as the address of the workspace.
        name: The job's name.
        run_id: The run that it belongs to.
        pipeline: The graph.
        phases: Those that run in this job.
        settings: Where they run.
        assets: For each phase, by the parameter or folder that is read from it: `{"path": azureml:…, "type": …}`.
        timeout: Seconds for each phase; None for those of the pipeline.
        code: The snapshot.
        tags: What the job is marked with.
    """
    nodes = {
        phase: _node(
            variables[phase], name, run_id, pipeline, phase, phases, settings, assets.get(phase, {}), timeout, code
        )
        for phase in phases
    }
    content = {
        "$schema": "https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json",
        "type": "pipeline",
        "name": name,
        "display_name": run_id,
        "experiment_name": settings.experiment,
        "tags": dict(tags),
        # What runs is decided here, by content: a phase that is submitted shall run, and no step outlives a failed one.
        "settings": {
            "force_rerun": True,
            "continue_on_step_failure": False,
            "default_compute": f"azureml:{settings.computes[settings.default]}",
        },
        "jobs": nodes,
    }
    return yaml_file.dump(content)


def output_path(run_id: str, phase: str, job: str) -> str:
    """Name the folder in the datastore that a phase's output is written to; each job has folders of its own."""
    return f"trey/{run_id}/{job}/{phase}/"


def _node(  # noqa: PLR0913, PLR0917  # what `text` is given, of one phase
    variables: Mapping[str, str],
    job: str,
    run_id: str,
    pipeline: Pipeline,
    phase: str,
    phases: tuple[str, ...],
    settings: Settings,
    assets: Mapping[str, Any],
    timeout: float | None,
    code: Path,
) -> dict[str, Any]:
    folders = {f"{name}_dir": name for name in pipeline.edges[phase]}
    bound: dict[str, Any] = {
        parameter: {"type": "uri_folder", "path": f"${{{{parent.jobs.{name}.outputs.{OUTPUT}}}}}"}
        for parameter, name in folders.items()
        if name in phases
    }
    bound |= {parameter: dict(asset) for parameter, asset in assets.items()}
    where = f"azureml://datastores/{settings.datastore}/paths/{output_path(run_id, phase, job)}"
    component = {
        "type": "command",
        "name": phase,
        "display_name": phase,
        "description": f"trey phase {phase}",
        "code": str(code),
        "environment": f"azureml:{settings.environment}:{settings.version}",
        "inputs": {parameter: {"type": value["type"]} for parameter, value in bound.items()},
        "outputs": {OUTPUT: {"type": "uri_folder"}},
        "command": command(variables, run_id, phase, tuple(bound), tuple(folders), timeout),
        "is_deterministic": False,
    }
    return {
        "type": "command",
        "display_name": phase,
        "component": component,
        "compute": f"azureml:{settings.compute(phase)}",
        "resources": {"instance_count": _INSTANCES},
        "inputs": bound,
        "outputs": {OUTPUT: {"type": "uri_folder", "mode": "rw_mount", "path": where}},
    }


def command(  # noqa: PLR0913, PLR0917
    variables: Mapping[str, str],
    run_id: str,
    phase: str,
    inputs: tuple[str, ...],
    folders: tuple[str, ...],
    timeout: float | None,
) -> str:
    """Give the command line of a phase.

    It is written to a local folder, and that is copied whatever came of it: a mounted one cannot do all that a folder
    can, such as replacing a file at once, and what a phase that failed leaves tells why.
    """
    words = ["python", "-m", "runner", "phase", phase, "--params", f"{PARAMS}/{phase}.yaml", "--run-id", run_id]
    words += ["--timeout", f"{timeout:g}"] if timeout else []
    line = shlex.join([*words, "--out", OUT, "--fail-on-stop"])
    for name in inputs:
        if name in folders:
            line += f' --in {name}="${{{{inputs.{name}}}}}"'
        else:
            line += f' --set {phase}.{name}="${{{{inputs.{name}}}}}"'
    copied = f'ended=$?; cp -R {OUT}/. "${{{{outputs.{OUTPUT}}}}}"/; exit $ended'
    # A component takes no variables of its own.
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return f"{_FOUND} {given}; {line}; {copied}"
