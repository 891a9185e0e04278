"""What SDK v1 speaks to, on top of Azure on loopback: run history, artifacts, models, datastores, snapshots, pipelines.

The first four follow what Microsoft publishes (2019-09-30): each request and each answer is compared with it. Pipelines
and snapshots have no public specification; these routes hold what azureml-sdk 1.62 sends and reads.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from typing import Any
from urllib.parse import unquote, urlsplit

from .data_plane import ACCOUNT, CONTAINER
from .resource_manager import Answer, fault, now
from .server import SUBSCRIPTION, Azure
from .v1_contract import Contract, as_published

EXPERIMENT_ID = "22222222-2222-2222-2222-222222222222"
_PUBLISHED = re.compile(r"/(artifact|datastore|execution|history|modelmanagement)/v\d\.\d/.*")
_SCOPE = re.compile(
    r"(?P<service>/.+)/subscriptions/[^/]+/resource[Gg]roups/[^/]+/providers/[^/]+/workspaces/[^/]+(?P<rest>/.*)"
)


class AzureV1(Azure):
    """A workspace whose older services answer as well.

    Attributes:
        snapshots: The blobs of each snapshot, by the files' paths.
        modules: What a step runs, by id.
        pipeline_runs: The graphs that were submitted, by id.
        runs: Run history, by run id.
        metrics: What was logged, by run id and name.
        artifacts: What was uploaded, by origin, container and path.
        models: The registered versions, by id.
        on_submit: Is told of each run that is submitted.
        departures: How requests and answers depart from what is published.
        unpublished: Requests of these services about which nothing is published.
    """

    published: Contract | None = None

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.snapshots: dict[str, dict[str, str]] = {}
        self.modules: dict[str, dict[str, Any]] = {}
        self.data_types: list[dict[str, Any]] = []
        self.pipeline_runs: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.graphs: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, str] = {}
        self.metrics: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, str] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.on_submit: Callable[[str], None] = lambda name: None
        self.departures: list[str] = []
        self.unpublished: set[str] = set()

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> Answer:
        """Answer a request; what is published about it is held against both."""
        if path == "/subscriptions":
            mine = {"id": path, "subscriptionId": SUBSCRIPTION, "displayName": "test", "state": "Enabled"}
            return 200, {"value": [mine]}, {}
        if path.startswith("/rp/workspaces/"):  # the same resources at another door
            given = self.answer(method, path.removeprefix("/rp/workspaces"), query, body, headers)
            return given[0], _without_nothing(given[1]), given[2]
        found = _SCOPE.fullmatch(path)
        if not found:
            return super().answer(method, path, query, body, headers)
        if refused := self._refused(headers):
            return refused
        operation = self.published.operation(method, as_published(path)) if self.published else None
        if operation and self.published:
            self.departures += self.published.request_faults(operation, query, body)
        elif self.published and _PUBLISHED.fullmatch(path):
            self.unpublished.add(re.sub(r"[0-9a-f-]{8,}", "…", f"{method} {found['service']}{found['rest']}"))
        with self._lock:
            given = self._v1(method, found["service"] + found["rest"], query, body)
        if given is None:
            return super().answer(method, path, query, body, headers)
        if operation and self.published and given[0] < 400:
            self.departures += self.published.answer_faults(operation, given[0], given[1])
        return given

    def _v1(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer | None:
        for pattern, act in _ROUTES.items():
            if found := re.fullmatch(pattern, f"{method} {path}"):
                return getattr(self, act)(query=query, body=body, **found.groupdict())
        return fault(404, "NoRoute", f"{method} {path}")

    def _datastore(self, **_: Any) -> Answer:
        section = {
            "accountName": ACCOUNT,
            "containerName": CONTAINER,
            "endpoint": self.data.storage.suffix,
            "protocol": "https",
            "credentialType": "None",
        }
        return 200, {"name": STORE, "dataStoreType": "AzureBlob", "azureStorageSection": section}, {}

    # Pipelines: no public specification.

    def _types(self, body: Any, **_: Any) -> Answer:
        if body is None:
            return 200, self.data_types, {}
        self.data_types.append(body)
        return 200, body, {}

    def _no_module(self, **_: Any) -> Answer:
        return fault(404, "NotFound", "no module has this hash")

    def _new_module(self, body: Any, **_: Any) -> Answer:
        made = {**body, "Id": str(uuid.uuid4()), "UploadState": "Completed"}
        self.modules[made["Id"]] = made
        return 200, made, {}

    def _module(self, name: str, body: Any, **_: Any) -> Answer:
        if body is not None:
            self.modules[name] |= body
            return 200, None, {}
        return 200, {"Data": self.modules[name], "Interface": _interface(self.modules[name]["StructuredInterface"])}, {}

    def _new_pipeline_run(self, body: Any, query: dict[str, str], **_: Any) -> Answer:
        made = {
            "Id": str(uuid.uuid4()),
            "GraphId": str(uuid.uuid4()),
            "Description": body["CreationInfo"]["Description"],
        }
        made["RunHistoryExperimentName"] = query["experimentName"]
        self.pipeline_runs[made["Id"]] = made
        self.graphs[made["Id"]] = body["Graph"]
        return 200, made, {}

    def _submit(self, name: str, **_: Any) -> Answer:
        """Begin a run in the history, and one below it for each node."""
        experiment = self.pipeline_runs[name]["RunHistoryExperimentName"]
        self.begin(name, experiment, runType="azureml.PipelineRun", status="Running")
        self.pipeline_runs[name]["Status"] = {"StatusCode": "Running"}
        for node in self.graphs[name]["ModuleNodes"]:
            tags = {"azureml.nodeid": node["Id"], "azureml.pipeline": name}
            module = self.modules[node["ModuleId"]]["Name"]
            self.begin(
                f"{name}_{module}", experiment, name=module, tags=tags, runType="azureml.StepRun", parentRunId=name,
                properties={"azureml.runsource": "azureml.StepRun"},
            )  # fmt: skip
        self.on_submit(name)
        return 200, None, {}

    def _pipeline_run(self, name: str, **_: Any) -> Answer:
        return 200, self.pipeline_runs[name], {}

    def _node(self, name: str, body: list[str]) -> dict[str, Any]:
        return next(run for run in self.runs.values() if run["tags"].get("azureml.nodeid") == body[0])

    def _node_status_code(self, name: str, body: Any, **_: Any) -> Answer:
        return 200, self._node(name, body)["status"], {}

    def _node_outputs(self, name: str, body: Any, **_: Any) -> Answer:
        run = self._node(name, body)
        port = f"{run['name']}_dir"
        blob = {"RelativePath": output_path(run["runId"], port), "AmlDataStoreName": STORE}
        reference = {"Type": "AzureBlob", "AzureBlobReference": blob}
        return 200, {port: {"DataTypeId": "AzureBlobReference", "DataLocation": {"DataReference": reference}}}, {}

    def nodes(self, name: str) -> list[dict[str, Any]]:
        """Give the nodes of a graph that was submitted."""
        found: list[dict[str, Any]] = self.graphs[name]["ModuleNodes"]
        return found

    def steps(self, name: str) -> list[str]:
        """Name the step runs of a graph such that each comes after those it reads."""
        nodes, edges = [node["Id"] for node in self.nodes(name)], self.graphs[name]["Edges"]
        before: dict[str, set[str]] = {node: set() for node in nodes}
        for edge in edges:
            before[edge["DestinationInputPort"]["NodeId"]].add(edge["SourceOutputPort"]["NodeId"])
        runs = {run["tags"].get("azureml.nodeid"): run_id for run_id, run in self.runs.items()}
        return [runs[node] for node in TopologicalSorter(before).static_order()]

    # Run history

    def begin(self, run: str, experiment: str, /, **said: Any) -> None:
        """Make a run."""
        self.runs[run] = {
            "runId": run,
            "runNumber": len(self.runs) + 1,
            "rootRunId": said.get("parentRunId", run),
            "experimentId": EXPERIMENT_ID,
            "createdUtc": now(),
            "status": "NotStarted",
            "tags": {},
            "properties": {},
            "dataContainerId": f"dcid.{run}",
            "hidden": False,
        } | said
        self.experiments[run] = experiment

    def end(self, name: str, status: str) -> None:
        """Say how a run ended."""
        self.runs[name] |= {"status": status, "endTimeUtc": now()}
        if name in self.pipeline_runs:
            self.pipeline_runs[name]["Status"] = {"StatusCode": status}

    def _experiment(self, name: str, **_: Any) -> Answer:
        return 200, {"experimentId": EXPERIMENT_ID, "name": name, "tags": {}, "createdUtc": now()}, {}

    def _run_v1(self, name: str, body: Any, **_: Any) -> Answer:
        if name not in self.runs:
            return fault(404, "UserError", f"run {name} was not found")
        for key, value in (body or {}).items():
            if value is not None:
                old = self.runs[name].get(key)
                self.runs[name][key] = {**old, **value} if isinstance(old, dict) else value
        return 200, self.runs[name], {}

    def _children(self, name: str, **_: Any) -> Answer:
        return 200, {"value": [run for run in self.runs.values() if run.get("parentRunId") == name]}, {}

    def _metrics(self, name: str, body: Any, **_: Any) -> Answer:
        """Keep what was logged, in the form of 2019 or in that of today."""
        for one in body.get("values", [body]):
            cells = one.get("cells") or [row["data"] for row in one["value"]]
            for cell in cells:
                self.metrics.setdefault(name, {}).update(cell)
        return 200, {}, {}

    def _ingested(self, **_: Any) -> Answer:
        return 200, {}, {}

    # Artifacts, assets, models

    def _new_artifacts(self, origin: str, container: str, body: Any, **_: Any) -> Answer:
        made: dict[str, Any] = {}
        places = {}
        for one in body["paths"]:
            path, name = one["path"], f"{origin}/{container}/{one['path']}"
            made[path] = {"artifactId": name, "origin": origin, "container": container, "path": path}
            self.artifacts[name] = f"{origin}/{container}/{path}"
            places[path] = {
                "contentUri": self.data.storage.signed(name),
                "origin": origin,
                "container": container,
                "path": path,
            }
        return 200, {"artifacts": made, "artifactContentInformation": places, "errors": {}}, {}

    def _new_asset(self, body: Any, **_: Any) -> Answer:
        made = {**body, "id": uuid.uuid4().hex, "createdTime": now()}
        self.assets[made["id"]] = made
        return 200, made, {}

    def _all_models(self, body: Any, query: dict[str, str], **_: Any) -> Answer:
        if body is not None:
            version = 1 + sum(one["name"] == body["name"] for one in self.models.values())
            made = {
                **body,
                "version": version,
                "id": f"{body['name']}:{version}",
                "createdTime": now(),
                "modifiedTime": now(),
            }
            self.models[made["id"]] = made
            return 200, made, {}
        wanted = dict(pair.split("=", 1) for pair in query.get("tags", "").split(",") if "=" in pair)
        found = [
            one
            for one in self.models.values()
            if one["name"] == query.get("name", one["name"]) and wanted.items() <= (one.get("kvTags") or {}).items()
        ]
        return 200, {"value": found, "nextLink": None}, {}

    def files_of(self, model: str) -> dict[str, bytes]:
        """Give the files of a registered model, by their paths below the place it was uploaded to."""
        prefix = self.assets[self.models[model]["url"].rpartition("/")[2]]["artifacts"][0]["prefix"]
        above = prefix.rpartition("/")[0]
        names = [name for name in self.artifacts if name.startswith(f"{prefix}/")]
        container = self.data.storage.container(CONTAINER)
        return {name.removeprefix(f"{above}/"): container.download_blob(name).readall() for name in names}

    def output(self, step: str) -> dict[str, Any]:
        """Give the JSON files that a step wrote, by their paths in its output."""
        found = self.data.storage.folder(output_path(step, f"{self.runs[step]['name']}_dir"))
        return {name: json.loads(content) for name, content in found.items() if name.endswith(".json")}

    # Snapshots: no public specification.

    def _latest(self, **_: Any) -> Answer:
        return 200, {"root": {}, "id": None}, {}

    def _places(self, body: Any, **_: Any) -> Answer:
        nodes = []
        for file in body["FileNames"]:
            blob = f"{uuid.uuid4()}/{file}"
            nodes.append({"fullName": file, "blobUri": self.data.storage.signed(blob)})
        return 200, {"fileNodes": nodes}, {}

    def _new_snapshot(self, name: str, body: Any, **_: Any) -> Answer:
        files = body["FileRevisionList"]["FileNodes"]
        before = self.snapshots.get(body["ParentSnapshotId"] or "", {})
        new = {file["FullName"]: _blob_of(file["BlobUri"]) for file in files}
        self.snapshots[name] = {path: new.get(path) or before[path] for path in _paths(body["DirTreeNode"])}
        return 200, {"id": name}, {}


def _paths(node: dict[str, Any], above: str = "") -> Iterator[str]:
    """Give the files of a snapshot's tree."""
    for name, child in node["children"].items():
        if child["type"] == "File":
            yield above + name
        else:
            yield from _paths(child, f"{above}{name}/")


