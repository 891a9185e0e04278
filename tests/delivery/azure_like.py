"""MLflow's own server behind a proxy that lacks what Azure ML's endpoint lacks, and that can be told to fail."""

import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

HERE = Path(__file__).parent
# Azure ML answers these with 404: what MLflow 3 brought (logged models, traces, prompts, webhooks, its API 3.0),
# aliases, and renaming or deleting a whole model. https://learn.microsoft.com/azure/machine-learning/how-to-manage-models-mlflow
LACKS = re.compile(
    r"/logged-models|/registered-models/(alias|rename|delete)|/traces|/prompts|/webhooks|/scorers|/datasets|/api/3\.0/"
)
START = 180.0  # seconds that the server may take to start, on a busy machine
SLOW = 0.05  # seconds that a slow answer takes longer
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}

Fault = Callable[[str, str], str]  # method and path -> "", "slow", "lost" (before), "unanswered" (after) or "truncated"


class Azure:
    """The address to use as a registry store, what was asked of it, and what shall go wrong."""

    def __init__(self, port: int):
        self.upstream = port
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.fault: Fault = lambda *_: ""
        self.store = ""

    def fail_once(self, fault: str, method: str, path: str) -> list[str]:
        """Let the first request of this kind go wrong; give a list that holds it once that happened."""
        hit: list[str] = []

        def first(asked: str, where: str) -> str:
            if hit or asked != method or path not in where:
                return ""
            hit.append(where)
            return fault

        self.fault = first
        return hit


@contextmanager
def served(folder: Path) -> Iterator[Azure]:
    """Start server and proxy; both end with the block, and the server also when this process dies."""
    port = _free_port()
    with (folder / "server.log").open("wb") as log:
        command = [sys.executable, str(HERE / "serve_mlflow.py"), str(folder), str(port)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            _await(port, server, folder / "server.log")
            azure = Azure(port)
            with _proxy(azure) as address:
                azure.store = address
                yield azure
        finally:
            if server.stdin:
                server.stdin.close()
            server.wait(30)


@contextmanager
def _proxy(azure: Azure) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer waits for an acknowledgement of its head

        def do(self) -> None:
            _forward(azure, self)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

        def log_message(self, format: str, *args: object) -> None:
            return

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


def _forward(azure: Azure, request: BaseHTTPRequestHandler) -> None:
    body = request.rfile.read(int(request.headers.get("content-length") or 0))
    azure.asked.append(f"{request.command} {request.path.partition('?')[0]}")
    if LACKS.search(request.path):
        azure.refused.append(azure.asked[-1])
        _answer(request, 404, {}, b"")
        return
    fault = azure.fault(request.command, request.path)
    if fault == "slow":
        time.sleep(SLOW)
    if fault == "lost":
        _hang_up(request)
        return
    status, headers, content = _upstream(azure, request, body)
    if fault == "unanswered":
        _hang_up(request)
    elif fault == "truncated":
        _answer(request, status, headers, content, cut=len(content) // 2)
        _hang_up(request)
    else:
        _answer(request, status, headers, content)


def _upstream(azure: Azure, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", azure.upstream, timeout=60)
    try:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP | {"host"}}
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def _answer(
    request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], content: bytes, cut: int | None = None
) -> None:
    request.send_response(status)
    for name, value in headers.items():
        if name.lower() not in HOP:
            request.send_header(name, value)
    request.send_header("content-length", str(len(content)))
    request.end_headers()
    request.wfile.write(content if cut is None else content[:cut])
    request.wfile.flush()


def _hang_up(request: BaseHTTPRequestHandler) -> None:
    """Reset the connection: what the other side reads is an error, not an end."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    request.close_connection = True
    request.connection.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _await(port: int, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
