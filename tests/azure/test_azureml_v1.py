"""The engine azureml-v1, with azureml-sdk in the environment that it has for itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from cloud.workspace import Workspace
from runner import planning
from runner.engines import Ahead
from runner.engines.azureml_v1 import AzureV1Engine, connect, take_snapshot
from runner.errors import BadRequest
from runner.planning import Request

from ..conftest import SHARED
from ..project import ROOT
from .server import CPU, GPU, Azure, Server
from .v1_compute import Compute, run_step
from .v1_contract import Contract
from .v1_server import AzureV1, output_path

PYTHON = ROOT / ".venv-azureml-v1" / "bin" / "python"
SPECIFICATIONS = SHARED / "contracts" / "azure-ml-v1"
UNPUBLISHED = {  # what azureml-core 1.61 asks of these services, and the specifications of 2019 do not know
    "GET /history/v1.0/experimentids/…/runs/…_keep",
    "GET /history/v1.0/experimentids/…/runs/…_make",
    "GET /history/v1.0/experiments/trey/runs/…_keep/metricsingest/wait",
    "GET /history/v1.0/experiments/trey/runs/…_make/metricsingest/wait",
}
CLIENT = Path(__file__).parent / "v1_client.py"
MAKE = """\
# parameters
score: float = 0.9  # how good it is, between 0 and 1
parts_path: str = ""  # a file of parts
output_dir: str = "../out/make"  # where this phase writes
"""
MAKE_CODE = """\
import hashlib, os, pathlib
import runner, scrapbook as sb
from parts import read
model = pathlib.Path(output_dir) / "model"
model.mkdir(parents=True)
parts = read(parts_path)
(model / "model.txt").write_text(parts)
sb.glue("score", score)
sb.glue("parts", len(parts.splitlines()))
sb.glue("flavour", os.environ["PARTS_FLAVOUR"])
sb.glue("runner", runner.__file__)
sb.glue("workspace", os.environ["TREY_AZURE_WORKSPACE"])
sb.glue("model_digest", hashlib.sha256(parts.encode()).hexdigest())
"""
KEEP = """\
# parameters
make_dir: str = "../out/make"  # the model
output_dir: str = "../out/keep"  # where this phase writes
"""
KEEP_CODE = """\
import hashlib, pathlib
import scrapbook as sb
pathlib.Path(output_dir).mkdir(parents=True, exist_ok=True)
content = (pathlib.Path(make_dir) / "model" / "model.txt").read_bytes()
sb.glue("kept", 1)
sb.glue("model_name", "parts")
sb.glue("model_digest", hashlib.sha256(content).hexdigest())
"""
PIPELINE = """\
phases: [make, keep]
notebooks: ../notebooks
variables: {make: [PARTS_FLAVOUR]}
gates:
  keep: [{scrap: make.score, min: 0.5}]
scraps:
  make: {score: "how good", parts: "how many", flavour: "which", workspace: "w", runner: "who", model_digest: "its"}
  keep: {kept: "models kept", model_name: "its name", model_digest: "its digest"}
"""
SETTINGS = f"""\
computes: {{cpu: {CPU}, gpu: {GPU}}}
default: cpu
phases: {{make: gpu}}
environment: {{image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04, file: ../environment.yml}}
models: {{keep: make_dir/model}}
poll: 1
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """Give the Python that has azureml-sdk; without it, skip, or fail where it is required."""
    if (PYTHON.parents[1] / "ready").exists():
        return PYTHON
    if os.environ.get("TREY_REQUIRE_AZUREML_V1") == "1":
        pytest.fail("TREY_REQUIRE_AZUREML_V1 is 1, but there is no .venv-azureml-v1: make azureml-v1")
    pytest.skip("needs .venv-azureml-v1: make azureml-v1")