def _without_nothing(node: Any) -> Any:
    """Leave out who signs in to a cluster's machines where nobody does: SDK v1 cannot read a null there."""
    if isinstance(node, list):
        return [_without_nothing(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_nothing(value)
        for key, value in node.items()
        if value is not None or key != "userAccountCredentials"
    }


def output_path(run: str, port: str) -> str:
    """Give the folder of a step's output in the default container."""
    return f"azureml/{run}/{port}"


def _interface(structured: dict[str, Any]) -> dict[str, Any]:
    """Say what a module takes and gives, as the service answers it from what it was sent."""

    def parameters(kind: str) -> list[dict[str, Any]]:
        kept = {"Name": "Name", "DefaultValue": "DefaultValue", "IsOptional": "IsOptional", "Type": "ParameterType"}
        return [{key: one.get(source) for key, source in kept.items()} for one in structured[kind]]

    inputs = [
        {"Name": one["Name"], "DataTypesIds": one["DataTypeIdsList"], "IsOptional": one.get("IsOptional")}
        for one in structured["Inputs"]
    ]
    outputs = [{"Name": one["Name"], "DataTypeId": one["DataTypeId"]} for one in structured["Outputs"]]
    ports = {"Inputs": inputs, "Outputs": outputs}
    return {
        "Parameters": parameters("Parameters"),
        "MetadataParameters": parameters("MetadataParameters"),
        "Ports": ports,
    }


def _blob_of(address: str) -> str:
    return unquote(urlsplit(address).path.split(f"/{CONTAINER}/", 1)[1])


STORE = "workspaceblobstore"
_ROUTES = {
    f"GET /datastore/v1.0/datastores/{STORE}": "_datastore",
    "(GET|POST) /pipelines/v1.0/DataTypes": "_types",
    "GET /pipelines/v1.0/Modules/Hash/.*": "_no_module",
    "POST /pipelines/v1.0/Modules": "_new_module",
    "(PUT|GET) /pipelines/v1.0/Modules/(?P<name>[^/]+)": "_module",
    "POST /pipelines/v1.0/PipelineRuns/Unsubmitted/CreationInfoWithGraph": "_new_pipeline_run",
    "POST /pipelines/v1.0/PipelineRuns/Submit/(?P<name>[^/]+)": "_submit",
    "GET /pipelines/v1.0/PipelineRuns/(?P<name>[^/]+)": "_pipeline_run",
    "POST /pipelines/v1.0/PipelineRuns/(?P<name>[^/]+)/Graph/Node/StatusCode": "_node_status_code",
    "POST /pipelines/v1.0/PipelineRuns/(?P<name>[^/]+)/Outputs": "_node_outputs",
    "GET /history/v1.0/experiments/(?P<name>[^/]+)": "_experiment",
    "(GET|PATCH) /history/v1.0/experiment(s|ids)/[^/]+/runs/(?P<name>[^/]+)": "_run_v1",
    "GET /history/v1.0/experiments/[^/]+/runs/(?P<name>[^/]+)/children": "_children",
    "POST /history/v1.0/experiments/[^/]+/runs/(?P<name>[^/]+)/(batch/)?metrics": "_metrics",
    "GET /history/v1.0/experiments/[^/]+/runs/(?P<name>[^/]+)/metricsingest/wait": "_ingested",
    "POST /metric/v2.0/runs/(?P<name>[^/]+)/batch": "_metrics",
    "POST /artifact/v2.0/artifacts/batch/metadata/(?P<origin>[^/]+)/(?P<container>[^/]+)": "_new_artifacts",
    "POST /modelmanagement/v1.0/assets": "_new_asset",
    "(GET|POST) /modelmanagement/v1.0/models": "_all_models",
    "GET /content/v1.0/snapshots/latest/metadata": "_latest",
    "POST /content/v2.0/snapshots/getblob": "_places",
    "POST /content/v2.0/snapshots/(?P<name>[^/]+)": "_new_snapshot",
}
