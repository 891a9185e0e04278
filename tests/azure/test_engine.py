"""The engine azureml from end to end: Microsoft's SDK submits, a compute that has nothing but blobs runs.

One workspace and one project serve the whole module; the first run of the day is the one in which all goes well.
"""

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud.workspace import NAMED
from runner import lifecycle
from runner.cli import candidate, main, next_step
from runner.errors import NotReleasable, RunFailed
from runner.record import Record, exit_code

from ..runner.conftest import Project, Watcher
from ..service.azurite import Azurite
from . import actions
from . import lifecycle as small
from .executor import Compute
from .fixtures import at_work
from .server import CPU, GPU, Azure, Server


@dataclass
class Day:
    """A workspace, its compute, and a project whose first run went well."""

    azure: Azure
    compute: Compute
    project: Project
    first: Record
    first_dir: Path

    def run(self, *sets: str, **asked: object) -> Record:
        """Run the project again, and wait until its job has ended."""
        self.begin()
        found = self.project.run(engine="azureml", sets=sets, **asked)
        self.compute.wait()
        return found

    def begin(self) -> None:
        """Forget what happened up to now."""
        self.compute.ran.clear()
        self.azure.asked.clear()

    def resume(self) -> Record:
        """Go on with the newest run, and wait until its job has ended."""
        self.project.watcher = Watcher(lambda *_: None)
        _, found = lifecycle.resume(self.project.run_dir, self.project.watcher)  # type: ignore[arg-type]
        self.compute.wait()
        return found

    @property
    def notes(self) -> list[str]:
        """What was said besides."""
        return [words[0] for kind, *words in self.project.watcher.told if kind == "note"]

    @property
    def ran(self) -> list[tuple[str, int]]:
        """What ran on the compute since, and how it ended."""
        return [(phase, ended) for phase, _, ended in self.compute.ran]

    def job(self) -> dict:
        """Give the newest job as it was put."""
        return [one.body for one in self.azure.asked if one.method == "PUT" and "/jobs/" in one.path][-1]["properties"]

    def models(self) -> list[str]:
        """Name what is registered."""
        return sorted(
            one["name"] for key, one in self.azure.manager.resources.items() if "/models/parts/versions/" in key
        )


