"""Decides for each phase whether it must run, and says why; and shows that for a whole run before it starts."""

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import engines, fingerprint, gates, parameters, record, scraps, workspaces
from runner.errors import BadRequest
from runner.fingerprint import Inputs
from runner.gates import Rule
from runner.pipeline import Pipeline, did_you_mean, load_pipeline
from runner.record import USABLE, ExternalState, GateEntry, PhaseEntry, Record, SignOff

GATES_PATH = "gates_path"
ENVIRONMENT = "environment"  # the parameter by which the phase that releases is told where to


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    pipeline: Path
    cwd: Path
    files: tuple[Path, ...] = ()
    sets: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None
    engine: str = "local"
    run_id: str | None = None
    runs: Path | None = None
    fresh: bool = False
    timeout: float | None = None
    command: str = "trey run"
    workspace: str | None = None
    why: str = ""  # what it is run for, such as a request to retrain
    detach: bool = False  # an engine that works elsewhere submits and leaves; `trey resume` collects


@dataclass(frozen=True)
class Reuse:
    """An earlier phase whose results are good for this run too."""

    run_dir: Path
    run_id: str
    entry: PhaseEntry


class Changed(Exception):
    """What was to be taken from an earlier run cannot be: the message says why."""


class Unreadable(Exception):
    """The state of a place outside the run cannot be told: the message says why."""


@dataclass(frozen=True)
class Choice:
    """Whether a phase runs. With `reuse` it does not, nor if it is `kept` from before this very run was resumed."""

    why: str
    inputs: Inputs | None = None
    reuse: Reuse | None = None
    kept: bool = False


@dataclass
class Prepared:
    """A request that was checked: nothing in it is wrong, and nothing has started."""

    request: Request
    pipeline: Pipeline
    params: dict[str, dict[str, Any]]
    runs: Path
    taken: tuple[Path, Record] | None
    lock: str | None
    resumed: Path | None = None  # the folder of this run, if it began before
    _seen: list[tuple[Path, Record]] = field(default_factory=list)
    _unread: Iterator[tuple[Path, Record]] | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """The phases from `--from` up to `--to`."""
        order = self.pipeline.order
        first = order.index(self.request.first) if self.request.first else 0
        last = order.index(self.request.last) if self.request.last else len(order) - 1
        return order[first : last + 1]

    def is_taken(self, phase: str) -> bool:
        """Tell whether `--from` takes this phase from an earlier run."""
        return self.request.first is not None and phase in self.pipeline.before(self.request.first)

    def inputs(self, phase: str, outputs: Mapping[str, str], evidence: str | None) -> Inputs:
        """Collect all that this phase depends on.

        Args:
            phase: Its name.
            outputs: The digest of the output of each phase before it.
            evidence: The digest of its gate file, where it is guarded.
        """
        pipeline, notebook = self.pipeline, self.pipeline.notebooks[phase]
        values = self.params[phase]
        contents = {f"{name}_dir": outputs[name] for name in pipeline.edges[phase]}
        contents |= {
            name: fingerprint.input_digest(value) for name, value in values.items() if parameters.is_input(name)
        }
        contents |= pipeline.given_variables(phase)
        if GATES_PATH in notebook.parameters and evidence is not None:
            contents[GATES_PATH] = evidence
        return Inputs(
            notebook=fingerprint.notebook_digest(notebook),
            params={name: value for name, value in values.items() if not parameters.is_input(name)},
            inputs=contents,
            code=self.code(phase),
            lock=self.lock,
            python=fingerprint.python_version(),
        )

    def code(self, phase: str) -> dict[str, str]:
        """Give the digest of each of the project's files that a phase uses, by its path in the project."""
        pipeline = self.pipeline
        return fingerprint.code_digests(pipeline.notebooks[phase], pipeline.root, pipeline.uses.get(phase, ()))

    def choose(self, phase: str, inputs: Inputs) -> Choice:
        """Look for an earlier run of this phase with the same key whose results still stand, newest first."""
        if self.request.fresh:
            return Choice("asked for with --fresh", inputs)
        rejected = None
        for run_dir, entry in self._earlier(phase):
            if entry["key"] != inputs.key:
                continue
            fault = _fault(self.pipeline, run_dir, phase, entry)
            if fault is None:
                since = entry["cached_from"] or run_dir.name
                return Choice(f"unchanged since {since}", inputs, Reuse(run_dir, run_dir.name, entry))
            rejected = rejected or fault
        return Choice(rejected or self._difference(phase, inputs), inputs)

    def keep(self, run_dir: Path, phase: str, entry: PhaseEntry, inputs: Inputs | None) -> Choice:
        """Decide whether a phase that succeeded before its run was resumed still stands; otherwise say why not.

        Args:
            run_dir: The run's folder.
            phase: The phase's name.
            entry: What the record says of it.
            inputs: What it depends on now; None if `--from` took it from another run.
        """
        fault = _fault(self.pipeline, run_dir, phase, entry)
        if fault is None and inputs and entry["key"] != inputs.key:
            fault = self._changes(phase, entry, inputs)
        return Choice(fault or entry["why"], inputs, kept=fault is None)

    def taken_choice(self, phase: str) -> Choice:
        """Give a phase before `--from`, as the newest run that has all of them left it."""
        if self.taken is None:
            fault = f"{phase} was taken from a run that is gone, and what was taken has changed since"
            raise BadRequest(fault, next_step="trey run")
        run_dir, found = self.taken
        reuse = Reuse(run_dir, found["run_id"], found["phases"][phase])
        return Choice(f"taken from {found['run_id']} (--from {self.request.first})", reuse=reuse)

    def _history(self) -> Iterator[tuple[Path, Record]]:
        """Read earlier runs as far as they are looked at, each once."""
        yield from self._seen
        if self._unread is None:
            self._unread = record.history(self.runs)
        for run_dir, found in self._unread:
            if run_dir != self.resumed and found["status"] != "running":
                self._seen.append((run_dir, found))
                yield run_dir, found

    def _earlier(self, phase: str) -> Iterator[tuple[Path, PhaseEntry]]:
        """Give the earlier entries of a phase that succeeded, newest first."""
        for run_dir, found in self._history():
            entry = found["phases"].get(phase)
            if entry and entry["status"] in USABLE and entry["key"]:
                yield run_dir, entry

    def _difference(self, phase: str, inputs: Inputs) -> str:
        for _, entry in self._earlier(phase):
            return self._changes(phase, entry, inputs)
        for _, found in self._history():
            if phase in found["phases"] and found["phases"][phase]["status"] == "failed":
                return f"it failed in {found['run_id']} and has not succeeded before"
        return "first run"

    def _changes(self, phase: str, entry: PhaseEntry, inputs: Inputs) -> str:
        reasons = fingerprint.differences(phase, self.pipeline.edges[phase], inputs_of(entry), inputs)
        return "; ".join(reasons) or "the way its key is made changed"


