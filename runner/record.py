"""The record of a run, `runs/<run-id>/run.json`: its shape, and how it is written, read, listed and found.

Only light modules are imported, so that listing runs takes no time.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from runner.errors import BadRecord, NoSuchRun, RunBusy

SCHEMA = 1
FILE = "run.json"
REPORT = "report.html"
PARAMS = "params.yaml"
LOCK = ".lock"
RESERVE = ".reserve"
_LOOKS = 10
_RESERVED = 512 * 1024  # bytes
_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")
_HEAD = 2048  # bytes of a record in which its time of creation stands
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")

RunStatus = Literal["running", "succeeded", "stopped", "failed", "interrupted", "detached"]
PhaseStatus = Literal["pending", "running", "succeeded", "cached", "failed", "skipped"]
Cause = Literal[
    "cell-error", "kernel-died", "timeout", "interrupted", "disk-full", "bad-input", "leaked-secret", "internal"
]
Verdict = Literal["pass", "fail", "inconclusive", "waived", "not-applicable"]
USABLE: tuple[PhaseStatus, ...] = ("succeeded", "cached")
STOPPING: tuple[Verdict, ...] = ("fail", "inconclusive")


class Source(TypedDict):
    """Where the code came from. `commit` and `dirty` are null where there is no git, or no repository."""

    commit: str | None
    dirty: bool | None
    lock_sha256: str | None


class NotebookEntry(TypedDict):
    """A phase's notebook. `path` is relative to the project; `code_sha256` leaves prose, comments and outputs out."""

    path: str
    source_sha256: str
    code_sha256: str
    cells: int
    code_cells: int


class ScrapEntry(TypedDict):
    """A glued value and the index of its cell in the executed notebook. With a `fault` it is no evidence."""

    value: Any
    cell: int
    description: NotRequired[str]
    fault: NotRequired[str]


class DisplayEntry(TypedDict):
    """A glued picture or table: an output of this cell whose metadata.scrapbook has this name."""

    name: str
    cell: int


class CellFailure(TypedDict):
    """What a cell raised, and the index of that cell in the executed notebook."""

    cell: int
    ename: str
    evalue: str
    traceback_tail: str


class ExternalState(TypedDict):
    """The state of a place outside the run, as the phase left it: a sha256, or "absent"."""

    uri: str
    sha256: str


class AttemptEntry(TypedDict):
    """A kernel that died before the phase started again; `<phase>.attempt-N.ipynb` says how far it came."""

    message: str
    seconds: float


class PhaseEntry(TypedDict):
    """One phase of a run."""

    status: PhaseStatus
    cause: Cause | None
    message: str | None
    why: str
    started_at: str | None
    seconds: float | None
    key: str | None
    cached_from: str | None
    notebook: NotebookEntry
    params: dict[str, Any]
    inputs: dict[str, str]
    code: dict[str, str]
    external: list[ExternalState]
    output_sha256: str | None
    scraps: dict[str, ScrapEntry]
    displays: list[DisplayEntry]
    error: CellFailure | None
    attempts: NotRequired[list[AttemptEntry]]
    by: NotRequired[str]
    python: NotRequired[str]
    lock_sha256: NotRequired[str | None]


class GateEntry(TypedDict):
    """One rule, judged. `scrap` is null where a guarded phase has no rules."""

    phase: str
    scrap: str | None
    rule: dict[str, Any]
    value: Any
    bound: Any
    verdict: Verdict
    reason: str
    estimate: NotRequired[Any]
    n: NotRequired[Any]
    about: NotRequired[str]
    why: NotRequired[str]
    waiver: NotRequired["SignOff"]


class Decision(TypedDict):
    """What the run comes to, in one word and one sentence."""

    verdict: Literal["release", "succeeded", "stopped", "failed", "interrupted", "detached", "incomplete"]
    reason: str


class PipelineEntry(TypedDict):
    """The pipeline that ran: phases in order, what each reads, and the words for what they glue."""

    phases: list[str]
    edges: dict[str, list[str]]
    scraps: dict[str, dict[str, str]]