@pytest.fixture(scope="module")
def day(
    azurite: Azurite,
    azure_server: Server,
    mlflow_server: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("day")
    with (
        pytest.MonkeyPatch.context() as patch,
        at_work(azurite, azure_server, mlflow_server, folder, patch) as azure,
    ):
        compute = Compute(azure, folder / "machines")
        azure.manager.on_job = compute.take
        project = small.write(folder / "project", NAMED)
        first = project.run(engine="azureml")
        compute.wait()
        new = Day(azure, compute, project, first, project.run_dir)
        new.told, new.asked, new.lines = project.watcher.told, list(azure.asked), list(compute.ran)  # type: ignore[attr-defined]
        yield new


def test_a_run_comes_back_as_one_from_here(day: Day) -> None:
    assert (day.first["status"], day.first["engine"]) == ("succeeded", "azureml")
    assert day.first["decision"] == {"verdict": "release", "reason": "3 of 3 gates passed"}
    assert {name: entry["status"] for name, entry in day.first["phases"].items()} == dict.fromkeys(
        ["make", "judge", "keep"], "succeeded"
    )
    assert day.first["phases"]["judge"]["scraps"]["score"]["value"] == pytest.approx(2 / 3)
    assert (day.first_dir / "make" / "rows.txt").read_text() == "a good\nb good\nc poor"
    names = sorted(path.name for path in day.first_dir.iterdir() if path.name != ".lock")
    assert names == ["azureml.json", "azureml.yaml", "events.jsonl", "gates", "judge", "keep", "make", "notebooks",
                     "params.yaml", "report.html", "run.json"]  # fmt: skip
    assert sorted(path.name for path in (day.first_dir / "notebooks").iterdir()) == [
        f"{phase}.{suffix}" for phase in ("judge", "keep", "make") for suffix in ("html", "ipynb")
    ]
    html = (day.first_dir / "report.html").read_text()
    assert "3 of 3 gates passed" in html
    [job] = day.first["jobs"]
    assert (job["name"], job["workspace"]) == (f"trey-{day.first['run_id']}-1", day.azure.address)
    assert f'<a href="{escape(job["link"])}">{job["name"]} in azureml://' in html


def test_it_asks_for_no_action_that_the_doctor_does_not_list(day: Day) -> None:
    assert actions.unlisted(day.asked, "train", "phases", "deploy") == []


def test_it_ends_registered_and_deployed(day: Day) -> None:
    version = day.first["phases"]["keep"]["scraps"]["version"]["value"]
    assert version == "1"
    assert day.azure.manager.get(f"{day.azure.workspace}/models/parts/versions/1")["properties"]["tags"] == {
        "run": day.first["run_id"]
    }
    deployment = day.azure.manager.get(f"{day.azure.workspace}/onlineEndpoints/parts/deployments/version-1")[
        "properties"
    ]
    assert (deployment["provisioningState"], deployment["model"].rpartition("/models/")[2]) == (
        "Succeeded",
        "parts/versions/1",
    )


def test_its_gates_were_judged_on_the_compute_too(day: Day) -> None:
    judged = json.loads((day.first_dir / "keep" / "gates.json").read_text())["gates"]
    assert [(gate["phase"], gate["scrap"], gate["verdict"]) for gate in judged] == [
        ("judge", "make.rows", "pass"),
        ("keep", "judge.score", "pass"),
    ]
    assert day.first["phases"]["keep"]["scraps"]["run"]["value"] == day.first["run_id"]


def test_one_job_holds_a_component_for_each_phase(day: Day) -> None:
    puts = [one for one in day.asked if one.method == "PUT"]
    job = next(one.body["properties"] for one in puts if "/jobs/" in one.path)
    assert sum("/jobs/" in one.path for one in puts) == 1
    assert {name: node["computeId"].rpartition("/")[2] for name, node in job["jobs"].items()} == {
        "make": CPU, "judge": GPU, "keep": CPU,
    }  # fmt: skip
    assert [phase for phase, _, _ in day.lines] == ["make", "judge", "keep"]
    assert all(f"python -m runner phase {phase} " in line for phase, line, _ in day.lines)
    assert job["settings"]["force_rerun"] is True


def test_only_code_travels_and_data_as_an_asset(day: Day) -> None:
    code = next(one["properties"]["codeUri"] for key, one in day.azure.manager.resources.items() if "/codes/" in key)
    names = day.azure.data.storage.below(code)
    assert "notebooks/make.ipynb" in names
    assert "_trey/make.yaml" in names
    assert not [name for name in names if name.startswith(("data/", "runs/", ".git"))]
    data = next(one for key, one in day.azure.manager.resources.items() if "/data/make-source/versions/" in key)
    path = data["properties"]["dataUri"].partition("/paths/")[2]
    assert day.azure.data.storage.blob(path) == (day.project.root / "data" / "parts.csv").read_bytes()
    assert day.azure.data.storage.folder(f"trey/{day.first['run_id']}/trey-{day.first['run_id']}-1/make")


def test_what_happens_is_told_while_it_happens(day: Day) -> None:
    notes = [words[0] for kind, *words in day.told if kind == "note"]
    assert notes[0].startswith(f"job trey-{day.first['run_id']}-1: submitted; https://ml.azure.com/")
    assert "make: Running on Azure ML" in notes
    kinds = [kind for kind, *_ in day.told]
    assert kinds.index("phase_started") < kinds.index("note", kinds.index("phase_started")) < kinds.index("phase_ended")


def test_what_is_unchanged_is_not_sent_again(day: Day) -> None:
    found = day.run()
    assert {entry["status"] for entry in found["phases"].values()} == {"cached"}
    assert day.azure.puts("jobs") == []


def test_what_changed_runs_with_what_stands_as_an_asset(day: Day) -> None:
    before = day.models()
    found = day.run("judge.floor=0.6")
    assert found["decision"]["verdict"] == "release", found["decision"]
    assert [entry["status"] for entry in found["phases"].values()] == ["cached", "succeeded", "succeeded"]
    assert day.ran == [("judge", 0), ("keep", 0)]
    assert list(day.job()["jobs"]) == ["judge", "keep"]
    assert [name.partition("/")[0] for name in day.azure.puts("data")] == ["make-output"]
    assert len(day.models()) == len(before) + 1


def test_a_gate_that_stops_the_run_stops_it_on_the_compute_too(day: Day) -> None:
    """The job says nothing before it has ended, so this side cannot have stopped it."""
    before, day.compute.late = day.models(), True
    try:
        found = day.run("judge.floor=0.9")
    finally:
        day.compute.late = False
    assert (found["status"], exit_code(found), exit_code(found, fail_on_stop=True)) == ("stopped", 0, 3)
    assert found["decision"]["reason"] == "the gates of keep stopped the run: judge.score: 0.6667 < 0.9"
    assert day.ran == [("judge", 0), ("keep", 3)]
    assert day.azure.puts("data") == []  # what stands was uploaded by the run before
    assert found["phases"]["keep"]["status"] == "skipped"
    assert day.models() == before


def test_a_phase_that_fails_tells_why_and_leaves_its_notebook(day: Day) -> None:
    before = day.models()
    found = day.run("judge.fails=true")
    assert (found["status"], exit_code(found)) == ("failed", 1)
    entry = found["phases"]["judge"]
    assert (entry["status"], entry["cause"]) == ("failed", "cell-error")
    assert "it was asked to fail" in entry["message"]
    assert "it was asked to fail" in (day.project.run_dir / "notebooks" / "judge.ipynb").read_text()
    assert found["phases"]["keep"]["status"] == "skipped"
    assert day.ran == [("judge", 1)]
    assert day.models() == before


def test_without_a_file_of_the_snapshot_it_fails(day: Day) -> None:
    """So it is the snapshot that runs, and nothing of this repository or of the project's folder."""
    day.compute.before = lambda phase, folder: (folder / "notebooks" / "helper.py").unlink()
    try:
        found = day.run("make.pause=0.01")
    finally:
        day.compute.before = None
    assert found["status"] == "failed"
    assert "No module named 'helper'" in str(found["phases"]["make"]["message"])


class Interrupting(Watcher):
    """Presses Ctrl-C once when a text is told, and answers what it is asked."""

    def __init__(self, text: str, answer: bool):
        super().__init__(lambda *_: None)
        self.text, self.answer = text, answer

    def note(self, text: str) -> None:
        self.told.append(("note", text))
        if self.text and self.text in text:
            self.text = ""
            signal.raise_signal(signal.SIGINT)

    def confirm(self, question: str) -> bool:
        self.told.append(("confirm", question))
        return self.answer


def interrupted(day: Day, text: str, answer: bool, *sets: str) -> Record:
    day.begin()
    day.project.watcher = Interrupting(text, answer)
    request = day.project.request(engine="azureml", sets=sets)
    day.project.run_dir, found = lifecycle.run(request, day.project.watcher)  # type: ignore[arg-type]
    return found


def test_a_run_that_was_left_finds_its_job_again(day: Day) -> None:
    before = day.models()
    found = interrupted(day, "judge: Running", False, "judge.floor=0.4")
    assert (found["status"], exit_code(found)) == ("interrupted", 130)
    job = f"trey-{found['run_id']}-1"
    assert ("confirm", f"cancel job {job} on Azure ML, too?") in day.project.watcher.told
    assert day.notes[-1] == f"job {job} goes on; next: trey resume {found['run_id']}"
    assert found["decision"]
    assert found["decision"]["reason"].endswith(f"; job {job} goes on")
    found = day.resume()
    assert found["decision"]["verdict"] == "release", found["decision"]
    assert day.notes[0] == f"job {job}: found again, and followed"
    assert day.azure.puts("jobs") == [job]
    assert day.ran == [("judge", 0), ("keep", 0)]
    assert len(day.models()) == len(before) + 1


def test_a_job_is_cancelled_where_a_person_says_so(day: Day) -> None:
    day.compute.hold = threading.Event()
    try:
        found = interrupted(day, "make: NotStarted", True, "make.pause=0.02")
        day.compute.wait()
    finally:
        day.compute.hold = None
    job = f"trey-{found['run_id']}-1"
    assert found["status"] == "interrupted"
    assert found["decision"]
    assert found["decision"]["reason"].endswith(f"; job {job} is cancelled")
    assert day.notes[-1] == f"job {job} is cancelled"
    assert day.azure.manager.get(f"{day.azure.workspace}/jobs/{job}")["properties"]["status"] == "Canceled"
    assert day.ran == []


def test_a_missing_role_is_named_and_once_it_is_there_the_run_goes_on(day: Day) -> None:
    before = day.models()
    day.azure.manager.denied.append(r"workspaces/jobs/write")
    with pytest.raises(RunFailed) as refused:
        day.run("keep.pause=0.02")
    run_id = max(path.name for path in (day.project.root / "runs").iterdir())
    assert refused.value.faults == (
        f"cannot submit job trey-{run_id}-1: who is signed in may not Microsoft.MachineLearningServices/workspaces/"
        "jobs/write; the role AzureML Data Scientist on workspace compliance in resource group parts allows it",
    )
    assert refused.value.next_step.endswith(f"; then trey resume {run_id}")
    day.azure.manager.denied.clear()
    day.project.run_dir = day.project.root / "runs" / run_id
    found = day.resume()
    assert found["decision"]["verdict"] == "release", found["decision"]
    assert day.azure.puts("jobs") == [f"trey-{run_id}-2"]
    assert len(day.models()) == len(before) + 1


def test_a_machine_that_is_taken_away_registers_nothing_twice(day: Day) -> None:
    before = day.models()
    day.compute.preempt["keep"] = lambda: len(day.models()) > len(before)
    found = day.run("keep.pause=2")
    assert found["decision"]["verdict"] == "release", found["decision"]
    assert day.ran == [("keep", -9), ("keep", 0)]
    assert len(day.models()) == len(before) + 1
    assert found["phases"]["keep"]["scraps"]["version"]["value"] == str(len(before) + 1)


def test_a_run_that_is_left_goes_on_and_is_collected(day: Day) -> None:
    """The job's name follows from the run's, so that somebody else can wait for it: azure-pipelines.yml does."""
    found = day.run("judge.floor=0.35", detach=True, run_id="left")
    reason = "job trey-left-1 goes on, and nobody waits for it (--detach)"
    assert (found["status"], exit_code(found), next_step.after(found, "left")) == ("detached", 0, "trey resume left")
    assert found["decision"] == {"verdict": "detached", "reason": reason}
    assert [entry["status"] for entry in found["phases"].values()] == ["cached", "pending", "pending"]
    with pytest.raises(NotReleasable, match=f"left: detached: {re.escape(reason)}"):
        candidate.compose(day.project.run_dir, found, "staging")
    page = (day.project.run_dir / "report.html").read_text(encoding="utf-8")
    assert "Left to its engine: not collected yet" in page
    assert day.azure.puts("jobs") == ["trey-left-1"]
    assert ("judge", 0) in day.ran
    collected = day.resume()
    assert collected["decision"]["verdict"] == "release", collected["decision"]
    assert (collected["run_id"], day.azure.puts("jobs")) == ("left", ["trey-left-1"])


def test_a_data_asset_is_read_by_its_name(day: Day) -> None:
    [version, *_] = [name.rpartition("/")[2] for name in day.azure.manager.resources if "/data/make-source/" in name]
    found = day.run(f"make.source=azureml:make-source:{version}", "make.pause=0.03")
    assert found["decision"]["verdict"] == "release", found["decision"]
    assert found["phases"]["make"]["scraps"]["rows"]["value"] == 3
    assert day.azure.puts("data") == []
    assert day.job()["jobs"]["make"]["inputs"]["source"]["uri"].endswith(f"/data/make-source/versions/{version}")


class Rows(BaseHTTPRequestHandler):
    """An address whose content changes."""

    rows = b"a good\nb good"

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{len(self.rows)}"')
        self.send_header("Content-Length", str(len(self.rows)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.rows)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_changed_at_an_address_since_it_was_sent_runs_anew(day: Day) -> None:
    """Or what is collected would count as made of what lies there now."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Rows) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        day.run(f"make.source=http://127.0.0.1:{server.server_port}/parts.csv", detach=True, run_id="address")
        Rows.rows += b"\nc good"
        found = day.resume()
        server.shutdown()
    assert found["decision"]["verdict"] == "release", found["decision"]
    assert found["phases"]["make"]["scraps"]["rows"]["value"] == 3
    assert day.azure.puts("jobs") == ["trey-address-1", "trey-address-2"]


def test_what_failed_on_its_own_is_told_once_and_then_runs_anew(day: Day) -> None:
    day.run("judge.fails=true", "judge.floor=0.31", detach=True, run_id="failing")
    found = day.resume()
    assert (found["status"], found["phases"]["judge"]["cause"]) == ("failed", "cell-error")
    assert "it was asked to fail" in str(found["phases"]["judge"]["message"])
    assert (day.azure.puts("jobs"), day.ran) == (["trey-failing-1"], [("judge", 1)])
    assert day.resume()["status"] == "failed"
    assert (day.azure.puts("jobs"), day.ran) == (["trey-failing-1", "trey-failing-2"], [("judge", 1)] * 2)


def test_a_job_that_fails_before_any_node_of_it_began_is_told(day: Day) -> None:
    take = day.azure.manager.on_job
    day.azure.manager.on_job = lambda job: day.azure.manager.get(job)["properties"].update(status="Failed")
    try:
        found = day.run("judge.floor=0.33", run_id="refused")
    finally:
        day.azure.manager.on_job = take
    said = "it is Failed on Azure ML and left no output: job trey-refused-1 is Failed, and judge did not run in it"
    assert (found["status"], found["phases"]["judge"]["message"]) == ("failed", said)
    assert "judge: Failed on Azure ML" in day.notes


def test_what_somebody_cancelled_is_told_once_and_then_runs_anew(day: Day) -> None:
    day.compute.hold = threading.Event()
    try:
        day.begin()
        day.project.run(engine="azureml", sets=("judge.floor=0.32",), detach=True, run_id="cancelled")
        day.azure.data.cancel("trey-cancelled-1")
        day.compute.wait()
    finally:
        day.compute.hold = None
    found = day.resume()
    assert (found["status"], exit_code(found), day.azure.puts("jobs")) == ("interrupted", 130, ["trey-cancelled-1"])
    assert found["phases"]["judge"]["message"] == "it is Canceled on Azure ML and left no output"
    assert day.resume()["decision"]["verdict"] == "release"
    assert day.azure.puts("jobs") == ["trey-cancelled-1", "trey-cancelled-2"]


def test_what_a_gate_kept_from_running_runs_once_the_gate_is_waived(day: Day) -> None:
    day.compute.late = True
    try:
        found = day.run("judge.floor=0.95", "judge.hoped=0.96", run_id="waived")
    finally:
        day.compute.late = False
    assert (found["status"], day.ran) == ("stopped", [("judge", 0), ("keep", 3)])
    words = ["waive", "waived", "--gate", "judge.score", "--reason", "seen", "--as", "somebody else"]
    words += ["--pipeline", str(day.project.root / "params" / "pipeline.yaml")]
    assert CliRunner().invoke(main, words, catch_exceptions=False).exit_code == 0
    found = day.resume()
    assert found["decision"] == {"verdict": "release", "reason": "2 of 3 gates passed; 1 waived: judge.score"}
    assert (day.azure.puts("jobs"), day.ran[2:]) == (["trey-waived-1", "trey-waived-2"], [("keep", 0)])
