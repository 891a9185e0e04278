"""Azure on loopback, spoken to by Microsoft's SDK: it refuses what Azure refuses, and its checks can fail."""

import copy
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl
from azure.ai.ml.entities import (
    Data,
    DataCollector,
    DeploymentCollection,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
)
from azure.core.exceptions import HttpResponseError
from mlflow.tracking import MlflowClient

from cloud import workspace
from cloud.client import client

from . import guard, tokens
from .contract import Contract
from .fixtures import SCHEMAS
from .server import CPU, SCORING, Asked, Azure


@pytest.fixture
def ml(azure: Azure) -> MLClient:
    return client(workspace.find())


@pytest.fixture
def code(tmp_path: Path) -> str:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "make.py").write_text("print(1)")
    return str(folder)


def submit(ml: MLClient, code: str) -> Any:
    """Submit a pipeline of one step."""
    environment = Environment(name="small", version="1", image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04")
    step = command(
        name="make",
        code=code,
        command="python make.py ${{outputs.out}} ${{inputs.seed}}",
        environment=environment,
        inputs={"seed": Input(type="integer", default=1)},
        outputs={"out": Output(type="uri_folder")},
    )

    @dsl.pipeline(name="small", compute=CPU, experiment_name="small")
    def pipeline(seed: int = 42) -> None:
        step(seed=seed)

    return ml.jobs.create_or_update(pipeline())


def deploy(ml: MLClient, name: str = "blue") -> Any:
    """Put a deployment behind the endpoint `parts`."""
    new = ManagedOnlineDeployment(
        name=name,
        endpoint_name="parts",
        model=Model(name="parts", version="1", path="azureml://jobs/one/outputs/out/paths/model/", type="custom_model"),
        environment=Environment(name="serve", version="1", image="mcr.microsoft.com/azureml/inference"),
        instance_type="Standard_DS3_v2",
        instance_count=1,
        data_collector=DataCollector(collections={"model_inputs": DeploymentCollection(enabled="true")}),
    )
    return ml.online_deployments.begin_create_or_update(new).result()


def put_of(azure: Azure, kind: str) -> Asked:
    return next(one for one in azure.asked if one.method == "PUT" and f"/{kind}/" in one.path)


def test_a_job_is_submitted_with_its_code_and_followed_and_cancelled(azure: Azure, ml: MLClient, code: str) -> None:
    job = submit(ml, code)
    assert ml.jobs.get(job.name).status == "Preparing"
    assert list(ml.jobs.list(parent_job_name=job.name)) == []
    where = azure.manager.get(put_of(azure, "codes").path)["properties"]["codeUri"]
    assert azure.data.storage.below(where) == {"make.py": b"print(1)"}
    ml.jobs.begin_cancel(job.name).result()
    assert ml.jobs.get(job.name).status == "CancelRequested"
    assert azure.puts("jobs") == [job.name]


def test_what_exists_in_a_version_is_not_replaced(azure: Azure, ml: MLClient, code: str) -> None:
    ml.data.create_or_update(Data(name="parts", version="1", path=code, type="uri_folder"))
    assert ml.data.get("parts", label="latest").version == "1"
    (Path(code) / "make.py").write_text("print(2)")
    with pytest.raises(HttpResponseError, match="exists already"):
        ml.data._operation.create_or_update(
            name="parts",
            version="1",
            workspace_name=ml.workspace_name,
            resource_group_name=ml.resource_group_name,
            body={
                "properties": {"dataType": "uri_folder", "dataUri": "azureml://datastores/workspaceblobstore/paths/x"}
            },
        )


def test_an_endpoint_keeps_the_rules_of_managed_ones(azure: Azure, ml: MLClient) -> None:
    endpoint = ml.online_endpoints.begin_create_or_update(
        ManagedOnlineEndpoint(name="parts", auth_mode="aad_token")
    ).result()
    assert endpoint.provisioning_state == "Succeeded"
    for name in ("blue", "green"):
        assert deploy(ml, name).provisioning_state == "Succeeded"
    for traffic, mirror, said in [
        ({"blue": 90}, {}, "sum of traffic is 90"),
        ({"red": 100}, {}, "do not exist: red"),
        ({"blue": 100}, {"green": 51}, "0 to 50 per cent"),
        ({"blue": 90, "green": 10}, {"green": 10}, "live and mirrored"),
    ]:
        endpoint.traffic, endpoint.mirror_traffic = traffic, mirror
        with pytest.raises(HttpResponseError, match=said):
            ml.online_endpoints.begin_create_or_update(endpoint).result()
    endpoint.traffic, endpoint.mirror_traffic = {"blue": 100}, {"green": 10}
    changed = ml.online_endpoints.begin_create_or_update(endpoint).result()
    assert (changed.traffic, changed.mirror_traffic) == ({"blue": 100}, {"green": 10})
    with pytest.raises(HttpResponseError, match="it has traffic"):
        ml.online_deployments.begin_delete("blue", "parts").result()
    azure.manager.failing["red"] = "ImageBuildFailure: no such package"
    with pytest.raises(HttpResponseError, match="ImageBuildFailure"):
        deploy(ml, "red")
    assert "ImageBuildFailure" in ml.online_deployments.get_logs("red", "parts", lines=10)


def test_requests_reach_the_process_behind_a_deployment(
    azure: Azure, ml: MLClient, scorer: Callable[[str], str]
) -> None:
    endpoint = ml.online_endpoints.begin_create_or_update(
        ManagedOnlineEndpoint(name="parts", auth_mode="aad_token")
    ).result()
    for name in ("blue", "green"):
        deploy(ml, name)
        azure.serving["parts", name] = scorer(name)
    endpoint.traffic, endpoint.mirror_traffic = {"blue": 100}, {"green": 50}
    uri = ml.online_endpoints.begin_create_or_update(endpoint).result().scoring_uri
    assert {ask(azure, uri) for _ in range(20)} == {"blue"}
    assert 2 < len(azure.mirrored) < 18
    assert ask(azure, uri, {"azureml-model-deployment": "green"}) == "green"
    for token in ("", f"Bearer {tokens.issue('https://storage.azure.com')}"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(azure, uri, {"Authorization": token})


def test_what_is_being_changed_is_not_changed_again(azure: Azure, ml: MLClient) -> None:
    ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="parts", auth_mode="aad_token"))
    with pytest.raises(HttpResponseError, match="operation under way"):
        ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="parts", auth_mode="aad_token"))


