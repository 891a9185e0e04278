"""Faults of unattended notebooks: what papermill and what `trey` leave on disk, each on the same fault.

A notebook of three cells writes a trace of what really happened: which cell began, which ended. The same notebook is
executed by `papermill` and by `trey`, both as commands, and then only files are read. What they say is held against the
trace.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from tests.project import ROOT

PHASE = "work"
PLANTED = "pa55-of-the-store"
PARAMETERS = """
trace: str = ""  # where each cell leaves its trace
days: int = 7  # days to look back
password: str = ""  # of the store
output_dir: str = "."  # where this phase writes
"""
GLUE = """
from IPython.display import display
def glue(name, data):
    payload = {"name": name, "data": data, "encoder": "json", "version": 1}
    display({"application/scrapbook.scrap.json+json": payload}, metadata={"scrapbook": {"name": name}}, raw=True)
glue("quality", 0.99)
"""
BOUND = 0.95
PIPELINE = f"""
phases: [work, release]
gates: {{release: [{{scrap: work.quality, min: {BOUND}}}]}}
scraps: {{work: {{quality: how good it is}}}}
"""
TOLD = "the failure is told"
MARKS = "each cell is marked as it ended"
WHY = "the reason is there"
METRIC = "a metric from before does not count"
REFUSED = "nothing starts"
HIDDEN = "the secret is nowhere"
SECOND = "the second runner refuses"
_REASON = re.compile(r"[\w .()]+")
REFUSAL = 2  # exit code: the request was wrong, nothing started
WAIT = 60  # seconds for anything to happen


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: What happens, for the table.
        cell: The source of the middle cell.
        reason: What the reason on disk must match.
        guard: Which guard of the runner, taken away, lets the fault through (tests/end_to_end/unguarded.py).
        checks: What must hold of what is left.
        sent: A signal for the runner while the middle cell runs.
        papermill: Words for papermill besides the usual ones.
        trey: Words for trey besides the usual ones.
        twice: Whether a second runner is started on the same place.
    """

    name: str
    cell: str
    guard: str
    reason: str = ""
    checks: tuple[str, ...] = (TOLD, MARKS, WHY, METRIC)
    sent: signal.Signals | None = None
    papermill: tuple[str, ...] = ()
    trey: tuple[str, ...] = ()
    twice: bool = False


SLEEP = "import time; time.sleep(45)"
FAULTS = (
    Fault("a cell raises", "1 / 0", "stop at an error", "ZeroDivisionError"),
    Fault("`sys.exit(0)` in a cell", "import sys; sys.exit(0)", "stop at an error", r"sys\.exit|SystemExit"),
    Fault("the kernel is killed", "import os; os.kill(os.getpid(), 9)", "true marks", "SIGKILL"),
    Fault("the kernel ends by itself", "import os; os._exit(0)", "true marks", "exit code 0"),
    Fault(
        "time is up", f"def stuck():\n    {SLEEP}\nstuck()", "the stack of the kernel", r"\bstuck\b",
        papermill=("--execution-timeout", "3"), trey=("--timeout", "4"),
    ),
    Fault("SIGTERM for the runner", SLEEP, "signals are caught", "signal|KeyboardInterrupt", sent=signal.SIGTERM),
    Fault("Ctrl-C", SLEEP, "signals are caught", "signal|KeyboardInterrupt", sent=signal.SIGINT),
    Fault("the runner is killed", SLEEP, "the next command settles it", "killed", sent=signal.SIGKILL),
    Fault("no space is left for a cell", "open('/dev/full', 'w').write('x' * 9999)", "stop at an error", "No space"),
    Fault(
        "a misspelt parameter", "1", "unknown parameters are refused", checks=(REFUSED,),
        papermill=("-p", "dayz", "30"), trey=("--set", "work.dayz=30"),
    ),
    Fault(
        "a parameter of another type", "1", "types are checked", checks=(REFUSED,),
        papermill=("-r", "days", "thirty"), trey=("--set", "work.days=thirty"),
    ),
    Fault(
        "a metric is glued twice", "glue('quality', 0.2); glue('quality', 0.99)", "scraps are checked",
        checks=(METRIC,),
    ),
    Fault(
        "a cell prints a secret", "print(password)", "secrets are redacted", checks=(HIDDEN,),
        papermill=("-r", "password", PLANTED), trey=("--set", "work.password=env:PASSWORD_OF_THE_STORE"),
    ),
    Fault("two runners on one place", SLEEP.replace("45", "4"), "a run folder is held", checks=(SECOND,), twice=True),
)  # fmt: skip