class SignOff(TypedDict):
    """What a person decided about a run, bound to a digest: it is void for any other.

    The subject of an approval or a rejection is an environment, that of a waiver is the scrap of a rule. An approval is
    bound to the release manifest too, and expires; a waiver is bound to the rule and the value that was judged.
    """

    kind: Literal["approval", "rejection", "waiver"]
    subject: str
    by: str
    at: str
    comment: str
    digest: str
    release_sha256: NotRequired[str]
    release_parts: NotRequired[dict[str, str]]
    expires_at: NotRequired[str]
    rule: NotRequired[dict[str, Any]]
    value: NotRequired[Any]


class ReleaseEntry(TypedDict):
    """An attempt to release this run to an environment. `folder` is relative to the run's.

    `before` is the digest of what was live there when it began, empty for nothing; `switched` says whether it brought
    its model there, however it ended. Each is absent where nobody could tell, as where the runner was killed.
    `taken_back` is when `trey rollback --of` took back what it had brought.
    """

    environment: str
    folder: str
    status: Literal["running", "succeeded", "rolled-back", "stopped", "failed", "interrupted"]
    reason: str
    by: str
    at: str
    seconds: float | None
    release_sha256: str
    before: NotRequired[str]
    switched: NotRequired[bool]
    taken_back: NotRequired[str]


class JobEntry(TypedDict):
    """A job that an engine submitted: its name, where it runs, and where people look at it; empty where unknown."""

    name: str
    workspace: str
    link: str


class RequestEntry(TypedDict):
    """What was asked for, as far as `trey resume` needs it besides the parameters, which stand with the phases."""

    pipeline: str
    first: str | None
    last: str | None
    taken_from: str | None
    fresh: bool
    timeout: float | None
    workspace: NotRequired[str | None]


class Record(TypedDict):
    """The whole of run.json. Times are UTC, ISO 8601; durations are seconds, of a run those of all its runners."""

    schema: int
    run_id: str
    status: RunStatus
    engine: str
    created_at: str
    finished_at: str | None
    seconds: float | None
    resumed_at: NotRequired[list[str]]
    command: str
    why: NotRequired[str]  # what it was run for, as whoever started it said
    request: NotRequired[RequestEntry]
    runner: dict[str, Any]
    source: Source
    params_sha256: str
    pipeline: PipelineEntry
    phases: dict[str, PhaseEntry]
    gates: list[GateEntry]
    decision: Decision | None
    authors: NotRequired[list[str]]
    sign_offs: NotRequired[list[SignOff]]
    releases: NotRequired[list[ReleaseEntry]]
    jobs: NotRequired[list[JobEntry]]


def now() -> str:
    """Give the time as the record writes it: UTC, to the millisecond, so that runs sort by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minute(time: str) -> str:
    """Give a time of the record as people read it: 2026-11-23 10:15 UTC."""
    return f"{time[:16].replace('T', ' ')} UTC"


def new_run_id() -> str:
    """Make a name that sorts by time and does not meet another: 20261123-101500-3f2a."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file so that a reader sees the old bytes or the new ones, also after a crash in between.

    Args:
        path: The file; its folder exists.
        content: All of its bytes.
        durable: Wait until they are on the disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_temporary(folder: Path) -> None:
    """Delete what a process that was killed in the middle of `write_atomic` left in a folder."""
    for path in folder.glob(".*"):
        if is_temporary(path):
            path.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Tell whether a file is one that `write_atomic` had not finished."""
    return bool(_TEMPORARY.fullmatch(path.name))


def keep_reserve(run_dir: Path) -> None:
    """Hold some space, so that a run that fills the disk can still say so."""
    write_atomic(run_dir / RESERVE, bytes(_RESERVED), durable=False)


def free_reserve(run_dir: Path) -> None:
    """Give up what `keep_reserve` holds."""
    (run_dir / RESERVE).unlink(missing_ok=True)


def save(run_dir: Path, record: Record) -> None:
    """Write a run's record, atomically."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(run_dir / FILE, f"{text}\n".encode())


