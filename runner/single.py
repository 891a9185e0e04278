"""Runs one phase with folders it is given: what every engine runs on its own machine."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import engines, fingerprint, gates, parameters, planning, record, references, scraps, signals, workspaces
from runner.errors import BadRequest, RunFailed
from runner.fingerprint import RESERVED_FOLDER
from runner.lifecycle import Watcher, render, stop_reason
from runner.phase import Events, injected, new_entry, new_job, run_job
from runner.pipeline import Pipeline, did_you_mean, load_pipeline, locate
from runner.record import GateEntry, PhaseEntry, SignOff
from runner.references import Secret

FILE = "phase.json"
NOTEBOOK = "notebook.ipynb"
SIGN_OFFS = "sign_offs.json"
SIGN_OFFS_PATH = "sign_offs_path"
_NO_RECORD = (OSError, ValueError, LookupError, TypeError, AttributeError)  # what reading some other file raises


@dataclass(frozen=True)
class Request:
    """What `trey phase` or `trey release` was asked for.

    Attributes:
        folders: `<phase>_dir=PATH`.
        values: Parameters that an earlier run had, with absolute paths; `files` and `sets` are not looked at then.
        sign_offs: What the phase finds in the file that its parameter sign_offs_path names; without it, none.
        run_id: What the phase is told as the run that it belongs to.
        why: Why it runs, for the record.
    """

    name: str
    cwd: Path
    out: Path
    folders: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    sets: tuple[str, ...] = ()
    engine: str = "local"
    timeout: float | None = None
    pipeline: Path | None = None
    values: Mapping[str, Any] | None = None
    sign_offs: bytes | None = None
    run_id: str = ""
    why: str = "asked for with trey phase"


@dataclass(frozen=True)
class Judgement:
    """What is known of the folders that a phase is given, and what its gates come to.

    Attributes:
        evidence: The entries of the phases that wrote the folders.
        earlier: What was judged before.
        new: What was judged now, of the phase itself.
    """

    evidence: dict[str, PhaseEntry]
    earlier: list[GateEntry]
    new: list[GateEntry]

    @property
    def gates(self) -> list[GateEntry]:
        """All of it, in order."""
        return [*self.earlier, *self.new]


def judge(pipeline: Pipeline, name: str, folders: Mapping[str, Path]) -> Judgement:
    """Judge the gates of a phase from what stands beside the folders it is given; missing evidence fails.

    Args:
        pipeline: The pipeline.
        name: The phase.
        folders: The output folder of each phase it reads.
    """
    evidence, judged, sign_offs = _evidence(pipeline, folders)
    evidence = {phase: evidence[phase] for phase in pipeline.every if phase in evidence}
    new = gates.judge(name, pipeline.gates[name], evidence, sign_offs) if name in pipeline.gates else []
    return Judgement(evidence, judged, new)


def run(request: Request, watcher: Watcher) -> dict[str, Any]:
    """Run the phase, write what came of it to `_phase/phase.json` in its output folder, and give that.

    Raises:
        BadRequest: Something is wrong with the request; nothing has started.
    """
    pipeline, folders, params, out = _prepared(request)
    name, own = request.name, out / RESERVED_FOLDER
    secrets = references.resolve(parameters.secret_references({name: params}, [name]))
    judgement = judge(pipeline, name, folders)
    own.mkdir(parents=True)
    entry = new_entry(pipeline, name, params)
    entry["why"] = request.why
    found: dict[str, Any] = {
        "schema": record.SCHEMA,
        "phase": name,
        "engine": request.engine,
        "created_at": record.now(),
        "phases": {**judgement.evidence, name: entry},
        "gates": judgement.gates,
        "decision": None,
    }
    for gate in judgement.new:
        watcher.gate(gate)
    if gates.stops(judgement.new):
        reason = stop_reason(name, judgement.new)
        entry["status"], found["decision"] = "skipped", {"verdict": "stopped", "reason": reason}
        watcher.phase_skipped(name, "skipped", found["decision"]["reason"])
        _save(own, found)
        return found
    with signals.terminable():
        _guarded(request, pipeline, folders, secrets, found, watcher)
    return found


def exit_code(found: Mapping[str, Any], *, fail_on_stop: bool = False) -> int:
    """Give the exit code that a finished phase ends with."""
    entry = found["phases"][found["phase"]]
    status = {"skipped": "stopped", "failed": "failed"}.get(entry["status"], "succeeded")
    status = "interrupted" if entry["cause"] == "interrupted" else status
    return record.exit_code({"status": status, "phases": {found["phase"]: entry}}, fail_on_stop=fail_on_stop)


def summary(found: Mapping[str, Any]) -> str:
    """Say in a line or two how the phase ended."""
    entry = found["phases"][found["phase"]]
    reason = found["decision"]["reason"] if found["decision"] else entry["message"]
    return f"{found['phase']} {entry['status']}" + (f": {reason}" if reason else f" in {entry['seconds']:.1f} s")


def _prepared(request: Request) -> tuple[Pipeline, dict[str, Path], dict[str, Any], Path]:
    if engines.choose(request.engine).remote:
        fault = f"--engine {request.engine} runs whole lifecycles; a phase alone runs where it is called"
        raise BadRequest(fault, next_step=f"trey run --engine {request.engine}")
    pipeline = load_pipeline(locate(request.pipeline, request.cwd))
    step = f"trey phase {request.name} --help"
    if request.name not in pipeline.every:
        fault = f"there is no phase {request.name}; {did_you_mean(request.name, pipeline.every)}"
        raise BadRequest(fault, next_step="trey plan")
    if request.values is None:
        named = parameters.resolve(pipeline, request.files, request.sets, request.cwd, [request.name])
        resolved = workspaces.absolute(pipeline, named, [request.name], None)
    else:
        values = {request.name: request.values}
        resolved = parameters.resolve_again(pipeline, f"the run's {record.PARAMS}", values, [request.name])
    params = resolved[request.name]
    edges = [f"{name}_dir" for name in pipeline.edges[request.name]]
    faults, folders = [], {}
    for text in request.folders:
        name, _, path = text.partition("=")
        folder = (request.cwd / path).resolve()
        if name not in edges:
            faults.append(f"--in {text}: {request.name} reads no {name}; {did_you_mean(name, edges)}")
        elif not path or not folder.is_dir():
            faults.append(f"--in {text}: {folder} is no folder")
        else:
            folders[name.removesuffix("_dir")] = folder
    given = {text.partition("=")[0] for text in request.folders}
    faults += [f"{request.name} reads {name}; give --in {name}=PATH" for name in edges if name not in given]
    out = (request.cwd / request.out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        faults.append(f"--out {request.out} exists and is not empty")
    if faults:
        raise BadRequest(*faults, next_step=step)
    return pipeline, folders, params, out


def _evidence(
    pipeline: Pipeline, folders: Mapping[str, Path]
) -> tuple[dict[str, PhaseEntry], list[GateEntry], list[SignOff]]:
    """Find what is known of the given folders: `_phase/phase.json` inside of them, or the run.json beside them.

    An entry counts only while the folder still has the digest that the entry records, and the executed notebook its
    scraps. What people decided stands in a run.json alone.
    """
    known: dict[str, PhaseEntry] = {}
    judged: dict[str, GateEntry] = {}
    decided: dict[str, SignOff] = {}
    for name, folder in folders.items():
        own, run_dir = folder / RESERVED_FOLDER, folder.parent
        for path, executed in (
            (own / FILE, own / NOTEBOOK),
            (run_dir / record.FILE, run_dir / "notebooks" / f"{name}.ipynb"),
        ):
            with contextlib.suppress(*_NO_RECORD):
                found = json.loads(path.read_text(encoding="utf-8"))
                entry = found["phases"][name]
                upstream = (*pipeline.before(name), name)
                earlier = {_identity(gate): gate for gate in found["gates"] if gate["phase"] in upstream}
                same = entry["output_sha256"] == fingerprint.folder_digest(folder) and "status" in entry
                if same and scraps.agree(executed, entry["scraps"]):
                    known[name] = entry
                    judged |= earlier
                    signed: Any = found.get("sign_offs", [])
                    decided |= {json.dumps(one, sort_keys=True): one for one in signed if "kind" in one}
                    break
    return known, list(judged.values()), list(decided.values())


def _identity(gate: GateEntry) -> str:
    return json.dumps([gate["phase"], gate["scrap"], gate["rule"]], sort_keys=True)


def _guarded(  # noqa: PLR0913, PLR0917  # what `run` found out
    request: Request,
    pipeline: Pipeline,
    folders: Mapping[str, Path],
    secrets: Mapping[str, Mapping[str, Secret]],
    found: dict[str, Any],
    watcher: Watcher,
) -> None:
    """Execute the phase; whatever happens meanwhile, its entry says how it ended."""
    entry, redactor = found["phases"][request.name], references.redactor(secrets)
    own = (request.cwd / request.out).resolve() / RESERVED_FOLDER
    try:
        _execute(request, pipeline, folders, secrets, found, watcher)
    except KeyboardInterrupt:
        entry["status"], entry["cause"], entry["message"] = "failed", "interrupted", "a signal ended it"
    except Exception as error:
        said = redactor.text(f"the runner failed: {type(error).__name__}: {error}")
        entry["status"], entry["cause"], entry["message"] = "failed", "internal", said
        raise RunFailed(said, next_step=f"trey phase {request.name} --help") from error
    finally:
        own.mkdir(parents=True, exist_ok=True)  # a notebook may delete the folder it was given
        _save(own, redactor.value(found))


def _execute(  # noqa: PLR0913, PLR0917  # what `run` found out
    request: Request,
    pipeline: Pipeline,
    folders: Mapping[str, Path],
    secrets: Mapping[str, Mapping[str, Secret]],
    found: dict[str, Any],
    watcher: Watcher,
) -> None:
    name, entry = request.name, found["phases"][request.name]
    out = (request.cwd / request.out).resolve()
    own = out / RESERVED_FOLDER
    reserved = {"output_dir": str(out), "run_id": request.run_id}
    if request.sign_offs is not None:
        reserved[SIGN_OFFS_PATH] = str(own / SIGN_OFFS)
        record.write_atomic(own / SIGN_OFFS, request.sign_offs)
    if name in pipeline.gates:
        reserved[planning.GATES_PATH] = str(own / "gates.json")
        record.write_atomic(own / "gates.json", planning.gate_evidence(name, found["gates"]))
    notebook = pipeline.notebooks[name]
    values = injected(notebook, entry["params"], folders, reserved)
    redactor = references.redactor(secrets)
    job = new_job(
        pipeline,
        name,
        parameters=values,
        output_dir=out,
        executed=own / NOTEBOOK,
        timeout=request.timeout,
        secrets=secrets[name],
        redactor=redactor,
    )
    watcher.phase_started(name, entry["why"])
    events, words = Events(own / "events.jsonl", redactor), pipeline.scraps.get(name, {})
    run_job(engines.choose(request.engine), job, entry, words, events, watcher, lambda: _save(own, found))
    watcher.phase_ended(name, entry["status"], entry["seconds"], entry["message"])
    render(job.executed, report=False)


def _save(folder: Path, found: dict[str, Any]) -> None:
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    record.write_atomic(folder / FILE, f"{text}\n".encode())
