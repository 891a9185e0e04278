"""`trey approve`, `trey reject`, `trey waive`: what people decide about a run, written into its record."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from runner import gates, identity, record
from runner.cli import candidate, live, next_step, options
from runner.errors import BadRequest
from runner.pipeline import Pipeline
from runner.record import GateEntry, Record, SignOff

RUN = click.argument("name", metavar="RUN")
ENVIRONMENT = click.option("--env", "environment", required=True, metavar="ENV", help="Environment it is about.")
COMMENT = click.option("--comment", required=True, metavar="WHY", help="Why; it stands in record and report.")
TRUST = "is taken on trust here; where it must hold, an environment's approval enforces it (docs/RELEASE.md)"


@click.command()
@RUN
@ENVIRONMENT
@COMMENT
@options.BY
@options.RUNS
@options.PIPELINE
@options.JSON
def approve(  # noqa: PLR0913, PLR0917 - one for each option
    name: str, environment: str, comment: str, by: str | None, runs: Path | None, pipeline: Path | None, as_json: bool
) -> None:
    """Let a run's release into an environment, for some days, and say why.

    The approval is bound to the release manifest, which is written to releases/candidate.json of the run: it is void
    when a byte of it changes. It expires (approval_days in pipeline.yaml). Who started or resumed the run cannot
    approve it, unless pipeline.yaml allows that (allow_self_approval). Who you are is taken on trust.

    \b
    Examples:
      trey approve last --env production --comment "read the report, errors are harmless"
      trey approve 20261123-101500 --env production --comment "CHG-42" --as ada@example.org
    """
    from delivery import approvals
    from delivery.errors import DeliveryError
    from delivery.names import SCRATCH, checked

    run_dir, who = _asked(name, pipeline, runs, comment, by)
    try:
        checked("environment", environment)
    except DeliveryError as error:
        raise BadRequest(str(error), next_step="trey approve --help") from error
    if environment == SCRATCH:
        raise BadRequest(f"{environment} takes anything and asks nobody", next_step="trey approve RUN --env production")
    with record.amend(run_dir) as found:
        new = candidate.compose(run_dir, found, environment)
        policy = new.pipeline.release
        again = f"trey approve {run_dir.name} --env {environment} --comment WHY"
        _check_independent(who, found, new.pipeline, "do not approve it", again)
        decided = approvals.approval(
            environment=environment,
            by=who,
            comment=comment.strip(),
            digest=new.digest,
            release_sha256=new.sha256,
            days=policy.approval_days,
            now=datetime.now(UTC),
        )
        _add(found, decided)
    lines = [
        f"approved for {environment}: {new.name}, release {new.sha256[:12]}…",
        f"by {approvals.said(decided)}, until {decided['expires_at'][:16].replace('T', ' ')} UTC: {decided['comment']}",
        f"the name {who} {TRUST}",
        f"release: {live.near(run_dir / candidate.FOLDER / candidate.FILE)}",
        f"next: trey release {run_dir.name} --to {environment}",
    ]
    _told(run_dir, decided, lines, as_json)


@click.command()
@RUN
@ENVIRONMENT
@COMMENT
@options.BY
@options.RUNS
@options.PIPELINE
@options.JSON
def reject(  # noqa: PLR0913, PLR0917 - one for each option
    name: str, environment: str, comment: str, by: str | None, runs: Path | None, pipeline: Path | None, as_json: bool
) -> None:
    """Keep a run's model out of an environment, and say why.

    Anybody may. It stands until somebody else approves the run later.

    \b
    Example:
      trey reject last --env production --comment "misses every part of 1996"
    """
    from delivery import approvals
    from delivery.errors import DeliveryError
    from delivery.names import checked

    run_dir, who = _asked(name, pipeline, runs, comment, by)
    try:
        checked("environment", environment)
    except DeliveryError as error:
        raise BadRequest(str(error), next_step="trey reject --help") from error
    with record.amend(run_dir) as found:
        digest = gates.judged_digest(found["phases"], "")
        if not digest:
            raise BadRequest(
                f"{run_dir.name} has judged no model, so there is nothing to reject",
                next_step=f"trey show {run_dir.name}",
            )
        decided = approvals.rejection(
            environment=environment, by=who, comment=comment.strip(), digest=digest, now=datetime.now(UTC)
        )
        _add(found, decided)
    lines = [
        f"rejected for {environment}: digest {digest[:12]}…",
        f"by {approvals.said(decided)}: {decided['comment']}",
        f"the name {who} {TRUST}",
        f"next: trey report {run_dir.name}",
    ]
    _told(run_dir, decided, lines, as_json)


@click.command()
@RUN
@click.option("--gate", required=True, metavar="PHASE.SCRAP", help="The rule, by the result it judges.")
@click.option("--reason", required=True, metavar="WHY", help="Why; it stands at the top of the report.")
@options.BY
@options.RUNS
@options.PIPELINE
@options.JSON
def waive(  # noqa: PLR0913, PLR0917 - one for each option
    name: str, gate: str, reason: str, by: str | None, runs: Path | None, pipeline: Path | None, as_json: bool
) -> None:
    """Let a rule pass that had too little data to tell, and say why.

    Only a rule whose verdict is inconclusive can be waived, not one that failed, and never missing evidence. The waiver
    is bound to the model's digest, the rule and the value. Afterwards, trey resume judges again and goes on. Who
    started or resumed the run cannot waive, unless pipeline.yaml allows that (allow_self_approval).

    \b
    Example:
      trey waive last --gate evaluate.slice_accuracy_low --reason "three parts of 1996, all checked by hand"
    """
    from delivery import approvals

    run_dir, who = _asked(name, pipeline, runs, reason, by)
    with record.amend(run_dir) as found:
        waivable = _waivable(run_dir, found, gate)
        again = f"trey waive {run_dir.name} --gate {gate} --reason WHY"
        _check_independent(who, found, candidate.pipeline_of(run_dir, found), "waive nothing of it", again)
        digest = gates.judged_digest(found["phases"], gate.partition(".")[0])
        decided = [
            approvals.waiver(gate=cast(Mapping[str, Any], one), by=who, comment=reason.strip(), digest=digest,
                             now=datetime.now(UTC))
            for one in waivable
        ]  # fmt: skip
        _add(found, *decided)
        stopping = [one for one in found["gates"] if one["verdict"] in record.STOPPING]
    lines = [
        f"waived: {gates.said(waivable[0])}",
        f"by {approvals.said(decided[0])}, for digest {digest[:12]}…: {decided[0]['comment']}",
        f"the name {who} {TRUST}",
        f"next: {next_step.past(stopping, found, run_dir.name)}",
    ]
    _told(run_dir, decided[0], lines, as_json)


def _check_independent(who: str, found: Record, pipeline: Pipeline, rule: str, again: str) -> None:
    """Keep authors from signing what they made, where the pipeline does not allow it.

    Raises:
        BadRequest: This is one of them.
    """
    authors = found.get("authors", [])
    if who not in authors or pipeline.release.allow_self_approval:
        return
    raise BadRequest(
        f"{who} is an author of {found['run_id']}, and its authors ({', '.join(authors)}) {rule}; "
        f"a team of one allows it in {pipeline.path.name}: release: {{allow_self_approval: true}}",
        next_step=f"somebody else types: {again}",
    )


def _waivable(run_dir: Path, found: Record, name: str) -> list[GateEntry]:
    """Give the rules about a result that can be waived.

    Raises:
        BadRequest: There is none: unknown, passed, failed, or waived before.
    """
    from runner.pipeline import did_you_mean

    about = [gate for gate in found["gates"] if gate["scrap"] == name]
    step = f"trey show {run_dir.name}"
    if not about:
        open_ones = [gate["scrap"] or "" for gate in found["gates"] if gate["verdict"] == "inconclusive"]
        known = open_ones or [gate["scrap"] or "" for gate in found["gates"]]
        raise BadRequest(f"{run_dir.name} judged no rule about {name}; {did_you_mean(name, known)}", next_step=step)
    waivable = [gate for gate in about if gate["verdict"] == "inconclusive"]
    if not waivable:
        said = "; ".join(f"{gate['verdict']}: {gate['reason']}" for gate in about)
        why = "only a rule that had too little data to tell can be waived, never a failure or missing evidence"
        raise BadRequest(f"{name} is {said}; {why}", next_step=step)
    return waivable


def _asked(name: str, pipeline: Path | None, runs: Path | None, why: str, by: str | None) -> tuple[Path, str]:
    """Find the run, bring it in order, and give it with the name of whoever decides."""
    from runner.aftermath import settle

    if not why.strip():
        raise BadRequest("a decision needs a reason; the one given is empty", next_step="say why, in a few words")
    run_dir = options.run_folder(name, pipeline, runs)
    settle(run_dir)
    return run_dir, identity.who(by)


def _add(found: Record, *decided: dict[str, Any]) -> None:
    found["sign_offs"] = [*found.get("sign_offs", []), *cast(list[SignOff], decided)]


def _told(run_dir: Path, decided: dict[str, Any], lines: list[str], as_json: bool) -> None:
    """Write the report again, and say what was decided."""
    from runner.report import write_report

    write_report(run_dir)
    click.echo(json.dumps(decided, indent=1, ensure_ascii=False) if as_json else "\n".join(lines))
