"""A scoring process on loopback for the length of a block: what a release is tested through before it goes live."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from delivery.errors import ScoringProcessFailed

PAUSE = 0.02  # seconds between two looks whether it is ready
STOP_WAIT = 15.0  # seconds to end by itself, longer than the service gives requests under way
TAIL = 4_000  # characters of its output that a message shows


@contextmanager
def scoring_process(
    folder: Path, *, follow: bool = False, settings: Mapping[str, str] | None = None, timeout: float = 30.0
) -> Iterator[str]:
    """Serve a model folder, or follow an endpoint, in a process of its own, and give its URL once it answers.

    The process ends with the block, whatever happens in it. It also watches the pipe that is its standard input, which
    the system closes when this process dies, even by SIGKILL: none is left behind.

    Args:
        folder: The model folder, or the endpoint.
        follow: Whether it is an endpoint.
        settings: Variables of the environment that the process gets besides this one's.
        timeout: Seconds it may take to become ready.

    Raises:
        ScoringProcessFailed: It ended, or was not ready in time; the message has what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="trey-scoring-") as temporary, tempfile.TemporaryFile("w+") as output:
        port_file = Path(temporary) / "port"
        source = "--endpoint" if follow else "--model"
        command = [sys.executable, "-m", "service", source, str(folder.resolve()), "--port", "0"]
        process = subprocess.Popen(
            [*command, "--port-file", str(port_file), "--until-stdin-ends"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | (settings or {}),
            start_new_session=True,  # Ctrl-C is ours to handle: the process ends after its client
        )
        try:
            yield _ready_url(process, port_file, output, timeout)
        finally:
            _stop(process)


def _ready_url(process: subprocess.Popen, port_file: Path, output: IO[str], timeout: float) -> str:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if (code := process.poll()) is not None:
            raise ScoringProcessFailed(f"the scoring process ended with code {code}; it printed:\n{_tail(output)}")
        if port_file.exists():
            url = f"http://127.0.0.1:{port_file.read_text(encoding='utf-8')}"
            if _is_ready(url, deadline - time.monotonic()):
                return url
        time.sleep(PAUSE)
    raise ScoringProcessFailed(
        f"the scoring process was not ready after {timeout:g} seconds; it printed:\n{_tail(output)}\n"
        "Give it more time, or see what it does: python -m service --model DIR"
    )


def _is_ready(url: str, timeout: float) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=max(timeout, PAUSE), trust_env=False).is_success
    except httpx.TransportError:
        return False


def _tail(output: IO[str]) -> str:
    output.seek(0)
    return output.read()[-TAIL:].strip() or "(nothing)"


def _stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()
