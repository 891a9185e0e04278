import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runner import lifecycle, record
from runner.errors import BadRequest, RunBusy

from ..drawn import drawn
from .conftest import GLUE, Project, Watcher
from .test_lifecycle import statuses

HERE = Path(__file__).parent
TIMES = {"created_at", "finished_at", "started_at", "resumed_at", "seconds", "pid"}  # of the record
TIMES |= {"start_time", "end_time", "duration", "execution"}  # of notebooks
_TIMES = re.compile(  # of a page: seconds and dates, the command, and how often it was resumed
    r"\d+(\.\d+)?( s( in all)?\b|</td>)|\d{4}-\d\d-\d\d \d\d:\d\d|<dd>trey.*?</dd>|\s+· resumed \d+ times?"
)
POINTS = 8  # at which the runner is killed, of some sixty


def resumed(project: Project, name: str = "one") -> record.Record:
    project.watcher = Watcher(lambda *_: None)
    project.run_dir, found = lifecycle.resume(project.root / "runs" / name, project.watcher)  # type: ignore[arg-type]
    return found


def kept(project: Project) -> list[str]:
    return [word[1] for word in project.watcher.told if word[0] == "phase_skipped" and word[2] == "kept"]


@pytest.fixture
def failing(chain: Project) -> Project:
    """Give a project whose second phase fails while there is a file named `broken`."""
    chain.notebook(
        "use",
        "from pathlib import Path\nassert not Path('broken').exists()",
        "Path(output_dir, 'twice.txt').write_text(str(2 * float(Path(make_dir, 'number.txt').read_text())))",
        parameters='make_dir: str = "../out/make"\noutput_dir: str = "../out/use"',
    )
    chain.write("notebooks/broken", "")
    chain.run(run_id="one", sets=("make.number=3",), why="a request to retrain")
    (chain.root / "notebooks" / "broken").unlink()
    return chain


def test_a_run_whose_outcome_was_no_release_does_again_what_it_did_there(chain: Project) -> None:
    """What it did may come out otherwise now: a canary meets other traffic."""
    chain.notebook(
        "use",
        GLUE,
        "from pathlib import Path\nglue('live', Path('good').exists())",
        parameters='make_dir: str = "../out/make"\noutput_dir: str = "../out/use"',
    )
    chain.pipeline("phases: [make, use]\noutcome: [{scrap: use.live, equals: true}]\nscraps: {use: {live: is it}}\n")
    assert chain.run(run_id="one")["status"] == "stopped"
    again = resumed(chain)
    assert (again["status"], kept(chain)) == ("stopped", ["make"])
    chain.write("notebooks/good", "")
    found = resumed(chain)
    assert (found["status"], kept(chain)) == ("succeeded", ["make"])
    assert found["phases"]["use"]["why"] == "its outcome was no release"


def test_what_a_check_finds_at_a_resumption_is_mended_and_the_run_goes_on(failing: Project) -> None:
    failing.write("resume_checks.py", "def of_use(given):\n    return ['it is Friday']\n")
    path = failing.root / "params" / "pipeline.yaml"
    text = path.read_text()
    path.write_text(f"{text}checks: {{use: 'resume_checks:of_use'}}\n", encoding="utf-8")
    with pytest.raises(BadRequest, match=r"it is Friday\nnext: mend what is named, and type: trey resume one$"):
        resumed(failing)
    path.write_text(text, encoding="utf-8")
    assert resumed(failing)["status"] == "succeeded"


def test_a_failed_run_goes_on_where_it_failed(failing: Project) -> None:
    before = record.load(failing.run_dir)
    assert statuses(before) == {"make": "succeeded", "use": "failed"}
    found = resumed(failing)
    assert (found["status"], found["decision"]) == (
        "succeeded",
        {"verdict": "release", "reason": "1 of 1 gates passed"},
    )
    assert kept(failing) == ["make"]
    assert found["why"] == "a request to retrain"
    assert found["phases"]["make"] == before["phases"]["make"]
    assert found["phases"]["use"]["why"] == "first run"
    assert (failing.run_dir / "use" / "twice.txt").read_text() == "6.0"
    assert (found["run_id"], found["created_at"], len(found["resumed_at"])) == ("one", before["created_at"], 1)
    assert found["params_sha256"] == before["params_sha256"]
    events = [json.loads(line)["event"] for line in (failing.run_dir / "events.jsonl").read_text().splitlines()]
    assert [event for event in events if event.startswith("run-")] == [
        "run-started",
        "run-ended",
        "run-resumed",
        "run-ended",
    ]
    with pytest.raises(BadRequest, match="one succeeded; there is nothing to resume"):
        resumed(failing)


