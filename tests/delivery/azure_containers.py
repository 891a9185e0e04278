"""Containers of Azure's managed online endpoints, on loopback: what was uploaded for a deployment is what answers.

Image, model and variables come from what was sent to Azure alone: the image is the folder that would be built, the
model the folder that would be mounted. Beside each stands what stands for the data collector's daemon: it writes what
it is posted to blob storage as Azure documents it.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.core.exceptions import ResourceExistsError

from ..azure.data_plane import CONTAINER
from ..azure.server import Azure

COMMAND = (sys.executable, "-m", "service.azure", "--host", "127.0.0.1", "--port", "0")
START = 60.0  # seconds a container may take
PAUSE = 0.02
WRITTEN = 0.1  # seconds between two writes of what is collected


class Containers:
    """Starts a container for each deployment when it is first asked."""

    def __init__(self, azure: Azure, folder: Path):
        self.azure = azure
        self.folder = folder
        self.started: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._ends = ExitStack()

    def address(self, deployment: dict[str, Any]) -> str:
        """Give where a deployment's container answers."""
        key = (deployment["id"], deployment["properties"]["model"])
        with self._lock:
            if key not in self.started:
                self.started[key] = self._ends.enter_context(self._container(deployment))
            return self.started[key]

    def close(self) -> None:
        self._ends.close()

    @contextmanager
    def _container(self, deployment: dict[str, Any]) -> Iterator[str]:
        properties, manager = deployment["properties"], self.azure.manager
        endpoint, name = deployment["id"].split("/")[-3::2]
        image = manager.get(properties["environmentId"])["properties"]
        model = manager.get(properties["model"])
        root = self.folder / f"{endpoint}-{name}-{len(self.started)}"
        self._download(image["build"]["contextUri"], root / "app")
        mounted = root / "models" / model["id"].split("/")[-3] / model["name"]
        uri = model["properties"]["modelUri"].rstrip("/")
        self._download(uri, mounted / uri.rpartition("/")[2])
        assert (root / "app" / image["build"]["dockerfilePath"]).is_file()
        with self._daemon(endpoint, name) as port:
            variables = {
                key: value for key, value in os.environ.items() if not key.startswith(("SCORING_", "AZUREML_"))
            }
            variables |= properties["environmentVariables"]
            variables |= {"AZUREML_MODEL_DIR": str(mounted)}
            if properties["dataCollector"]["collections"]:
                variables |= {
                    "AZUREML_MDC_ENABLED": "true",
                    "AZUREML_MDC_HOST": "127.0.0.1",
                    "AZUREML_MDC_PORT": str(port),
                }
            with _process(root, variables) as address:
                yield address

    def _download(self, uri: str, folder: Path) -> None:
        """Bring what lies at an address in the workspace's storage."""
        parts = urlsplit(uri)
        if parts.scheme == "azureml":
            container, prefix = CONTAINER, uri.partition("/paths/")[2].rstrip("/")
        else:
            container, _, prefix = parts.path.lstrip("/").removeprefix("devstoreaccount1/").partition("/")
        client = self.azure.data.storage.service.get_container_client(container)
        names = [blob.name for blob in client.list_blobs(name_starts_with=unquote(prefix))]
        assert names, f"nothing lies at {uri}"
        for found in names:
            path = folder / found.removeprefix(prefix).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(client.download_blob(found).readall())

    @contextmanager
    def _daemon(self, endpoint: str, name: str) -> Iterator[int]:
        """Take what is posted, and write it, an event a line, to the blob of its hour: a few times a second."""
        waiting: queue.SimpleQueue[tuple[str, dict[str, Any]] | None] = queue.SimpleQueue()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                data = json.loads(self.rfile.read(int(self.headers["content-length"])))
                waiting.put(_event(data, self.headers["ce-type"], self.headers["ce-x-request-id"]))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        def write() -> None:
            where = f"modelDataCollector/{endpoint}/{name}"
            while (first := waiting.get()) is not None:
                time.sleep(WRITTEN)
                events = [first, *_taken(waiting)]
                for path in dict.fromkeys(path for path, _ in events):
                    lines = [json.dumps(event).encode() + b"\n" for at, event in events if at == path]
                    self._append(f"{where}/{path}", b"".join(lines))

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            try:
                yield server.server_port
            finally:
                server.shutdown()
                waiting.put(None)
                writer.join(10)

    def _append(self, where: str, lines: bytes) -> None:
        blob = self.azure.data.storage.container(CONTAINER).get_blob_client(where)
        with suppress(ResourceExistsError):
            blob.create_append_blob(if_none_match="*")
        blob.append_block(lines)


def _event(data: Any, kind: str, identity: str) -> tuple[str, dict[str, Any]]:
    """Give an event as the collector writes it, and the path that it belongs to."""
    now = datetime.now(UTC)
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "type": kind,
        "datacontenttype": "application/json",
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": data,
        "correlationid": identity,
        "xrequestid": identity,
        "modelversion": "default",
        "collectdatatype": "pandas.core.frame.DataFrame",
    }
    return f"{kind.removeprefix('azureml.inference.')}/{now:%Y/%m/%d/%H}/instance.jsonl", event


def _taken(waiting: "queue.SimpleQueue[tuple[str, dict[str, Any]] | None]") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what waits now; the word that ends it stays."""
    while not waiting.empty():
        found = waiting.get()
        if found is None:
            waiting.put(None)
            return
        yield found


@contextmanager
def _process(root: Path, variables: dict[str, str]) -> Iterator[str]:
    """Run the image's command; it ends with the block, and also when this process dies."""
    port_file = root / "port"
    with (root / "log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "--port-file", str(port_file), "--until-stdin-ends"],
            cwd=root / "app",
            env=variables,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + START
            while not port_file.exists():
                said = (root / "log").read_text()
                assert process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(PAUSE)
            yield f"http://127.0.0.1:{port_file.read_text()}"
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(30)