@pytest.fixture
def scorer(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Give what starts a process's stand-in that answers with its name."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    def start(name: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(name).encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        request.addfinalizer(server.server_close)
        request.addfinalizer(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    return start


def ask(azure: Azure, uri: str, headers: dict[str, str] | None = None) -> Any:
    import ssl

    token = {"Authorization": f"Bearer {tokens.issue(SCORING)}"}
    request = urllib.request.Request(uri, b"{}", token | (headers or {}))  # noqa: S310
    with urllib.request.urlopen(request, context=ssl.create_default_context()) as answer:  # noqa: S310
        return json.loads(answer.read())


@pytest.mark.parametrize(
    ("kind", "mutate", "said"),
    [
        ("jobs", lambda body: body["properties"].update(jobType="Pipelin"), "jobType"),
        ("jobs", lambda body: body["properties"].update(inputs=[1]), "inputs"),
        ("jobs", lambda body: body["properties"].update(nonsense=1), "nonsense"),
        ("jobs", lambda body: body["properties"]["inputs"]["seed"].update(jobInputType="lit"), "jobInputType"),
        ("components", lambda body: body["properties"].update(isAnonymous="yes"), "isAnonymous"),
        ("codes", lambda body: body["properties"].update(codeUri=1), "codeUri"),
        ("environments", lambda body: body["properties"].update(image=1), "image"),
        ("deployments", lambda body: body["properties"].update(instanceType=4), "instanceType"),
        ("deployments", lambda body: body["sku"].update(capacity="one"), "capacity"),
        ("onlineEndpoints", lambda body: body["properties"].update(authMode="none"), "authMode"),
        ("onlineEndpoints", lambda body: body["properties"].update(traffic={"blue": "all"}), "blue"),
    ],
)
def test_a_mutated_body_is_caught(
    bodies: dict[str, Asked], kind: str, mutate: Callable[[dict[str, Any]], None], said: str
) -> None:
    sent = bodies[kind]
    assert contract().faults(sent.path, sent.version, sent.body) == []
    body = copy.deepcopy(sent.body)
    mutate(body)
    faults = contract().faults(sent.path, sent.version, body)
    assert len(faults) > 0
    assert any(said in fault for fault in faults), faults


_kept: dict[str, Asked] = {}


@pytest.fixture
def bodies(shared_dir: Path, azure: Azure, ml: MLClient, code: str) -> dict[str, Asked]:
    """Give a body of each kind as the SDK sends it; they are made once."""
    if not _kept:
        submit(ml, code)
        ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="parts", auth_mode="aad_token")).result()
        deploy(ml)
        for kind in ("jobs", "components", "codes", "environments", "onlineEndpoints", "deployments"):
            _kept[kind] = put_of(azure, kind)
        azure.manager.broken.clear()
    return _kept