def prepare(request: Request) -> Prepared:
    """Check a request as a whole.

    Raises:
        BadRequest: Something is wrong with the pipeline, a parameter or an option.
    """
    pipeline = load_pipeline(request.pipeline)
    check_options(request, pipeline)
    runs = (request.cwd / request.runs).resolve() if request.runs else pipeline.runs
    lock = fingerprint.file_digest(pipeline.lock) if pipeline.lock else None
    prepared = Prepared(request, pipeline, {}, runs, None, lock)
    params = parameters.resolve(pipeline, request.files, request.sets, request.cwd, prepared.asked)
    prepared.params = workspaces.absolute(pipeline, params, prepared.asked, request.workspace)
    if request.first:
        prepared.taken = _taken(pipeline, runs, request.first)
    check_values(prepared)
    return prepared


def ahead(prepared: Prepared, phase: str, entries: Mapping[str, PhaseEntry], judged: Sequence[GateEntry]) -> list[str]:
    """Name the phase that is about to run and those after it that will, as far as that can be told now.

    What reads the output of one of them runs, too; of the others, what an earlier run has is left out.
    """
    outputs = {name: entry["output_sha256"] or "" for name, entry in entries.items() if entry["status"] in USABLE}
    order = prepared.pipeline.order
    found = [phase]
    for name in order[order.index(phase) + 1 :]:
        if name not in prepared.asked:
            continue
        choice = _planned_choice(prepared, name, outputs, judged)
        if choice.reuse is None:
            found.append(name)
        else:
            outputs[name] = choice.reuse.entry["output_sha256"] or ""
    return found


def inputs_of(entry: PhaseEntry) -> Inputs:
    """Read back from the record what a phase's key was made of."""
    return Inputs(
        notebook=entry["notebook"]["code_sha256"],
        params={name: value for name, value in entry["params"].items() if not parameters.is_input(name)},
        inputs=entry["inputs"],
        code=entry["code"],
        lock=entry.get("lock_sha256"),
        python=entry.get("python", ""),
    )


