"""`trey decision`: may this run be released, and what came of it? For a pipeline that goes on by the answer."""

import json
from pathlib import Path
from typing import Any

import click

from runner import logging_commands, record, summary
from runner.cli import candidate, next_step, options
from runner.errors import BadRequest, NotReleasable
from runner.record import Record

OUTPUTS = ("run_id", "status", "environment", "releasable", "reason", "model", "version", "digest", "released")
NOT_RELEASED = "none"


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--to", "environment", required=True, metavar="ENV", help="Environment it is asked for.")
@click.option("--summary", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write the run as Markdown.")
@click.option("--variables", is_flag=True, help="Print what sets output variables of Azure Pipelines.")
@options.RUNS
@options.PIPELINE
@options.JSON
def decision(  # noqa: PLR0913, PLR0917 - one for each option
    name: str,
    environment: str,
    page: Path | None,
    variables: bool,
    runs: Path | None,
    pipeline: Path | None,
    as_json: bool,
) -> None:
    """Tell whether a run may be released now, and what came of its releases.

    Asks what trey release would ask, and starts nothing: releasable is yes where the gates, judged again from the
    run's folders, and the environment's sign-offs allow it. Ends with 0 for either answer.

    \b
    Examples:
      trey decision last --to staging
      trey decision last --to production --json
      trey decision last --to staging --variables --summary runs/summary.md
    """
    from runner.aftermath import settle

    run_dir = options.run_folder(name, pipeline, runs)
    settle(run_dir)
    found = record.load(run_dir)
    answer = _answer(run_dir, found, environment)
    said = _said(answer)
    if page is not None:
        if not page.parent.is_dir():
            raise BadRequest(f"there is no folder {page.parent}", next_step=f"mkdir -p {page.parent}")
        record.write_atomic(page, summary.page(found, releasable=said).encode(), durable=False)
    if variables:
        given = {key: _written(value) for key, value in answer.items()}
        click.echo("\n".join(logging_commands.set_output(key, value) for key, value in given.items()))
    elif as_json:
        click.echo(json.dumps(answer, indent=1, ensure_ascii=False))
    else:
        step = _next(run_dir.name, found, environment, releasable=answer["releasable"])
        click.echo(f"{said}\nreleased to {environment}: {answer['released']}\nnext: {step}")


def _answer(run_dir: Path, found: Record, environment: str) -> dict[str, Any]:
    """Tell whether the environment takes the run now, why not, and how its last release there ended."""
    from delivery.errors import DeliveryError, ReleaseRefused

    there = [entry["status"] for entry in found.get("releases", []) if entry["environment"] == environment]
    answer = {
        "run_id": run_dir.name,
        "status": found["status"],
        "environment": environment,
        "releasable": False,
        "reason": "",
        "model": "",
        "version": 0,
        "digest": "",
        "released": there[-1] if there else NOT_RELEASED,
    }
    try:
        new = candidate.compose(run_dir, found, environment)
        model = new.manifest["model"]
        answer |= {"model": model["name"], "version": model["version"], "digest": new.digest}
        new.check(found, environment)
    except ReleaseRefused as error:
        return answer | {"reason": "; ".join(error.reasons) or str(error)}
    except DeliveryError as error:  # a name that cannot be an environment
        raise BadRequest(str(error), next_step="trey decision --help") from error
    except NotReleasable as error:
        stopped = found["decision"] if found["status"] != "succeeded" else None
        return answer | {"reason": stopped["reason"] if stopped else "; ".join(error.faults)}
    return answer | {"releasable": True}


def _next(name: str, found: Record, environment: str, *, releasable: bool) -> str:
    """Give the command that leads on; a release that may have left its model live comes first."""
    if last := record.doubtful(found, environment):
        return next_step.after_release(last, name, found)
    return f"trey release {name} --to {environment}" if releasable else f"trey show {name}"


def _said(answer: dict[str, Any]) -> str:
    if not answer["releasable"]:
        return f"{answer['environment']} does not take {answer['run_id']}: {answer['reason']}"
    model = f"{answer['model']} version {answer['version']}, digest {answer['digest'][:12]}…"
    return f"{answer['environment']} takes {answer['run_id']}: {model}"


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
