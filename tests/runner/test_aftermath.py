import json
from pathlib import Path

import pytest

from runner import record
from runner.aftermath import settle
from runner.errors import NoSuchRun
from runner.notebook import banner

from .conftest import Project


@pytest.fixture
def abandoned(chain: Project) -> Path:
    """Give the folder of a run as a runner leaves it that is killed in the last cell of its first phase."""
    chain.run(run_id="one", last="make")
    found = record.load(chain.run_dir)
    found["status"], found["decision"] = "running", None
    found["phases"]["make"]["status"] = "running"
    found["phases"]["use"]["status"] = "pending"
    record.save(chain.run_dir, found)
    events = chain.run_dir / "events.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    events.write_text("".join(line for line in lines if '"cell": 3' not in line or "cell-started" in line)[:-150])
    document = json.loads((chain.run_dir / "notebooks" / "make.ipynb").read_text())
    for cell in document["cells"]:
        cell["metadata"]["papermill"]["status"] = "pending"
    record.write_atomic(chain.run_dir / "notebooks" / "make.ipynb", json.dumps(document).encode())
    for name in ("report.html", "notebooks/make.html"):
        (chain.run_dir / name).unlink()
    return chain.run_dir


def test_record_notebook_and_report_say_what_became_of_it(abandoned: Path) -> None:
    settle(abandoned)
    found = json.loads((abandoned / "run.json").read_text())
    make = found["phases"]["make"]
    reason = "the runner ended without finishing its record: killed, or the machine went down"
    assert (found["status"], found["decision"]) == ("interrupted", {"verdict": "interrupted", "reason": reason})
    assert (make["status"], make["cause"], make["message"]) == ("failed", "interrupted", f"{reason}, in cell 3")
    assert found["phases"]["use"]["status"] == "skipped"
    banner, *cells = json.loads((abandoned / "notebooks" / "make.ipynb").read_text())["cells"]
    assert reason in banner["source"]
    assert [cell["metadata"]["papermill"]["status"] for cell in cells] == ["completed"] * 3 + ["failed"]
    assert "Interrupted" in (abandoned / "report.html").read_text()
    assert (abandoned / "notebooks" / "make.html").is_file()
    before = (abandoned / "run.json").stat().st_mtime_ns
    settle(abandoned)
    assert (abandoned / "run.json").stat().st_mtime_ns == before


def test_a_killed_runner_worked_until_its_last_sign(abandoned: Path) -> None:
    found = record.load(abandoned)
    found |= {"status": "running", "finished_at": None, "seconds": 7.0}
    found["runner"]["started_at"] = "2026-11-23T10:00:00.000Z"
    record.save(abandoned, found)
    cut = '{"at": "2026-11-23T10:02:00.000Z", "source": "é'.encode()[:-1]  # within a character
    line = b'{"at": "2026-11-23T10:01:00.000Z", "event": "phase-started", "phase": "use"}\n'
    (abandoned / "events.jsonl").write_bytes(line + cut)
    settle(abandoned)
    found = record.load(abandoned)
    assert (found["seconds"], found["finished_at"]) == (67.0, "2026-11-23T10:01:00.000Z")


def test_a_runner_at_work_is_left_alone(abandoned: Path) -> None:
    with record.hold(abandoned):
        settle(abandoned)
    assert json.loads((abandoned / "run.json").read_text())["status"] == "running"


def test_a_notebook_that_was_never_saved_is_no_fault(abandoned: Path) -> None:
    (abandoned / "notebooks" / "make.ipynb").unlink()
    (abandoned / "events.jsonl").unlink()
    settle(abandoned)
    assert json.loads((abandoned / "run.json").read_text())["status"] == "interrupted"


def test_a_folder_without_a_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchRun):
        settle(tmp_path)


def test_a_banner_that_was_written_already_is_no_cell(abandoned: Path) -> None:
    document = json.loads((abandoned / "notebooks" / "make.ipynb").read_text())
    document["cells"].insert(0, banner(document, "cell-error", "some reason"))
    record.write_atomic(abandoned / "notebooks" / "make.ipynb", json.dumps(document).encode())
    settle(abandoned)
    top, *cells = json.loads((abandoned / "notebooks" / "make.ipynb").read_text())["cells"]
    assert "killed" in top["source"]
    assert [cell["metadata"]["papermill"]["status"] for cell in cells] == ["completed"] * 3 + ["failed"]
