"""What the engine azureml refuses before anything starts, and what it says then."""

from pathlib import Path
from typing import Any

import pytest

from runner.engines.azureml import settings
from runner.engines.azureml.engine import AzureEngine
from runner.errors import BadRequest
from runner.pipeline import load_pipeline
from runner.planning import Request, prepare

from ..project import ROOT
from ..runner.conftest import Project
from . import lifecycle as small
from .server import Azure

STORE = "azureml://workspace"
SOME = "azureml://subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/parts/workspaces/compliance"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return small.write(tmp_path / "project", STORE)


def refused(project: Project, **asked: Any) -> BadRequest:
    """Ask for a run that is refused; nothing is left of it."""
    with pytest.raises(BadRequest) as fault:
        project.run(engine="azureml", **asked)
    assert not (project.root / "runs").exists()
    return fault.value


def test_the_settings_of_this_project_are_sound() -> None:
    found = settings.read(load_pipeline(ROOT / "params" / "pipeline.yaml"))
    assert [found.compute(phase) for phase in ("prepare", "train", "evaluate", "register", "deploy")] == [
        "cpu-cluster", "gpu-cluster", "gpu-cluster", "cpu-cluster", "cpu-cluster",
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ["azureml", "azureml-v1"])
def test_a_plan_names_the_cluster_of_each_phase_unasked(azure: Azure, project: Project, engine: str) -> None:
    found = {name: phase.compute for name, phase in project.plan(engine=engine).items()}
    assert found == {"make": "cpu-cluster", "judge": "gpu-cluster", "keep": "cpu-cluster"}
    assert {phase.compute for phase in project.plan().values()} == {""}
    project.write("params/azure.yaml", "computes: []")
    with pytest.raises(BadRequest, match="computes names none"):
        project.plan(engine=engine)
    assert [one.path for one in azure.asked if one.path.startswith("/subscriptions/")] == []


def test_this_project_may_be_sent_as_its_params_file_says(azure: Azure) -> None:
    request = Request(ROOT / "params" / "pipeline.yaml", ROOT, files=(Path("params/prod.yaml"),), engine="azureml")
    AzureEngine().check(prepare(request))
    assert {one.method for one in azure.asked} == {"GET"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("computes: {cpu: c1}", "default is None"),
        ("computes: {cpu: 1x}", "computes.cpu is '1x'; a cluster has 2 to 32 letters"),
        ("computes: {cpu: one}\ndefault: gpu", "default is 'gpu'; did you mean cpu?"),
        ("computes: {cpu: one}\ndefault: cpu\nphases: {jugde: cpu}", "phases names jugde; did you mean judge?"),
        ("computes: {cpu: one}\ndefault: cpu\nphases: {judge: tpu}", "phases.judge is 'tpu'"),
        ("computes: {cpu: one}\ndefault: cpu\nwhere: x", "where is no key"),
        ("computes: {cpu: one}\ndefault: cpu\npoll: 0", "poll is 0; give seconds, above 0"),
        ("computes: {cpu: one}\ndefault: cpu\nenvironment: {file: x.yml}", "environment.file is 'x.yml'; there is no"),
        ("computes: {cpu: one}\ndefault: cpu\nenvironment: {file: ../environment.yml}", "environment.image is None"),
        ("computes: []", "computes names none"),
        ("- a", "azure.yaml holds list; it must be a mapping"),
    ],
)
def test_settings_that_are_wrong_are_told(project: Project, text: str, said: str) -> None:
    project.write("params/azure.yaml", text)
    fault = refused(project)
    assert said in str(fault)
    assert fault.next_step.startswith("mend ")


def test_all_faults_of_the_settings_are_told_at_once(project: Project) -> None:
    project.write("params/azure.yaml", "computes: {cpu: one}\ndefault: gpu\npoll: no\nenvironment: {name: '?'}")
    assert len(refused(project).faults) == 4


def test_without_settings_the_file_is_named(project: Project) -> None:
    (project.root / "params" / "azure.yaml").unlink()
    assert "params/azure.yaml" in str(refused(project, workspace=SOME))


