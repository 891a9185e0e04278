"""Collected lines go through Azure ML's own collector, to what stands in for its daemon.

Each test is a process: the package reads its variables when it is first used, and keeps a thread.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ..project import ROOT

COLLECT = """
import sys
from service.collection import from_settings
from service.collection_settings import CollectionSettings
from tests.service.records import record
collector = from_settings(CollectionSettings(azureml="scoring"), "parts", "staging")
for n in range(int(sys.argv[1])):
    collector.put(record(f"r-{n}", ["iron", f"steel {n}"], labels=["non-compliant", "compliant"]))
collector.put(record("failed", ["planted-text"], status=500))
collector.close()
print(collector.stored, collector.dropped)
"""


@pytest.fixture
def daemon() -> Iterator[tuple[int, list[tuple[str, dict[str, str], Any]]]]:
    """Give the port of a daemon that keeps what is posted to it, and what it keeps."""
    kept: list[tuple[str, dict[str, str], Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.append((self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, kept
        server.shutdown()


def collect(records: int, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AZUREML_")} | variables
    command = [sys.executable, "-c", COLLECT, str(records)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_each_request_is_posted_under_its_correlation_id(daemon: tuple[int, list[Any]]) -> None:
    port, kept = daemon
    done = collect(20, AZUREML_MDC_ENABLED="true", AZUREML_MDC_HOST="127.0.0.1", AZUREML_MDC_PORT=str(port))
    assert done.stdout.splitlines()[-1] == "21 0", done
    assert [headers["ce-x-request-id"] for _, headers, _ in kept] == [*(f"r-{n}" for n in range(20)), "failed"]
    path, headers, answers = kept[3]
    assert (path, headers["ce-type"]) == ("/modeldata/log", "azureml.inference.scoring")
    assert [(line["item"], line["text"], line["label"]) for line in answers] == [
        (0, "iron", "non-compliant"),
        (1, "steel 3", "compliant"),
    ]
    assert answers[0]["digest"] == "d" * 64
    assert (kept[-1][2][0]["status"], "planted-text" in str(kept)) == (500, False)


def test_a_full_queue_of_the_package_is_waited_for(daemon: tuple[int, list[Any]]) -> None:
    port, kept = daemon
    variables = {"AZUREML_MDC_ENABLED": "true", "AZUREML_MDC_PORT": str(port), "AZUREML_MDC_QUEUE_CAPACITY": "2"}
    done = collect(20, **variables)
    assert done.stdout.splitlines()[-1] == "21 0", done
    assert [headers["ce-x-request-id"] for _, headers, _ in kept] == [*(f"r-{n}" for n in range(20)), "failed"]


def test_a_deployment_without_collection_is_told_at_start() -> None:
    done = collect(1)
    assert done.returncode == 1
    assert "BadSettings: SCORING_COLLECT_AZUREML is 'scoring': custom logging is not enabled" in done.stderr
    assert "data_collector.collections.scoring.enabled" in done.stderr
