"""The commands that run phases: run, resume, plan, phase."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli import live, next_step, options

if TYPE_CHECKING:
    from runner.planning import Plan, Request
    from runner.record import Record


@click.command()
@options.request
@click.option("--run-id", metavar="ID", help="Name of the run; without it, one is made from the time.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit for each phase.")
@click.option("--reason", "why", default="", metavar="WHY", help="What it is run for; it stands in record and report.")
@click.option("--detach", is_flag=True, help="Leave what runs elsewhere to itself; trey resume collects it.")
@click.option("--fail-on-stop", is_flag=True, help="End with 3 where a gate stops the run.")
@click.pass_context
def run(ctx: click.Context, /, as_json: bool, fail_on_stop: bool, **asked: Any) -> None:
    """Execute the lifecycle; what is unchanged is skipped.

    Ends with 0 when all phases ended as planned (a gate that stops a run is planned), 1 when a phase failed, 2 when
    the request was wrong and nothing started, 3 with --fail-on-stop, 4 when a kernel died, 5 at a time-out, 130 when
    interrupted; with --detach 0 once an engine that works elsewhere has it. On this machine there is nothing to leave,
    and it goes to its end.

    \b
    Examples:
      trey run
      trey run --params params/ci.yaml --set train.epochs=8
      trey run --from evaluate --set evaluate.threshold=0.6
      trey run --engine azureml --params params/prod.yaml
      trey run --reason "the monitor saw new words in 8 % of the descriptions"
    """
    from runner import lifecycle
    from runner.progress import Progress

    elsewhere = bool(asked["runs"] or asked["pipeline"])
    request = _request(asked)
    with Progress.choose(sys.stderr) as progress:
        run_dir, found = lifecycle.run(request, progress)
    _finish(ctx, run_dir, found, elsewhere=elsewhere, as_json=as_json, fail_on_stop=fail_on_stop)


@click.command()
@click.argument("name", metavar="RUN")
@click.option("--fail-on-stop", is_flag=True, help="End with 3 where a gate stops the run.")
@options.RUNS
@options.PIPELINE
@options.JSON
@click.pass_context
def resume(  # noqa: PLR0913, PLR0917  # one for each option
    ctx: click.Context, /, name: str, fail_on_stop: bool, runs: Path | None, pipeline: Path | None, as_json: bool
) -> None:
    """Go on with a run at the first phase that did not succeed.

    RUN is a run's id, the beginning of one, or last. It has the parameters it began with. What succeeded is kept, once
    its output, code and inputs are found unchanged; gates are judged again. Ends with the same codes as run.

    \b
    Examples:
      trey resume last
      trey resume 20261123-101500
    """
    from runner import lifecycle
    from runner.progress import Progress

    run_dir = options.run_folder(name, pipeline, runs)
    with Progress.choose(sys.stderr) as progress:
        run_dir, found = lifecycle.resume(run_dir, progress)
    _finish(
        ctx, run_dir, found, elsewhere=bool(runs or pipeline or "/" in name), as_json=as_json, fail_on_stop=fail_on_stop
    )


@click.command()
@options.request
def plan(as_json: bool, **asked: Any) -> None:
    """Show phases, edges, gates, and what would run and why.

    Starts nothing and writes nothing. With an engine that works on clusters, each phase that would run names its own,
    as params/azure.yaml does; none of them is asked. Last come the rules of the outcome, which must hold after the
    last phase.

    \b
    Examples:
      trey plan
      trey plan --params params/ci.yaml --set train.epochs=8
    """
    from runner import planning

    planned = planning.plan(_request(asked))
    click.echo(json.dumps(_plan_json(planned), indent=1, ensure_ascii=False) if as_json else _plan_text(planned))


@click.command()
@click.argument("name")
@click.option("--in", "folders", multiple=True, metavar="PHASE_DIR=PATH", help="The output of a phase that it reads.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help="Where it writes.")
@options.values
@click.option("--engine", default="local", show_default=True, metavar="NAME", help="Where the phase runs.")
@click.option("--run-id", default="", metavar="ID", help="The run that the phase belongs to, where it is told of one.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit for the phase.")
@click.option("--fail-on-stop", is_flag=True, help="End with 3 where a gate stops the phase.")
@options.PIPELINE
@options.JSON
@click.pass_context
def phase(ctx: click.Context, /, name: str, as_json: bool, fail_on_stop: bool, **asked: Any) -> None:
    """Execute one phase with given folders.

    What it did is written to the sub-folder `_phase` of the output: phase.json, notebook.ipynb, notebook.html. The
    gates of a guarded phase are judged from what stands beside the given folders; missing evidence fails.

    \b
    Example:
      trey phase train --in prepare_dir=out/prepare --out out/train --set train.epochs=2
    """
    from runner import single
    from runner.progress import Progress

    asked["files"], asked["sets"] = tuple(asked["files"]), tuple(asked["sets"])
    with Progress.choose(sys.stderr) as progress:
        found = single.run(single.Request(name, cwd=Path.cwd(), **asked), progress)
    click.echo(json.dumps(found, indent=1, ensure_ascii=False) if as_json else single.summary(found))
    ctx.exit(single.exit_code(found, fail_on_stop=fail_on_stop))


def _finish(  # noqa: PLR0913
    ctx: click.Context, run_dir: Path, found: "Record", *, elsewhere: bool, as_json: bool, fail_on_stop: bool
) -> None:
    """Say what a run came to, and end with its code."""
    from runner import record

    name = str(live.near(run_dir)) if elsewhere else found["run_id"]
    click.echo(json.dumps(found, indent=1, ensure_ascii=False) if as_json else _summary(run_dir, found, name))
    ctx.exit(record.exit_code(found, fail_on_stop=fail_on_stop))


def _request(asked: dict[str, Any]) -> "Request":
    from runner.pipeline import locate
    from runner.planning import Request

    cwd = Path.cwd()
    pipeline = locate(asked.pop("pipeline"), cwd)
    return Request(pipeline=pipeline, cwd=cwd, command=shlex.join(["trey", *sys.argv[1:]]), **asked)


def _summary(run_dir: Path, found: "Record", name: str) -> str:
    decision = found["decision"] or {"verdict": "incomplete", "reason": ""}
    report = live.near(run_dir / "report.html")
    lines = [f"{decision['verdict']}: {decision['reason']}", f"report: {report}"]
    return "\n".join([*lines, f"next: {next_step.after(found, name)}"])


def _plan_json(planned: "Plan") -> dict[str, Any]:
    return {
        "phases": [
            {
                "name": phase.name,
                "status": phase.status,
                "runs": phase.status == "run",
                "why": phase.why,
                "after": list(phase.after),
                "gates": phase.gates,
                "params": phase.params,
                "compute": phase.compute or None,
            }
            for phase in planned.phases
        ],
        "outcome": planned.outcome,
    }


def _plan_text(planned: "Plan") -> str:
    width = max(len(phase.name) for phase in planned.phases)
    said = {"run": "runs", "cached": "cached", "skipped": "skipped"}
    lines = []
    for phase in planned.phases:
        lines.append(f"{phase.name:{width}}  {said[phase.status]:7}  {phase.why}")
        indent = " " * (width + 2)
        if phase.compute and phase.status == "run":
            lines.append(f"{indent}on {phase.compute}")
        if phase.after:
            lines.append(f"{indent}reads {', '.join(phase.after)}")
        lines += [f"{indent}gate {_gate_text(gate)}" for gate in phase.gates]
    lines += [f"outcome {_gate_text(gate)}" for gate in planned.outcome]
    return "\n".join(lines)


def _gate_text(gate: dict[str, Any]) -> str:
    if gate["scrap"] is None:
        return f"{gate['verdict']}: {gate['reason']}"
    kind, bound = next(iter(gate["rule"].items()))
    verdict = f": {gate['verdict']}, {gate['reason']}" if "verdict" in gate else ""
    return f"{gate['scrap']} {kind} {bound}{verdict}"
