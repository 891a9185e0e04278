"""What goes wrong between here and Azure: a retry that succeeds, or few words and the next command."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.ai.ml.entities import Data
from azure.storage.blob._shared.policies import ExponentialRetry

from cloud import errors, workspace
from cloud.client import answering, client, quietly
from cloud.identity import credential
from cloud.storage import download
from cloud.workspace import Workspace

from ..azure.server import Azure
from ..service.fault_proxy import PASS, REFUSE, RESET, FaultProxy


def look(here: Workspace) -> str:
    """Look at a workspace as every command does."""
    with answering(here, "look at the workspace"):
        return str(client(here).workspaces.get(here.name).location)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_when_it_says(azure: Azure, status: int) -> None:
    fault = azure.fail(status, "GET", r"/workspaces/compliance$", times=2, retry_after="0.1")
    assert look(workspace.find()) == "westeurope"
    assert len(fault.hit) == 2


def test_a_lost_answer_makes_nothing_twice(azure: Azure, tmp_path: Path) -> None:
    lost = azure.fail("lost", "PUT", r"/data/parts/versions/1$")
    (tmp_path / "parts.csv").write_text("a")
    with quietly():
        made = client(workspace.find()).data.create_or_update(
            Data(name="parts", version="1", path=str(tmp_path / "parts.csv"), type="uri_file")
        )
    assert len(lost.hit) == 1
    assert [one.status for one in azure.asked if one.method == "PUT"] == [0, 200]
    assert made.version == "1"


def test_a_service_that_stays_busy_is_told_of(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azure.core.pipeline.policies.RetryPolicy.get_backoff_time", lambda *_: 0.01)
    azure.fail(503, "GET", r"/workspaces/compliance$", times=99)
    with pytest.raises(errors.Unavailable) as fault:
        look(workspace.find())
    assert fault.value.message.startswith("cannot look at the workspace: workspace compliance in resource group parts")
    assert "answers 503 (ServiceUnavailable)" in fault.value.message
    assert fault.value.next_step == "the same command again, in a minute"


def test_a_token_that_is_refused_asks_to_sign_in(azure: Azure) -> None:
    azure.tokens_refused = True
    with pytest.raises(errors.NoIdentity) as fault:
        look(workspace.find())
    assert "the token was not accepted (ExpiredAuthenticationToken)" in fault.value.message
    assert fault.value.next_step == "az login, then the same command again"


def test_a_token_that_expires_is_renewed(azure: Azure) -> None:
    azure.token_seconds = 1
    ml, here = client(workspace.find()), workspace.find()
    ml.workspaces.get(here.name)
    azure.token_seconds = 3_600
    time.sleep(1.2)
    ml.workspaces.get(here.name)
    assert sum(one.path == "/msi/token" for one in azure.asked) == 2


def test_who_is_not_signed_in_is_told(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    with pytest.raises(errors.NoIdentity) as fault:
        look(workspace.find())
    assert "nobody is signed in to Azure" in fault.value.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "other"}, "there is no workspace other in resource group parts"),
        ({"group": "elsewhere"}, "there is no workspace compliance in resource group elsewhere"),
    ],
)
def test_a_workspace_that_does_not_exist_is_named(azure: Azure, change: dict[str, str], said: str) -> None:
    here = workspace.find()
    wrong = Workspace(**{"subscription": here.subscription, "group": here.group, "name": here.name, **change})
    with pytest.raises(errors.NotFound) as fault:
        look(wrong)
    assert fault.value.message == f"cannot look at the workspace: {said}"
    assert fault.value.next_step == f"az ml workspace list --resource-group {wrong.group}"


def test_a_missing_role_is_named_with_the_command_that_gives_it(azure: Azure) -> None:
    azure.manager.denied.append(r"workspaces/read")
    with pytest.raises(errors.Forbidden) as fault:
        look(workspace.find())
    assert "may not Microsoft.MachineLearningServices/workspaces/read; the role AzureML Data Scientist" in str(
        fault.value
    )
    assert fault.value.next_step == (
        "az role assignment create --role 'AzureML Data Scientist' --assignee WHO --scope " + azure.workspace
    )


@pytest.fixture
def network(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """Give a proxy before the storage account; storage asks again at once."""
    monkeypatch.setattr(ExponentialRetry, "get_backoff_time", lambda *_: 0.05)
    storage = azure.data.storage
    proxy = FaultProxy(int(storage.suffix.rpartition(":")[2]))
    proxy.start()
    storage.suffix = f"core.localhost:{proxy.port}"
    azure.manager.get(f"{azure.workspace}/datastores/workspaceblobstore")["properties"]["endpoint"] = storage.suffix
    return proxy


def upload(folder: Path) -> Callable[[], None]:
    for number in range(3):
        (folder / f"{number}.csv").write_text(f"row {number}\n" * 1000)

    def now() -> None:
        here = workspace.find()
        with answering(here, "upload parts"), quietly():
            client(here).data.create_or_update(Data(name="parts", version="1", path=str(folder), type="uri_folder"))

    return now


def heal_after(network: FaultProxy, connections: int) -> threading.Thread:
    """Let connections pass once so many were reset."""

    def heal() -> None:
        while network.connections < connections:
            time.sleep(0.01)
        network.fault = PASS

    thread = threading.Thread(target=heal, daemon=True)
    thread.start()
    return thread


def test_a_connection_that_is_reset_in_an_upload_is_made_again(
    azure: Azure, network: FaultProxy, tmp_path: Path
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    start = upload(folder)
    network.fault = RESET
    healing = heal_after(network, connections=2)
    start()
    there = azure.manager.get(f"{azure.workspace}/data/parts/versions/1")["properties"]["dataUri"]
    stored = azure.data.storage.folder(there.partition("/paths/")[2])
    assert stored == {path.name: path.read_bytes() for path in folder.iterdir()}
    healing.join()
    assert network.connections > 2
    back = tmp_path / "back"
    here = workspace.find()
    ml = client(here)
    count = download(ml, credential(), "workspaceblobstore", there.partition("/paths/")[2], back)
    assert (count, {path.name: path.read_bytes() for path in back.iterdir()}) == (3, stored)


def test_an_upload_that_cannot_be_made_ends_and_registers_nothing(
    azure: Azure, network: FaultProxy, tmp_path: Path
) -> None:
    """With its bar switched off, azure-ai-ml 1.35 drops what its threads raise, and waits forever."""
    folder = tmp_path / "parts"
    folder.mkdir()
    start = upload(folder)
    network.fault = REFUSE
    with pytest.raises(errors.Unavailable, match=r"cannot upload parts: workspace compliance in .* does not answer"):
        start()
    assert azure.puts("data") == []
