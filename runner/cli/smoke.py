"""`trey smoke`: does an environment answer as it should, now?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner import gates, record
from runner.cli import live, options
from runner.errors import BadRequest, RunFailed

if TYPE_CHECKING:
    from delivery.smoke import SmokeReport


@click.command()
@click.option("--env", "environment", required=True, metavar="ENV", help="Environment that is asked.")
@click.option("--of", "run_name", metavar="RUN", help="The run whose model must be live.")
@click.option("--model", "model_name", metavar="NAME", help="Its model, where the environment has several.")
@options.ENDPOINT_STORE
@options.RUNS
@options.PIPELINE
@options.JSON
def smoke(  # noqa: PLR0913, PLR0917 - one for each option
    environment: str,
    run_name: str | None,
    model_name: str | None,
    endpoint_store: str | None,
    runs: Path | None,
    pipeline: Path | None,
    as_json: bool,
) -> None:
    """Ask an environment's live model whether it is up, and answers and refuses as it should.

    A release tests the new slot before it gets traffic; this asks what is live afterwards, over HTTP: health, the
    digest of the model, and what must be refused. Ends with 1 where a check fails, or with --of another model is live.

    \b
    Examples:
      trey smoke --env staging
      trey smoke --env production --of last --json
    """
    from delivery.endpoint import Endpoint
    from delivery.errors import DeliveryError
    from delivery.smoke import smoke_test

    found = record.load(options.run_folder(run_name, pipeline, runs)) if run_name else None
    given = live.parameters_of(found)
    wanted = gates.judged_digest(found["phases"], "") if found else ""
    endpoints = live.endpoints(endpoint_store or given.get("endpoint_store"), pipeline)
    name = live.model_in(endpoints, environment, model_name or given.get("model_name"), "trey smoke")
    endpoint = Endpoint(endpoints, name, environment)
    try:
        slot = endpoint.live()
        if slot is None:  # model_in found it live a moment ago
            raise BadRequest(f"nothing is live in {environment} any more", next_step="trey runs")
        with endpoint.alone(slot) as target:
            report = smoke_test(target, [], digest=slot.digest)
    except DeliveryError as error:
        raise RunFailed(str(error), next_step=f"trey rollback --env {environment}") from error
    if as_json:
        click.echo(json.dumps(_as_json(environment, name, slot.version, report), indent=1, ensure_ascii=False))
    else:
        said = f"{len(report.checks) - len(report.failures)} of {len(report.checks)} checks passed"
        click.echo(f"{environment}: {name} version {slot.version}, digest {slot.digest[:12]}…: {said}")
    if wanted and wanted != slot.digest:
        fault = f"{run_name} has the model of digest {wanted[:12]}…, and another is live in {environment}"
        raise RunFailed(fault, next_step=f"trey show {run_name}")
    if report.failures:
        faults = (f"{check.name}: {check.detail}" for check in report.failures)
        raise RunFailed(*faults, next_step=f"trey rollback --env {environment}")


def _as_json(environment: str, name: str, version: int, report: "SmokeReport") -> dict[str, object]:
    return {
        "environment": environment,
        "model": name,
        "version": version,
        "digest": report.digest,
        "checks": [
            {"group": one.group, "name": one.name, "passed": one.passed, "detail": one.detail} for one in report.checks
        ],
    }
