"""Addresses of workspaces: what is one, what is none, and what is said then."""

import pytest

from cloud import workspace
from cloud.errors import BadWorkspace
from cloud.workspace import Workspace

ID = "00000000-0000-0000-0000-000000000001"
ADDRESS = f"azureml://subscriptions/{ID}/resourceGroups/parts/workspaces/compliance"
EXPECTED = Workspace(ID, "parts", "compliance")


@pytest.mark.parametrize(
    "text",
    [
        ADDRESS,
        f"{ADDRESS}/",
        ADDRESS.replace("resourceGroups", "resourcegroups"),
        ADDRESS.replace("/workspaces", "/providers/Microsoft.MachineLearningServices/workspaces"),
    ],
)
def test_an_address_is_read_in_each_form_that_azure_writes(text: str) -> None:
    assert workspace.parse(text) == EXPECTED
    assert workspace.parse(workspace.parse(text).address) == EXPECTED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("compliance", "'compliance' is no address of a workspace"),
        (f"{ADDRESS}/onlineEndpoints/parts", "is no address of a workspace"),
        (ADDRESS.replace(ID, "mine"), "subscription 'mine' is no id"),
        (ADDRESS.replace("compliance", "c"), "workspace 'c' is not 3 to 33"),
        (ADDRESS.replace("parts", "parts."), "resource group 'parts.' is not 1 to 90"),
        (ADDRESS.replace(ID, "mine").replace("compliance", "c"), "; workspace 'c'"),
    ],
)
def test_what_is_no_address_is_told_with_the_next_step(text: str, said: str) -> None:
    with pytest.raises(BadWorkspace) as fault:
        workspace.parse(text)
    assert said in fault.value.message
    assert fault.value.next_step.startswith("give --workspace or set TREY_AZURE_WORKSPACE")


def test_what_is_given_goes_before_the_variable_and_that_before_its_parts() -> None:
    parts = {"AZURE_SUBSCRIPTION_ID": ID, "AZURE_RESOURCE_GROUP": "others", "AZURE_ML_WORKSPACE": "compliance"}
    named = parts | {"TREY_AZURE_WORKSPACE": ADDRESS.replace("parts", "named")}
    assert workspace.find(ADDRESS, named).group == "parts"
    assert workspace.find("", named).group == "named"
    assert workspace.find(None, parts).group == "others"
    with pytest.raises(BadWorkspace, match=r"\(missing: AZURE_RESOURCE_GROUP\)"):
        workspace.find(None, parts | {"AZURE_RESOURCE_GROUP": ""})


def test_the_short_address_is_whichever_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TREY_AZURE_WORKSPACE", *workspace.PARTS):
        monkeypatch.delenv(name, raising=False)
    assert workspace.is_workspace(workspace.NAMED)
    with pytest.raises(BadWorkspace, match="no workspace is named"):
        workspace.parse(workspace.NAMED)
    monkeypatch.setenv("TREY_AZURE_WORKSPACE", ADDRESS)
    assert workspace.parse(workspace.NAMED) == workspace.find(workspace.NAMED) == EXPECTED


def test_what_lies_in_a_workspace_is_told_from_paths_and_other_addresses() -> None:
    assert workspace.is_workspace(ADDRESS)
    assert workspace.is_workspace(f"{ADDRESS}/onlineEndpoints/parts")
    assert not workspace.is_workspace("azureml://westeurope.api.azureml.ms/mlflow/v1.0/subscriptions/x")
    assert not workspace.is_workspace("../registry")
