"""The services of a workspace beside Resource Manager: runs, uploads of code, tokens for storage, MLflow."""

import contextlib
import http.client
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import (
    BlobSasPermissions,
    BlobServiceClient,
    ContainerSasPermissions,
    generate_blob_sas,
    generate_container_sas,
)

from .resource_manager import Answer, ResourceManager, fault

ACCOUNT = "devstoreaccount1"
# The documented key of that account: everybody has it, and nothing but Azurite takes it.
KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq"  # pragma: allowlist secret
    "/K1SZFPTOtr/KBHBeksoGMGw=="
)
CONTAINER = "azureml-blobstore"  # of the default datastore
SERVICES = ("hyperdrive", "metrics", "artifact", "execution", "catalog", "assets", "studio", "contentsnapshot", "api",
            "history", "experimentation", "modelmanagement", "pipelines", "mlflow")  # fmt: skip
_RUN = re.compile(
    r"/history/v1\.0/.*?/workspaces/[^/]+/(?:experiment(?:id)?s/[^/]+/)?runs/(?P<run>[^/]+)(?P<rest>/.*)?"
)
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server", "host", "authorization"}


@dataclass
class Child:
    """A node of a pipeline job, as run history knows it.

    Attributes:
        name: Its run id.
        node: The node's key in the job.
        logs: Blobs in the default container, by the name that people see.
    """

    name: str
    node: str
    parent: str
    status: str = "NotStarted"
    error: str = ""
    logs: dict[str, str] = field(default_factory=dict)


class Storage:
    """The workspace's storage account, in Azurite."""

    def __init__(self, port: int, authority: Path):
        self.address = f"https://127.0.0.1:{port}/{ACCOUNT}"
        self.suffix = f"core.localhost:{port}"  # what the SDK makes an account's address with
        self.service = BlobServiceClient(self.address, credential=KEY, connection_verify=str(authority))
        self.container(CONTAINER)

    def container(self, name: str) -> Any:
        """Give a container, which is made where it does not exist."""
        client = self.service.get_container_client(name)
        with contextlib.suppress(ResourceExistsError):
            client.create_container()
        return client

    def put(self, name: str, content: bytes) -> None:
        """Write a blob of the default container."""
        self.container(CONTAINER).upload_blob(name, content, overwrite=True)

    def blob(self, name: str) -> bytes:
        """Give a blob of the default container."""
        content: bytes = self.container(CONTAINER).download_blob(name).readall()
        return content

    def folder(self, prefix: str) -> dict[str, bytes]:
        """Give the blobs below a prefix of the default container, by their names below it."""
        client, prefix = self.container(CONTAINER), f"{prefix.rstrip('/')}/"
        names = [blob.name for blob in client.list_blobs(name_starts_with=prefix)]
        return {name.removeprefix(prefix): client.download_blob(name).readall() for name in names}

    def below(self, address: str) -> dict[str, bytes]:
        """Give the blobs below an address in this account, by their names below it."""
        container, _, prefix = address.removeprefix(f"{self.address}/").partition("/")
        client = self.service.get_container_client(container)
        names = [blob.name for blob in client.list_blobs(name_starts_with=prefix or None)]
        return {name.removeprefix(prefix).lstrip("/"): client.download_blob(name).readall() for name in names}

    def writable(self, container: str) -> str:
        """Give the address of a container with which anyone may write there for an hour."""
        permission = ContainerSasPermissions(read=True, write=True, create=True, add=True, list=True)
        until = datetime.now(UTC) + timedelta(hours=1)
        signed = generate_container_sas(ACCOUNT, container, KEY, permission=permission, expiry=until)
        return f"{self.address}/{container}?{signed}"

    def signed(self, blob: str) -> str:
        """Give the address with which anyone may read and write a blob of the default container for an hour.

        It is that of the account, as Azure's are: azureml-mlflow downloads from no other, and says nothing.
        """
        until = datetime.now(UTC) + timedelta(hours=1)
        permission = BlobSasPermissions(read=True, write=True, create=True)
        signed = generate_blob_sas(ACCOUNT, CONTAINER, blob, account_key=KEY, permission=permission, expiry=until)
        return f"https://{ACCOUNT}.blob.{self.suffix}/{CONTAINER}/{quote(blob)}?{signed}"


