"""A compute for SDK v1: runs a step as it was submitted, from its snapshot alone, and stores what it wrote."""

import contextlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import tokens
from .data_plane import CONTAINER
from .server import GROUP, SUBSCRIPTION, WORKSPACE
from .v1_server import EXPERIMENT_ID, AzureV1, output_path

NONE: Mapping[str, Mapping[str, str]] = {}


class Compute:
    """Runs the steps of each run that is submitted, one after the other, up to one that fails.

    Attributes:
        variables: Environment variables of this compute, by the step's name.
        done: What became of each step's command.
    """

    def __init__(self, azure: AzureV1, python: Path, folder: Path, variables: Mapping[str, Mapping[str, str]]):
        self.azure = azure
        self.python = python
        self.folder = folder
        self.variables = variables
        self.done: list[subprocess.CompletedProcess[str]] = []

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Take what is submitted, until the block ends."""
        submitted: queue.Queue[str | None] = queue.Queue()
        self.azure.on_submit = submitted.put
        worker = threading.Thread(target=lambda: [self._run(name) for name in iter(submitted.get, None)])
        worker.start()
        try:
            yield
        finally:
            submitted.put(None)
            worker.join()

    def _run(self, name: str) -> None:
        failed = False
        for step in self.azure.steps(name):
            if not failed:
                folder = self.folder / step
                folder.mkdir(parents=True)
                self.done.append(run_step(self.azure, step, self.python, folder, self.variables))
                failed = self.done[-1].returncode != 0
        self.azure.end(name, "Failed" if failed else "Finished")


def run_step(
    azure: AzureV1, run: str, python: Path, folder: Path, variables: Mapping[str, Mapping[str, str]] = NONE
) -> subprocess.CompletedProcess[str]:
    """Run one step to its end, and say in the history how it ended.

    Args:
        azure: What it was submitted to.
        run: The step's run.
        python: What `python` is on this compute.
        folder: An empty folder.
        variables: Further environment variables, by the step's name.
    """
    parent, named = azure.runs[run]["parentRunId"], azure.runs[run]["tags"]["azureml.nodeid"]
    node = next(one for one in azure.nodes(parent) if one["Id"] == named)
    module = azure.modules[node["ModuleId"]]
    code = folder / "code"
    (folder / "home").mkdir(parents=True)
    for path, blob in azure.snapshots[module["StorageId"]].items():
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        (code / path).write_bytes(azure.data.storage.container(CONTAINER).download_blob(blob).readall())
    words = [next(one["Value"] for one in node["ModuleParameters"] if one["Name"] == "Command")]
    for argument in module["StructuredInterface"]["Arguments"]:
        if argument["ValueType"] == "Literal":
            words.append(argument["Value"])
            continue
        place = folder / argument["Value"]
        place.mkdir()
        words.append(str(place))
        if argument["ValueType"] == "Input":
            _fetch(azure, run, node["Id"], argument["Value"], place)
    configured = json.loads(node.get("Runconfig") or module["Runconfig"])["environmentVariables"]
    done = subprocess.run(
        words,
        cwd=code,
        env=_environment(azure, run, python, folder / "home")
        | configured
        | dict(variables.get(azure.runs[run]["name"], {})),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = next(one["Name"] for one in module["StructuredInterface"]["Outputs"] if not one["SkipProcessing"])
    for path in (folder / output).rglob("*"):
        if path.is_file():
            azure.data.storage.put(f"{output_path(run, output)}/{path.relative_to(folder / output)}", path.read_bytes())
    azure.end(run, "Failed" if done.returncode else "Finished")
    return done


def _fetch(azure: AzureV1, run: str, node: str, port: str, place: Path) -> None:
    """Write what the step before wrote, by the graph's edges."""
    parent = azure.runs[run]["parentRunId"]
    edge = next(
        one
        for one in azure.graphs[parent]["Edges"]
        if one["DestinationInputPort"] == {"NodeId": node, "PortName": port}
    )
    source = edge["SourceOutputPort"]
    before = next(name for name, one in azure.runs.items() if one["tags"].get("azureml.nodeid") == source["NodeId"])
    for path, content in azure.data.storage.folder(output_path(before, source["PortName"])).items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)


def _environment(azure: AzureV1, run: str, python: Path, home: Path) -> dict[str, str]:
    """Give the variables that the service sets for a run."""
    mine = {
        "AZUREML_ARM_SUBSCRIPTION": SUBSCRIPTION,
        "AZUREML_ARM_RESOURCEGROUP": GROUP,
        "AZUREML_ARM_WORKSPACE_NAME": WORKSPACE,
        "AZUREML_ARM_PROJECT_NAME": azure.experiments[run],
        "AZUREML_EXPERIMENT_ID": EXPERIMENT_ID,
        "AZUREML_WORKSPACE_ID": "11111111-1111-1111-1111-111111111111",
        "AZUREML_RUN_ID": run,
        "AZUREML_RUN_TOKEN": tokens.issue("https://ml.azure.com"),
        "AZUREML_SERVICE_ENDPOINT": azure.url,
        "AZUREML_DISCOVERY_SERVICE_ENDPOINT": f"{azure.url}/discovery",
        "HOME": str(home),
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
    }
    elsewhere = {
        "ARM_CLOUD_METADATA_URL",
        "AZUREML_CURRENT_CLOUD",
        "MSI_ENDPOINT",
        "MSI_SECRET",
        "TREY_AZURE_WORKSPACE",
    }
    return {name: value for name, value in os.environ.items() if name not in elsewhere} | mine
