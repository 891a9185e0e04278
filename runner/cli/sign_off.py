"""`trey approve`, `trey reject`, `trey waive`: what people decide about a run, written into its record."""

import json
import os
from collections.abc import Mapping, Sequence
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
STAGE = "SYSTEM_STAGENAME"
TRUST = "is taken on trust here; where it must hold, an environment's approval enforces it (docs/RELEASE.md)"


@click.command()
@RUN
@ENVIRONMENT
@click.option("--comment", metavar="WHY", help="Why; it stands in record and report.")
@options.BY
@click.option("--from-azure-pipelines", "asked_there", is_flag=True, help="Who approved this stage there, and why.")
@options.RUNS
@options.PIPELINE
@options.JSON
def approve(  # noqa: PLR0913, PLR0917 - one for each option
    name: str,
    environment: str,
    comment: str | None,
    by: str | None,
    asked_there: bool,
    runs: Path | None,
    pipeline: Path | None,
    as_json: bool,
) -> None:
    """Let a run's release into an environment, for some days, and say why.

    The approval is bound to the release manifest, which is written to releases/candidate.json of the run: it is void
    when a byte of it changes. It expires (approval_days in pipeline.yaml). Who started or resumed the run cannot
    approve it, unless pipeline.yaml allows that (allow_self_approval). Who you are is taken on trust; in a job of Azure
    Pipelines, --from-azure-pipelines asks the service who approved the stage, and all of them stand in the record.

    \b
    Examples:
      trey approve last --env production --comment "read the report, errors are harmless"
      trey approve 20261123-101500 --env production --comment "CHG-42" --as ada@example.org
      trey approve last --env production --from-azure-pipelines
    """
    from delivery import approvals
    from delivery.errors import DeliveryError
    from delivery.names import SCRATCH, checked

    requesters, signers = _signers_there(comment, by) if asked_there else ([], [(identity.who(by), _reason(comment))])
    run_dir = _asked(name, pipeline, runs)
    try:
        checked("environment", environment)
    except DeliveryError as error:
        raise BadRequest(str(error), next_step="trey approve --help") from error
    if environment == SCRATCH:
        raise BadRequest(f"{environment} takes anything and asks nobody", next_step="trey approve RUN --env production")
    with record.amend(run_dir) as found:
        found["authors"] = list(dict.fromkeys([*found.get("authors", []), *requesters]))
        new = candidate.compose(run_dir, found, environment)
        policy = new.pipeline.release
        again = f"trey approve {run_dir.name} --env {environment} --comment WHY"
        independent = _independent(signers, found, new.pipeline, "do not approve it", again)
        decided = [
            approvals.approval(
                environment=environment,
                by=who,
                comment=why,
                release=new.manifest,
                days=policy.approval_days,
                now=datetime.now(UTC),
            )
            for who, why in independent
        ]
        _add(found, *decided)
    lines = [f"approved for {environment}: {new.name}, release {new.sha256[:12]}…"]
    for one in decided:
        until = f"until {record.minute(one['expires_at'])}"
        lines.append(f"by {approvals.said(one)}, {until}: {one['comment']}")
    said = (
        f"Azure DevOps let them approve {os.environ[STAGE]}" if asked_there else f"the name {decided[0]['by']} {TRUST}"
    )
    lines += [
        said,
        f"release: {live.near(run_dir / candidate.FOLDER / candidate.FILE)}",
        f"next: trey release {run_dir.name} --to {environment}",
    ]
    _told(run_dir, decided[0], lines, as_json)


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

    who, why = identity.who(by), _reason(comment)
    run_dir = _asked(name, pipeline, runs)
    try:
        checked("environment", environment)
    except DeliveryError as error:
        raise BadRequest(str(error), next_step="trey reject --help") from error
    with record.amend(run_dir) as found:
        candidate.check_environment(candidate.pipeline_of(run_dir, found), environment)
        digest = gates.judged_digest(found["phases"], "")
        if not digest:
            raise BadRequest(
                f"{run_dir.name} has judged no model, so there is nothing to reject",
                next_step=f"trey show {run_dir.name}",
            )
        decided = approvals.rejection(
            environment=environment, by=who, comment=why, digest=digest, now=datetime.now(UTC)
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

    who, why = identity.who(by), _reason(reason)
    run_dir = _asked(name, pipeline, runs)
    with record.amend(run_dir) as found:
        waivable = _waivable(run_dir, found, gate)
        again = f"trey waive {run_dir.name} --gate {gate} --reason WHY"
        _independent([(who, why)], found, candidate.pipeline_of(run_dir, found), "waive nothing of it", again)
        digest = gates.judged_digest(found["phases"], gate.partition(".")[0])
        decided = [
            approvals.waiver(gate=cast(Mapping[str, Any], one), by=who, comment=why, digest=digest,
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


def _independent(
    signers: Sequence[tuple[str, str]], found: Record, pipeline: Pipeline, rule: str, again: str
) -> list[tuple[str, str]]:
    """Give those, with their words, who may sign: no author of the run, where the pipeline does not allow it.

    Raises:
        BadRequest: There is none of them.
    """
    from delivery.approvals import is_among

    authors = found.get("authors", [])
    allowed = pipeline.release.allow_self_approval
    independent = [one for one in signers if allowed or not is_among(one[0], authors)]
    if not independent:
        raise BadRequest(
            f"{signers[0][0]} is an author of {found['run_id']}, and its authors ({', '.join(authors)}) {rule}; "
            f"a team of one allows it in {pipeline.path.name}: release: {{allow_self_approval: true}}",
            next_step=f"somebody else types: {again}",
        )
    return independent


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


def _asked(name: str, pipeline: Path | None, runs: Path | None) -> Path:
    """Find the run, and bring it in order."""
    from runner.aftermath import settle

    run_dir = options.run_folder(name, pipeline, runs)
    settle(run_dir)
    return run_dir


def _reason(given: str | None) -> str:
    """Give why somebody decides.

    Raises:
        BadRequest: Nobody says why.
    """
    if given is None or not given.strip():
        said = "none was given" if given is None else "the one given is empty"
        raise BadRequest(f"a decision needs a reason; {said}", next_step="say why, in a few words")
    return given.strip()


def _signers_there(comment: str | None, by: str | None) -> tuple[list[str], list[tuple[str, str]]]:
    """Give who requested the build of Azure Pipelines that this runs in, and who approved this stage of it, and why.

    Raises:
        BadRequest: The service does not tell, or a name or reason was given besides.
    """
    from delivery import azure_devops
    from delivery.errors import ApprovalUnknown

    if comment is not None or by is not None:
        raise BadRequest(
            "--from-azure-pipelines brings names and reasons with it; give it without --comment and --as",
            next_step="trey approve --help",
        )
    try:
        stage = azure_devops.Stage.here(os.environ)
        given, requesters = azure_devops.approvals(stage), [azure_devops.requester(stage)]
    except ApprovalUnknown as error:
        raise BadRequest(str(error), next_step="trey approve RUN --env ENV --comment WHY") from error
    words = f"approved in build {stage.build}, without a comment"
    return requesters, [(one.by, one.comment or words) for one in given]


def _add(found: Record, *decided: dict[str, Any]) -> None:
    found["sign_offs"] = [*found.get("sign_offs", []), *cast(list[SignOff], decided)]


def _told(run_dir: Path, decided: dict[str, Any], lines: list[str], as_json: bool) -> None:
    """Write the report again, and say what was decided."""
    from runner.report import write_report

    write_report(run_dir)
    click.echo(json.dumps(decided, indent=1, ensure_ascii=False) if as_json else "\n".join(lines))
