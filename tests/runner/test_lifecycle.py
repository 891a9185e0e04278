import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import lifecycle, planning, record
from runner.errors import BadRequest, RunFailed
from runner.record import Record

from .conftest import Project


def statuses(found: Record) -> dict[str, str]:
    return {phase: entry["status"] for phase, entry in found["phases"].items()}


def whys(found: Record) -> dict[str, str]:
    return {phase: entry["why"] for phase, entry in found["phases"].items()}


def test_a_run_leaves_all_of_it_in_its_folder(chain: Project) -> None:
    found = chain.run(run_id="first", sets=("make.number=3",))
    assert found == json.loads((chain.run_dir / "run.json").read_text(encoding="utf-8"))
    assert sorted(path.name for path in chain.run_dir.iterdir() if path.name != ".lock") == [
        "events.jsonl", "gates", "make", "notebooks", "params.yaml", "report.html", "run.json", "use"
    ]  # fmt: skip
    assert sorted(path.name for path in (chain.run_dir / "notebooks").iterdir()) == [
        "make.html", "make.ipynb", "use.html", "use.ipynb"
    ]  # fmt: skip
    assert (chain.run_dir / "use" / "twice.txt").read_text() == "6.0"
    assert (chain.run_dir / "params.yaml").read_text() == "make:\n  number: 3\n  source: ''\nuse: {}\n"
    assert (found["status"], statuses(found)) == ("succeeded", {"make": "succeeded", "use": "succeeded"})
    assert found["decision"] == {"verdict": "release", "reason": "1 of 1 gates passed"}
    assert found["source"] == {"commit": None, "dirty": None, "lock_sha256": None}
    make = found["phases"]["make"]
    assert make["scraps"] == {"number": {"value": 3, "cell": 3, "description": "what was written"}}
    assert make["notebook"]["path"] == "notebooks/make.ipynb"
    assert list(make["code"]) == ["notebooks/helper.py"]
    assert (make["why"], make["params"], make["error"]) == ("first run", {"number": 3, "source": ""}, None)
    assert found["phases"]["use"]["inputs"]["make_dir"] == make["output_sha256"]
    gates = json.loads((chain.run_dir / "gates" / "use.json").read_text())
    assert gates == {"schema": 1, "phase": "use", "gates": found["gates"]}
    assert found["gates"] == [
        {"phase": "use", "scrap": "make.number", "rule": {"min": 1}, "value": 3, "bound": 1, "verdict": "pass",
         "reason": "3 ≥ 1", "why": "a number below 1 is no number"}
    ]  # fmt: skip


def test_runs_that_begin_in_one_second_get_names_of_their_own(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "new_run_id", iter(["same", "same", "other"]).__next__)
    assert chain.run()["run_id"] == "same"
    assert chain.run()["run_id"] == "other"