def contract() -> Contract:
    return Contract(SCHEMAS)


def test_a_body_that_breaks_the_contract_is_refused_and_told_of(shared_dir: Path, azure: Azure, ml: MLClient) -> None:
    with pytest.raises(HttpResponseError, match="InvalidRequestContent"):
        ml.online_endpoints._online_operation.begin_create_or_update(
            endpoint_name="parts",
            workspace_name=ml.workspace_name,
            resource_group_name=ml.resource_group_name,
            body={"location": "westeurope", "properties": {"authMode": "none"}},
        ).result()
    assert "authMode" in azure.manager.broken.pop()


def test_the_two_known_deviations_are_no_faults(shared_dir: Path, bodies: dict[str, Asked]) -> None:
    """And they are still there: once the SDK sends what is published, the list must shrink."""
    sent = bodies["deployments"]
    collection = sent.body["properties"]["dataCollector"]["collections"]["model_inputs"]
    assert collection["dataCollectionMode"] == "enabled"
    hashed = bodies["codes"].body["properties"]["properties"]["hash_version"]
    assert hashed == "202208" or isinstance(hashed, int)


def test_mlflow_is_the_real_one_behind_the_workspace(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")  # as delivery does
    uri = azure.manager.get(azure.workspace)["properties"]["mlFlowTrackingUri"]
    store = MlflowClient(tracking_uri=uri, registry_uri=uri)
    store.create_registered_model("behind-the-workspace")
    assert [one.name for one in store.search_registered_models()] == ["behind-the-workspace"]


def test_without_a_token_nothing_is_answered(azure: Azure) -> None:
    import ssl

    context = ssl.create_default_context()
    for path in (azure.workspace, "/mlflow/v1.0" + azure.workspace + "/api/2.0/mlflow/experiments/search"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{azure.url}{path}?api-version=1", context=context)  # noqa: S310
        assert refused.value.code == 401


def test_nothing_but_loopback_is_reached(azure: Azure, tmp_path: Path) -> None:
    for seek in (
        lambda: socket.create_connection(("192.0.2.1", 443), 1),
        lambda: socket.getaddrinfo("management.azure.com", 443),
    ):
        with pytest.raises(PermissionError, match="keeps this process"):
            seek()
    child = "import socket\ntry: socket.getaddrinfo('login.microsoftonline.com', 443)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", child], check=True)
    told = guard.attempts()
    assert [line.split()[1] for line in told] == ["192.0.2.1", "management.azure.com", "login.microsoftonline.com"]
    assert socket.getaddrinfo("account.blob.core.localhost", 1)[0][4][0] == "127.0.0.1"
    Path(guard.os.environ[guard.LOG]).unlink()
