"""`trey azure doctor`: who it says one is, what it asks, and what it never tells."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provisioning import needs, signs
from runner.cli import main

from ..azure import tokens
from ..azure.server import Azure

ML, BLOBS = "Microsoft.MachineLearningServices/workspaces", "Microsoft.Storage/storageAccounts/blobServices"
SCIENTIST = {  # as the built-in role has it
    "actions": [f"{ML}/*/{one}" for one in ("read", "action", "delete", "write")] + [f"{ML}/read"],
    "notActions": [f"{ML}/delete", f"{ML}/write", f"{ML}/computes/*/write", f"{ML}/computes/write"],
    "dataActions": [],
    "notDataActions": [],
}
READER = {"actions": [], "notActions": [], "dataActions": [f"{BLOBS}/containers/blobs/read"], "notDataActions": []}
TRAIN, PROVISION, DEPLOY = (
    next(need.task for need in needs.NEEDS if need.task.startswith(word)) for word in ("train", "provision", "deploy")
)
PIPELINE = (
    "SYSTEM_OIDCREQUESTURI", "AZURESUBSCRIPTION_CLIENT_ID", "AZURESUBSCRIPTION_TENANT_ID",
    "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "SYSTEM_ACCESSTOKEN",
)  # fmt: skip


def doctor(*words: str, exit_code: int = 0) -> Result:
    done = CliRunner().invoke(main, ["azure", "doctor", *words], prog_name="trey")
    assert done.exit_code == exit_code, done.output + done.stderr
    return done


@pytest.fixture
def given(azure: Azure) -> Callable[..., None]:
    """Give a function that gives roles to whoever asks: what they allow at the workspace, and at its storage."""

    def give(there: list[dict[str, Any]], on_storage: list[dict[str, Any]]) -> None:
        storage = azure.manager.get(azure.workspace)["properties"]["storageAccount"]
        for scope, roles in ((azure.workspace, there), (storage, on_storage)):
            for number, role in enumerate(roles):
                azure.manager.put(f"{scope}/providers/Microsoft.Authorization/permissions/{number}", {}, **role)
        role = "/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/f6c7c914"
        azure.manager.put(role, {"roleName": "AzureML Data Scientist"})
        at = f"{azure.workspace}/providers/Microsoft.Authorization/roleAssignments/1"
        azure.manager.put(at, {"roleDefinitionId": role, "scope": azure.workspace, "principalId": tokens.WHO})

    return give


def test_the_live_doctor_tells_who_asks_and_what_that_identity_lacks(azure: Azure, given: Callable[..., None]) -> None:
    given([SCIENTIST], [READER])
    told = json.loads(doctor("--live", "--json", exit_code=1).stdout)
    assert [(one["name"], one["passed"]) for one in told["checks"]] == [
        ("identity", True), ("workspace", True), ("storage", True),
    ]  # fmt: skip
    [fault] = told["faults"]
    assert fault.startswith("this identity may do none of the tasks above as a whole")
    assert f"object {tokens.WHO}, tenant {tokens.TENANT}" in told["checks"][0]["said"]
    assert told["roles"] == [f"AzureML Data Scientist on {azure.workspace}"]
    lacking = {one["task"]: one["lacking"] for one in told["needs"]}
    assert lacking[TRAIN] == [f"{BLOBS}/containers/blobs/write"]
    assert lacking[PROVISION] == [f"{ML}/computes/write", f"{BLOBS}/containers/blobs/write"]
    assert lacking[DEPLOY] == [f"{BLOBS}/containers/blobs/write"]
    assert {one.method for one in azure.asked} == {"GET"}
    text = doctor("--live", exit_code=1).stdout
    assert f"  lacks    {BLOBS}/containers/blobs/write" in text
    assert text.splitlines()[-1].startswith("next: mend what is named above")


def test_no_token_and_no_value_of_a_variable_is_told(
    given: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    given([SCIENTIST], [READER])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", planted := "s3cr3t-planted-here")  # pragma: allowlist secret
    for words in ((), ("--live",), ("--json",), ("--live", "--json")):
        said = doctor(*words, exit_code=1).output
        assert "AZURE_CLIENT_SECRET is set: a secret where workload identity federation needs none" in said
        assert planted not in said
        assert "eyJ" not in said  # as every token begins


def test_a_datastore_with_a_key_is_a_fault(azure: Azure, given: Callable[..., None]) -> None:
    given([SCIENTIST], [READER])
    azure.seed(key=True)
    said = doctor("--live", exit_code=1).stdout
    assert "FAULT  storage: datastore workspaceblobstore holds a key" in said
    assert (
        "az ml workspace update --name compliance --resource-group parts --system-datastores-auth-mode identity" in said
    )


def test_a_workspace_that_does_not_let_one_in_is_a_fault_with_the_next_step(azure: Azure) -> None:
    azure.manager.denied = ["workspaces/read"]
    said = doctor("--live", exit_code=1).stdout
    assert "FAULT  azure: cannot look at the workspace" in said
    assert "az role assignment create" in said


def test_without_live_nobody_is_asked(azure: Azure) -> None:
    told = json.loads(doctor("--json").stdout)
    assert (told["checks"], told["roles"]) == (None, None)
    assert [one.path for one in azure.asked if one.path != "/metadata/endpoints"] == []
    assert told["identity"] == "DefaultAzureCredential: the managed identity of this machine (MSI_ENDPOINT is set)"
    assert told["variables"]["TREY_AZURE_WORKSPACE"] == "set"
    assert all(one["actions"] and one["lacking"] is None for one in told["needs"])
    assert "  action   " not in doctor().stdout
    assert f"  action   {ML}/computes/write" in doctor("--actions").stdout


def test_without_a_workspace_the_variables_that_name_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in signs.PLACES:
        monkeypatch.delenv(name, raising=False)
    said = doctor("--live", exit_code=1).stdout
    assert "no workspace is named: neither TREY_AZURE_WORKSPACE is set nor all of AZURE_SUBSCRIPTION_ID" in said
    assert said.splitlines()[-1] == "next: mend what is named above, then trey azure doctor"


@pytest.mark.parametrize(
    ("variables", "az", "says"),
    [
        (PIPELINE, True, "AzurePipelinesCredential: the federated service connection"),
        (PIPELINE[:-1], False, "DefaultAzureCredential: nobody"),
        (signs.FEDERATED, True, "workload identity, whose token lies in a file"),
        (("IDENTITY_ENDPOINT",), True, "the managed identity of this machine (IDENTITY_ENDPOINT is set)"),
        (("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"), True, "a service principal with a secret"),
        ((), True, "whoever signed in with az login"),
    ],
)
def test_who_one_would_be_follows_from_the_variables(variables: tuple[str, ...], az: bool, says: str) -> None:
    found = signs.read(dict.fromkeys(variables, "x"), lambda command: az and command == "az")
    assert says in found.identity


def test_every_task_of_the_pipeline_needs_no_more_than_its_roles_give() -> None:
    """A right to assign roles or to read keys is in none of them."""
    actions = [action for need in needs.NEEDS for action in (*need.actions, *need.data)]
    assert not [one for one in actions if "Authorization" in one or "list" in one.lower() or one.endswith("/*")]
