"""Runs the lifecycle: phase after phase in a run folder, gates in between, a record that is true at every moment."""

import errno
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from runner import beginning, engines, gates, identity, parameters, planning, record, references, resuming, signals
from runner.engines import Ahead, Engine, Job
from runner.errors import BadRequest, RunFailed, RunnerError
from runner.phase import Events, Listener, add_inputs, injected, new_entry, new_job, run_job
from runner.planning import GATES_PATH, Choice, Prepared, Request
from runner.record import GateEntry, Record
from runner.references import Secret


class _Left(Exception):
    """What is ahead was sent to where it runs, and nobody waits here."""


class Watcher(Listener, Protocol):
    """Is told how a run goes on; runner.progress shows it."""

    def phase_started(self, phase: str, why: str) -> None:
        """A phase starts."""

    def phase_ended(self, phase: str, status: str, seconds: float, message: str | None) -> None:
        """A phase that ran has ended; the message says why it failed."""

    def phase_skipped(self, phase: str, status: str, why: str) -> None:
        """A phase does not run: cached, kept or skipped."""

    def gate(self, gate: GateEntry) -> None:
        """A rule was judged."""


def run(request: Request, watcher: Watcher) -> tuple[Path, Record]:
    """Run what was asked for and give the run folder and its record.

    A phase that fails, a gate that stops and a signal are results: they stand in the record. The report is written in
    every case.

    Raises:
        BadRequest: Something is wrong with the request; nothing has started.
    """
    prepared = planning.prepare(request)
    engine, secrets = _engine(prepared)
    run_dir = beginning.new_folder(prepared)
    with record.hold(run_dir), signals.terminable():
        lifecycle = _Run(prepared, engine, secrets, run_dir, watcher)
        lifecycle.run()
        return run_dir, lifecycle.record


def resume(run_dir: Path, watcher: Watcher) -> tuple[Path, Record]:
    """Go on, at the first phase that did not succeed, with a run that did not end well or was left to its engine.

    The phases before it are kept if their output still has its digest and nothing that they depend on has changed; from
    the first that is not kept, all run again. A phase whose result was no release runs again.

    Raises:
        BadRequest: There is nothing to go on with, or something stands in the way; nothing has started.
    """
    from runner.aftermath import seconds_worked

    with record.hold(run_dir), signals.terminable():
        earlier = record.load(run_dir)
        earlier["seconds"] = seconds_worked(run_dir, earlier)
        name = run_dir.name
        if record.is_complete(run_dir, earlier):
            record.free_reserve(run_dir)  # of a runner that was killed in its very last step
            raise BadRequest(f"{name} succeeded; there is nothing to resume", next_step=f"trey show {name}")
        if "request" not in earlier:
            raise BadRequest(f"{name} was recorded by an older version and cannot go on", next_step="trey run")
        prepared = resuming.prepare(run_dir, earlier)
        engine, secrets = _engine(prepared)
        lifecycle = _Run(prepared, engine, secrets, run_dir, watcher, earlier)
        lifecycle.run()
        return run_dir, lifecycle.record


def _engine(prepared: Prepared) -> tuple[Engine, dict[str, dict[str, Secret]]]:
    """Choose the engine, have it look at the request, and resolve the secrets that phases on this machine are given.

    Raises:
        BadRequest: The request cannot run there, or a reference leads to no secret.
    """
    engine = engines.choose(prepared.request.engine)
    engine.check(prepared)
    if engine.remote:
        return engine, {phase: {} for phase in prepared.asked}
    return engine, references.resolve(parameters.secret_references(prepared.params, prepared.asked))