def test_what_means_something_here_alone_is_refused(project: Project) -> None:
    sets = ("keep.registry_store=../registry", "keep.run_label=env:TOKEN")
    project.notebook("keep", "x = 1", parameters='judge_dir: str = "x"\nregistry_store: str = "../registry"\n'
                     'run_label: str = ""\ngates_path: str = ""\noutput_dir: str = "x"')  # fmt: skip
    faults = refused(project, sets=sets).faults
    assert any("keep.registry_store is" in fault and "a folder on this machine" in fault for fault in faults)
    assert any("keep.run_label is env:TOKEN, a reference that leads nowhere on Azure ML" in fault for fault in faults)


def test_a_gate_whose_evidence_would_not_travel_is_refused(project: Project) -> None:
    text = (project.root / "params" / "pipeline.yaml").read_text()
    project.pipeline(text.replace("  keep:\n", "  keep:\n    - {scrap: make.rows, min: 1}\n", 1))
    said = "a gate of keep asks make.rows, but keep does not read make's folder"
    assert said in str(refused(project, workspace=SOME))


def test_a_file_that_would_stay_behind_is_refused(project: Project) -> None:
    project.write("notebooks/other.py", "")
    helper = project.root / "notebooks" / "helper.py"
    helper.write_text(f"import other\n{helper.read_text()}")
    fault = refused(project, workspace=SOME)
    assert fault.faults == ("notebooks/other.py would stay behind: git does not track it",)
    project.write(".amlignore", "/data/\nother.py\n")
    small.git(project.root, "add", "notebooks/other.py")
    assert refused(project, workspace=SOME).faults == (
        "notebooks/other.py would stay behind: .amlignore leaves it out",
    )


def test_a_workspace_or_a_cluster_that_does_not_exist_is_told(azure: Azure, project: Project) -> None:
    elsewhere = azure.address.replace("compliance", "other")
    said = "cannot look at the workspace: there is no workspace other in resource group parts"
    assert refused(project, workspace=elsewhere).faults == (said,)
    project.write("params/azure.yaml", small.SETTINGS.replace("gpu-cluster", "gpu-missing"))
    said = "azure.yaml: computes.gpu is gpu-missing, which workspace compliance in resource group parts does not have"
    assert refused(project).faults == (f"{said}; allowed are cpu-cluster, gpu-cluster",)
    assert not [one for one in azure.asked if one.method != "GET"]


def test_all_that_the_workspace_lacks_is_told_at_once(azure: Azure, project: Project) -> None:
    text = small.SETTINGS.replace("gpu-cluster", "gpu-clutser")
    project.write("params/azure.yaml", f"{text}datastore: nope\n")
    where = "which workspace compliance in resource group parts does not have"
    assert refused(project).faults == (
        f"azure.yaml: computes.gpu is gpu-clutser, {where}; did you mean gpu-cluster?",
        f"azure.yaml: datastore is nope, {where}; each has workspaceblobstore",
    )
    assert [one for one in azure.asked if one.method == "PUT"] == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("azureml:parts:7", "workspace compliance in resource group parts has no data asset parts of version 7"),
        ("azureml:parts", "make.source is azureml:parts, which names no version of a data asset; give azureml:N"),
    ],
)
def test_data_that_no_asset_of_that_name_holds_is_told(azure: Azure, project: Project, source: str, fault: str) -> None:
    assert fault in str(refused(project, sets=(f"make.source={source}",)))
    assert [one for one in azure.asked if one.method == "PUT"] == []


def test_the_runner_may_not_stay_behind(project: Project) -> None:
    project.write(".amlignore", "/data/\n/runner/\n")
    assert "runner/__main__.py would stay behind: .amlignore leaves it out" in str(refused(project, workspace=SOME))


def test_a_workspace_is_for_the_engines_of_azure(project: Project) -> None:
    with pytest.raises(BadRequest, match="it is for --engine azureml or azureml-v1, and this is local"):
        project.run(workspace="azureml://workspace")


def test_without_a_workspace_the_variable_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TREY_AZURE_WORKSPACE", "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_ML_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    assert "set TREY_AZURE_WORKSPACE" in refused(project).next_step