def test_the_seconds_of_all_runners_add_up(failing: Project) -> None:
    first = record.load(failing.run_dir)
    first["seconds"] = 1000.0
    record.save(failing.run_dir, first)
    (failing.root / "notebooks" / "broken").touch()
    assert (resumed(failing)["seconds"] or 0) > 1000
    second = record.load(failing.run_dir)
    second |= {"seconds": 2000.0, "finished_at": None, "status": "running"}  # as of a runner that was killed
    second["runner"]["started_at"] = "2026-11-23T10:00:00.000Z"
    record.save(failing.run_dir, second)
    with (failing.run_dir / "events.jsonl").open("a", encoding="utf-8") as events:
        events.write('{"at": "2026-11-23T10:50:00.000Z", "event": "cell-started"}\n{"at": "2026-11-23T10:59')
    (failing.root / "notebooks" / "broken").unlink()
    assert 5000 < (resumed(failing)["seconds"] or 0) < 5100
    assert re.search(r"50\d\d s in all", (failing.run_dir / "report.html").read_text(encoding="utf-8"))


def test_what_was_touched_or_changed_is_not_kept(failing: Project) -> None:
    (failing.run_dir / "make" / "number.txt").write_text("4")
    found = resumed(failing)
    assert (kept(failing), found["phases"]["make"]["why"]) == ([], "the output in one no longer matches its digest")
    assert (failing.run_dir / "use" / "twice.txt").read_text() == "6.0"


def test_a_changed_helper_makes_its_phase_run_again(failing: Project) -> None:
    failing.write("notebooks/helper.py", "def scale(number):\n    return 10 * number\n")
    found = resumed(failing)
    assert (kept(failing), found["phases"]["make"]["why"]) == ([], "notebooks/helper.py changed")
    assert (failing.run_dir / "use" / "twice.txt").read_text() == "60.0"


def test_a_run_that_a_gate_stopped_is_judged_again(chain: Project) -> None:
    assert chain.run(run_id="one", sets=("make.number=0",))["status"] == "stopped"
    assert resumed(chain)["status"] == "stopped"
    assert kept(chain) == ["make"]
    pipeline = chain.root / "params" / "pipeline.yaml"
    pipeline.write_text(pipeline.read_text().replace("min: 1", "min: 0"))
    found = resumed(chain)
    assert (found["status"], statuses(found), len(found["gates"])) == (
        "succeeded", {"make": "succeeded", "use": "succeeded"}, 1
    )  # fmt: skip


def test_parameters_are_those_it_began_with(failing: Project) -> None:
    failing.write("params/default.yaml", "make: {number: 9}\n")
    assert resumed(failing)["phases"]["make"]["params"]["number"] == 3


def test_parameters_that_were_edited_are_refused(failing: Project) -> None:
    (failing.run_dir / "params.yaml").write_text("make: {number: 5, source: ''}\nuse: {}\n")
    with pytest.raises(BadRequest, match=r"params.yaml is not as one began\nnext: trey run --params .*params.yaml"):
        resumed(failing)
    assert statuses(record.load(failing.run_dir)) == {"make": "succeeded", "use": "failed"}


def test_a_parameter_that_is_gone_is_told(failing: Project) -> None:
    failing.notebook("make", "1", parameters='count: int = 1\noutput_dir: str = ""')
    with pytest.raises(BadRequest, match=r"one/params.yaml: make does not declare number"):
        resumed(failing)


def test_options_are_those_it_began_with(chain: Project) -> None:
    chain.run(run_id="earlier", last="make", sets=("make.number=4",))
    chain.run(run_id="newer", last="make", sets=("make.number=5",))
    chain.notebook("use", "raise ValueError", parameters='make_dir: str = ""\noutput_dir: str = ""')
    chain.run(run_id="one", first="use")
    chain.run(run_id="newest", last="make", sets=("make.number=6",))
    (chain.root / "runs" / "one" / "make" / "number.txt").unlink()
    found = resumed(chain)
    assert found["phases"]["make"]["why"] == "taken from newer (--from use)"
    assert (chain.run_dir / "make" / "number.txt").read_text() == "5"
    assert resumed(chain)["request"] == found["request"]
    assert kept(chain) == ["make"]


def test_a_run_at_work_is_left_alone(chain: Project) -> None:
    chain.run(run_id="one", last="make")
    with record.hold(chain.run_dir), pytest.raises(RunBusy, match="another runner is at work in"):
        resumed(chain)


def test_a_folder_that_never_became_a_run_may_be_used(chain: Project) -> None:
    folder = chain.root / "runs" / "one"
    (folder / "notebooks").mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / ".run.json.123.0a1b2c3d").touch()
    assert chain.run(run_id="one", last="make")["status"] == "succeeded"
    (chain.root / "runs" / "mine").mkdir()
    (chain.root / "runs" / "mine" / "thesis.txt").touch()
    with pytest.raises(BadRequest, match="mine exists and is no run"):
        chain.run(run_id="mine")


def call(project: Project, runs: str, nth: int, *arguments: str) -> subprocess.Popen:
    place = project.root / runs / "runs"
    command = [sys.executable, HERE / "kill_runner.py", str(nth), place, *arguments, "--runs", place]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=project.root, env=environment, stdout=pipe, stderr=pipe, text=True)