@dataclass
class Left:
    """What a runner left on disk, read from its files alone.

    Attributes:
        exit_code: Of the command.
        truth: What became of the three cells: completed, failed or pending, by the trace.
        marks: What the output notebook says of them.
        failed: Whether a program that reads the files learns that it failed.
        reason: What a person reads there about why.
        counts: Whether the metric would pass a gate.
        leaked: The files that hold the secret.
        second: The exit code of a second runner on the same place.
    """

    exit_code: int
    truth: list[str]
    marks: list[str]
    failed: bool
    reason: str
    counts: bool
    leaked: list[str] = field(default_factory=list)
    second: int | None = None

    def untrue(self, fault: Fault) -> list[str]:
        """Name the checks of a fault that do not hold."""
        holds = {
            TOLD: self.exit_code != 0 and self.failed,
            MARKS: self.marks == self.truth,
            WHY: bool(re.search(fault.reason, self.reason)),
            METRIC: not self.counts,
            REFUSED: self.exit_code != 0 and set(self.truth) == {"pending"},
            HIDDEN: not self.leaked,
            SECOND: self.second == REFUSAL,
        }
        return [check for check in fault.checks if not holds[check]]

    def told(self, fault: Fault) -> str:
        """Say in a few words what is left, as far as the fault's checks look at it; what is not so stands in bold."""
        untrue = self.untrue(fault)
        pairs = zip(self.marks, self.truth, strict=False)
        found = _REASON.search(re.search(fault.reason, self.reason)[0]) if WHY not in untrue else None
        words = {
            TOLD: f"exit {self.exit_code}, {'a failure' if self.failed else 'no failure'} recorded",
            MARKS: "cells " + ", ".join(mark if mark == true else f"**{mark}**" for mark, true in pairs),
            WHY: f"reason: {found[0]}" if found else "no reason",
            METRIC: "the metric counts" if self.counts else "the metric does not count",
            REFUSED: f"exit {self.exit_code}, {'nothing ran' if set(self.truth) == {'pending'} else 'all cells ran'}",
            HIDDEN: f"in clear in {', '.join(self.leaked)}" if self.leaked else "redacted",
            SECOND: f"the second ends with exit {self.second}",
        }
        return "; ".join(
            f"**{words[check]}**" if check in untrue and check != MARKS else words[check] for check in fault.checks
        )


def with_papermill(fault: Fault, folder: Path) -> Left:
    """Execute the notebook with papermill, and read what is left."""
    source, trace, out = _notebook(fault, folder), folder / "trace", folder / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(source), str(out), "--no-progress-bar", "--cwd", str(folder)]
    command += ["-k", "python3", "-r", "trace", str(trace), *fault.papermill]
    code, second = _executed(fault, [command, command], folder, trace)
    if not out.is_file():
        return Left(code, _truth(trace), [], False, "", False)
    document = nbformat.read(out, as_version=4)
    own = document.metadata.papermill
    errors = [output for cell in document.cells for output in cell.get("outputs", []) if output.output_type == "error"]
    failed = bool(own.get("exception")) or bool(errors)
    reason = "\n".join(line for error in errors for line in (error.ename, error.evalue, *error.traceback))
    counts = _quality(out) >= BOUND and not failed
    return Left(code, _truth(trace), _marks(document), failed, reason, counts, _leaks(folder), second)


def _quality(path: Path) -> float:
    """Read the metric as scrapbook does, which is how papermill's users read it."""
    import scrapbook

    return float(scrapbook.read_notebook(str(path)).scraps.data_dict.get("quality", 0.0))