class _Run:
    """One run, from its first record, or where an earlier runner left it, to its report."""

    def __init__(  # noqa: PLR0913, PLR0917  # what runs, where, and who is told
        self,
        prepared: Prepared,
        engine: Engine,
        secrets: Mapping[str, Mapping[str, Secret]],
        run_dir: Path,
        watcher: Watcher,
        earlier: Record | None = None,
    ):
        self.prepared = prepared
        self.engine = engine
        self.secrets = secrets
        self.redactor = references.redactor(secrets)
        self.pipeline = prepared.pipeline
        self.run_dir = run_dir
        self.watcher = watcher
        self.events = Events(run_dir / "events.jsonl", self.redactor)
        self.started = time.monotonic()
        self.record = beginning.new_record(prepared, run_dir.name, earlier)
        self.phases = self.record["phases"]
        self.standing = [phase for phase in self.phases if self.phases[phase]["status"] in record.USABLE]
        self.failed_outcomes = _failed_outcomes(earlier) if earlier else set()
        self.halt = ""  # in a few words, what keeps the phases that are left from running

    def run(self) -> None:
        """Go through the phases, and finish the record whatever happens."""
        for folder in (self.run_dir, self.run_dir / "notebooks", self.run_dir / "gates"):
            record.remove_temporary(folder)
        record.keep_reserve(self.run_dir)
        if not self.record.get("resumed_at"):
            beginning.write_params(self.run_dir, self.prepared)
        self._save()
        self.events.write("run-resumed" if self.record.get("resumed_at") else "run-started", run=self.run_dir.name)
        try:
            self._go_through()
            self._let_go()
        except _Left:
            job = self.engine.submitted
            what = f"job {job['name']}" if job else "what runs elsewhere"
            self._finish("detached", "detached", f"{what} goes on, and nobody waits for it (--detach)")
        except KeyboardInterrupt:
            self._end("interrupted", "interrupted", "a signal ended the run")
            self._let_go()
        except RunnerError as error:
            self._end("failed", "internal", "; ".join(error.faults))
            self._report()
            raise RunFailed(*error.faults, next_step=error.next_step) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                record.free_reserve(self.run_dir)
                self._end("failed", "disk-full", f"the disk is full: {error}")
                self._report()
                return
            said = self.redactor.text(f"the runner failed: {type(error).__name__}: {error}")
            self._end("failed", "internal", said)
            self.events.write("runner-failed", traceback=traceback.format_exc())
            self._report()
            said += f"; {self.events.path} has the traceback"
            raise RunFailed(said, next_step=f"trey show {self.run_dir.name}") from error
        with signals.undisturbed():
            self._report()

    def _let_go(self) -> None:
        """Have the engine let go of what is still at work; a second signal means that nothing more is asked."""
        try:
            said = self.engine.close(self.record["status"])
        except KeyboardInterrupt:
            said = None
        if not said:
            return
        self.watcher.note(said)
        self.events.write("engine-closed", said=said)
        if decision := self.record["decision"]:
            decision["reason"] += f"; {said.partition('; next: ')[0]}"

    def _go_through(self) -> None:
        for phase in self.pipeline.order:
            if self.record["status"] != "running":
                self._skip(phase, self.halt)
            elif phase not in self.prepared.asked and not self.prepared.is_taken(phase):
                self._skip(phase, f"after --to {self.prepared.request.last}")
            elif self._gates_hold(phase):
                self._phase(phase)
        if self.record["status"] == "running" and self._outcome_holds():
            self._finish("succeeded", *_success(self.record, self.prepared))

    def _outcome_holds(self) -> bool:
        """Judge what must hold after the last phase, where the run went as far as that."""
        rules = self.pipeline.outcome
        if not rules or self.prepared.request.last not in (None, self.pipeline.order[-1]):
            return True
        judged = gates.judge(gates.OUTCOME, rules, self.phases, self.record.get("sign_offs", []))
        self._tell(judged)
        if gates.stops(judged):
            self._finish("stopped", "stopped", stop_reason(gates.OUTCOME, judged))
        return not gates.stops(judged)

    def _tell(self, judged: list[GateEntry]) -> None:
        self.record["gates"] += judged
        for gate in judged:
            self.watcher.gate(gate)
            self.events.write("gate", **{key: gate[key] for key in ("phase", "scrap", "verdict")})  # type: ignore[literal-required]

    def _gates_hold(self, phase: str) -> bool:
        judged = planning.judge(self.prepared, phase, self.phases, self.record.get("sign_offs", []))
        self._tell(judged)
        if not gates.stops(judged):
            return True
        self._finish("stopped", "stopped", stop_reason(phase, judged))
        self._skip(phase, "its gates did not hold")
        self.halt = f"the gates of {phase} did not hold"
        return False

    def _phase(self, phase: str) -> None:
        choice, evidence = self._choice(phase)
        if not choice.kept:
            self._forget_from(phase)
        if evidence is not None:
            folder = self.run_dir / "gates"
            folder.mkdir(exist_ok=True)
            record.write_atomic(folder / f"{phase}.json", evidence)
        if choice.kept:
            self._keep(phase)
            return
        entry = self.phases[phase]
        entry["why"] = choice.why
        if choice.inputs:
            add_inputs(entry, choice.inputs)
        if choice.reuse:
            self._take(phase, choice)
        else:
            self._execute(phase, choice)

    def _choice(self, phase: str) -> tuple[Choice, bytes | None]:
        """Decide whether the phase runs; give its gate file too, where it is guarded."""
        guarded = phase in self.pipeline.gates
        evidence = planning.gate_evidence(phase, self.record["gates"]) if guarded else None
        stands = phase in self.standing
        if self.prepared.is_taken(phase):
            if stands and (kept := self.prepared.keep(self.run_dir, phase, self.phases[phase], None)).kept:
                return kept, evidence
            return self.prepared.taken_choice(phase), evidence
        outputs = {name: entry["output_sha256"] or "" for name, entry in self.phases.items()}
        digest = planning.gate_digest(phase, self.record["gates"]) if guarded else None
        inputs = self.prepared.inputs(phase, outputs, digest)
        if phase in self.failed_outcomes:
            return Choice("its outcome was no release", inputs), evidence
        if stands:
            return self.prepared.keep(self.run_dir, phase, self.phases[phase], inputs), evidence
        return self.prepared.choose(phase, inputs), evidence

    def _keep(self, phase: str) -> None:
        """Leave a phase as it was before the run was resumed."""
        executed = self.run_dir / "notebooks" / f"{phase}.ipynb"
        if not executed.with_suffix(".html").is_file():
            render(executed)
        self.events.write("phase-kept", phase=phase)
        self.watcher.phase_skipped(phase, "kept", "it succeeded before, and nothing that it stands for has changed")

    def _forget_from(self, phase: str) -> None:
        """Forget what an earlier runner of this run left of this phase and of all after it."""
        if not self.record.get("resumed_at"):
            return
        names = list(self.phases)
        for name in names[names.index(phase) :]:
            self.phases[name] = new_entry(self.pipeline, name, self.prepared.params[name])
            beginning.clear(self.run_dir, name)
        self.standing = []

    def _take(self, phase: str, choice: Choice) -> None:
        """Bring the results of an earlier run over into this one."""
        started = time.monotonic()
        reuse = choice.reuse
        if reuse is None:
            raise ValueError(f"there is nothing to take for {phase}")
        try:
            planning.copy_results(reuse, phase, self.run_dir)
        except planning.Changed as error:
            beginning.clear(self.run_dir, phase)
            self.phases[phase]["why"] = str(error)
            self._execute(phase, Choice(str(error), choice.inputs))
            return
        entry = reuse.entry.copy()
        entry["status"], entry["why"] = "cached", choice.why
        entry["cached_from"] = reuse.entry["cached_from"] or reuse.run_id
        entry["started_at"], entry["seconds"] = record.now(), round(time.monotonic() - started, 3)
        if choice.inputs:  # the notebook's prose may differ
            entry["notebook"] = self.phases[phase]["notebook"]
            entry["params"] = self.phases[phase]["params"]
        self.phases[phase] = entry
        if "by" in entry:  # who made what the run stands on is an author of it, too
            self.record["authors"] = list(dict.fromkeys([*self.record.get("authors", []), entry["by"]]))
        self._save()
        self.events.write("phase-cached", phase=phase, cached_from=entry["cached_from"])
        self.watcher.phase_skipped(phase, "cached", choice.why)

    def _execute(self, phase: str, choice: Choice) -> None:
        entry = self.phases[phase]
        entry["by"] = identity.who()
        self.engine.expect(phase, partial(self._ahead, phase), self.watcher)
        self._keep_job()
        if self.prepared.request.detach and self.engine.remote:
            raise _Left
        job = self._job(phase)
        self.events.write("phase-started", phase=phase, why=choice.why)
        self.watcher.phase_started(phase, choice.why)
        run_job(self.engine, job, entry, self.pipeline.scraps.get(phase, {}), self.events, self.watcher, self._save)
        if entry["cause"] == "disk-full":
            record.free_reserve(self.run_dir)
        self._save()
        self.events.write("phase-ended", phase=phase, status=entry["status"], cause=entry["cause"])
        self.watcher.phase_ended(phase, entry["status"], entry["seconds"] or 0.0, entry["message"])
        render(job.executed)
        if entry["cause"] == "interrupted":
            raise KeyboardInterrupt
        if entry["status"] == "failed":
            self._finish("failed", "failed", f"{phase} failed: {entry['message']}")
            self.halt = f"{phase} failed"

    def _keep_job(self) -> None:
        """Write down which job elsewhere runs what is ahead, once: one that is found again may not say where it is."""
        job, known = self.engine.submitted, self.record.get("jobs", [])
        if job and all(one["name"] != job["name"] for one in known):
            self.record["jobs"] = [*known, job]
            self._save()

    def _ahead(self, phase: str) -> Ahead:
        phases = tuple(planning.ahead(self.prepared, phase, self.phases, self.record["gates"]))
        code = frozenset(name for one in phases for name in self.prepared.code(one))
        return Ahead(
            self.run_dir,
            self.pipeline,
            self.prepared.params,
            phases,
            code,
            self.record,
            self.prepared.request.timeout,
        )

    def _job(self, phase: str) -> Job:
        output = self.run_dir / phase
        output.mkdir()
        reserved = {"output_dir": str(output), "run_id": self.run_dir.name}
        if phase in self.pipeline.gates:
            reserved[GATES_PATH] = str(self.run_dir / "gates" / f"{phase}.json")
        folders = {name: self.run_dir / name for name in self.pipeline.edges[phase]}
        notebook = self.pipeline.notebooks[phase]
        values = injected(notebook, self.prepared.params[phase], folders, reserved)
        executed = self.run_dir / "notebooks" / f"{phase}.ipynb"
        job = new_job(
            self.pipeline,
            phase,
            parameters=values,
            output_dir=output,
            executed=executed,
            timeout=self.prepared.request.timeout,
            secrets=self.secrets[phase],
            redactor=self.redactor,
            reserve=self.run_dir / record.RESERVE,
        )
        return replace(job, retries=0) if self.engine.remote else job

    def _skip(self, phase: str, why: str) -> None:
        self._forget_from(phase)
        self.phases[phase]["status"], self.phases[phase]["why"] = "skipped", why
        self.watcher.phase_skipped(phase, "skipped", why)

    def _end(self, status: record.RunStatus, cause: record.Cause, reason: str) -> None:
        """Leave no phase pending or running in a record that is about to be final."""
        at_work = next((phase for phase in self.phases if self.phases[phase]["status"] in ("running", "failed")), None)
        reason += f", in {at_work}" if at_work else ""
        for phase, entry in self.phases.items():
            if entry["status"] == "running":
                entry["status"], entry["cause"], entry["message"] = "failed", cause, reason
            elif entry["status"] == "pending":
                self._skip(phase, reason)
        self._finish(status, status, reason)

    def _finish(self, status: record.RunStatus, verdict: Any, reason: str) -> None:
        self.record["status"] = status
        self.record["decision"] = {"verdict": verdict, "reason": reason}
        self._save()

    def _save(self) -> None:
        record.save(self.run_dir, self.redactor.value(self.record))

    def _report(self) -> None:
        from runner.report import write_report

        self.record["finished_at"] = record.now()
        self.record["seconds"] = round((self.record["seconds"] or 0.0) + time.monotonic() - self.started, 3)
        self._save()
        self.events.write("run-ended", status=self.record["status"])
        write_report(self.run_dir)
        record.free_reserve(self.run_dir)


