"""`trey score`: an inventory meets the model that is live in an environment."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli import INTERRUPTED, live, options
from runner.errors import BadRequest, RunFailed

if TYPE_CHECKING:
    from compliance.scorer import Scorer

TELL_EVERY = 5.0  # seconds
SETTING = re.compile(r"""--set "?prepare\.(\w+)=("?)""")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.csv")
@click.option("--env", "environment", metavar="ENV", help="Environment whose live model scores.")
@click.option("--model", "model_name", metavar="NAME", help="Its name, where the environment has several.")
@click.option("--model-dir", type=click.Path(path_type=Path), metavar="DIR", help="A model folder, instead of --env.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="The scored file; else FILE.scored.csv."
)
@click.option("--text-column", default="text", show_default=True, metavar="NAME", help="Column of the description.")
@click.option("--copy", multiple=True, metavar="NAME", help="Column to copy, such as a part number; may be repeated.")
@click.option(
    "--delimiter", default=",", show_default=True, metavar="CHARACTER", help="Between the fields; \\t for tab."
)
@click.option("--encoding", default="utf-8", show_default=True, metavar="NAME", help="Encoding of the file.")
@click.option("--overwrite", is_flag=True, help="Start anew, and replace a scored file that exists.")
@options.ENDPOINT_STORE
@options.PIPELINE
@options.JSON
def score(  # noqa: PLR0913, PLR0917 - one for each option
    file: Path,
    environment: str | None,
    model_name: str | None,
    model_dir: Path | None,
    output: Path | None,
    text_column: str,
    copy: tuple[str, ...],
    delimiter: str,
    encoding: str,
    overwrite: bool,
    endpoint_store: str | None,
    pipeline: Path | None,
    as_json: bool,
) -> None:
    """Score an inventory with an environment's live model, whatever its size.

    Each row of FILE.csv comes out with its probability of non-compliance and its label; rows that cannot be scored are
    listed in FILE.scored.rejected.csv. A call that was stopped, in whatever way, goes on there when it is repeated.

    \b
    Examples:
      trey score parts.csv --env staging
      trey score parts.csv --env production --text-column description --copy part_no --delimiter ';'
    """
    from compliance import inventory
    from compliance.errors import BadInput

    if not file.exists():
        raise BadRequest(f"{file} does not exist; give a CSV file", next_step="trey score FILE.csv --env staging")
    scorer, version = _model(environment, model_name, model_dir, endpoint_store, pipeline)
    output = output or file.with_name(f"{file.name.removesuffix('.csv')}.scored.csv")
    if not output.parent.is_dir():
        raise BadRequest(f"there is no folder {output.parent}", next_step=f"mkdir -p {output.parent}")
    try:
        columns = inventory.Columns(text_column, copy, delimiter, encoding)
        with _alone(output):
            report = _reporter(inventory.unfinished(output) if not overwrite else 0)
            summary = inventory.score(
                str(file), columns, scorer, output, version=version, overwrite=overwrite, report=report
            )
    except BadInput as error:
        raise BadRequest(*(_as_option(fault) for fault in error.faults), next_step="trey score --help") from error
    except ValueError as error:
        raise RunFailed(str(error), next_step="trey models") from error
    except KeyboardInterrupt:
        said = "trey: interrupted; what is done is kept\nnext: repeat the call; it continues where it stopped"
        click.echo(said, err=True)
        click.get_current_context().exit(INTERRUPTED)
    if as_json:
        click.echo(json.dumps(summary, indent=1, ensure_ascii=False))
    elif summary["scored"]:
        click.echo("\n".join(_told(summary, output)))
    if not summary["scored"]:
        fault = f"none of {summary['rows']:,} rows could be scored"
        raise RunFailed(fault, *_refused(summary, output), next_step="trey score --help")


def _model(
    environment: str | None, model_name: str | None, model_dir: Path | None, store: str | None, pipeline: Path | None
) -> tuple["Scorer", int | None]:
    """Load the model that is asked for, and give its version where it has one."""
    from compliance.scorer import ModelCorrupt, Scorer
    from delivery.endpoint import Endpoint
    from delivery.errors import DeliveryError

    if (environment is None) == (model_dir is None):
        raise BadRequest(
            "give --env or --model-dir: which model scores?", next_step="trey score FILE.csv --env staging"
        )
    try:
        if model_dir:
            return Scorer.load(model_dir), None
        folder = live.endpoint_folder(
            store, pipeline, instead="trey score FILE.csv --model-dir runs/RUN/evaluate/model"
        )
        name = live.model_in(str(folder), environment or "", model_name, "trey score FILE.csv")
        slot = Endpoint(folder, name, environment or "").live()
        if slot is None or slot.folder is None:
            raise BadRequest(f"nothing is live in {environment} any more", next_step="trey run")
        return Scorer.load(slot.folder, slot.digest), slot.version
    except (ModelCorrupt, DeliveryError) as error:
        raise BadRequest(str(error), next_step="trey models") from error


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """Keep other calls away from the scored file, for the length of a block."""
    from delivery.locks import Busy, held

    lock = output.with_name(f".{output.name}.lock")
    try:
        with held(lock, wait=0.0):
            try:
                yield
            finally:
                lock.unlink()
    except Busy as error:
        fault = f"{output} is being written by process {error.holder}"
        raise BadRequest(fault, next_step="wait for it, or name another --output") from error


def _reporter(before: int) -> Callable[[int], None]:
    """Give what tells of progress on stderr, every few seconds."""
    began = told = time.monotonic()
    if before:
        click.echo(f"continues after row {before:,}", err=True)

    def report(rows: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_EVERY:
            click.echo(f"{rows:,} rows done, {(rows - before) / (now - began):,.0f} a second", err=True)
            told = now

    return report


def _as_option(fault: str) -> str:
    """Say a fault of a source with the options of this command: prepare has parameters where this has options."""
    fault = fault.replace("--set prepare.source=PATH.csv", "trey score PATH.csv")
    return SETTING.sub(lambda found: f"--{found[1].replace('_', '-')} {found[2]}", fault)


def _told(summary: dict[str, Any], output: Path) -> list[str]:
    labels = ", ".join(f"{rows:,} {label}" for label, rows in sorted(summary["labels"].items()))
    model = summary["model"]
    version = f" version {model['version']}" if model["version"] else ""
    done = f"{summary['scored']:,} of {summary['rows']:,} rows scored by {model['name']}{version}: {labels}"
    return [done, *_refused(summary, output), f"scored: {output}"]


def _refused(summary: dict[str, Any], output: Path) -> list[str]:
    from compliance.inventory import Files

    if not summary["rejected"]:
        return []
    reasons = "; ".join(f"{rows:,} × {reason}" for reason, rows in summary["reasons"].items())
    return [f"{summary['rejected']:,} refused: {reasons}", f"refused rows: {Files(output).rejected}"]