def load(run_dir: Path) -> Record:
    """Read a run's record. A run whose runner died is given as interrupted; the file stays as it is.

    Raises:
        NoSuchRun: The folder has no record.
        BadRecord: The record cannot be read.
    """
    path = run_dir / FILE
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoSuchRun(f"{run_dir} holds no run: there is no {FILE} in it", next_step="trey runs") from None
    except ValueError as error:
        raise BadRecord(f"{path} is no JSON: {error}", next_step="trey runs") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise BadRecord(f"{path} has schema {found!r}; this version reads {SCHEMA}", next_step="trey runs")
    if lacking := _lacking(record):
        raise BadRecord(f"{path} lacks {', '.join(lacking)}", next_step="trey runs")
    if (is_releasing(record) or record["status"] == "running") and not is_held(run_dir):
        end_releases(record)
        return abandoned(record) if record["status"] == "running" else record
    return record


def end_releases(record: Record) -> None:
    """Say of releases whose runner is gone that they were interrupted."""
    for entry in record.get("releases", []):
        if entry["status"] == "running":
            entry["status"], entry["reason"] = "interrupted", "the runner ended without finishing its record"


def may_have_switched(entry: ReleaseEntry) -> bool:
    """Tell whether a release brought its model there; where nobody could tell, it may have."""
    return entry.get("switched", "before" in entry)


def is_in_doubt(entry: ReleaseEntry) -> bool:
    """Tell whether a release ended otherwise than well and its model may be live all the same."""
    return entry["status"] in ("failed", "interrupted") and may_have_switched(entry) and "taken_back" not in entry


def why_ended(entry: ReleaseEntry) -> str:
    """Say why a release ended as it did, and whether its model is live; empty where there is nothing to say."""
    said = [entry["reason"]] if entry["reason"] else []
    if is_in_doubt(entry):
        answers = "answered with its model all the same" if "switched" in entry else "may answer with its model"
        said.append(f"{entry['environment']} {answers}")
    if "taken_back" in entry:
        said.append(f"taken back {minute(entry['taken_back'])}")
    return "; ".join(said)


def doubtful(record: Record, environment: str | None = None) -> ReleaseEntry | None:
    """Give the last release that counts, if its model may be live although it did not end well; else None.

    One that brought nothing does not count.

    Args:
        record: Of the run.
        environment: Where; None for anywhere.
    """
    entries = [one for one in record.get("releases", []) if environment in (None, one["environment"])]
    counting = [one for one in entries if may_have_switched(one) or one["status"] not in ("failed", "interrupted")]
    return counting[-1] if counting and is_in_doubt(counting[-1]) else None


def is_releasing(record: Record) -> bool:
    """Tell whether a record says that a release is at work."""
    return any(entry["status"] == "running" for entry in record.get("releases", []))


@contextlib.contextmanager
def amend(run_dir: Path) -> Iterator[Record]:
    """Hold a run, give its record to be changed, and write it when the block ends well.

    Raises:
        RunBusy: A runner is at work in this run.
        NoSuchRun: The folder has no record.
        BadRecord: The record cannot be read.
    """
    with hold(run_dir):
        found = load(run_dir)
        yield found
        save(run_dir, found)


def is_complete(run_dir: Path, record: Record) -> bool:
    """Tell whether a run went to its end, report included, and left nothing that could go on."""
    finished = record["finished_at"] is not None and (run_dir / REPORT).is_file()
    return record["status"] == "succeeded" and finished


def _lacking(record: Record) -> list[str]:
    """Name what a record lacks to be one: written by an early version, or by hand."""
    lacking = sorted(Record.__required_keys__ - set(record))
    phases = record.get("phases")
    for phase, entry in phases.items() if isinstance(phases, dict) else ():
        known = set(entry) if isinstance(entry, dict) else set()
        lacking += [f"phases.{phase}.{key}" for key in sorted(PhaseEntry.__required_keys__ - known)]
    return lacking


def list_runs(runs_dir: Path) -> list[Path]:
    """List the folders that hold a run, newest first."""
    if not runs_dir.is_dir():
        return []
    return [path for _, _, path in sorted(_dated(runs_dir), reverse=True)]