def with_trey(fault: Fault, folder: Path, *, guarded: bool = True) -> Left:
    """Execute the notebook with trey, and read what is left after the next command; or without the fault's guard."""
    trace, run_dir = folder / "trace", folder / "runs" / "one"
    _project(fault, folder)
    trey = ["-m", "runner"] if guarded else ["-m", "tests.end_to_end.unguarded", fault.guard]
    words = ["run", "--set", f"work.trace={trace}", "--run-id", "one", *fault.trey]
    command, again = [sys.executable, *trey, *words], [sys.executable, *trey, *words]
    code, second = _executed(fault, [command, again], folder, trace)
    subprocess.run(
        [sys.executable, *trey, "show", "one"], cwd=folder, env=_environment(), capture_output=True, check=False
    )
    if not (run_dir / "run.json").is_file():
        return Left(code, _truth(trace), [], False, "", False)
    found = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    entry = found["phases"][PHASE]
    document = nbformat.read(run_dir / "notebooks" / f"{PHASE}.ipynb", as_version=4)
    banner = "did not succeed" in document.cells[0].source
    failed = entry["status"] == "failed" and found["status"] in ("failed", "interrupted") and banner
    reason = f"{entry['message']} {(entry['error'] or {}).get('traceback_tail', '')}"
    counts = found["phases"]["release"]["status"] == "succeeded"
    return Left(code, _truth(trace), _marks(document), failed, reason, counts, _leaks(run_dir), second)


def _notebook(fault: Fault, folder: Path) -> Path:
    document = nbformat.v4.new_notebook()
    document.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    tagged = {"tags": ["parameters"]}
    document.cells.append(nbformat.v4.new_code_cell(PARAMETERS.strip(), metadata=tagged))
    for number, source in enumerate((GLUE, fault.cell, "'after'"), start=1):
        traced = (
            f'open(trace, "a").write("begin {number}\\n")\n{source.strip()}\nopen(trace, "a").write("end {number}\\n")'
        )
        document.cells.append(nbformat.v4.new_code_cell(traced))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PHASE}.ipynb"
    nbformat.write(document, path)
    return path


def _project(fault: Fault, folder: Path) -> None:
    (folder / "params").mkdir(parents=True)
    (folder / "params" / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    _notebook(fault, folder / "notebooks")
    document = nbformat.v4.new_notebook()
    source = 'work_dir: str = ""\noutput_dir: str = ""'
    document.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]}))
    nbformat.write(document, folder / "notebooks" / "release.ipynb")


def _environment() -> dict[str, str]:
    return os.environ | {"PASSWORD_OF_THE_STORE": PLANTED, "PYTHONPATH": str(ROOT)}


def _executed(fault: Fault, commands: Sequence[list[str]], folder: Path, trace: Path) -> tuple[int, int | None]:
    """Start the runner, let the fault happen, and give the exit codes of the runner and of a second one."""
    quiet = subprocess.DEVNULL
    first = subprocess.Popen(
        commands[0], cwd=folder, env=_environment(), stdout=quiet, stderr=quiet, start_new_session=True
    )
    second = None
    try:
        if fault.sent or fault.twice:
            _wait_for(trace, "begin 2")
        if fault.sent:
            time.sleep(0.3)
            first.send_signal(fault.sent)
        if fault.twice:
            done = subprocess.run(
                commands[1], cwd=folder, env=_environment(), stdout=quiet, stderr=quiet, timeout=WAIT, check=False
            )
            second = done.returncode
        return first.wait(timeout=WAIT), second
    finally:
        first.kill()


def _wait_for(trace: Path, line: str) -> None:
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        if trace.is_file() and line in trace.read_text(encoding="utf-8"):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{line!r} never came")


def _truth(trace: Path) -> list[str]:
    lines = trace.read_text(encoding="utf-8").splitlines() if trace.is_file() else []
    ended = {f"end {number}": "completed" for number in (1, 2, 3)}
    return [
        ended[f"end {number}"] if f"end {number}" in lines else "failed" if f"begin {number}" in lines else "pending"
        for number in (1, 2, 3)
    ]


def _marks(document: nbformat.NotebookNode) -> list[str]:
    """Give the marks of the three cells that leave a trace."""
    cells = [cell for cell in document.cells if cell.cell_type == "code" and cell.source.startswith("open(trace")]
    return [cell.metadata.get("papermill", {}).get("status") or "pending" for cell in cells]


def _leaks(folder: Path) -> list[str]:
    """Name the files that hold the secret in clear."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path.name for path in found if PLANTED.encode() in path.read_bytes()]
