"""Many short runs at the same time: starts them, waits for them, and finds what hangs, fails, mixes or stays behind."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil

from tests.project import ROOT
from tests.runner.conftest import GLUE, write_notebook

MARK = re.compile(rb"mark-\d{4}-[0-9a-f]{8}")
LINES = 300  # that each run prints
CELLS = [
    f"import sys, time\nfrom pathlib import Path\n{GLUE}",
    f"for n in range({LINES}):\n    print(mark, n, flush=n % 10 == 0)",
    "time.sleep(number % 5 / 10)\nprint(mark, file=sys.stderr)",
    'Path(output_dir, "mark.txt").write_text(mark)\nglue("mark", mark)\nglue("number", number)',
]
WHO = "TREY_TEST_CROWD"  # environment variable by which the processes of a crowd are known


@dataclass(frozen=True)
class Run:
    """One run of a crowd: its project, the folder that is its own, what it is called and what it is to say."""

    project: Path
    own: Path
    run_id: str
    number: int
    mark: str
    words: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return self.project / "runs" / self.run_id


@dataclass
class Outcome:
    """What came of a crowd: seconds until the last had ended, those of each run, and what was wrong, by kind."""

    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return self.hung + self.failed + self.mixed + self.left


def new_mark(number: int) -> str:
    return f"mark-{number:04d}-{secrets.token_hex(4)}"


def make_project(folder: Path, number: int, mark: str) -> Path:
    """Write a project of one phase whose notebook says `mark` in its parameters and in a cell of its own."""
    parameters = f'number: int = {number}\nmark: str = "{mark}"\noutput_dir: str = "../out"'
    write_notebook(folder / "notebooks" / "work.ipynb", *CELLS, f"mark == {mark!r}", parameters=parameters)
    (folder / "params").mkdir()
    (folder / "params" / "pipeline.yaml").write_text("phases: [work]\n", encoding="utf-8")
    return folder


def separate(folder: Path, count: int) -> list[Run]:
    """Make a project for each of these runs."""
    runs = []
    for number in range(count):
        mark = new_mark(number)
        project = make_project(folder / f"project-{number}", number, mark)
        runs.append(Run(project, project, mark, number, mark))
    return runs


def at_once(runs: list[Run], limit: float) -> Outcome:
    """Start all of them at the same time, wait up to `limit` seconds for the last, and look at what came of them."""
    outcome, who = Outcome(), secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="crowd-") as temporary:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": temporary, WHO: who}
        began = time.monotonic()
        children = [_start(run, environment) for run in runs]
        for run, child in zip(runs, children, strict=True):
            try:
                child.wait(max(0.0, began + limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                outcome.hung.append(f"{run.run_id} did not end within {limit:g} s")
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        outcome.seconds = time.monotonic() - began
        outcome.left += _processes(who)
        outcome.left += [f"{path.name} is left in the temporary folder" for path in Path(temporary).iterdir()]
    for run, child in zip(runs, children, strict=True):
        if child.returncode:
            said = (run.own / f"{run.run_id}.said").read_text(encoding="utf-8")
            outcome.failed.append(f"{run.run_id} ended with {child.returncode}: {said[-2000:]}")
        else:
            outcome.each.append(json.loads((run.folder / "run.json").read_text(encoding="utf-8"))["seconds"])
            outcome.failed += [f"{run.run_id}: {fault}" for fault in _wrong(run)]
        outcome.mixed += [f"{run.run_id}: {fault}" for fault in _foreign(run)]
        outcome.left += [f"{run.run_id}: {path} is left" for path in _left(run)]
    return outcome


def _start(run: Run, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    words = ["run", "--run-id", run.run_id, *run.words]
    with (run.own / f"{run.run_id}.said").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *words],
            cwd=run.project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wrong(run: Run) -> Iterator[str]:
    """Tell what of its own a run that ended well does not say."""
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    entry = record["phases"]["work"]
    if record["status"] != "succeeded" or entry["status"] not in ("succeeded", "cached"):
        yield f"its record says {record['status']}, and of its phase {entry['status']}"
    scraps = {name: scrap["value"] for name, scrap in entry["scraps"].items()}
    if scraps != {"mark": run.mark, "number": run.number}:
        yield f"its scraps are {scraps}"
    written = run.folder / "work" / "mark.txt"
    if not written.is_file() or written.read_text(encoding="utf-8") != run.mark:
        yield "its output does not hold its mark"
    cells = nbformat.read(run.folder / "notebooks" / "work.ipynb", as_version=4).cells
    printed = {out.name: out.text for cell in cells for out in cell.get("outputs", []) if out.output_type == "stream"}
    if printed != {"stdout": "".join(f"{run.mark} {n}\n" for n in range(LINES)), "stderr": f"{run.mark}\n"}:
        yield "its notebook does not hold what it printed"
    for line in (run.folder / "events.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line)


def _foreign(run: Run) -> Iterator[str]:
    """Tell which files of a run hold the mark of another one."""
    for path in sorted({*run.own.rglob("*"), *run.folder.rglob("*")}):
        others = {found.decode() for found in MARK.findall(path.read_bytes())} - {run.mark} if path.is_file() else set()
        if others:
            yield f"{path} holds {', '.join(sorted(others))}"


def _left(run: Run) -> Iterator[str]:
    """Give what lies where a run should leave nothing: sockets beside the notebook, files half written."""
    yield from {path.name for path in run.project.iterdir()} - {"notebooks", "params", "runs", f"{run.run_id}.said"}
    yield from {path.name for path in (run.project / "notebooks").iterdir()} - {"work.ipynb"}
    for path in run.folder.rglob("*"):
        hidden = path.name.startswith(".") and path.name != ".lock"
        if hidden or not (path.is_file() or path.is_dir()):
            yield str(path.relative_to(run.folder))


def _processes(who: str) -> list[str]:
    """Give the processes of a crowd that are still there after a moment."""
    deadline = time.monotonic() + 5
    while (found := list(_alive(who))) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in found:
        process.kill()
    return [f"process {process.pid} is left" for process in found]


def _alive(who: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(WHO) == who:
                yield process
        except (psutil.Error, OSError):
            continue