def history(runs_dir: Path) -> Iterator[tuple[Path, Record]]:
    """Read the runs one after the other, newest first; those that cannot be read are left out."""
    for path in list_runs(runs_dir):
        try:
            yield path, load(path)
        except (BadRecord, NoSuchRun):
            continue


def is_run(path: str) -> bool:
    """Tell whether a text is the path of a run folder; a name alone is none."""
    return "/" in path and (Path(path) / FILE).is_file()


def find(runs_dir: Path, name: str) -> Path:
    """Find the folder of a run by its id, the unique beginning of one, or "last".

    Raises:
        NoSuchRun: None or several were found; the message says which come near.
    """
    runs = list_runs(runs_dir)
    if not runs:
        raise NoSuchRun(f"there are no runs in {runs_dir}", next_step="trey run")
    if name == "last":
        return runs[0]
    matches = [path for path in runs if path.name == name] or [path for path in runs if path.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(path.name for path in matches[:5])
        raise NoSuchRun(f"{name!r} is the beginning of {len(matches)} runs: {names}", next_step="trey runs")
    near = get_close_matches(name, [path.name for path in runs], n=1)
    instead = f"did you mean {near[0]}?" if near else f"the newest is {runs[0].name}"
    raise NoSuchRun(f"there is no run {name!r} in {runs_dir}; {instead}", next_step="trey runs")


@contextlib.contextmanager
def hold(run_dir: Path) -> Iterator[None]:
    """Hold a run folder for one runner. The system lets go when the process ends, however it ends.

    Raises:
        RunBusy: Another process holds it.
    """
    with (run_dir / LOCK).open("a") as file:
        for attempt in range(_LOOKS):  # somebody may just be looking whether it is held
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _LOOKS - 1:
                    said = f"another runner is at work in {run_dir}{_at_work(run_dir)}"
                    raise RunBusy(said, next_step=f"trey show {run_dir.name}") from None
                time.sleep(0.01)
        yield


def _at_work(run_dir: Path) -> str:
    """Say what a run that is held does; empty where its record does not tell."""
    try:
        found = load(run_dir)
    except (NoSuchRun, BadRecord):
        return ""
    for entry in found.get("releases", []):
        if entry["status"] == "running":
            return f": it is released to {entry['environment']} for {entry['by']}, since {minute(entry['at'])}"
    for phase, one in found["phases"].items():
        if one["status"] == "running":
            return f": {phase} runs, since {minute(str(one['started_at']))}"
    return ""


def is_held(run_dir: Path) -> bool:
    """Tell whether a living runner holds this run folder."""
    try:
        file = (run_dir / LOCK).open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def exit_code(record: Mapping[str, Any], *, fail_on_stop: bool = False) -> int:
    """Give the exit code that a finished run ends with: 0, 1, 3, 4, 5 or 130."""
    if record["status"] == "stopped":
        return 3 if fail_on_stop else 0
    if record["status"] == "interrupted":
        return 130
    if record["status"] == "failed":
        causes = {phase["cause"] for phase in record["phases"].values() if phase["status"] == "failed"}
        return 4 if "kernel-died" in causes else 5 if "timeout" in causes else 1
    return 0


def _dated(runs_dir: Path) -> Iterator[tuple[str, str, Path]]:
    """Give (time of creation, name, folder) of each run; a record that cannot be read sorts as the oldest."""
    for path in runs_dir.iterdir():
        try:
            with (path / FILE).open("rb") as file:
                head = file.read(_HEAD)
        except (FileNotFoundError, NotADirectoryError):
            continue
        created = re.search(rb'"created_at":\s*"([^"]*)"', head)
        yield created[1].decode() if created else "", path.name, path


def abandoned(record: Record) -> Record:
    """Give the record of a run whose runner is gone, as an interrupted one."""
    reason = "the runner ended without finishing its record: killed, or the machine went down"
    record["status"] = "interrupted"
    record["decision"] = {"verdict": "interrupted", "reason": reason}
    for phase in record["phases"].values():
        if phase["status"] == "running":
            phase["status"], phase["cause"], phase["message"] = "failed", "interrupted", reason
        elif phase["status"] == "pending":
            phase["status"] = "skipped"
    return record