def brought_to_its_end(project: Project, runs: str) -> None:
    """Type what a person would: resume, or run again where nothing was begun."""
    begun = (project.root / runs / "runs" / "one" / "run.json").is_file()
    again = call(project, runs, -1, *(("resume", "one") if begun else ("run", "--run-id", "one")))
    said = again.communicate(timeout=120)
    done = begun and again.returncode == 2 and "there is nothing to resume" in said[1]
    assert done or again.returncode == 0, said


def contents(folder: Path) -> dict[str, Any]:
    """Give what lies in a run folder, but for times and what says by itself how often it was begun."""
    found: dict[str, Any] = {}
    for path in sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in {".lock", "events.jsonl"}
    ):
        text = path.read_text(encoding="utf-8").replace(str(folder.parent), "RUNS")
        name = path.relative_to(folder).as_posix()
        if path.suffix in {".json", ".ipynb"}:
            found[name] = timeless(json.loads(text))
        else:  # a page: seconds and dates aside
            found[name] = _TIMES.sub("", text)
    return found


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES | {"command"}}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def undisturbed(chain: Project) -> tuple[int, dict[str, Any]]:
    """Run once without a kill; give the number of changes to the run folder, and what lies there."""
    done = call(chain, "whole", 0, "run", "--run-id", "one")
    assert done.communicate(timeout=120)
    assert done.returncode == 0
    return int((chain.root / "whole" / "changes").read_text()), contents(chain.root / "whole" / "runs" / "one")


def test_killed_before_any_change_and_resumed_it_leaves_what_an_undisturbed_run_leaves(
    chain: Project, undisturbed: tuple[int, dict[str, Any]]
) -> None:
    count, whole = undisturbed
    assert count > 40
    for nth in drawn(range(1, count + 1), POINTS):
        killed = call(chain, f"at-{nth}", nth, "run", "--run-id", "one")
        killed.communicate(timeout=120)
        assert killed.returncode == -signal.SIGKILL
        brought_to_its_end(chain, f"at-{nth}")
        assert contents(chain.root / f"at-{nth}" / "runs" / "one") == whole, f"killed before change {nth}"


def test_killed_twice_it_still_comes_to_its_end(chain: Project, undisturbed: tuple[int, dict[str, Any]]) -> None:
    count, whole = undisturbed
    for first, second in ((count // 2, 5), (count - 8, 3)):
        for nth, words in ((first, ("run", "--run-id", "one")), (second, ("resume", "one"))):
            killed = call(chain, f"twice-{first}", nth, *words)
            said = killed.communicate(timeout=120)
            assert killed.returncode == -signal.SIGKILL, said
        brought_to_its_end(chain, f"twice-{first}")
        assert contents(chain.root / f"twice-{first}" / "runs" / "one") == whole


def test_a_killed_runner_takes_its_kernel_with_it(chain: Project) -> None:
    chain.notebook(
        "make",
        "import os, time\nfrom pathlib import Path\nPath(output_dir, 'pid').write_text(str(os.getpid()))",
        "time.sleep(60)",
        parameters='number: int = 2\noutput_dir: str = ""',
    )
    killed = call(chain, "at", -1, "run", "--run-id", "one")
    pid = chain.root / "at" / "runs" / "one" / "make" / "pid"
    deadline = time.monotonic() + 30
    while not (pid.is_file() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    deadline = time.monotonic() + 2
    while Path("/proc", pid.read_text()).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path("/proc", pid.read_text()).exists()
    assert record.load(pid.parents[1])["status"] == "interrupted"


def test_a_parameter_that_was_declared_since_has_its_default_however_often_it_is_resumed(failing: Project) -> None:
    source = 'number: int = 2\nextra: int = 5\nsource: str = ""\noutput_dir: str = ""'
    failing.notebook("make", "1 / 0", parameters=source)
    for _ in range(2):
        found = resumed(failing)
        assert found["phases"]["make"]["params"] == {"number": 3, "extra": 5, "source": ""}
    assert (failing.run_dir / "params.yaml").read_text() == "make:\n  number: 3\n  source: ''\nuse: {}\n"


def test_what_was_taken_is_kept_after_its_source_is_gone(chain: Project) -> None:
    chain.run(run_id="earlier", last="make")
    chain.notebook("use", "raise ValueError", parameters='make_dir: str = ""\noutput_dir: str = ""')
    chain.run(run_id="one", first="use")
    shutil.rmtree(chain.root / "runs" / "earlier")
    chain.notebook("use", "1", parameters='make_dir: str = ""\noutput_dir: str = ""')
    assert resumed(chain)["status"] == "succeeded"
    assert kept(chain) == ["make"]


def test_decisions_of_people_go_on_with_the_run(failing: Project) -> None:
    found = record.load(failing.run_dir)
    found["sign_offs"] = [{"kind": "waiver", "subject": "a", "by": "b", "at": "c", "comment": "d", "digest": "e"}]
    record.save(failing.run_dir, found)
    assert resumed(failing)["sign_offs"] == found["sign_offs"]