@dataclass
class DataPlane:
    """Run history, uploads and MLflow.

    Attributes:
        children: The nodes of all jobs, by run id.
        mlflow: Gives the address of an MLflow server; it is started when it is first asked for.
    """

    url: str
    manager: ResourceManager
    storage: Storage
    children: dict[str, Child] = field(default_factory=dict)
    mlflow: Callable[[], str] | None = None

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer | None:
        """Answer, or give None for a request that is Resource Manager's."""
        if path == "/discovery":
            return 200, dict.fromkeys(SERVICES, self.url), {}
        if path.lower().endswith("/startpendingupload"):
            return self._upload(path)
        if path.lower().endswith("/listsecrets"):
            return 200, {"secretsType": "AccountKey", "key": KEY}, {}  # pragma: allowlist secret
        if found := _RUN.fullmatch(path):
            return self._of_run(found["run"], found["rest"] or "", query, body)
        if path.startswith("/history/") and path.endswith("/rundata"):
            run = self._described((body or {}).get("runId", ""))
            return (
                (200, {"runMetadata": {**run, "outputs": {}}}, {}) if run else fault(404, "RunNotFound", "no such run")
            )
        return None

    def _upload(self, path: str) -> Answer:
        name = re.sub("[^a-z0-9-]+", "-", path.split("/")[-4].lower()).strip("-")[:50]
        container = f"code-{name}"
        self.storage.container(container)
        reference = {
            "blobUri": f"{self.storage.address}/{container}",
            "storageAccountArmId": "",
            "credential": {"credentialType": "SAS", "sasUri": self.storage.writable(container)},
        }
        answer = {"pendingUploadId": name, "pendingUploadType": "TemporaryBlobReference"}
        return 200, answer | {"blobReferenceForConsumption": reference}, {}

    def _of_run(self, name: str, rest: str, query: dict[str, str], body: Any) -> Answer | None:
        if rest.startswith("/artifacts"):
            return self._artifacts(name, rest.removeprefix("/artifacts"), query, body)
        if rest == "/children":
            found = [self._described(child.name) for child in self.children.values() if child.parent == name]
            return 200, {"value": found}, {}
        run = self._described(name)
        if run is None:
            return fault(404, "RunNotFound", f"run {name} was not found")
        if rest == "/details":
            child = self.children.get(name)
            logs = {shown: self.storage.signed(blob) for shown, blob in child.logs.items()} if child else {}
            return 200, {"runId": name, "status": run["status"], "logFiles": logs, "error": run.get("error")}, {}
        if rest == "/cancel":
            self.cancel(name)
        return 200, run, {}

    def _artifacts(self, run: str, rest: str, query: dict[str, str], body: Any) -> Answer | None:
        """Say where a run's files are to be written, or are; azureml-mlflow writes and reads them there."""
        above = f"ExperimentRun/dcid.{run}"
        if rest == "":
            named = [{"artifactId": f"{above}/{name}", "path": name} for name in sorted(self.storage.folder(above))]
            return 200, {"value": named, "continuationToken": None}, {}
        if rest == "/batch/metadata":
            paths = [one["path"] for one in body["paths"]]
            places = {path: {"path": path, "contentUri": self.storage.signed(f"{above}/{path}")} for path in paths}
            made = {path: {"artifactId": f"{above}/{path}", "path": path} for path in paths}
            return 200, {"artifacts": made, "artifactContentInformation": places, "errors": {}}, {}
        if rest == "/contentinfo":
            path = query["path"]
            if path not in self.storage.folder(above):
                return fault(404, "UserError", f"artifact {path} was not found")
            return 200, {"path": path, "contentUri": self.storage.signed(f"{above}/{path}")}, {}
        return None

    def cancel(self, name: str) -> None:
        """Ask for the end of a job."""
        for key, found in self.manager.resources.items():
            if key.endswith(f"/jobs/{name.lower()}"):
                found["properties"]["status"] = "CancelRequested"

    def _described(self, name: str) -> dict[str, Any] | None:
        """Tell of a job or a node as run history does."""
        child = self.children.get(name)
        if child:
            error = {"error": {"code": "UserError", "message": child.error}} if child.error else None
            return {
                "runId": name,
                "parentRunId": child.parent,
                "displayName": child.node,
                "status": child.status,
                "experimentId": "1",
                "properties": {"azureml.moduleName": child.node},
                "error": error,
            }
        for key, found in self.manager.resources.items():
            if key.endswith(f"/jobs/{name.lower()}"):
                said = {"runId": found["name"], "status": found["properties"]["status"], "experimentId": "1"}
                return said | {"displayName": found["properties"].get("displayName")}
        return None

    def _told_of_runs(self, content: bytes, path: str) -> bytes:
        """Say in an answer that files of runs are in the workspace, not with the MLflow server, as Azure ML does."""
        if b'"artifact_uri"' not in content:
            return content
        workspace = re.sub(r".*/mlflow/v\d\.\d(/.*/workspaces/[^/]+).*", r"\1", path)
        above = f"azureml://{self.url.removeprefix('https://')}/mlflow/v2.0{workspace}"
        told = json.loads(content)
        runs = [*told.get("runs", []), *([told["run"]] if "run" in told else [])]
        for info in [*(run["info"] for run in runs), *([told["run_info"]] if "run_info" in told else [])]:
            info["artifact_uri"] = f"{above}/experiments/{info['experiment_id']}/runs/{info['run_id']}/artifacts"
        return json.dumps(told).encode()

    def forward(
        self, method: str, path: str, query: str, headers: Any, raw: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Pass a request on to the MLflow server: `…/mlflow/v1.0|v2.0/<workspace>/api/2.0/…`."""
        assert self.mlflow, "no MLflow server was given"
        host, _, port = self.mlflow().removeprefix("http://").partition(":")
        rest = re.sub(r".*/workspaces/[^/]+", "", path)
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
            connection.request(method, f"{rest}?{query}" if query else rest, raw, kept)
            answer = connection.getresponse()
            given = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            return answer.status, given, self._told_of_runs(answer.read(), path)
        finally:
            connection.close()
