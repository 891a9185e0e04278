"""A managed online endpoint of Azure ML: what is asked of Azure, what its answers mean, and who is kept out."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobLeaseClient
from click.testing import CliRunner

from cloud.workspace import parse
from delivery import external, host_azureml, lease, registry
from delivery.endpoint import Endpoint, Machines, Slot, live_models
from delivery.errors import EndpointBusy, EndpointError, ModelChanged, RegistryError
from delivery.host_azureml import endpoint_name
from runner.cli import main

from ..azure import actions
from ..azure.data_plane import CONTAINER
from ..azure.server import Azure
from ..fixtures_model import MakeModel, digest_of

WORKSPACE = parse("azureml://subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/g/workspaces/work")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_azureml, "PAUSE", 0.05)


@pytest.fixture
def endpoint(azure: Azure) -> Iterator[Endpoint]:
    """Give the endpoint of the model `parts` in production."""
    new = Endpoint(azure.address, "parts", "production", machines=Machines("Standard_F2s_v2", 2), wait=0)
    yield new
    new.release()


def release(endpoint: Endpoint, model: Path, version: int) -> Slot:
    slot = endpoint.finish(endpoint.place(model, version, digest_of(model)).name)
    endpoint.release()
    return slot


def bodies(azure: Azure, kind: str) -> list[Any]:
    return [one.body for one in azure.asked if one.method == "PUT" and re.search(rf"/{kind}/[^/]+$", one.path)]


@pytest.mark.parametrize(
    ("model", "environment", "begins"),
    [
        ("parts", "staging", "parts-staging-"),
        ("Parts_of.Vehicles", "production", "parts-of-vehicles-produ-"),
        ("7up", "production", "m-7up-production-"),
        ("a" * 60, "b", "a" * 23 + "-"),
        ("connected-car-number-one", "x", "connected-car-number-on-"),
    ],
)
def test_an_endpoint_is_named_as_azure_allows(model: str, environment: str, begins: str) -> None:
    name = endpoint_name(WORKSPACE, model, environment)
    assert name.startswith(begins)
    assert re.fullmatch("[a-z][a-z0-9-]{1,30}[a-z0-9]", name)
    assert "--" not in name


def test_names_differ_where_anything_differs() -> None:
    other = parse(WORKSPACE.address.replace("/workspaces/work", "/workspaces/other"))
    asked = [(WORKSPACE, "a", "b"), (other, "a", "b"), (WORKSPACE, "a.b", "c"), (WORKSPACE, "a-b", "c")]
    assert len({endpoint_name(*one) for one in asked}) == len(asked)


def test_two_releases_and_the_way_back(
    azure: Azure, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    uri = external.endpoint_uri(azure.address, "parts", "production")
    states = [external.endpoint_state(uri)]
    assert endpoint.live() is None
    assert release(endpoint, model_dir, 1).name == "blue"
    states.append(external.endpoint_state(uri))
    candidate = endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0)))
    assert (candidate.name, candidate.folder, endpoint.state()["traffic"]["green"]) == ("green", None, 0)
    states.append(external.endpoint_state(uri))
    endpoint.mirror("green", 50)
    assert endpoint.state()["mirror"] == {"green": 50}
    endpoint.shift("green", 10)
    assert (endpoint.state()["traffic"], endpoint.state()["mirror"]) == ({"blue": 90, "green": 10}, {})
    endpoint.finish("green")
    endpoint.release()
    states.append(external.endpoint_state(uri))
    assert live_models(azure.address, "production") == ["parts"]
    assert live_models(azure.address, "staging") == []
    changes = len(bodies(azure, "onlineEndpoints"))
    assert Endpoint(azure.address, "parts", "production").roll_back().version == 1
    assert len(bodies(azure, "onlineEndpoints")) == changes + 1  # one request: traffic and what is live, together
    endpoint.release()
    assert endpoint.state()["live"] == "blue"
    assert endpoint.state()["previous"] == "green"
    states.append(external.endpoint_state(uri))
    assert states[0] == external.ABSENT
    assert len(set(states)) == len(states)


def test_what_is_asked_of_azure(azure: Azure, endpoint: Endpoint, model_dir: Path) -> None:
    release(endpoint, model_dir, 7)
    digest = digest_of(model_dir)
    made, *_ = bodies(azure, "onlineEndpoints")
    assert made["identity"] == {"type": "SystemAssigned"}
    assert made["properties"]["authMode"] == "AADToken"
    assert made["tags"]["trey-model"] == "parts"
    (deployed,) = bodies(azure, "deployments")
    assert deployed["sku"] == {"name": "Default", "capacity": 2}
    assert deployed["tags"] == {"trey-version": "7", "trey-digest": digest}
    properties = deployed["properties"]
    assert properties["instanceType"] == "Standard_F2s_v2"
    assert properties["appInsightsEnabled"] is True
    assert properties["dataCollector"]["collections"]["scoring"]["dataCollectionMode"].lower() == "enabled"
    assert properties["requestSettings"]["requestTimeout"] == "PT30S"
    assert properties["livenessProbe"]["failureThreshold"] == properties["readinessProbe"]["failureThreshold"] == 30
    assert properties["model"].endswith(f"/models/parts-served/versions/{digest[:16]}")
    image = azure.manager.get(properties["environmentId"])["properties"]
    assert image["inferenceConfig"]["readinessRoute"] == {"path": "/health/ready", "port": 5001}
    assert actions.unlisted(azure.asked, "deploy") == []
    said = json.dumps([one.body for one in azure.asked if not isinstance(one.body, bytes)])
    assert not re.search(r"accountkey|primarykey|sharedaccess|connectionstring|password", said, re.I)
    assert not any(re.search(r"/listKeys|/token$", one.path) and one.method == "POST" for one in azure.asked)


def test_what_is_registered_is_registered_once(
    azure: Azure, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    for version in (1, 2, 3):
        release(endpoint, model_dir if version % 2 else make_model(bias=1.0), version)
    assert len(azure.puts("environments")) == 1
    assert len(azure.puts("models")) == 2
    before = len(azure.asked)
    assert release(endpoint, model_dir, 3).version == 3  # it is live already
    assert [one.short for one in azure.asked[before:] if one.method == "PUT"] == []


def test_a_candidate_is_taken_back_before_its_deployment_goes(
    azure: Azure, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    release(endpoint, model_dir, 1)
    candidate = endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0)))
    endpoint.shift(candidate.name, 50)
    endpoint.discard(candidate.name)
    assert endpoint.standby() is None
    assert endpoint.state()["traffic"] == {"blue": 100, "green": 0}
    with pytest.raises(EndpointError, match="no earlier version to go back to"):
        endpoint.roll_back()


def test_a_container_that_does_not_start_says_why(
    azure: Azure, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    release(endpoint, model_dir, 1)
    azure.manager.failing["green"] = "ImageBuildFailure: no such package"
    with pytest.raises(EndpointError, match=r"cannot deploy to slot green(.|\n)*container said:\nImageBuildFailure"):
        endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0)))
    azure.manager.failing.clear()
    assert (endpoint.live().version, endpoint.standby()) == (1, None)  # type: ignore[union-attr]
    assert endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0))).name == "green"


def test_an_operation_that_is_under_way_is_waited_for(azure: Azure, endpoint: Endpoint, model_dir: Path) -> None:
    conflict = azure.fail(409, "PUT", r"/deployments/blue$", times=2)
    assert release(endpoint, model_dir, 1).version == 1
    assert len(conflict.hit) == 2


def test_what_a_dead_deployment_was_making_is_no_candidate_and_no_hindrance(
    azure: Azure, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    release(endpoint, model_dir, 1)
    candidate = make_model(bias=1.0)
    endpoint.place(candidate, 2, digest_of(candidate))
    endpoint.release()  # as the lease ends when its process is gone
    made = azure.manager.get(f"{azure.workspace}/onlineEndpoints/{endpoint.host.name}/deployments/green")
    made["properties"]["provisioningState"] = "Creating"
    azure.manager._begin(made)
    assert endpoint.standby() is None
    assert endpoint.place(candidate, 2, digest_of(candidate)).name == "green"
    assert endpoint.standby() is not None


def test_who_may_not_is_told_which_role_is_missing(azure: Azure, endpoint: Endpoint, model_dir: Path) -> None:
    azure.manager.denied.append(r"onlineEndpoints/write")
    with pytest.raises(EndpointError, match="the role AzureML Data Scientist on workspace compliance"):
        release(endpoint, model_dir, 1)


def change(azure: Azure, endpoint: Endpoint, **properties: Any) -> None:
    """Change the endpoint as somebody does by hand."""
    azure.manager.get(f"{azure.workspace}/onlineEndpoints/{endpoint.host.name}")["properties"] |= properties


def test_what_somebody_did_by_hand_is_seen(
    azure: Azure, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    release(endpoint, model_dir, 1)
    release(endpoint, make_model(bias=1.0), 2)
    deployments = f"{azure.workspace}/onlineEndpoints/{endpoint.host.name}/deployments"
    azure.manager.get(f"{deployments}/blue")["properties"]["model"] += "0"
    with pytest.raises(ModelChanged, match="serves model"):
        endpoint.roll_back()
    change(azure, endpoint, traffic={"green": 80, "blue": 20})
    assert Endpoint(azure.address, "parts", "production").live().version == 2  # type: ignore[union-attr]
    endpoint.release()
    assert endpoint.claim() == "a deployment was interrupted; traffic is back on green, version 2"
    del azure.manager.resources[f"{deployments}/blue".lower()]
    assert endpoint.previous() is None
    change(azure, endpoint, traffic={})
    with pytest.raises(EndpointError, match=r"the traffic is 0 % instead of 100 %(.|\n)*--traffic 'green=100'"):
        endpoint.state()


def blob(azure: Azure, endpoint: Endpoint) -> Any:
    where = f"trey/endpoints/{endpoint.host.name}.lease"
    return azure.data.storage.container(CONTAINER).get_blob_client(where)


HOLD = """
import sys
from delivery.endpoint import Endpoint
Endpoint(sys.argv[1], "parts", "production").claim()
print("claimed", flush=True)
sys.stdin.read()
"""


def test_two_deployments_never_overlap(azure: Azure, endpoint: Endpoint) -> None:
    command = [sys.executable, "-c", HOLD, azure.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "claimed\n"
        with pytest.raises(EndpointBusy, match=rf"process {other.pid} of .* is deploying to endpoint parts-"):
            endpoint.claim()
        other.kill()
    BlobLeaseClient(blob(azure, endpoint)).break_lease(lease_break_period=0)  # as half a minute does
    assert endpoint.claim() == ""


def test_a_lease_is_renewed_while_it_is_held(azure: Azure, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED", 0.05)
    renewed: list[int] = []
    real = BlobLeaseClient.renew
    monkeypatch.setattr(BlobLeaseClient, "renew", lambda self: (renewed.append(1), real(self)))
    endpoint.claim()
    held = endpoint._claims[endpoint.host.where]
    while len(renewed) < 3:
        held._ended.wait(0.01)  # type: ignore[attr-defined]
    endpoint.release()
    other = lease.acquire(blob(azure, endpoint), 0.0, "it")  # somebody else can have it at once
    other.check()
    other.release()


def test_a_claim_that_fails_half_way_keeps_nobody_out(
    azure: Azure, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, real = blob(azure, endpoint), BlobClient.set_blob_metadata
    with monkeypatch.context() as broken:  # the name of the holder is refused
        broken.setattr(BlobClient, "set_blob_metadata", lambda self, *_, **__: real(self, lease=str(uuid4())))
        with pytest.raises(HttpResponseError):
            lease.acquire(there, 0.0, "it")
    lease.acquire(there, 0.0, "it").release()


def test_without_its_lease_a_deployment_changes_nothing(
    azure: Azure, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    release(endpoint, model_dir, 1)
    endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0)))
    BlobLeaseClient(blob(azure, endpoint)).break_lease(lease_break_period=0)
    before = endpoint.state()
    with pytest.raises(EndpointBusy, match="lost its claim"):
        endpoint.shift("green", 10)
    assert endpoint.state() == before


def test_another_address_is_no_place_for_an_endpoint() -> None:
    with pytest.raises(EndpointError, match=r"the endpoint store is 's3://bucket'; give a folder, or a workspace"):
        Endpoint("s3://bucket", "parts", "staging")
    with pytest.raises(EndpointError, match="is no address of a workspace"):
        Endpoint("azureml://workspaces/w", "parts", "staging")
    with pytest.raises(EndpointError, match="has no folder on this machine"):
        _ = Endpoint(WORKSPACE.address, "parts", "staging").folder


@pytest.fixture
def typed(azure: Azure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what types a command in a project whose endpoints are Azure's."""
    monkeypatch.setenv("TREY_ENDPOINT_STORE", azure.address)
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "pipeline.yaml").write_text("phases: [deploy]\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, words)


def test_the_way_back_from_the_command_line(
    typed: Any, endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    for folder in (model_dir, make_model(bias=1.0)):
        new = registry.register(folder, name="parts", store="registry", tags={}, metrics={})
        release(endpoint, folder, new.version)
        registry.set_champion("parts", new.version, "production", "registry")
    done = typed("rollback", "--env", "production")
    said = done.stdout.splitlines()
    assert said[0].startswith(
        f"production answers with parts version 1, digest {digest_of(model_dir)[:12]}…, from slot b"
    )
    assert said[1:] == ["champion of production: version 1", "next: trey models"]
    assert endpoint.live().version == 1  # type: ignore[union-attr]
    champion = registry.champion("parts", "production", "registry")
    assert champion and champion.version == 1


@pytest.mark.parametrize(
    ("words", "next_step"),
    [
        (("serve", "--env", "production"), "az ml online-endpoint list"),
        (("score", "parts.csv", "--env", "production"), "trey score FILE.csv --model-dir runs/RUN/evaluate/model"),
    ],
)
def test_what_needs_the_model_on_this_machine_says_what_to_use_instead(
    typed: Any, azure: Azure, words: tuple[str, ...], next_step: str
) -> None:
    Path("parts.csv").write_text("text\nsteel\n", encoding="utf-8")
    done = typed(*words)
    assert done.exit_code == 2
    assert f"{azure.address} answers by itself; its models are not on this machine\nnext: {next_step}" in done.stderr


def test_the_registry_of_a_workspace_is_found_by_its_address(azure: Azure) -> None:
    told = azure.manager.get(azure.workspace)["properties"]["mlFlowTrackingUri"].replace(
        "/v1.0/", "/v2.0/"
    )  # the SDK's
    assert registry._mlflow_address(azure.address) == registry._mlflow_address("azureml://workspace") == told
    assert registry._mlflow_address("https://elsewhere/mlflow") == "https://elsewhere/mlflow"


def test_a_workspace_that_is_not_there_is_no_registry(azure: Azure) -> None:
    with pytest.raises(RegistryError, match="there is no workspace other in resource group parts"):
        registry.versions_of("parts", azure.address.replace("compliance", "other"))
