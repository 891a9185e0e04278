"""What came back from a compute counts only if it is what was recorded there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner import fingerprint, single
from runner.engines import Job
from runner.engines.azureml.returning import take_over
from runner.redaction import Redactor

from .conftest import GLUE, Project, Watcher

CHATTY = "print('x' * 2_000_000)"


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give what `trey phase` leaves of a phase that ends well."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.notebook(
        "make",
        f"from pathlib import Path\n{GLUE}",
        'Path(output_dir, "rows.txt").write_text("a")\nglue("rows", 1)',
        CHATTY,
        parameters='output_dir: str = "x"',
    )
    project.pipeline("phases: [make]\nscraps: {make: {rows: n}}\n")
    out = project.root / "out"
    single.run(single.Request("make", project.root, out), Watcher(lambda *_: None))  # type: ignore[arg-type]
    return out


@pytest.fixture
def job(came: Path, tmp_path: Path) -> Job:
    output = tmp_path / "make"
    output.mkdir()
    executed = tmp_path / "notebooks" / "make.ipynb"
    executed.parent.mkdir()
    notebook = came.parent / "notebooks" / "make.ipynb"
    return Job("make", notebook, {}, output, executed, None, 0, {}, Redactor({}))


def brought(came: Path, job: Job, change: Callable[[Path], None] = lambda _: None) -> Any:
    """Bring back a copy that was changed on its way."""
    folder = job.output_dir.parent / "came"
    shutil.copytree(came, folder)
    change(folder)
    return take_over(job, folder)


def entry(folder: Path, **values: Any) -> None:
    path = folder / "_phase" / "phase.json"
    found = json.loads(path.read_text())
    found["phases"]["make"] |= values
    path.write_text(json.dumps(found))


def test_what_is_as_recorded_is_taken_over(came: Path, job: Job) -> None:
    outcome = brought(came, job)
    assert outcome.cause is None
    assert outcome.seconds > 0
    assert [path.name for path in job.output_dir.iterdir()] == ["rows.txt"]
    assert fingerprint.folder_digest(job.output_dir) == fingerprint.folder_digest(came)
    logs = sorted(path.name for path in job.executed.parent.glob("*.log"))
    assert logs
    assert all(log.startswith("make.cell-") and log in job.executed.read_text() for log in logs)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "rows.txt").write_text("b"), "the output has another digest"),
        (lambda folder: (folder / "more.txt").write_text("b"), "the output has another digest"),
        (lambda folder: entry(folder, scraps={"rows": {"value": 2, "cell": 2}}), "does not hold the scraps"),
        (lambda folder: (folder / "_phase" / "notebook.ipynb").unlink(), "does not hold the scraps"),
        (lambda folder: entry(folder, notebook={"code_sha256": "0" * 64}), "make.ipynb was another one"),
        (lambda folder: shutil.rmtree(folder / "_phase"), "says not how it ended"),
        (lambda folder: (folder / "_phase" / "phase.json").write_text("{}"), "says not how it ended"),
    ],
)
def test_what_is_not_as_recorded_fails(came: Path, job: Job, change: Callable[[Path], None], said: str) -> None:
    outcome = brought(came, job, change)
    assert outcome.cause == "internal"
    assert said in outcome.message
    assert list(job.output_dir.iterdir()) == []


def test_a_gate_that_stopped_there_and_not_here_is_a_failure(came: Path, job: Job) -> None:
    def stop(folder: Path) -> None:
        entry(folder, status="skipped")
        path = folder / "_phase" / "phase.json"
        found = json.loads(path.read_text())
        path.write_text(json.dumps(found | {"decision": {"verdict": "stopped", "reason": "the gates stopped it"}}))

    outcome = brought(came, job, stop)
    assert (outcome.cause, outcome.message) == (
        "internal",
        "the gates stopped it; here they held, so the code differs",
    )
