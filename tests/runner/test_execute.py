import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from papermill.execute import remove_error_markers
from papermill.iorw import load_notebook_node

from runner import memory
from runner.execute import CellEvent, Outcome, execute
from runner.notebook import own_cells

from .conftest import GLUE, write_notebook


def cells(path: Path) -> list[nbformat.NotebookNode]:
    return own_cells(nbformat.read(path, as_version=4))


def marks(path: Path) -> list[str]:
    return [cell.metadata.papermill.status for cell in cells(path)]


def ran(tmp_path: Path, *cells: str, timeout: float | None = None) -> Outcome:
    source = write_notebook(tmp_path / "in" / "fixture.ipynb", *cells)
    outcome = execute(source, tmp_path / "out.ipynb", {}, timeout=timeout)
    nbformat.validate(nbformat.read(tmp_path / "out.ipynb", as_version=4))
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["fixture.ipynb"]
    return outcome


def test_parameters_are_injected_and_the_kernel_is_ours(tmp_path: Path) -> None:
    source = write_notebook(
        tmp_path / "in" / "where.ipynb",
        "import os, sys\nprint(os.getcwd(), sys.executable, name)",
        parameters='name: str = "a"\nother: int = 1',
    )
    events: list[CellEvent] = []
    outcome = execute(source, tmp_path / "out.ipynb", {"name": 'b"\\é'}, on_cell=events.append)
    assert outcome == Outcome()
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert executed.cells[2].outputs[0].text == f'{tmp_path}/in {sys.executable} b"\\é\n'
    assert executed.cells[1].metadata.tags == ["injected-parameters"]
    assert executed.metadata.papermill.parameters == {"name": 'b"\\é'}
    assert marks(tmp_path / "out.ipynb") == ["completed"] * 3
    printed = events.pop(-2)
    assert (printed.kind, printed.number, printed.first_line) == (
        "printed", 3, f'{tmp_path}/in {sys.executable} b"\\é',
    )  # fmt: skip
    assert [(event.kind, event.cell, event.number, event.total) for event in events] == [
        (kind, cell, cell + 1, 3) for cell in range(3) for kind in ("started", "ended")
    ]
    assert events[-1].first_line == "import os, sys"
    assert events[-1].seconds is not None


def test_a_cell_error_ends_it_and_what_never_ran_is_pending(tmp_path: Path) -> None:
    outcome = ran(tmp_path, "#|prose", "x = 1", "raise KeyError('no such part')", "print(2)")
    assert (outcome.cause, outcome.message) == ("cell-error", "KeyError in cell 2: 'no such part'")
    assert outcome.error
    assert (outcome.error["cell"], outcome.error["ename"]) == (2, "KeyError")
    assert "\x1b" not in outcome.error["traceback_tail"]
    assert outcome.error["traceback_tail"].endswith("KeyError: 'no such part'")
    assert marks(tmp_path / "out.ipynb") == ["completed", "completed", "failed", "pending"]


def test_an_assertion_without_a_message_is_told_by_its_line(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "n.ipynb", "total = 3", "print(total)\nassert total == 4")
    outcome = execute(source, tmp_path / "out.ipynb", {})
    assert outcome.message == "AssertionError in cell 1: assert total == 4"


def test_bad_input_has_a_cause_of_its_own(tmp_path: Path) -> None:
    outcome = ran(tmp_path, "class BadInput(Exception): pass", "raise BadInput('row 3: no label')")
    assert (outcome.cause, outcome.message) == ("bad-input", "row 3: no label")


def test_a_full_disk_has_a_cause_of_its_own(tmp_path: Path) -> None:
    outcome = ran(tmp_path, "import errno, os\nraise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))")
    assert outcome.cause == "disk-full"


def test_leaving_early_is_no_success(tmp_path: Path) -> None:
    outcome = ran(tmp_path, "import sys\nsys.exit(0)", "print(2)")
    assert outcome.cause == "cell-error"
    assert outcome.message == "cell 0 ended the notebook with sys.exit(0); the cells after it never ran"
    assert marks(tmp_path / "out.ipynb") == ["failed", "pending"]


def test_an_expected_exception_is_no_failure(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "expected.ipynb", "1 / 0", "2")
    document = nbformat.read(source, as_version=4)
    document.cells[0].metadata["tags"] = ["raises-exception"]
    nbformat.write(document, source)
    assert execute(source, tmp_path / "out.ipynb", {}) == Outcome()


