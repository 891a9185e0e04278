import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runner import single
from runner.errors import BadRequest, RunFailed

from .conftest import Project, Watcher


def run(project: Project, name: str, out: str, *folders: str, **asked: Any) -> dict[str, Any]:
    request = single.Request(name, cwd=project.root, out=Path(out), folders=folders, **asked)
    return single.run(request, Watcher(lambda *_: None))  # type: ignore[arg-type]


def test_one_phase_runs_with_the_folders_it_is_given(chain: Project) -> None:
    made = run(chain, "make", "out/make", sets=("make.number=4",))
    assert made["phases"]["make"]["status"] == "succeeded"
    assert (chain.root / "out/make/number.txt").read_text() == "4"
    own = chain.root / "out/make/_phase"
    assert json.loads((own / "phase.json").read_text()) == made
    assert all((own / name).is_file() for name in ("notebook.ipynb", "notebook.html"))

    used = run(chain, "use", "out/use", "make_dir=out/make")
    assert used["phases"]["use"]["status"] == "succeeded"
    assert (chain.root / "out/use/twice.txt").read_text() == "8.0"
    assert used["phases"]["make"] == made["phases"]["make"]
    assert [gate["verdict"] for gate in used["gates"]] == ["pass"]
    assert json.loads((chain.root / "out/use/_phase/gates.json").read_text())["gates"] == used["gates"]
    assert single.exit_code(used) == 0


def test_its_output_has_the_digest_that_a_run_gives_it(chain: Project) -> None:
    found = chain.run(last="make")
    made = run(chain, "make", "out/make")
    assert made["phases"]["make"]["output_sha256"] == found["phases"]["make"]["output_sha256"]


def test_evidence_may_stand_in_the_record_of_a_run(chain: Project) -> None:
    chain.run(run_id="first", last="make")
    assert run(chain, "use", "out/use", "make_dir=runs/first/make")["phases"]["use"]["status"] == "succeeded"


def test_a_guarded_phase_needs_evidence(chain: Project) -> None:
    (chain.root / "bare").mkdir()
    (chain.root / "bare" / "number.txt").write_text("4")
    found = run(chain, "use", "out/use", "make_dir=bare")
    assert found["phases"]["use"]["status"] == "skipped"
    assert found["gates"][0]["reason"] == "make.number is missing: nothing is known of make"
    assert (single.exit_code(found), single.exit_code(found, fail_on_stop=True)) == (0, 3)
    assert not (chain.root / "out/use/twice.txt").exists()


def test_evidence_about_other_bytes_is_none(chain: Project) -> None:
    chain.run(run_id="first", last="make")
    (chain.run_dir / "make" / "number.txt").write_text("5")
    found = run(chain, "use", "out/use", "make_dir=runs/first/make")
    assert found["gates"][0]["verdict"] == "fail"


def test_a_phase_that_fails_keeps_what_it_did(chain: Project) -> None:
    chain.notebook("make", "1 / 0", parameters='output_dir: str = "x"')
    found = run(chain, "make", "out")
    assert (found["phases"]["make"]["cause"], single.exit_code(found)) == ("cell-error", 1)
    assert (chain.root / "out/_phase/notebook.html").is_file()
    assert single.summary(found) == "make failed: ZeroDivisionError in cell 2: division by zero"


def test_wrong_folders_are_told_at_once(chain: Project) -> None:
    chain.write("full/file", "")
    with pytest.raises(BadRequest) as fault:
        run(chain, "use", "full", "mak_dir=x")
    assert fault.value.faults == (
        "--in mak_dir=x: use reads no mak_dir; did you mean make_dir?",
        "use reads make_dir; give --in make_dir=PATH",
        "--out full exists and is not empty",
    )
    with pytest.raises(BadRequest, match=r"there is no phase mke; did you mean make\?"):
        run(chain, "mke", "out")


def test_a_standalone_phase_runs_alone_and_in_no_run(chain: Project) -> None:
    chain.notebook("watch", "seen = number", parameters='number: int = 1\nmake_dir: str = "x"\noutput_dir: str = "y"')
    pipeline = chain.root / "params" / "pipeline.yaml"
    chain.pipeline(pipeline.read_text(encoding="utf-8") + "standalone: [watch]\n")
    chain.write("params/default.yaml", "watch: {number: 3}\n")
    record = chain.run(run_id="first")
    assert list(record["phases"]) == record["pipeline"]["phases"] == ["make", "use"]
    assert "watch" not in record["pipeline"]["edges"]

    found = run(chain, "watch", "out/watch", "make_dir=runs/first/make", sets=("watch.number=4",))
    assert found["phases"]["watch"]["status"] == "succeeded"
    assert found["phases"]["watch"]["params"] == {"number": 4}
    page = (chain.root / "out/watch/_phase/notebook.html").read_text(encoding="utf-8")
    assert "report of the run" not in page  # there is none
    with pytest.raises(BadRequest, match="watch reads make_dir; give --in make_dir=PATH"):
        run(chain, "watch", "out/again")


def test_a_signal_leaves_a_record_that_says_so(chain: Project) -> None:
    chain.notebook("make", "import time\ntime.sleep(60)", parameters='number: int = 2\noutput_dir: str = "x"')
    command = [sys.executable, "-m", "runner", "phase", "make", "--out", "out"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, cwd=chain.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as job:
        events = chain.root / "out" / "_phase" / "events.jsonl"
        deadline = time.monotonic() + 30
        while not (events.is_file() and '"cell": 2' in events.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        job.terminate()
        assert job.wait(timeout=30) == 130
    entry = json.loads((chain.root / "out" / "_phase" / "phase.json").read_text())["phases"]["make"]
    assert (entry["status"], entry["cause"]) == ("failed", "interrupted")


def test_a_notebook_that_deletes_its_output_is_told_of(chain: Project) -> None:
    chain.notebook(
        "make", "import shutil\nshutil.rmtree(output_dir)", "1", parameters='number: int = 2\noutput_dir: str = "x"'
    )
    with pytest.raises(RunFailed, match="the runner failed: FileNotFoundError"):
        single.run(single.Request("make", cwd=chain.root, out=Path("out")), Watcher(lambda *_: None))  # type: ignore[arg-type]
    entry = json.loads((chain.root / "out" / "_phase" / "phase.json").read_text())["phases"]["make"]
    assert (entry["status"], entry["cause"]) == ("failed", "internal")


def test_a_phase_alone_runs_where_it_is_called(chain: Project) -> None:
    with pytest.raises(BadRequest, match="--engine azureml runs whole lifecycles") as fault:
        run(chain, "make", "out/make", engine="azureml")
    assert fault.value.next_step == "trey run --engine azureml"
