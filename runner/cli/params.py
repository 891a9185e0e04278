"""`trey params`: what a notebook can be given."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli import options
from runner.cli.tables import aligned
from runner.errors import BadRequest

if TYPE_CHECKING:
    from runner.notebook import Notebook, Parameter

HEADINGS = ("NAME", "TYPE", "DEFAULT", "ALLOWED", "HELP")


@click.command()
@click.argument("notebook", metavar="NOTEBOOK")
@options.PIPELINE
@options.JSON
def params(notebook: str, pipeline: Path | None, as_json: bool) -> None:
    """List the parameters of a notebook: name, type, default, allowed values, help.

    NOTEBOOK is a phase or a path. The parameters cell is read and not executed.

    \b
    Examples:
      trey params train
      trey params notebooks/train.ipynb --json
    """
    declared = list(_read(notebook, pipeline).parameters.values())
    if as_json:
        click.echo(json.dumps([_as_json(parameter) for parameter in declared], indent=1, ensure_ascii=False))
    elif declared:
        click.echo(_table(declared))
    else:
        click.echo(f"{notebook} declares no parameter: no code cell has the tag `parameters`")


def _read(named: str, pipeline: Path | None) -> "Notebook":
    from runner import notebook
    from runner.pipeline import did_you_mean, load_pipeline, locate

    if named.endswith(".ipynb"):
        return notebook.read(Path(named))
    phases = load_pipeline(locate(pipeline, Path.cwd())).notebooks
    if named not in phases:
        raise BadRequest(
            f"there is no phase {named}; {did_you_mean(named, phases)}", next_step="trey params PATH.ipynb"
        )
    return phases[named]


def _as_json(parameter: "Parameter") -> dict[str, Any]:
    from runner.notebook import REQUIRED

    required = parameter.default is REQUIRED
    return {
        "name": parameter.name,
        "type": parameter.type,
        "required": required,
        "default": None if required else parameter.default,
        "constraint": parameter.constraint.text if parameter.constraint else None,
        "help": parameter.help,
    }


def _table(declared: list["Parameter"]) -> str:
    return aligned([HEADINGS, *(_row(_as_json(parameter)) for parameter in declared)])


def _row(shown: dict[str, Any]) -> tuple[str, ...]:
    default = "required" if shown["required"] else json.dumps(shown["default"], ensure_ascii=False)
    return shown["name"], shown["type"], default, shown["constraint"] or "", shown["help"]