def test_a_killed_kernel_is_told_and_what_never_ran_is_pending(tmp_path: Path) -> None:
    outcome = ran(
        tmp_path, "print('before')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "print('after')"
    )
    assert outcome.cause == "kernel-died"
    assert outcome.message
    assert outcome.message.startswith("the kernel was killed by SIGKILL")
    assert outcome.message.endswith(" in cell 1")
    assert marks(tmp_path / "out.ipynb") == ["completed", "failed", "pending"]
    assert cells(tmp_path / "out.ipynb")[0].outputs[0].text == "before\n"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([5, 6], " for want of memory: the system counted the kill"),
        ([5, 5], ", not for want of memory: the system counted no such kill"),
        ([None, None], " (too little memory is a common reason; this system does not tell)"),
    ],
)
def test_a_kill_for_want_of_memory_is_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counts: list[int | None], said: str
) -> None:
    monkeypatch.setattr(memory, "oom_kills", iter(counts).__next__)
    outcome = ran(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert outcome.message == f"the kernel was killed by SIGKILL{said} in cell 0"


def test_a_banner_stands_on_top_of_a_notebook_that_failed(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "in" / "fixture.ipynb", "1", "raise ValueError('~~~ <b>')", "2", "3")
    execute(source, tmp_path / "out.ipynb", {})
    banner = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0]
    assert banner.source == (
        "**This notebook did not succeed** (cell-error). 2 of 4 code cells never ran.\n\n"
        "~~~\nValueError in cell 1:  <b>\n~~~"
    )
    document = load_notebook_node(str(tmp_path / "out.ipynb"))
    remove_error_markers(document)  # as papermill does before it runs a notebook again
    assert len(document.cells) == 4

    assert ran(tmp_path / "good", "1") == Outcome()
    assert len(nbformat.read(tmp_path / "good" / "out.ipynb", as_version=4).cells) == 1


def test_a_kernel_that_ends_itself_is_told(tmp_path: Path) -> None:
    outcome = ran(tmp_path, "import os\nos.write(2, b'last words\\n')\nos._exit(7)", "1")
    assert outcome.cause == "kernel-died"
    assert outcome.message
    assert outcome.message.startswith("the kernel ended by itself with exit code 7 in cell 0")


def test_time_is_for_all_cells_together(tmp_path: Path) -> None:
    started = time.monotonic()
    outcome = ran(tmp_path, "import time\nprint('first')\ntime.sleep(0.8)", "time.sleep(60)", "1", timeout=1.5)
    assert (outcome.cause, outcome.message) == ("timeout", "time was up after 1.5 s in cell 1")
    assert outcome.error
    assert outcome.error["cell"] == 1
    assert marks(tmp_path / "out.ipynb") == ["completed", "failed", "pending"]
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 1), (60, 1), (0.5, 0.5)])
def test_a_cell_may_have_a_limit_of_its_own(tmp_path: Path, timeout: float | None, seconds: float) -> None:
    source = write_notebook(tmp_path / "limited.ipynb", "x = 1", "import time\ntime.sleep(60)")
    document = nbformat.read(source, as_version=4)
    document.cells[1].metadata["tags"] = ["other", "timeout=1"]
    nbformat.write(document, source)
    outcome = execute(source, tmp_path / "out.ipynb", {}, timeout=timeout)
    where = "" if outcome.error is None else f" in cell {outcome.error['cell']}"
    assert (outcome.cause, outcome.message) == ("timeout", f"time was up after {seconds:g} s{where}")


def test_when_time_is_up_the_stack_says_where_it_was(tmp_path: Path) -> None:
    code = "import time\ndef inner():\n    time.sleep(60)\ndef outer():\n    inner()\nouter()"
    outcome = ran(tmp_path, code, timeout=3)
    assert outcome.error
    stack = outcome.error["traceback_tail"]
    assert stack.startswith("Current thread")
    assert stack.index(" in inner") < stack.index(" in outer")


