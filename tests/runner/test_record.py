import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import record
from runner.errors import BadRecord, NoSuchRun, RunBusy


def write(runs: Path, run_id: str, created_at: str = "2026-11-23T10:15:00.000Z", **more: Any) -> Path:
    folder = runs / run_id
    folder.mkdir(parents=True)
    statuses = {"a": "succeeded", "b": "running", "c": "pending"}
    empty = dict.fromkeys(sorted(record.PhaseEntry.__required_keys__))
    phases = {name: empty | {"status": status} for name, status in statuses.items()}
    content = {"schema": 1, "run_id": run_id, "status": "succeeded", "created_at": created_at, "phases": phases, **more}
    record.save(folder, dict.fromkeys(record.Record.__required_keys__) | content)  # type: ignore[arg-type]
    return folder


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    folder = write(tmp_path, "one", command="trey run --set a.b='é'")
    assert record.load(folder)["command"] == "trey run --set a.b='é'"
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_failed_write_leaves_the_old_record_and_nothing_else(tmp_path: Path) -> None:
    folder = write(tmp_path, "one")
    before = (folder / "run.json").read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.save(folder, {"schema": float("nan")})  # type: ignore[typeddict-item]
    assert (folder / "run.json").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    write(tmp_path, "b", "2026-11-23T10:15:00.001Z")
    write(tmp_path, "a", "2026-11-23T10:15:00.002Z")
    write(tmp_path, "c", "2025-11-23T10:15:00.002Z")
    (tmp_path / "interactive").mkdir()
    (tmp_path / "file").touch()
    assert [path.name for path in record.list_runs(tmp_path)] == ["a", "b", "c"]
    assert [found["run_id"] for _, found in record.history(tmp_path)] == ["a", "b", "c"]
    assert record.list_runs(tmp_path / "absent") == []


def test_a_run_is_found_by_its_name_or_its_beginning(tmp_path: Path) -> None:
    write(tmp_path, "20261123-101500-3f2a")
    newest = write(tmp_path, "20261124-101500-77aa", "2026-11-24T10:15:00.000Z")
    assert record.find(tmp_path, "20261124") == newest
    assert record.find(tmp_path, "last") == newest
    assert (record.is_run(str(newest)), record.is_run(newest.name), record.is_run("./none")) == (True, False, False)
    with pytest.raises(NoSuchRun, match="'202611' is the beginning of 2 runs"):
        record.find(tmp_path, "202611")
    with pytest.raises(NoSuchRun, match="did you mean 20261124-101500-77aa"):
        record.find(tmp_path, "20261124-101500-77ab")
    with pytest.raises(NoSuchRun, match="there are no runs"):
        record.find(tmp_path / "absent", "last")


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "phases": {"a": 3}}'])
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadRecord, match=r"run\.json"):
        record.load(tmp_path)
    assert list(record.history(tmp_path.parent)) == []


def test_a_run_whose_runner_was_killed_is_shown_as_interrupted(tmp_path: Path) -> None:
    folder = write(tmp_path, "one", status="running")
    found = record.load(folder)
    assert found["status"] == "interrupted"
    assert found["decision"] and found["decision"]["verdict"] == "interrupted"
    assert [phase["status"] for phase in found["phases"].values()] == ["succeeded", "failed", "skipped"]
    assert found["phases"]["b"]["cause"] == "interrupted"
    assert json.loads((folder / "run.json").read_text())["status"] == "running"


def test_a_run_folder_is_held_by_one_runner_and_let_go_when_it_is_killed(tmp_path: Path) -> None:
    folder = write(tmp_path, "one", status="running")
    script = "import sys, time\nfrom pathlib import Path\nfrom runner import record\n"
    script += "with record.hold(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, env=os.environ.copy()
    ) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        assert record.load(folder)["status"] == "running"
        with pytest.raises(RunBusy, match="another runner is at work"), record.hold(folder):
            pass
        other.kill()
    assert record.load(folder)["status"] == "interrupted"


@pytest.mark.parametrize(
    ("status", "cause", "code"),
    [
        ("succeeded", None, 0),
        ("stopped", None, 0),
        ("interrupted", "interrupted", 130),
        ("failed", "cell-error", 1),
        ("failed", "bad-input", 1),
        ("failed", "internal", 1),
        ("failed", "kernel-died", 4),
        ("failed", "timeout", 5),
    ],
)
def test_every_end_has_its_exit_code(status: str, cause: str | None, code: int) -> None:
    found = {"status": status, "phases": {"a": {"status": "failed" if cause else "succeeded", "cause": cause}}}
    assert record.exit_code(found) == code
    assert record.exit_code(found, fail_on_stop=True) == (3 if status == "stopped" else code)
