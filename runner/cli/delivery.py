"""`trey models` and `trey serve`: what is registered, and answers from what is live."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli import live, options
from runner.cli.tables import aligned
from runner.errors import BadRequest

if TYPE_CHECKING:
    from delivery.registry import ModelVersion

COLLECT = "SCORING_COLLECT_DIR"  # of the service: where it collects
ASK_AZURE = (
    "az ml online-endpoint list --resource-group GROUP --workspace-name NAME "
    "--query '[].{name: name, answers: scoring_uri}'"
)
SHORT = 12  # characters of a digest in a table
HEADINGS = ("MODEL", "VERSION", "DIGEST", "CHAMPION OF", "REGISTERED (UTC)", "FIGURES")


@click.command()
@click.option("--registry-store", metavar="DIR|URI", help="Registry to list; without it, registry/ of the project.")
@options.PIPELINE
@options.JSON
def models(registry_store: str | None, pipeline: Path | None, as_json: bool) -> None:
    """List the registered models: version, digest, champion marks, figures.

    \b
    Examples:
      trey models
      trey models --registry-store runs/interactive/registry --json
    """
    from delivery import registry
    from delivery.errors import DeliveryError

    store = registry_store or str(live.project(pipeline) / "registry")
    try:
        versions = registry.list_versions(store)
    except DeliveryError as error:
        raise BadRequest(str(error), next_step="trey models --registry-store DIR") from error
    if as_json:
        click.echo(json.dumps([_as_json(version) for version in versions], indent=1, ensure_ascii=False))
    elif versions:
        click.echo(_table(versions))
    else:
        click.echo(f"no model is registered in {store}\nnext: trey run")


@click.command()
@click.option("--env", "environment", required=True, metavar="ENV", help="Environment whose live model answers.")
@click.option("--model", "model_name", metavar="NAME", help="Model to serve, where the environment has several.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one.")
@options.ENDPOINT_STORE
@click.option(
    "--collected-store",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of what is collected; without it, as SCORING_COLLECT_DIR says, or collected/ beside the endpoints.",
)
@options.PIPELINE
def serve(  # noqa: PLR0913, PLR0917 - one for each option
    environment: str,
    model_name: str | None,
    host: str,
    port: int,
    endpoint_store: str | None,
    collected_store: Path | None,
    pipeline: Path | None,
) -> None:
    """Serve the model that is live in an environment, until Ctrl-C.

    Says where it listens and what to ask it. A model that is released later is picked up, and no request is dropped.
    What it answers is collected, for canaries and the monitor: docs/COLLECTION.md says what is kept, and how to keep
    less.

    \b
    Examples:
      trey serve --env staging
      trey serve --env staging --model connected-car --port 0
    """
    from service.__main__ import main

    store = live.endpoint_folder(endpoint_store, pipeline, instead=ASK_AZURE)
    folder = store / live.model_in(str(store), environment, model_name, "trey serve") / environment
    os.environ.setdefault(COLLECT, str(collected_store or store.resolve().parent / "collected"))
    sys.exit(main(["--endpoint", str(folder), "--host", host, "--port", str(port)]))


def _as_json(version: "ModelVersion") -> dict[str, object]:
    return {
        "name": version.name,
        "version": version.version,
        "digest": version.digest,
        "champion_of": list(version.champion_of),
        "registered_at": version.created_at.isoformat(timespec="seconds") if version.created_at else None,
        "metrics": dict(sorted(version.metrics.items())),
        "tags": dict(sorted(version.tags.items())),
    }


def _table(versions: Sequence["ModelVersion"]) -> str:
    return aligned([HEADINGS, *map(_row, versions)])


def _row(version: "ModelVersion") -> tuple[str, ...]:
    registered = version.created_at.strftime("%Y-%m-%d %H:%M") if version.created_at else ""
    ends = ("_low", "_high")
    figures = (f"{name} {value:.4f}" for name, value in sorted(version.metrics.items()) if not name.endswith(ends))
    return (
        version.name,
        str(version.version),
        version.digest[:SHORT],
        ", ".join(version.champion_of) or "-",
        registered,
        ", ".join(figures),
    )
