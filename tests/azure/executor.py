"""A compute of the workspace: runs the command lines of a submitted pipeline job, in the order of its graph.

It knows what the service knows: the job and its components, as they were put, and the blobs of the storage account.
Each node gets an empty folder that holds the code out of its blobs, folders for its inputs and its output, a home of
its own, and no path that leads to this repository.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import guard
from .data_plane import Child
from .server import Azure

_OUTPUT = re.compile(r"\$\{\{parent\.jobs\.(\w+)\.outputs\.(\w+)\}\}")
_PARENT = re.compile(r"\$\{\{parent\.inputs\.(\w+)\}\}")
_BINDING = re.compile(r"\$\{\{(inputs|outputs)\.(\w+)\}\}")
_PATHS = re.compile(r"azureml://(?:.*/)?datastores/[^/]+/paths/(.*)")
LOG = "user_logs/std_log.txt"
TICK = 0.1


class Failed(Exception):
    """A node ended otherwise than well."""


@dataclass
class Compute:
    """Runs each job that is submitted, in a thread of its own.

    Attributes:
        azure: The workspace.
        folder: Where nodes work; each in a folder of its own.
        before: Is called before a node's command line runs, with its working directory.
        preempt: When the machine of a phase is taken away, once, in the middle of its work.
        hold: Where it is set, nodes wait for it before they start.
        limit: Seconds that a node may take.
        late: Whether a job says how it and its nodes ended only when all has.
        ran: What ran: the phase, its command line and how it ended.
    """

    azure: Azure
    folder: Path
    before: Any = None
    preempt: dict[str, Callable[[], bool]] = field(default_factory=dict)
    hold: threading.Event | None = None
    limit: float = 120.0
    late: bool = False
    ran: list[tuple[str, str, int]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _untold: list[tuple[Child, str]] = field(default_factory=list)

    def take(self, job_id: str) -> None:
        """Begin with a job."""
        thread = threading.Thread(target=self._run, args=(job_id,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Wait until every job has ended; fail where this compute itself went wrong."""
        for thread in self._threads:
            thread.join(self.limit)
            assert not thread.is_alive(), "a job does not end"
        assert not self.broken, self.broken

    def _run(self, job_id: str) -> None:
        job = self.azure.manager.get(job_id)
        properties = job["properties"]
        try:
            properties["status"] = "Running"
            self._nodes(job["name"], properties)
        except Failed:
            ended = "Canceled" if properties["status"] == "CancelRequested" else "Failed"
        except Exception as error:  # noqa: BLE001  # told to the test
            self.broken.append(repr(error))
            ended = "Failed"
        else:
            ended = "Completed"
        for child, status in self._untold:
            child.status = status
        self._untold.clear()
        properties["status"] = ended

    def _tell(self, child: Child, status: str) -> None:
        """Say how a node ended, now or with the job."""
        if self.late:
            self._untold.append((child, status))
        else:
            child.status = status

    def _nodes(self, job: str, properties: dict[str, Any]) -> None:
        """Run the nodes; a failed one ends the job, as `continue_on_step_failure: false` asks."""
        assert properties["settings"]["continue_on_step_failure"] is False
        waiting, done = dict(properties["jobs"]), set()
        while waiting:
            ready = [name for name, node in waiting.items() if _reads(node) <= done]
            if not ready:
                raise AssertionError(f"nodes wait for what is not there: {list(waiting)}")
            for name in ready:
                self._node(job, properties, name, waiting.pop(name))
                done.add(name)

    def _node(self, job: str, properties: dict[str, Any], name: str, node: dict[str, Any]) -> None:
        child = Child(f"{job}-{name}", name, job)
        self.azure.data.children[child.name] = child
        while self.hold and not self.hold.wait(TICK):
            if properties["status"] == "CancelRequested":
                break
        if properties["status"] == "CancelRequested":
            child.status = "Canceled"
            raise Failed(name)
        spec = self.azure.manager.get(node["componentId"])["properties"]["componentSpec"]
        compute = self.azure.manager.get(node["computeId"])
        assert compute["properties"]["computeType"] == "AmlCompute"
        assert self.azure.manager.get(spec["environment"])["properties"]["condaFile"]
        try:
            self._work(child, properties, spec, node)
        except _TakenAway:
            self._work(child, properties, spec, node)

    def _work(self, child: Child, properties: dict[str, Any], spec: dict[str, Any], node: dict[str, Any]) -> None:
        where = self.folder / f"{child.name}-{len(self.ran)}-{time.monotonic_ns()}"
        code = where / "wd"
        self._write(code, self.azure.data.storage.below(self._code(spec["code"])))
        inputs = {name: self._input(where / "in" / name, value, properties) for name, value in _inputs(node).items()}
        outputs = {name: where / "out" / name for name in node["outputs"]}
        for folder in outputs.values():
            folder.mkdir(parents=True)
        bound = {"inputs": inputs, "outputs": outputs}
        assert set(spec.get("inputs") or {}) == set(inputs)
        line = _BINDING.sub(lambda found: str(bound[found[1]][found[2]]), spec["command"])
        if self.before:
            self.before(child.node, code)
        ended = self._execute(child, properties, line, code, where)
        for name, folder in outputs.items():
            target = _PATHS.fullmatch(node["outputs"][name]["uri"])
            assert target, node["outputs"][name]
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    self.azure.data.storage.put(f"{target[1]}{path.relative_to(folder).as_posix()}", path.read_bytes())
        self.ran.append((child.node, line, ended))
        failed = "Canceled" if properties["status"] == "CancelRequested" else "Failed"
        self._tell(child, failed if ended else "Completed")
        if ended:
            child.error = f"Execution failed. User process '{line.split()[0]}' exited with status code {ended}."
            raise Failed(child.node)

    def _execute(self, child: Child, properties: dict[str, Any], line: str, code: Path, where: Path) -> int:
        """Run a command line and keep its log where people look at it."""
        log = where / "std_log.txt"
        child.logs[LOG] = f"logs/{child.name}/std_log.txt"
        child.status = "Running"
        (where / "home").mkdir()
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["/bin/bash", "-c", line],
                cwd=code,
                env=self._environment(where / "home", child.name),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            until, kept = time.monotonic() + self.limit, -1
            while process.poll() is None:
                size = log.stat().st_size
                if size > max(kept, 0) or kept < 0:
                    self.azure.data.storage.put(child.logs[LOG], log.read_bytes())
                    kept = size
                taken = self.preempt.get(child.node, _never)()
                if taken or properties["status"] == "CancelRequested" or time.monotonic() > until:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                if taken:
                    del self.preempt[child.node]
                    self.ran.append((child.node, line, -int(signal.SIGKILL)))
                    child.status = "Queued"
                    raise _TakenAway
                time.sleep(TICK)
        self.azure.data.storage.put(child.logs[LOG], log.read_bytes())
        return process.returncode

    def _environment(self, home: Path, run: str) -> dict[str, str]:
        """Give what a node has: an interpreter with the packages, its identity, and nothing of this test's own."""
        keep = ("LANG", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AZURE_TOKEN_CREDENTIALS", guard.LOG)
        given = {name: os.environ[name] for name in keep if name in os.environ}
        given |= {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home), "TMPDIR": str(home)}
        given |= {"PYTHONPATH": str(guard.SITE), guard.ALONE: "1", "AZUREML_RUN_ID": run}
        found = {name: value for name, value in self.azure.environment.items() if name != "TREY_AZURE_WORKSPACE"}
        return given | found

    def _code(self, code_id: str) -> str:
        uri: str = self.azure.manager.get(code_id)["properties"]["codeUri"]
        return uri

    def _input(self, folder: Path, value: dict[str, Any], properties: dict[str, Any]) -> Path:
        """Bring an input to where it is mounted: an output of another node, or a data asset."""
        bound = str(value.get("value") or value.get("uri"))
        if found := _PARENT.fullmatch(bound):
            value = properties["inputs"][found[1]]
            bound = str(value["uri"])
        if found := _OUTPUT.fullmatch(bound):
            uri = properties["jobs"][found[1]]["outputs"][found[2]]["uri"]
        else:
            uri = self.azure.manager.get(bound)["properties"]["dataUri"]
        path = _PATHS.fullmatch(uri)
        assert path, uri
        blobs = self.azure.data.storage.folder(path[1])
        if not blobs:  # a single file
            folder.mkdir(parents=True)
            file = folder / Path(path[1]).name
            file.write_bytes(self.azure.data.storage.blob(path[1]))
            return file
        self._write(folder, blobs)
        return folder

    @staticmethod
    def _write(folder: Path, files: dict[str, bytes]) -> None:
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def _never() -> bool:
    return False


class _TakenAway(Exception):
    """The machine is gone; the service starts the node again on another."""


def _inputs(node: dict[str, Any]) -> dict[str, Any]:
    return node.get("inputs") or {}  # the SDK sends none where there are none


def _reads(node: dict[str, Any]) -> set[str]:
    return {
        found[1]
        for value in _inputs(node).values()
        if (found := _OUTPUT.fullmatch(str(value.get("value") or value.get("uri"))))
    }