def test_what_happens_is_told_and_written_as_it_happens(chain: Project) -> None:
    chain.run(last="make")
    told = [word[:2] for word in chain.watcher.told if word[0] != "cell"]
    assert told == [("phase_started", "make"), ("phase_ended", "make"), ("phase_skipped", "use")]
    assert ("cell", "make", 1, 4, "number: int = 2  # what to write") in chain.watcher.told
    lines = [json.loads(line) for line in (chain.run_dir / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines if "cell" not in line["event"]] == [
        "run-started", "phase-started", "phase-ended", "run-ended"
    ]  # fmt: skip
    assert [line["cell"] for line in lines if line["event"] == "cell-ended"] == [0, 1, 2, 3]


def test_an_unchanged_run_is_copied_after_its_digest_was_checked(chain: Project) -> None:
    first = chain.run(run_id="first")
    chain.run(run_id="second")
    third = chain.run(run_id="third")
    assert statuses(third) == {"make": "cached", "use": "cached"}
    assert whys(third) == dict.fromkeys(["make", "use"], "unchanged since first")
    for phase in ("make", "use"):
        assert third["phases"][phase]["output_sha256"] == first["phases"][phase]["output_sha256"]
        assert third["phases"][phase]["cached_from"] == "first"
        assert (chain.run_dir / "notebooks" / f"{phase}.html").is_file()
    assert (chain.run_dir / "use" / "twice.txt").read_text() == "4.0"
    assert third["decision"] == first["decision"]


def test_an_environment_variable_that_the_pipeline_names_counts(
    chain: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = chain.root / "params" / "pipeline.yaml"
    path.write_text(path.read_text() + "\nvariables: {make: [ENGINE_KIND]}\n")
    monkeypatch.delenv("ENGINE_KIND", raising=False)
    chain.run()
    assert statuses(chain.run()) == {"make": "cached", "use": "cached"}
    monkeypatch.setenv("ENGINE_KIND", "other")
    found = chain.run()
    assert statuses(found)["make"] == "succeeded"
    assert whys(found)["make"] == "ENGINE_KIND absent → other"
    assert found["phases"]["make"]["inputs"]["ENGINE_KIND"] == "other"
    monkeypatch.delenv("ENGINE_KIND")
    assert statuses(chain.run()) == {"make": "cached", "use": "cached"}


WATCHED = """
import sys
def watch(event, arguments):
    if event == "subprocess.Popen":
        print("started", arguments[0], file=sys.stderr)
    elif event in ("os.fork", "os.forkpty", "os.posix_spawn", "os.exec"):
        print("started", event, file=sys.stderr)
sys.addaudithook(watch)
from runner.cli import main
try:
    main()
finally:
    slow = {"papermill", "nbclient", "mlflow", "pandas", "scrapbook", "nbconvert", "IPython", "jupyter_client"}
    print("imported", sorted(slow & set(sys.modules)), file=sys.stderr)
"""


def test_an_unchanged_run_starts_no_process_but_git_and_imports_nothing_slow(chain: Project) -> None:
    subprocess.run(["git", "init", "-q", str(chain.root)], check=True)
    chain.run(run_id="first")
    command = [sys.executable, "-c", WATCHED, "run"]
    done = subprocess.run(command, cwd=chain.root, env=os.environ.copy(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(("started", "imported"))]
    assert set(said[:-1]) <= {"started git"}
    assert said[-1] == "imported []"
    assert "release: 1 of 1 gates passed" in done.stdout


def test_a_changed_parameter_is_named_and_an_equal_output_cuts_the_rest_off(chain: Project) -> None:
    chain.run(run_id="first")
    plan = chain.plan(sets=("make.number=5",))
    assert {name: (phase.status, phase.why) for name, phase in plan.items()} == {
        "make": ("run", "params make.number 2 → 5"),
        "use": ("run", "make runs before it"),
    }
    chain.write("notebooks/helper.py", "def scale(number):\n    return 1 * number\n")
    found = chain.run(run_id="second")
    assert statuses(found) == {"make": "succeeded", "use": "cached"}
    assert whys(found) == {"make": "notebooks/helper.py changed", "use": "unchanged since first"}


def test_an_output_that_was_touched_is_not_reused(chain: Project) -> None:
    chain.run(run_id="first")
    (chain.run_dir / "make" / "number.txt").write_text("3")
    plan = chain.plan()
    assert plan["make"].why == "the output in first no longer matches its digest"
    assert chain.plan(fresh=True)["make"].why == "asked for with --fresh"


def test_prose_does_not_count_but_code_does(chain: Project) -> None:
    chain.run(run_id="first", last="make")
    path = chain.root / "notebooks" / "make.ipynb"
    text = path.read_text()
    path.write_text(
        text.replace('"cells": [', '"cells": [{"cell_type":"markdown","id":"m","metadata":{},"source":"Hi"},')
    )
    assert chain.plan()["make"].status == "cached"
    path.write_text(text.replace("helper.scale(number)", "helper.scale(number + 0)"))
    assert chain.plan()["make"].why == "notebook code changed"


def test_a_place_outside_the_run_is_looked_at_again(project: Project) -> None:
    place = project.write("place.txt", "one")
    project.write(
        "outside_reader.py",
        "import hashlib\nfrom pathlib import Path\n"
        "def state(uri):\n"
        "    path = Path(uri.partition(':')[2].partition('#')[0])\n"
        "    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else 'absent'\n",
    )
    project.notebook(
        "put",
        "import json, sys\nfrom pathlib import Path\nsys.path.insert(0, '..')\nimport outside_reader",
        f"uri = 'place:{place}#live'\n"
        "Path(output_dir, 'external.json').write_text(json.dumps([{'uri': uri, 'sha256': outside_reader.state(uri)}]))",
        parameters='output_dir: str = "x"',
    )
    project.pipeline("phases: [put]\nexternal: {place: 'outside_reader:state'}\n")
    project.run(run_id="first")
    assert project.plan()["put"].status == "cached"
    place.write_text("two")
    assert project.plan()["put"].why == "place:live changed"
    place.unlink()
    assert project.plan()["put"].why == "place:live is gone"
    project.pipeline("phases: [put]\n")
    assert project.plan()["put"].why == "place:live has no reader under `external` in pipeline.yaml"
    project.pipeline("phases: [put]\nexternal: {place: 'outside_reader:stat'}\n")
    assert "could not be read (AttributeError" in project.plan()["put"].why


def test_a_gate_stops_the_run_and_that_is_a_result(chain: Project) -> None:
    found = chain.run(sets=("make.number=0",))
    assert (found["status"], statuses(found)) == ("stopped", {"make": "succeeded", "use": "skipped"})
    assert found["decision"] == {"verdict": "stopped", "reason": "the gates of use stopped the run: make.number: 0 < 1"}
    assert (chain.run_dir / "report.html").is_file()
    assert not (chain.run_dir / "use").exists()
    assert (record.exit_code(found), record.exit_code(found, fail_on_stop=True)) == (0, 3)
    assert chain.plan(sets=("make.number=0",))["use"].status == "skipped"


def test_a_guarded_phase_without_rules_is_refused(chain: Project) -> None:
    chain.pipeline("phases: [make, use]\ngates: {use: []}\n")
    found = chain.run()
    assert found["status"] == "stopped"
    assert found["gates"][0]["reason"] == "no rules: a guarded phase without a rule is refused, not passed"


def test_a_scrap_glued_before_the_kernel_died_does_not_pass(chain: Project) -> None:
    chain.notebook(
        "make",
        "from IPython.display import display\n"
        "scrap = {'name': 'number', 'data': 9, 'encoder': 'json', 'version': 1}\n"
        "display({'application/scrapbook.scrap.json+json': scrap}, raw=True)",
        "import os\nos.kill(os.getpid(), 9)",
        parameters='output_dir: str = "x"',
    )
    found = chain.run(run_id="first")
    assert (found["status"], statuses(found)) == ("failed", {"make": "failed", "use": "skipped"})
    assert found["phases"]["make"]["cause"] == "kernel-died"
    assert found["phases"]["make"]["scraps"]["number"]["value"] == 9
    assert (found["gates"], record.exit_code(found)) == ([], 4)
    assert found["decision"]
    assert found["decision"]["reason"].startswith("make failed: the kernel was killed by SIGKILL")
    assert all((chain.run_dir / name).is_file() for name in ("report.html", "notebooks/make.html"))
    assert chain.plan()["make"].why == "it failed in first and has not succeeded before"


def test_a_timeout_fails_the_phase(chain: Project) -> None:
    chain.notebook("make", "import time\ntime.sleep(60)", parameters='output_dir: str = "x"')
    found = chain.run(timeout=1.0)
    assert (found["phases"]["make"]["cause"], record.exit_code(found)) == ("timeout", 5)


@pytest.mark.parametrize("content", ["{", "{}", '[{"uri": "a:b"}]'])
def test_an_external_json_that_cannot_be_read_fails_the_phase(project: Project, content: str) -> None:
    project.notebook(
        "put", f"from pathlib import Path\nPath(output_dir, 'external.json').write_text({content!r})",
        parameters='output_dir: str = "x"',
    )  # fmt: skip
    project.pipeline("phases: [put]")
    found = project.run()
    assert found["phases"]["put"]["cause"] == "internal"
    assert str(found["phases"]["put"]["message"]).startswith("external.json must be a list of {uri, sha256}; it ")


def test_an_interrupted_run_says_so(chain: Project) -> None:
    chain.notebook("make", "import time\ntime.sleep(60)", parameters='output_dir: str = "x"')

    def terminate(phase: str, number: int, *_: object) -> None:
        if number == 2:  # the cell that sleeps
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()

    found = chain.run(on_cell=terminate)
    assert (found["status"], statuses(found)) == ("interrupted", {"make": "failed", "use": "skipped"})
    assert found["phases"]["make"]["cause"] == "interrupted"
    assert found["decision"] == {"verdict": "interrupted", "reason": "a signal ended the run, in make"}
    assert record.exit_code(found) == 130
    assert (chain.run_dir / "report.html").is_file()


def test_from_takes_what_came_before_from_the_newest_run_that_has_it(chain: Project) -> None:
    with pytest.raises(BadRequest, match=r"--from use: no run in .* has make as they were recorded"):
        chain.run(first="use")
    chain.run(run_id="first", last="make", sets=("make.number=4",))
    found = chain.run(run_id="second", first="use")
    assert whys(found) == {"make": "taken from first (--from use)", "use": "first run"}
    assert (statuses(found), found["status"]) == ({"make": "cached", "use": "succeeded"}, "succeeded")
    assert (chain.run_dir / "use" / "twice.txt").read_text() == "8.0"
    with pytest.raises(BadRequest, match="--from use takes make from an earlier run, so it would change nothing"):
        chain.run(first="use", sets=("make.number=5",))


def test_to_ends_early_and_decides_nothing(chain: Project) -> None:
    found = chain.run(last="make")
    assert (found["status"], statuses(found)) == ("succeeded", {"make": "succeeded", "use": "skipped"})
    assert found["decision"] == {"verdict": "incomplete", "reason": "it ended after make, as asked (--to make)"}


@pytest.fixture
def checked(chain: Project) -> Project:
    """Give the chain, whose second phase allows its number up to 8 alone, and does not run to find out."""
    chain.write(
        "chain_checks.py",
        "def of_use(given):\n    number = given['make']['number']\n"
        "    return [f'make.number is {number}; use takes 8 at most'] if number > 8 else []\n",
    )
    path = chain.root / "params" / "pipeline.yaml"
    path.write_text(f"{path.read_text()}checks: {{use: 'chain_checks:of_use'}}\n", encoding="utf-8")
    return chain


def test_what_a_phase_cannot_mean_is_told_before_anything_starts(checked: Project) -> None:
    for ask in (checked.run, checked.plan):
        with pytest.raises(BadRequest) as caught:
            ask(sets=("make.number=9",))
        assert caught.value.faults == ("make.number is 9; use takes 8 at most",)
    assert not (checked.root / "runs").exists()
    assert checked.run(sets=("make.number=9",), last="make")["status"] == "succeeded"  # use is not asked for
    with pytest.raises(BadRequest, match="use takes 8 at most"):
        checked.run(first="use")  # with the number that make had
    assert checked.run(sets=("make.number=8",))["status"] == "succeeded"


def test_a_check_that_cannot_be_imported_is_told(checked: Project) -> None:
    path = checked.root / "params" / "pipeline.yaml"
    path.write_text(path.read_text().replace("of_use", "of_us"), encoding="utf-8")
    with pytest.raises(BadRequest, match=r"checks\.use is chain_checks:of_us, which cannot be imported"):
        checked.run()


@pytest.mark.parametrize(
    ("module", "body", "says"),
    [
        ("failing", "return [given['make']['nunber']]", "fails: KeyError: 'nunber'"),
        ("one_text", "return 'make.number is 9'", "gives 'make.number is 9'; it must be a list of sentences"),
        ("nothing", "pass", "gives None; it must be a list of sentences"),
        ("no_python", "retur n", "cannot be imported: invalid syntax"),
    ],
)
def test_a_check_that_is_badly_written_is_told(checked: Project, module: str, body: str, says: str) -> None:
    checked.write(f"check_{module}.py", f"def of_use(given):\n    {body}\n")
    path = checked.root / "params" / "pipeline.yaml"
    path.write_text(path.read_text().replace("chain_checks", f"check_{module}"), encoding="utf-8")
    with pytest.raises(BadRequest, match=re.escape(f"checks.use is check_{module}:of_use, which {says}")):
        checked.plan()


def with_outcome(chain: Project, rules: str) -> None:
    path = chain.root / "params" / "pipeline.yaml"
    path.write_text(f"{path.read_text()}outcome: {rules}\n", encoding="utf-8")


def test_a_run_whose_outcome_does_not_hold_is_no_release(chain: Project) -> None:
    with_outcome(chain, "[{scrap: use.twice, max: 5, about: make.number}]")
    found = chain.run(sets=("make.number=3",))
    reason = "all phases ended as planned, but the outcome is no release: use.twice: 6 > 5: 3"
    assert (found["status"], found["decision"]) == ("stopped", {"verdict": "stopped", "reason": reason})
    assert statuses(found) == {"make": "succeeded", "use": "succeeded"}
    assert [(gate["phase"], gate["verdict"]) for gate in found["gates"]] == [("use", "pass"), ("outcome", "fail")]
    assert record.exit_code(found, fail_on_stop=True) == 3
    page = (chain.run_dir / "report.html").read_text(encoding="utf-8")
    assert "Stopped: not released" in page
    assert "after the last phase" in page
    again = chain.run(sets=("make.number=3",))
    assert (set(statuses(again).values()), again["decision"]) == ({"cached"}, found["decision"])


def test_a_run_whose_outcome_holds_is_a_release(chain: Project) -> None:
    with_outcome(chain, "[{scrap: use.twice, max: 6}]")
    assert chain.run(sets=("make.number=3",))["decision"] == {"verdict": "release", "reason": "2 of 2 gates passed"}
    assert chain.run(last="make")["decision"]["verdict"] == "incomplete"  # the outcome is not asked for


def test_an_outcome_without_evidence_is_no_release(chain: Project) -> None:
    chain.notebook("use", "1", parameters='make_dir: str = "x"\ngates_path: str = ""\noutput_dir: str = "x"')
    with_outcome(chain, "[{scrap: use.twice, max: 6}]")
    found = chain.run()
    assert found["status"] == "stopped"
    assert "use.twice is missing: use did not glue it" in found["decision"]["reason"]


def test_a_run_that_nothing_judged_releases_nothing(project: Project) -> None:
    project.notebook("make", "1", parameters='output_dir: str = "x"')
    project.pipeline("phases: [make]")
    reason = "all 1 phases succeeded; the pipeline has no gates"
    assert project.run()["decision"] == {"verdict": "succeeded", "reason": reason}


def test_wrong_options_are_told_at_once_and_nothing_starts(chain: Project) -> None:
    with pytest.raises(BadRequest) as fault:
        chain.run(first="us", last="mak", engine="locl", run_id="../x")
    assert fault.value.faults == (
        "--from us: there is no such phase; did you mean use?",
        "--to mak: there is no such phase; did you mean make?",
        "--engine locl: there is none; did you mean local?",
        "--run-id ../x: allowed are letters, digits, '.', '_' and '-', 80 at most",
    )
    assert not (chain.root / "runs").exists()


def test_a_run_id_is_used_once(chain: Project) -> None:
    chain.run(run_id="one", last="make")
    with pytest.raises(BadRequest, match="there is a run one already"):
        chain.run(run_id="one")


def test_a_fault_of_the_runner_is_recorded_and_raised(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr(lifecycle, "render", broken)
    with pytest.raises(RunFailed, match="the runner failed: RuntimeError: no ink"):
        chain.run(run_id="one")
    found = record.load(chain.root / "runs" / "one")
    assert (found["status"], statuses(found)) == ("failed", {"make": "succeeded", "use": "skipped"})
    assert "no ink" in (chain.root / "runs" / "one" / "events.jsonl").read_text()
    assert (chain.root / "runs" / "one" / "report.html").is_file()


def test_a_phase_ends_when_its_time_in_the_pipeline_is_up(chain: Project) -> None:
    chain.notebook("make", "import time\ntime.sleep(60)", parameters='number: int = 2\noutput_dir: str = "x"')
    pipeline = chain.root / "params" / "pipeline.yaml"
    chain.pipeline(pipeline.read_text(encoding="utf-8") + "timeouts: {make: 2.5, use: 60}\n")
    record = chain.run()
    assert record["phases"]["make"]["cause"] == "timeout"
    assert (record["phases"]["make"]["message"] or "").startswith("time was up after 2.5 s")
    assert chain.run(timeout=1.5)["phases"]["make"]["message"] == "time was up after 1.5 s in cell 2"


DIES = """
import os, signal
from collections.abc import Iterator
from pathlib import Path
count = Path("count")
count.write_text(str(int(count.read_text() or 0) + 1 if count.exists() else 1))
assert not list(Path(output_dir).iterdir())
Path(output_dir, "half").mkdir()
Path(output_dir, "half", "file").touch()
if int(count.read_text()) <= {times}:
    {how}
"""


def dying(project: Project, times: int, how: str = "os.kill(os.getpid(), signal.SIGKILL)") -> Project:
    project.notebook("make", DIES.format(times=times, how=how), parameters='number: int = 2\noutput_dir: str = "x"')
    return project


def test_a_phase_whose_kernel_died_may_start_again(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.phase.FIRST_PAUSE", 0.01)
    chain.pipeline("phases: [make]\nretries: {make: 2}\n")
    make = dying(chain, 2).run()["phases"]["make"]
    assert (make["status"], make["cause"], len(make["attempts"])) == ("succeeded", None, 2)
    assert all(attempt["message"].startswith("the kernel was killed by SIGKILL") for attempt in make["attempts"])
    assert sorted(path.name for path in (chain.run_dir / "notebooks").iterdir()) == [
        "make.attempt-1.ipynb", "make.attempt-2.ipynb", "make.html", "make.ipynb"
    ]  # fmt: skip
    [first, second] = [word[1] for word in chain.watcher.told if word[0] == "note"]
    assert first.startswith("make: attempt 1 of 3: the kernel was killed by SIGKILL")
    assert (first[-15:], second[-15:]) == ("; again in 0.01 s"[-15:], "; again in 0.02 s"[-15:])
    assert "attempt 2 after" in (chain.run_dir / "report.html").read_text()


def test_a_kernel_that_goes_on_dying_fails_the_phase(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.phase.FIRST_PAUSE", 0.01)
    chain.pipeline("phases: [make]\nretries: {make: 1}\n")
    make = dying(chain, 9).run()["phases"]["make"]
    assert (make["status"], make["cause"], len(make["attempts"])) == ("failed", "kernel-died", 1)


@pytest.mark.parametrize("how", ["assert False", "raise OSError(5, 'input/output error')", "import sys; sys.exit(3)"])
def test_a_failure_of_the_notebook_is_never_tried_again(chain: Project, how: str) -> None:
    chain.pipeline("phases: [make]\nretries: {make: 3}\n")
    make = dying(chain, 1, how).run()["phases"]["make"]
    assert (make["status"], make["cause"], make.get("attempts")) == ("failed", "cell-error", None)
    assert (chain.root / "notebooks" / "count").read_text() == "1"


def test_a_pause_between_attempts_can_be_interrupted(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.phase.FIRST_PAUSE", 60.0)
    chain.pipeline("phases: [make]\nretries: {make: 3}\n")
    cell: list[int] = []

    def terminate(*_: object) -> None:
        cell.append(1)
        if len(cell) == 2:
            threading.Timer(3.0, os.kill, (os.getpid(), signal.SIGTERM)).start()

    found = dying(chain, 9).run(on_cell=terminate)
    assert (found["status"], found["decision"]) == (
        "interrupted", {"verdict": "interrupted", "reason": "a signal ended the run, in make"}
    )  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a file system of its own with little space."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system can be mounted by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    "fills",
    ["Path(output_dir, 'filler').write_bytes(b'')\nfill()", "for n in range(15):\n    print('x' * 99_999, flush=True)"],
)
def test_a_run_that_fills_the_disk_can_still_say_so(project: Project, small_disk: Path, fills: str) -> None:
    fill = "def fill():\n    with open(Path(output_dir, 'filler'), 'wb', 0) as file, contextlib.suppress(OSError):\n"
    fill += "        while True:\n            file.write(b'x' * 100)"
    project.notebook(
        "a", f"import contextlib\nfrom pathlib import Path\n{fill}", fills, "2", parameters='output_dir: str = ""'
    )
    project.pipeline("phases: [a]\nruns: ../small/runs\n")
    found = project.run(run_id="one")
    assert (found["status"], found["phases"]["a"]["cause"], record.exit_code(found)) == ("failed", "disk-full", 1)
    assert record.load(project.run_dir) == found
    assert (project.run_dir / "report.html").is_file()
    document = json.loads((project.run_dir / "notebooks" / "a.ipynb").read_text())
    assert "the disk is full" in "".join(document["cells"][0]["source"])
    for path in (project.run_dir / "a").iterdir():
        path.unlink()
    project.notebook("a", "1", parameters='output_dir: str = ""')
    assert lifecycle.resume(project.run_dir, project.watcher)[1]["status"] == "succeeded"  # type: ignore[arg-type]


def test_from_takes_nothing_whose_place_outside_has_changed(project: Project) -> None:
    place = project.write("place.txt", "one")
    project.write(
        "outside_digest.py",
        "import hashlib\nfrom pathlib import Path\n"
        "def state(uri):\n    return hashlib.sha256(Path(uri.partition(':')[2]).read_bytes()).hexdigest()\n",
    )
    write = "import json, sys\nfrom pathlib import Path\nsys.path.insert(0, '..')\nimport outside_digest\n"
    write += f"state = {{'uri': 'place:{place}', 'sha256': outside_digest.state('place:{place}')}}\n"
    project.notebook(
        "judge",
        write + "Path(output_dir, 'external.json').write_text(json.dumps([state]))",
        parameters='output_dir: str = ""',
    )
    project.notebook("put", "1", parameters='judge_dir: str = ""\noutput_dir: str = ""')
    project.pipeline("phases: [judge, put]\nexternal: {place: 'outside_digest:state'}\n")
    project.run(run_id="one", last="judge")
    assert project.run(first="put")["status"] == "succeeded"
    place.write_text("two")
    with pytest.raises(BadRequest, match=rf"has judge as they were recorded; of .*, place:{place} changed"):
        project.run(first="put")


def test_links_in_an_output_are_kept_as_links(project: Project) -> None:
    place = project.write("data/a.txt", "a").parent
    link = f"from pathlib import Path\nPath(output_dir, 'folder').symlink_to('{place}')\n"
    link += f"Path(output_dir, 'file').symlink_to('{place}/a.txt')\nPath(output_dir, 'none').symlink_to('nowhere')"
    project.notebook("make", link, parameters='output_dir: str = "x"')
    project.pipeline("phases: [make]")
    project.run()
    assert project.run()["phases"]["make"]["status"] == "cached"
    assert {path.name: path.is_symlink() for path in (project.run_dir / "make").iterdir()} == {
        "folder": True, "file": True, "none": True
    }  # fmt: skip
    (place / "a.txt").write_text("b")
    assert project.plan()["make"].why.endswith("no longer matches its digest")


def test_an_output_that_is_gone_when_it_is_copied_is_made_again(
    chain: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.run(run_id="one")
    copy = planning.copy_results

    def too_late(reuse: planning.Reuse, phase: str, run_dir: Path) -> None:
        if phase == "make":
            shutil.rmtree(chain.root / "runs" / "one" / "make")
        copy(reuse, phase, run_dir)

    monkeypatch.setattr(planning, "copy_results", too_late)
    found = chain.run()
    assert (found["status"], statuses(found)["make"]) == ("succeeded", "succeeded")
    assert whys(found)["make"] == "the output in one is gone"


def test_a_value_that_is_missing_matters_only_where_it_is_needed(project: Project) -> None:
    project.notebook("a", "1", parameters='output_dir: str = "x"')
    project.notebook("b", "1", parameters='a_dir: str = "x"\nneeded: str\noutput_dir: str = "x"')
    project.pipeline("phases: [a, b]")
    assert project.run(last="a")["status"] == "succeeded"
    assert project.plan(last="a")["b"].params == {}
    with pytest.raises(BadRequest, match=r"b\.needed has no value and no default"):
        project.run()


def test_a_fault_found_late_is_a_failed_run_and_no_bad_request(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> str:
        raise BadRequest("https://x does not answer", next_step="trey plan")

    monkeypatch.setattr(planning.Prepared, "inputs", silent)
    with pytest.raises(RunFailed, match="does not answer") as fault:
        chain.run(run_id="one")
    assert fault.value.exit_code == 1
    assert record.load(chain.root / "runs" / "one")["status"] == "failed"
