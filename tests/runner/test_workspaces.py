"""`azureml://workspace` stands for one that is named elsewhere: records and keys say which it was."""

import pytest

from cloud.workspace import NAMED, VARIABLE
from runner.errors import BadRequest

from .conftest import GLUE, Project

ONE, OTHER = (
    f"azureml://subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/parts/workspaces/{name}"
    for name in ("one", "other")
)


@pytest.fixture
def stored(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Give a project of which one phase of two reads a registry in whichever workspace is named."""
    for name in (VARIABLE, "AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZURE_ML_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    project.notebook("make", f"{GLUE}\nglue('number', 1)", parameters='output_dir: str = "x"')
    use = 'make_dir: str = "x"\nregistry_store: str = "../registry"\noutput_dir: str = "x"'
    project.notebook("use", f"{GLUE}\nglue('store', registry_store)", parameters=use)
    project.pipeline("phases: [make, use]\nscraps: {make: {number: n}, use: {store: where}}\n")
    project.write("params/default.yaml", f"use: {{registry_store: '{NAMED}'}}\n")
    return project


def test_the_record_says_which_workspace_it_was(stored: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, ONE)
    found = stored.run()
    assert found["phases"]["use"]["params"]["registry_store"] == ONE
    assert found["phases"]["use"]["scraps"]["store"]["value"] == ONE
    assert ONE in (stored.run_dir / "params.yaml").read_text()
    assert stored.plan()["use"].status == "cached"
    monkeypatch.setenv(VARIABLE, OTHER)
    assert stored.plan()["use"].why.startswith("params use.registry_store azureml://subscriptions/")


def test_what_was_asked_for_goes_before_azure_yaml_and_that_before_the_environment(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, ONE)
    stored.write("environment.yml", "name: parts\n")
    settings = "computes: {cpu: cpu-cluster}\ndefault: cpu\nenvironment: {image: x}\n"
    stored.write("params/azure.yaml", f"{settings}workspace: {OTHER}\n")
    assert stored.plan()["use"].params["registry_store"] == OTHER
    given = OTHER.replace("other", "third")
    assert stored.plan(engine="azureml", workspace=given)["use"].params["registry_store"] == given
    stored.write("params/azure.yaml", settings)
    assert stored.plan()["use"].params["registry_store"] == ONE


def test_where_none_is_named_only_a_phase_that_runs_asks_for_it(stored: Project) -> None:
    assert stored.run(last="make")["phases"]["use"]["params"]["registry_store"] == NAMED
    with pytest.raises(BadRequest, match=r"use\.registry_store: azureml://workspace: no workspace is named") as raised:
        stored.run()
    assert raised.value.next_step.startswith(f"give --workspace or set {VARIABLE}")