def stop_reason(phase: str, judged: list[GateEntry]) -> str:
    """Say in one sentence which rule keeps a phase from starting, or the run from being a release."""
    failing = [gate for gate in judged if gate["verdict"] in record.STOPPING]
    what = gates.said(failing[0]) if failing[0]["scrap"] else failing[0]["reason"]
    more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
    if phase == gates.OUTCOME:
        return f"all phases ended as planned, but the outcome is no release: {what}{more}"
    return f"the gates of {phase} stopped the run: {what}{more}"


def _failed_outcomes(earlier: Record) -> set[str]:
    """Name the phases whose results kept a run from being a release: kept or copied, they would do so again."""
    judged = (gate for gate in earlier["gates"] if gate["phase"] == gates.OUTCOME and gate["verdict"] == "fail")
    return {(gate["scrap"] or "").partition(".")[0] for gate in judged}


def _success(found: Record, prepared: Prepared) -> tuple[str, str]:
    """Say what a run comes to whose phases all ended well."""
    if prepared.request.last and prepared.request.last != prepared.pipeline.order[-1]:
        return "incomplete", f"it ended after {prepared.request.last}, as asked (--to {prepared.request.last})"
    judged = [gate for gate in found["gates"] if gate["verdict"] != "not-applicable"]
    aside = [gate["reason"] for gate in found["gates"] if gate["verdict"] == "not-applicable"]
    if not prepared.pipeline.gates:
        return "succeeded", f"all {len(found['phases'])} phases succeeded; the pipeline has no gates"
    if not judged:
        return "incomplete", f"all {len(found['phases'])} phases succeeded, but no gate judged them"
    waived = [gate["scrap"] or "" for gate in judged if gate["verdict"] == "waived"]
    reason = f"{len(judged) - len(waived)} of {len(judged)} gates passed"
    reason += f"; {len(waived)} waived: {', '.join(waived)}" if waived else ""
    return "release", reason + (f"; {len(aside)} not applicable: {', '.join(dict.fromkeys(aside))}" if aside else "")


def render(executed: Path, *, report: bool = True) -> None:
    """Write the HTML of an executed notebook beside it, with a link to the run's report where there is one."""
    from runner.render import notebook_html

    if not executed.is_file():
        return  # it died elsewhere and left none
    notebook_html(executed, executed.with_suffix(".html"), report=report)