def changed_places(states: Sequence[ExternalState], pipeline: Pipeline) -> list[str]:
    """Name the places outside the run that are no longer as a phase left them, or cannot be read."""
    return [reason for state in states if (reason := _place_reason(state, pipeline))]


def gate_evidence(phase: str, judged: Sequence[GateEntry]) -> bytes:
    """Give the content of a guarded phase's gate file: what was judged up to now, without times."""
    content = {"schema": 1, "phase": phase, "gates": list(judged)}
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def gate_digest(phase: str, judged: Sequence[GateEntry]) -> str:
    """Give the digest of what was decided up to now: each rule, its bound and its verdict.

    What was measured does not count where it is compared with a least or greatest value: a time is another one in
    every run, and a phase that was let in by it need not run again.
    """
    decided = [
        {name: gate.get(name) for name in ("phase", "scrap", "rule", "bound", "verdict", "waiver")}
        | ({"value": gate["value"]} if "equals" in gate["rule"] else {})
        for gate in judged
    ]
    return fingerprint.digest_of({"phase": phase, "gates": decided})


def judge(
    prepared: Prepared, phase: str, entries: Mapping[str, PhaseEntry], sign_offs: Sequence[SignOff] = ()
) -> list[GateEntry]:
    """Judge the gates of a phase, with what people decided about this run; none where it is not guarded."""
    if phase not in prepared.pipeline.gates:
        return []
    return gates.judge(phase, prepared.pipeline.gates[phase], entries, sign_offs)