@pytest.fixture
def azure_v1(
    python: Path,
    azure: Azure,
    azure_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[AzureV1]:
    """Give the workspace with its older services; what departs from what is published fails the test."""
    new = AzureV1(azure.port, azure.data.storage, azure.manager.contract)
    new.published = Contract(SPECIFICATIONS) if SPECIFICATIONS.is_dir() else None
    azure_server.azure = new
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # SDK v1 keeps addresses and snapshots there
    yield new.seed()
    assert not new.manager.broken, "\n".join(new.manager.broken)
    assert not new.departures, "\n".join(new.departures)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project of two phases in a git repository, with the runner in it as ours has."""
    folder = tmp_path / "project"
    for room in ("runner", "cloud"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("notebooks", "params", "runs"):
        (folder / name).mkdir()
    for name, cells in {"make": (MAKE, MAKE_CODE), "keep": (KEEP, KEEP_CODE)}.items():
        first = nbformat.v4.new_code_cell(cells[0], metadata={"tags": ["parameters"]})
        notebook = nbformat.v4.new_notebook(cells=[first, nbformat.v4.new_code_cell(cells[1])])
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    (folder / "params" / "pipeline.yaml").write_text(PIPELINE)
    (folder / "params" / "azure.yaml").write_text(SETTINGS)
    (folder / "parts.py").write_text("def read(path):\n    return open(path).read()\n")
    (folder / "environment.yml").write_text("name: parts\ndependencies: [python=3.11]\n")
    (folder / ".gitignore").write_text("runs/\n")
    (folder / "runs" / "secret.txt").write_text("not to be sent")
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    subprocess.run(["git", "-C", folder, "add", "."], check=True)
    return folder


def test_the_lifecycle_is_a_graph_that_the_sdk_accepts(azure_v1: AzureV1, python: Path, tmp_path: Path) -> None:
    """Asked of the SDK's own stand-in for the service of pipelines."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    azure_v1.begin("earlier", "trey")
    command = [python, CLIENT, ROOT / "params" / "pipeline.yaml", folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    answer = json.loads(done.stderr.splitlines()[-1])
    assert answer["computes"] == {"prepare": CPU, "train": GPU, "evaluate": GPU, "register": CPU, "deploy": CPU}
    assert answer["edges"] == [
        ["evaluate", "deploy"],
        ["evaluate", "register"],
        ["prepare", "evaluate"],
        ["prepare", "train"],
        ["register", "deploy"],
        ["train", "evaluate"],
    ]
    packages = answer["environment"]["python"]["condaDependencies"]["dependencies"][-1]["pip"]
    assert [pin for pin in packages if pin.startswith("azureml-core==")]  # what the steps log and register with
    assert "Cycle detected" in answer["refused"][0]
    assert not azure_v1.graphs  # nothing was submitted
    # A model that is registered already is found by its digest, and gives the version that exists.
    assert [(one["id"], one["new"]) for one in answer["registered"]] == [("parts:1", True), ("parts:1", False)]


def test_a_run_goes_there_and_comes_back(azure_v1: AzureV1, python: Path, project: Path, tmp_path: Path) -> None:
    """As typed on a command line, with a compute that has nothing but the snapshot of each step."""
    elsewhere = tmp_path / "elsewhere" / "parts.csv"
    elsewhere.parent.mkdir()
    elsewhere.write_text("a\nb\n")
    # One step sends metrics as they were published in 2019, the other as the SDK does by default.
    compute = Compute(azure_v1, python, tmp_path / "machines", {"make": {"AZUREML_METRICS_V2": ""}})
    command = [python, "-m", "runner", "run", "--engine", "azureml-v1", "--json", "--run-id", "first"]
    command += ["--set", f"make.parts_path={elsewhere}", "--set", "make.score=0.75"]
    given = os.environ | {"PARTS_FLAVOUR": "vanilla"}
    with compute.at_work():
        done = subprocess.run(command, cwd=project, env=given, capture_output=True, text=True, timeout=240, check=False)
    said = [one.stdout[-1500:] + one.stderr[-3000:] for one in compute.done]
    assert done.returncode == 0, f"{done.stdout[-3000:]} {done.stderr[-3000:]} {said}"

    found = json.loads(done.stdout)
    assert (found["engine"], found["decision"]["verdict"]) == ("azureml-v1", "release")
    assert (project / "runs" / "first" / "make" / "model" / "model.txt").read_text() == "a\nb\n"
    (run,) = azure_v1.pipeline_runs
    assert azure_v1.runs[run]["tags"] == {"trey.run": "first"}
    assert azure_v1.metrics == {f"{run}_make": {"score": 0.75, "parts": 2}, f"{run}_keep": {"kept": 1}}
    scraps = {name: scrap["value"] for name, scrap in found["phases"]["make"]["scraps"].items()}
    assert (scraps["flavour"], scraps["workspace"]) == ("vanilla", azure_v1.address)
    there = tmp_path / "machines" / f"{run}_make" / "code" / "runner" / "__init__.py"
    assert scraps["runner"] == str(there)  # not what is installed
    assert [(key, model["kvTags"]["digest"]) for key, model in azure_v1.models.items()] == [
        ("parts:1", scraps["model_digest"])
    ]
    assert azure_v1.files_of("parts:1") == {"model/model.txt": b"a\nb\n"}
    assert "keep: parts:1 is the model's version in the workspace" in done.stderr
    (snapshot,) = azure_v1.snapshots.values()
    assert "_trey/make.parts_path/parts.csv" in snapshot
    assert not [path for path in snapshot if path.startswith((".git/", "runs/"))]
    assert azure_v1.unpublished == UNPUBLISHED

    # Where only the last phase is left, the one before travels in the snapshot, and its evidence with it.
    prepared = planning.prepare(Request(project / "params" / "pipeline.yaml", project))
    code = frozenset(prepared.code("keep"))
    ahead = Ahead(project / "runs" / "first", prepared.pipeline, prepared.params, ("keep",), code, found, None)
    words = take_snapshot(ahead, tmp_path / "rest")["keep"]
    place = words.index("--in")
    assert words[place : place + 3] == ["--in", "make_dir", "_trey/make"]
    words[place : place + 3] = ["--in", "make_dir=_trey/make"]
    phase = [sys.executable, "-m", "runner", "phase", "keep", "--out", "out", "--fail-on-stop", *words]
    assert subprocess.run(phase, cwd=tmp_path / "rest", timeout=120, check=False).returncode == 0

    # The same step without the evidence of the one before: its gate stops it, and nothing is registered.
    step = f"{run}_keep"
    azure_v1.models.clear()
    azure_v1.data.storage.put(f"{output_path(f'{run}_make', 'make_dir')}/_phase/phase.json", b"{}")
    stopped = run_step(azure_v1, step, python, tmp_path / "stopped")
    assert (stopped.returncode, azure_v1.models) == (3, {})
    assert azure_v1.output(step)["_phase/phase.json"]["decision"]["verdict"] == "stopped"


def test_what_departs_from_the_published_is_found(shared_dir: Path) -> None:
    contract = Contract(shared_dir / "contracts" / "azure-ml-v1")
    scope = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    register = contract.operation("POST", f"/modelmanagement/v1.0{scope}/models")
    query = contract.operation("GET", f"/history/v1.0{scope}/experiments/trey/runs/one")
    body = {"name": "parts", "url": "aml://asset/1", "mimeType": "application/json"}
    assert contract.request_faults(register, {}, body) == []
    assert contract.request_faults(register, {"force": "1"}, body | {"digest": "x", "unpack": "no"}) == [
        "MLModels_Register: query has force, which is not published",
        "MLModels_Register: : Additional properties are not allowed ('digest' was unexpected)",
        "MLModels_Register: unpack: 'no' is not valid under any of the given schemas",
    ]
    assert contract.answer_faults(query, 200, {"runId": "one", "status": 4}) == [
        "Runs_Get: status: 4 is not valid under any of the given schemas"
    ]
    assert contract.operation("GET", f"/history/v1.0{scope}/experiments/trey/runs/one/metricsingest/wait") is None


def test_without_the_sdk_it_says_where_the_sdk_is(tmp_path: Path) -> None:
    """This environment has SDK v2."""
    with pytest.raises(BadRequest, match=r"azureml\.core is not installed here(.|\n)*make azureml-v1"):
        connect(Workspace("00000000-0000-0000-0000-000000000001", "parts", "compliance"))


def test_a_run_that_nobody_would_find_again_is_not_left(project: Path) -> None:
    request = Request(project / "params" / "pipeline.yaml", project, detach=True)
    with pytest.raises(BadRequest, match="trey resume does not find a run of azureml-v1 again"):
        AzureV1Engine().check(planning.prepare(request))


def test_a_model_that_no_gate_guards_is_refused(project: Path) -> None:
    path = project / "params" / "azure.yaml"
    path.write_text(SETTINGS.replace("keep: make_dir/model", "make: keep_dir/model"))
    with pytest.raises(BadRequest) as raised:
        AzureV1Engine().check(planning.prepare(Request(project / "params" / "pipeline.yaml", project)))
    assert raised.value.faults == (
        "azure.yaml: models.make registers a model, but no gate guards make",
        "azure.yaml: models.make is keep_dir/model; make reads nothing",
    )