def test_a_kernel_that_holds_the_interpreter_tells_its_stack_too(tmp_path: Path) -> None:
    code = "import ctypes\ndef stuck():\n    ctypes.PyDLL(None).sleep(60)  # does not let other threads run\nstuck()"
    outcome = ran(tmp_path, code, timeout=3)
    assert outcome.error
    assert " in stuck" in outcome.error["traceback_tail"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_the_kernel_and_saves_what_ran(tmp_path: Path, number: signal.Signals) -> None:
    """Sent while the cell runs: in this very process, as a terminal does."""
    before = {sent: signal.getsignal(sent) for sent in (signal.SIGINT, signal.SIGTERM)}
    source = write_notebook(tmp_path / "long.ipynb", "print('before')", "import time\ntime.sleep(60)", "1")

    def on_cell(event: CellEvent) -> None:
        if event.kind == "started" and event.cell == 1:
            threading.Timer(0.3, os.kill, (os.getpid(), number)).start()

    outcome = execute(source, tmp_path / "out.ipynb", {}, on_cell=on_cell)
    assert (outcome.cause, outcome.message) == ("interrupted", "a signal ended it in cell 1")
    assert marks(tmp_path / "out.ipynb") == ["completed", "failed", "pending"]
    assert {sent: signal.getsignal(sent) for sent in before} == before


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the kernel, not what its cells started, not the sockets; also where the temporary folder has a long path."""
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    source = write_notebook(
        tmp_path / "starts.ipynb", "import os, subprocess\nprint(os.getpid(), subprocess.Popen(['sleep', '600']).pid)"
    )
    assert execute(source, tmp_path / "out.ipynb", {}) == Outcome()
    pids = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0].outputs[0].text.split()
    deadline = time.monotonic() + 5
    while any(alive(int(pid)) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in pids if alive(int(pid))] == []
    assert list(long.iterdir()) == []


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_file_beside_the_notebook_hides_nothing_from_the_kernel(tmp_path: Path) -> None:
    for name in ("signal", "random", "tempfile", "traitlets"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('mine')\n", encoding="utf-8")
    (tmp_path / "helper.py").write_text("x = 1\n", encoding="utf-8")
    source = write_notebook(tmp_path / "fixture.ipynb", "import helper\nassert helper.x == 1")
    assert execute(source, tmp_path / "out.ipynb", {}) == Outcome()


def test_a_flood_of_output_is_cut_and_lies_in_a_log(tmp_path: Path) -> None:
    assert ran(tmp_path, "for n in range(30_000):\n    print('x' * 99)", "print('a\\rb')") == Outcome()
    flooded, collapsed = cells(tmp_path / "out.ipynb")
    [printed] = flooded.outputs
    assert len(printed.text) < 2_100_000
    assert "characters are left out here; out.cell-0.stdout.log has all" in printed.text
    assert (tmp_path / "out.cell-0.stdout.log").read_text(encoding="utf-8") == ("x" * 99 + "\n") * 30_000
    assert [output.text for output in collapsed.outputs] == ["b\n"]


def test_a_burst_of_messages_loses_none(tmp_path: Path) -> None:
    assert ran(tmp_path, "for n in range(20_000):\n    print(n, flush=True)") == Outcome()
    [printed] = cells(tmp_path / "out.ipynb")[0].outputs
    assert printed.text == "".join(f"{n}\n" for n in range(20_000))


def test_an_installed_kernelspec_is_not_asked(tmp_path: Path) -> None:
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": ["/nowhere/python"], "display_name": "x", "language": "python"})
    )
    source = write_notebook(tmp_path / "one.ipynb", "1")
    script = "import sys; from pathlib import Path; from runner.execute import execute\n"
    script += "print(execute(Path(sys.argv[1]), Path(sys.argv[2]), {}).cause)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(tmp_path / "out.ipynb")],
        env=os.environ | {"JUPYTER_PATH": str(tmp_path / "jupyter")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None\n"


def test_many_cells_do_not_take_quadratic_time(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "many.ipynb", *["x = 1"] * 150)
    started = time.monotonic()
    assert execute(source, tmp_path / "out.ipynb", {}) == Outcome()
    assert time.monotonic() - started < 10


def test_what_killed_runners_left_in_the_temporary_folder_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    for name in ("dead", "alive", "young"):
        folder = tmp_path / "t" / f"trey-kernel-{name}"
        folder.mkdir(parents=True)
        (folder / "lock").touch()
        (folder / "kernel.json").touch()
        if name != "young":
            os.utime(folder, (1, 1))
    (tmp_path / "t" / "trey-kernel-of-somebody-else").mkdir()
    with (tmp_path / "t" / "trey-kernel-alive" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert ran(tmp_path, "1") == Outcome()
    left = sorted(path.name for path in (tmp_path / "t").iterdir())
    assert left == ["trey-kernel-alive", "trey-kernel-of-somebody-else", "trey-kernel-young"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_while_the_kernel_ends_waits_for_that(tmp_path: Path, number: signal.Signals) -> None:
    slow = "import atexit, time\natexit.register(time.sleep, 1.5)"

    def on_cell(event: CellEvent) -> None:
        if event.kind == "ended":
            threading.Timer(0.6, os.kill, (os.getpid(), number)).start()

    source = write_notebook(tmp_path / "slow.ipynb", slow)
    outcome = execute(source, tmp_path / "out.ipynb", {}, on_cell=on_cell)
    assert (outcome.cause, outcome.message) == ("interrupted", "a signal ended it after its last cell")
    assert marks(tmp_path / "out.ipynb") == ["completed"]


def test_a_notebook_runs_where_python_leaves_the_working_folder_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert ran(tmp_path, "1") == Outcome()


def test_papermill_and_scrapbook_take_what_it_writes(tmp_path: Path) -> None:
    """Also the notebook of a failure: papermill takes the banner away and executes it again."""
    import scrapbook

    fails = "import os\nassert os.environ.get('MENDED')"
    source = write_notebook(tmp_path / "fixture.ipynb", f"{GLUE}\nglue('n', n)", fails, parameters="n: int = 1")
    assert execute(source, tmp_path / "out.ipynb", {"n": 2}).cause == "cell-error"
    out, again = str(tmp_path / "out.ipynb"), str(tmp_path / "again.ipynb")
    command = [sys.executable, "-m", "papermill", out, again, "-p", "n", "3", "-k", "python3", "--no-progress-bar"]
    subprocess.run(command, env=os.environ | {"MENDED": "1"}, check=True, capture_output=True)
    read = scrapbook.read_notebook(str(tmp_path / "again.ipynb"))
    assert read.scraps.data_dict == {"n": 3}
    assert [cell.cell_type for cell in read.node.cells] == ["code"] * 4