@dataclass(frozen=True)
class PlannedPhase:
    """What a run would do with one phase.

    Attributes:
        status: run, cached or skipped.
        gates: Its rules, judged where the evidence stands already.
        compute: What it runs on where it runs; empty for this machine.
    """

    name: str
    status: str
    why: str
    after: tuple[str, ...]
    gates: list[dict[str, Any]]
    params: dict[str, Any]
    compute: str


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        phases: Each phase, in order.
        outcome: The rules that must hold after the last one, judged where the evidence stands already; none where it
            would not go as far.
    """

    phases: list[PlannedPhase]
    outcome: list[dict[str, Any]]


def plan(request: Request) -> Plan:
    """Say what a run would do and why. Starts and writes nothing.

    Raises:
        BadRequest: Something is wrong with the request.
    """
    prepared = prepare(request)
    pipeline = prepared.pipeline
    computes = engines.choose(request.engine).computes(pipeline)
    known: dict[str, PhaseEntry] = {}
    outputs: dict[str, str] = {}
    judged: list[GateEntry] = []
    stopped: str | None = None
    planned = []
    for phase in pipeline.order:
        rules = _planned_rules(phase, pipeline.gates[phase], known) if phase in pipeline.gates else []
        if stopped is None and any(rule.get("verdict") in record.STOPPING for rule in rules):
            stopped = f"the gates of {phase} stop the run"
        judged += [rule for rule in rules if "verdict" in rule]  # type: ignore[misc]
        status, why = "skipped", stopped or f"after --to {request.last}"
        if stopped is None and (phase in prepared.asked or prepared.is_taken(phase)):
            choice = _planned_choice(prepared, phase, outputs, judged)
            status, why = "cached" if choice.reuse else "run", choice.why
            if choice.reuse:
                known[phase] = choice.reuse.entry
                outputs[phase] = choice.reuse.entry["output_sha256"] or ""
        values, compute = prepared.params[phase], computes.get(phase, "")
        planned.append(PlannedPhase(phase, status, why, pipeline.edges[phase], rules, values, compute))
    asked = request.last in (None, pipeline.order[-1])
    return Plan(planned, _planned_rules(gates.OUTCOME, pipeline.outcome, known) if pipeline.outcome and asked else [])


def _planned_choice(prepared: Prepared, phase: str, outputs: Mapping[str, str], judged: Sequence[GateEntry]) -> Choice:
    if prepared.is_taken(phase):
        return prepared.taken_choice(phase)
    if new := [name for name in prepared.pipeline.edges[phase] if name not in outputs]:
        return Choice(f"{' and '.join(new)} {'runs' if len(new) == 1 else 'run'} before it")
    references = {ref.phase for rule in prepared.pipeline.gates.get(phase, ()) for ref in rule.references}
    guarded = GATES_PATH in prepared.pipeline.notebooks[phase].parameters
    if guarded and (new := sorted(references - set(outputs))):
        return Choice(f"{' and '.join(new)} {'runs' if len(new) == 1 else 'run'} before it")
    evidence = gate_digest(phase, judged) if phase in prepared.pipeline.gates else None
    return prepared.choose(phase, prepared.inputs(phase, outputs, evidence))


def _planned_rules(phase: str, rules: Sequence[Rule], known: Mapping[str, PhaseEntry]) -> list[dict[str, Any]]:
    """Judge rules whose evidence stands already; give the others as they are written."""
    if all(reference.phase in known for rule in rules for reference in rule.references):
        return [dict(gate) for gate in gates.judge(phase, rules, known)]
    return [
        {"phase": phase, "scrap": str(rule.scrap), "rule": {rule.kind: gates.written(rule.bound)}} for rule in rules
    ]


def check_options(request: Request, pipeline: Pipeline) -> None:
    """Check what was asked for against the pipeline.

    Raises:
        BadRequest: An option names what does not exist; every fault is listed.
    """
    faults = []
    for option, phase in (("--from", request.first), ("--to", request.last)):
        if phase is not None and phase not in pipeline.order:
            faults.append(f"{option} {phase}: there is no such phase; {did_you_mean(phase, pipeline.order)}")
    if not faults and request.first and request.last and request.last in pipeline.before(request.first):
        faults.append(f"--from {request.first} comes after --to {request.last}")
    if request.engine not in engines.ENGINES:
        faults.append(f"--engine {request.engine}: there is none; {did_you_mean(request.engine, engines.ENGINES)}")
    if request.workspace and request.engine == "local":
        faults.append(f"--workspace {request.workspace}: it is for --engine azureml or azureml-v1, and this is local")
    if request.run_id is not None and not record.RUN_ID.fullmatch(request.run_id):
        faults.append(f"--run-id {request.run_id}: allowed are letters, digits, '.', '_' and '-', 80 at most")
    if not faults and request.first:
        earlier = pipeline.before(request.first)
        faults += [
            f"--set {text}: --from {request.first} takes {phase} from an earlier run, so it would change nothing"
            for text in request.sets
            if (phase := text.partition(".")[0].strip()) in earlier
        ]
    if faults:
        raise BadRequest(*faults, next_step="trey run --help")


def check_values(prepared: Prepared) -> None:
    """Check parameters by what they mean together, each of which is well-formed by itself.

    Raises:
        BadRequest: One of them cannot be meant; every fault of one kind is listed.
    """
    _check_environment(prepared.pipeline, prepared.params)
    taken = prepared.taken[1]["phases"] if prepared.taken else {}
    params = {
        phase: taken[phase]["params"] if prepared.is_taken(phase) and phase in taken else values
        for phase, values in prepared.params.items()
    }
    faults: list[str] = []
    for phase, name in prepared.pipeline.checks.items():
        if phase in prepared.asked:
            faults += _checked(phase, name, prepared.pipeline, params)
    if faults and prepared.resumed:
        raise BadRequest(*faults, next_step=f"mend what is named, and type: trey resume {prepared.resumed.name}")
    if faults:
        raise BadRequest(*faults, next_step="trey plan, with the values mended")


def _checked(phase: str, name: str, pipeline: Pipeline, params: Mapping[str, Any]) -> list[str]:
    """Give what the check of a phase finds.

    Raises:
        BadRequest: It cannot be imported, fails, or gives no list of sentences.
    """
    what = f"{pipeline.path.name}: checks.{phase} is {name}, which"
    try:
        check = _function(name, pipeline.root)
    except Exception as error:  # also what the module raises
        fault = f"{what} cannot be imported: {error}"
        raise BadRequest(fault, next_step=f"mend {pipeline.path} and type: trey plan") from error
    step = f"mend {name} and type: trey plan"
    try:
        faults = check(params)
    except Exception as error:
        raise BadRequest(f"{what} fails: {type(error).__name__}: {error}", next_step=step) from error
    if not isinstance(faults, list) or not all(isinstance(fault, str) for fault in faults):
        raise BadRequest(f"{what} gives {faults!r}; it must be a list of sentences", next_step=step)
    return faults


def _check_environment(pipeline: Pipeline, params: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that a run goes to no environment that needs what people decide, who can only do so once it has ended.

    Raises:
        BadRequest: The phase that releases is told another one.
    """
    phase, trial = pipeline.release.phase, pipeline.release.trial
    environment = params.get(phase, {}).get(ENVIRONMENT)
    if trial and environment is not None and environment not in trial:
        fault = f"{phase}.{ENVIRONMENT} is {environment!r}; a run goes to {' or '.join(trial)} alone"
        step = f"trey run, and then trey release RUN --to {environment}"
        raise BadRequest(f"{fault} ({pipeline.path.name}: release: {{trial: …}})", next_step=step)


