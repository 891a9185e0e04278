"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PIPELINE = click.option(
    "--pipeline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The pipeline.yaml; without it, params/pipeline.yaml here or in a folder above.",
)
RUNS = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the runs lie; without it, as pipeline.yaml says.",
)
ENDPOINT_STORE = click.option(
    "--endpoint-store",
    envvar="TREY_ENDPOINT_STORE",
    show_envvar=True,
    metavar="DIR|URI",
    help="Folder of the endpoints, or address of an Azure ML workspace; without it, endpoints/ of the project.",
)
BY = click.option(
    "--as", "by", metavar="NAME", help="Who signs; without it, TREY_IDENTITY or the system's user. Taken on trust."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
_PARAMS = click.option(
    "--params",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A params file on top of default.yaml; may be repeated, the last one wins.",
)
_SETS = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PHASE.NAME=VALUE",
    help="One parameter, in YAML; wins over params files; may be repeated.",
)


def values(command: F) -> F:
    """Add the options that give parameters: --params and --set."""
    return _PARAMS(_SETS(command))


def request(command: F) -> F:
    """Add the options that run and plan share."""
    for option in (
        JSON,
        RUNS,
        PIPELINE,
        click.option("--fresh", is_flag=True, help="Run every phase, also the unchanged ones."),
        click.option("--workspace", metavar="ADDRESS", help="On Azure ML: azureml://subscriptions/…/workspaces/NAME."),
        click.option(
            "--engine",
            default="local",
            show_default=True,
            metavar="NAME",
            help="Where the phases run: local, azureml, azureml-v1.",
        ),
        click.option("--to", "last", metavar="PHASE", help="End after this phase."),
        click.option(
            "--from", "first", metavar="PHASE", help="Take the phases before it from the newest run that has them."
        ),
    ):
        command = option(command)
    return values(command)


def run_folder(name: str, pipeline: Path | None, runs: Path | None) -> Path:
    """Find the folder of a run by its id, the beginning of one, "last", or its path, which needs no pipeline.yaml.

    Raises:
        BadRequest: There is no such run, or no pipeline.yaml is found and --runs does not say where else.
    """
    from runner import record

    return Path(name).resolve() if record.is_run(name) else record.find(runs_folder(pipeline, runs), name)


def runs_folder(pipeline: Path | None, runs: Path | None) -> Path:
    """Give the folder of runs, without reading any notebook.

    Raises:
        BadRequest: No pipeline.yaml is found, and --runs does not say where else.
    """
    from runner.pipeline import locate
    from runner.pipeline import runs_folder as named

    return runs.resolve() if runs else named(locate(pipeline, Path.cwd()))
