"""A scoring process that the tests of this room ask."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ..fixtures_model import make_model, model_dir  # noqa: F401 - fixtures
from ..project import ROOT

Start = Callable[..., tuple[subprocess.Popen, str]]
PROGRAMS = ROOT / ".venv-inference-server" / "bin"


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Give a function that starts the service and gives process and URL once it answers."""
    started = []

    def begin(*options: str, environment: dict[str, str] | None = None) -> tuple[subprocess.Popen, str]:
        port_file = tmp_path_factory.mktemp("service") / "port"
        command = [sys.executable, "-m", "service", *options, "--port", "0", "--port-file", str(port_file)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        started.append(process)
        deadline = time.monotonic() + 30
        while not port_file.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process, f"http://127.0.0.1:{port_file.read_text(encoding='utf-8')}"

    yield begin
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.fixture(scope="session")
def url(start: Start, model_dir: Path) -> str:  # noqa: F811
    """Give the URL of a service that answers with the model of the tests."""
    return start("--model", str(model_dir))[1]


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[httpx.Client]:
    """Give a client of that service."""
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def programs() -> Path:
    """Give the folder of Azure ML's inference server and Triton's client; skip, or fail where they are required."""
    if (PROGRAMS.parent / "ready").exists():
        return PROGRAMS
    if os.environ.get("TREY_REQUIRE_INFERENCE_SERVER") == "1":
        pytest.fail("TREY_REQUIRE_INFERENCE_SERVER is 1, but there is no .venv-inference-server: make inference-server")
    pytest.skip("needs .venv-inference-server: make inference-server")