def _taken(pipeline: Pipeline, runs: Path, first: str) -> tuple[Path, Record] | None:
    """Find the newest run whose phases before `first` all succeeded and still stand."""
    phases = pipeline.before(first)
    rejected = ""
    for run_dir, found in record.history(runs) if phases else ():
        entries = {phase: found["phases"].get(phase) for phase in phases}
        if not all(entry and entry["status"] in USABLE for entry in entries.values()):
            continue
        faults = [
            fault for phase, entry in entries.items() if entry and (fault := _fault(pipeline, run_dir, phase, entry))
        ]
        if not faults:
            return run_dir, found
        rejected = rejected or f"; of {run_dir.name}, {faults[0]}"
    if not phases:
        return None
    raise BadRequest(
        f"--from {first}: no run in {runs} has {', '.join(phases)} as they were recorded{rejected}",
        next_step=f"trey run --to {phases[-1]}",
    )


def _fault(pipeline: Pipeline, run_dir: Path, phase: str, entry: PhaseEntry) -> str | None:
    """Say why the results of an earlier run no longer stand; None where they do."""
    if fingerprint.path_digest(run_dir / phase) != entry["output_sha256"]:
        return f"the output in {run_dir.name} no longer matches its digest"
    executed = run_dir / "notebooks" / f"{phase}.ipynb"
    if not executed.is_file():
        return f"the executed notebook in {run_dir.name} is gone"
    if not scraps.agree(executed, entry["scraps"]):
        return f"the executed notebook in {run_dir.name} does not hold the scraps of its record"
    return "; ".join(changed_places(entry["external"], pipeline)) or None


def place_state(uri: str, pipeline: Pipeline) -> str:
    """Read the state of a place outside the run, as it is now: a sha256, or "absent".

    Raises:
        Unreadable: Nobody reads such places, or whoever does fails.
    """
    scheme = uri.partition(":")[0]
    if scheme not in pipeline.external:
        raise Unreadable(f"{place_name(uri)} has no reader under `external` in {pipeline.path.name}")
    try:
        return str(_function(pipeline.external[scheme], pipeline.root)(uri))
    except Exception as error:
        raise Unreadable(f"{place_name(uri)} could not be read ({type(error).__name__}: {error})") from error


def place_name(uri: str) -> str:
    """Name a place outside the run without the folder or the server that it is in."""
    scheme, _, rest = uri.partition(":")
    return f"{scheme}:{rest.rpartition('#')[2] or rest}"


def _place_reason(state: ExternalState, pipeline: Pipeline) -> str | None:
    """Say why a place is no longer as a phase left it; one that cannot be read is a reason to run again, no failure."""
    try:
        now = place_state(state["uri"], pipeline)
    except Unreadable as error:
        return str(error)
    if now == state["sha256"]:
        return None
    return f"{place_name(state['uri'])} {'is gone' if now == fingerprint.ABSENT else 'changed'}"


def _function(function: str, root: Path) -> Callable[[Any], Any]:
    """Import a function that pipeline.yaml names; the project's own modules are found first."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    module, _, name = function.partition(":")
    found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return found


def copy_results(reuse: Reuse, phase: str, run_dir: Path) -> None:
    """Copy a phase's output and notebook into another run, and make sure that what arrived is what was recorded.

    Raises:
        Changed: It changed in the meantime, or is no longer there.
    """
    try:
        shutil.copytree(reuse.run_dir / phase, run_dir / phase, symlinks=True)
    except shutil.Error as error:
        raise Changed(f"the output in {reuse.run_id} could not be copied ({error.args[0][0][2]})") from None
    except FileNotFoundError:
        raise Changed(f"the output in {reuse.run_id} is gone") from None
    if fingerprint.path_digest(run_dir / phase) != reuse.entry["output_sha256"]:
        raise Changed(f"the output in {reuse.run_id} changed while it was copied")
    for suffix in ("ipynb", "html"):
        source = reuse.run_dir / "notebooks" / f"{phase}.{suffix}"
        if source.is_file():
            shutil.copy2(source, run_dir / "notebooks" / source.name)
