"""Azure on loopback, over TLS: Resource Manager, a workspace's services and the tokens for both, behind one port."""

import json
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import Request, urlopen

import trustme

from . import tokens
from .contract import Contract
from .data_plane import ACCOUNT, CONTAINER, DataPlane, Storage
from .resource_manager import Answer, ResourceManager, fault, now

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
CLOUD = "Loopback"
SCORING = "https://ml.azure.com"  # whom a token for an endpoint is for
GROUP, WORKSPACE = "parts", "compliance"
CPU, GPU = "cpu-cluster", "gpu-cluster"
MSI_SECRET = "of-the-test"  # pragma: allowlist secret
_LINGER = b"\x01\x00\x00\x00\x00\x00\x00\x00"


@dataclass
class Asked:
    """A request, and what it was answered."""

    method: str
    path: str
    version: str
    body: Any
    status: int = 0
    answer: Any = None

    @property
    def short(self) -> str:
        """Name it without the workspace."""
        return f"{self.method} {re.sub(r'.*/workspaces/[^/]+', '', self.path) or self.path}"


@dataclass
class Fault:
    """What shall go wrong: for requests of this method whose path holds a match of this pattern, so many times.

    `kind` is a status with which to answer, "reset" (before anything happens) or "lost" (it happens, and the answer is
    never seen).
    """

    kind: int | str
    method: str
    path: str
    times: int = 1
    retry_after: str = ""
    hit: list[str] = field(default_factory=list)


class Azure:
    """A subscription with one resource group and, once `seed` was called, a workspace.

    Attributes:
        manager: Resource Manager's state: `manager.resources`, `manager.broken`, `manager.denied`, `manager.failing`.
        data: Run history and storage.
        asked: Every request, in order.
        faults: What shall go wrong.
        token_seconds: How long a token holds that is given out from now on.
        serving: Where a deployment answers, by (endpoint, deployment): the address before /score.
        containers: Gives this address for a deployment that is not in `serving`, by its resource.
    """

    def __init__(self, port: int, storage: Storage, contract: Contract | None):
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.token_seconds = 3_600.0
        self.tokens_refused = False
        self.serving: dict[tuple[str, str], str] = {}
        self.containers: Callable[[dict[str, Any]], str] | None = None
        self.mirrored: list[tuple[str, str, int]] = []
        self._lock = threading.RLock()
        self._random = random.Random(7)  # noqa: S311
        self.port = port
        self.url = f"https://localhost:{port}"
        self.manager = ResourceManager(self.url, contract)
        self.data = DataPlane(self.url, self.manager, storage)
        self.group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
        self.workspace = f"{self.group}/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
        self.address = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/workspaces/{WORKSPACE}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the SDK finds this Azure, as on a compute with a managed identity."""
        return {
            "ARM_CLOUD_METADATA_URL": f"{self.url}/metadata/endpoints?api-version=2019-05-01",
            "AZUREML_CURRENT_CLOUD": CLOUD,
            "MSI_ENDPOINT": f"{self.url}/msi/token",
            "MSI_SECRET": MSI_SECRET,
            "TREY_AZURE_WORKSPACE": self.address,
        }

    def seed(self, computes: tuple[str, ...] = (CPU, GPU), *, key: bool = False) -> "Azure":
        """Make the workspace with its default datastore and these clusters.

        Args:
            computes: Names of clusters.
            key: Whether the datastore holds the account's key; without, an identity is what opens it.
        """
        put, at = self.manager.put, self.workspace
        storage = f"{self.group}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
        put(f"/subscriptions/{SUBSCRIPTION}", {"state": "Enabled"}, subscriptionId=SUBSCRIPTION, displayName="test")
        put(self.group, {"provisioningState": "Succeeded"}, location="westeurope")
        put(
            at,
            {
                "workspaceId": "11111111-1111-1111-1111-111111111111",
                "discoveryUrl": f"{self.url}/discovery",
                "mlFlowTrackingUri": f"azureml://localhost:{self.port}/mlflow/v1.0{at}",
                "provisioningState": "Succeeded",
                "storageAccount": storage,
            },
            location="westeurope",
            kind="Default",
            identity={"type": "SystemAssigned", "principalId": tokens.WHO, "tenantId": tokens.TENANT},
            sku={"name": "Basic", "tier": "Basic"},
        )
        put(
            f"{at}/datastores/workspaceblobstore",
            {
                "datastoreType": "AzureBlob",
                "accountName": ACCOUNT,
                "containerName": CONTAINER,
                "endpoint": self.data.storage.suffix,
                "protocol": "https",
                "isDefault": True,
                "credentials": {"credentialsType": "AccountKey" if key else "None"},
            },
        )
        for name in computes:
            self._seed_compute(name)
        return self

    def _seed_compute(self, name: str) -> None:
        gpu = "gpu" in name
        scale = {"minNodeCount": 0, "maxNodeCount": 2, "nodeIdleTimeBeforeScaleDown": "PT120S"}
        inner = {
            "vmSize": "STANDARD_NC4AS_T4_V3" if gpu else "STANDARD_D4S_V3",
            "vmPriority": "Dedicated",
            "scaleSettings": scale,
            "allocationState": "Steady",
            "currentNodeCount": 0,
            "targetNodeCount": 0,
            "nodeStateCounts": None,
            "errors": None,
            "subnet": None,
            "remoteLoginPortPublicAccess": "Disabled",
            "userAccountCredentials": None,
            "allocationStateTransitionTime": now(),
        }
        properties = {
            "computeType": "AmlCompute",
            "provisioningState": "Succeeded",
            "provisioningErrors": None,
            "description": "",
            "resourceId": None,
            "computeLocation": "westeurope",
            "createdOn": now(),
            "modifiedOn": now(),
            "isAttachedCompute": False,
            "disableLocalAuth": True,
            "properties": inner,
        }
        self.manager.put(f"{self.workspace}/computes/{name}", properties, location="westeurope", tags={})

    def fail(self, kind: int | str, method: str, path: str, times: int = 1, retry_after: str = "") -> Fault:
        """Let requests go wrong; the fault's `hit` says which did."""
        new = Fault(kind, method, path, times, retry_after)
        self.faults.append(new)
        return new

    def puts(self, kind: str) -> list[str]:
        """Name what was put of a kind, such as "jobs", each as often as it was."""
        found = (
            re.search(rf"/{kind}/(.+)", one.path, re.I)
            for one in self.asked
            if one.method == "PUT" and one.status < 300
        )
        return [match[1] for match in found if match]

    def _fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for one in self.faults:
                if len(one.hit) < one.times and one.method in {method, "*"} and re.search(one.path, path, re.I):
                    one.hit.append(path)
                    return one
        return None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> Answer:
        """Answer a request of which nothing shall go wrong."""
        if path.startswith("/metadata/endpoints"):
            return 200, self._metadata(), {}
        if path == "/msi/token":
            return self._managed_identity(query, headers)
        if path.startswith("/.default") or re.search(r"/oauth2/v2\.0/token|openid-configuration|/oidctoken", path):
            return self._entra(method, path, body, headers)
        if path == "/discovery":
            return self.data.handle(method, path, query, body) or fault(404, "NoRoute", path)
        if refused := self._refused(headers):
            return refused
        with self._lock:
            return self.data.handle(method, path, query, body) or self.manager.handle(method, path, query, body)

    def _refused(self, headers: Any) -> Answer | None:
        found = tokens.claims(headers.get("Authorization"))
        challenge = {
            "WWW-Authenticate": f'Bearer authorization_uri="{self.url}/{tokens.TENANT}", error="invalid_token"'
        }
        if found is None:
            return (
                401,
                {"error": {"code": "AuthenticationFailed", "message": "The 'Authorization' header is missing."}},
                challenge,
            )
        if self.tokens_refused or found["exp"] < time.time():
            said = "The access token expiry UTC time has passed."
            return 401, {"error": {"code": "ExpiredAuthenticationToken", "message": said}}, challenge
        return None

    def _metadata(self) -> list[dict[str, Any]]:
        login = {"loginEndpoint": "https://login.localhost", "audiences": [self.url]}  # azureml-mlflow takes no port
        return [
            {
                "name": CLOUD,
                "portal": "https://portal.azure.com",
                "resourceManager": self.url,
                "authentication": login,
                "suffixes": {"storage": self.data.storage.suffix},
            }
        ]

    def _managed_identity(self, query: dict[str, str], headers: Any) -> Answer:
        if headers.get("secret") != MSI_SECRET:
            return 401, {"statusCode": 401, "message": "no secret of this machine"}, {}
        token = tokens.issue(_audience(query["resource"]), self.token_seconds)
        until = int(time.time() + self.token_seconds)
        return (
            200,
            {"access_token": token, "expires_on": str(until), "resource": query["resource"], "token_type": "Bearer"},
            {},
        )

    def _entra(self, method: str, path: str, body: Any, headers: Any) -> Answer:
        """Answer as Entra ID and as Azure Pipelines, of which a federated identity has its tokens."""
        if path.endswith("openid-configuration"):
            base = f"{self.url}/{tokens.TENANT}"
            endpoints = {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            }
            return 200, endpoints | {"issuer": f"{base}/v2.0"}, {}
        if path.endswith("/oidctoken"):
            if headers.get("Authorization") != "Bearer of-the-pipeline":
                return 401, {"message": "no token of a pipeline"}, {}
            return 200, {"oidcToken": tokens.issue("api://AzureADTokenExchange", sub="sc://test")}, {}
        form = dict(parse_qsl(body.decode() if isinstance(body, bytes) else str(body)))
        proof = tokens.claims(f"Bearer {form.get('client_assertion', '')}")
        if not proof or proof["aud"] != "api://AzureADTokenExchange":
            return (
                401,
                {"error": "invalid_client", "error_description": "AADSTS700213: no matching federated identity"},
                {},
            )
        token = tokens.issue(_audience(form["scope"].split()[0].removesuffix("/.default")), self.token_seconds)
        return 200, {"access_token": token, "expires_in": int(self.token_seconds), "token_type": "Bearer"}, {}

    def score(self, method: str, path: str, headers: Any, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        """Pass a request on to the process behind a deployment: the one that is named, or by the shares of traffic."""
        found = tokens.claims(headers.get("Authorization"))
        if found is None or found["aud"] != SCORING or found["exp"] < time.time():
            return 401, {}, b'{"error": "no token for this endpoint"}'
        name, _, rest = path.removeprefix("/endpoints/").partition("/")
        request = (method, f"/{rest}", headers, raw)
        found = self.manager.resources.get(f"{self.workspace}/onlineEndpoints/{name}".lower())
        if found is None:
            return 404, {}, b'{"error": "no such endpoint"}'
        named = headers.get("azureml-model-deployment")
        traffic = {one: share for one, share in found["properties"]["traffic"].items() if share}
        if not named and not traffic:
            return 404, {}, b'{"error": "no deployment has traffic"}'
        with self._lock:
            chosen = named or self._random.choices(list(traffic), list(traffic.values()))[0]
            copies = [one for one, share in found["properties"]["mirrorTraffic"].items()
                      if not named and self._random.uniform(0, 100) < share]  # fmt: skip
        answer = self._pass_on(name, chosen, request)
        for one in copies:
            self.mirrored.append((name, one, self._pass_on(name, one, request)[0]))
        return answer

    def _pass_on(
        self, endpoint: str, deployment: str, request: tuple[str, str, Any, bytes]
    ) -> tuple[int, dict[str, str], bytes]:
        method, path, headers, raw = request
        where = self.serving.get((endpoint, deployment))
        resource = self.manager.resources.get(
            f"{self.workspace}/onlineEndpoints/{endpoint}/deployments/{deployment}".lower()
        )
        if where is None and self.containers and resource:
            where = self.containers(resource)
        if where is None:
            return 502, {}, b'{"error": "no process answers for this deployment"}'
        kept = {
            name: value
            for name, value in headers.items()
            if name.lower() not in {"host", "content-length", "connection"}
        }
        asked = Request(f"{where}{path}", raw or None, kept, method=method)  # noqa: S310  # loopback
        try:
            with urlopen(asked, timeout=30) as answer:  # noqa: S310
                return answer.status, {"azureml-model-deployment": deployment, **dict(answer.headers)}, answer.read()
        except HTTPError as error:
            return error.code, {"azureml-model-deployment": deployment, **dict(error.headers)}, error.read()
        except OSError as error:
            return 502, {"azureml-model-deployment": deployment}, repr(error).encode()


@contextmanager
def listening(authority: trustme.CA) -> Iterator["Server"]:
    """Answer for whatever Azure is set as `.azure`, until the block ends.

    One port serves a whole session: Microsoft's packages keep what they learn of a cloud for the life of a process.
    """
    server = Server(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Server(ThreadingHTTPServer):
    """The port, and the Azure that answers behind it."""

    daemon_threads = True
    azure: Azure


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert isinstance(self.server, Server)
        _serve(self.server.azure, self, raw)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = do

    def log_message(self, *_: object) -> None:
        pass


def _audience(resource: str) -> str:
    """Give whom a token is for; Azurite wants to read the name of Microsoft's own storage."""
    return "https://storage.azure.com" if "storage" in resource else resource


def _serve(azure: Azure, request: BaseHTTPRequestHandler, raw: bytes) -> None:
    parts = urlsplit(request.path)
    path, query = unquote(parts.path), dict(parse_qsl(parts.query))
    body = _json(raw)
    asked = Asked(request.command, path, query.get("api-version", ""), body)
    azure.asked.append(asked)
    wrong = azure._fault(request.command, path)
    if wrong and wrong.kind == "reset":
        _hang_up(request)
        return
    if wrong and isinstance(wrong.kind, int):
        status, answer, headers = fault(wrong.kind, _CODES.get(wrong.kind, "Error"), f"told to answer {wrong.kind}")
        if wrong.retry_after:
            headers["Retry-After"] = wrong.retry_after
        _reply(request, asked, status, answer, headers)
        return
    if "/mlflow/" in path and "/workspaces/" in path:
        refused = azure._refused(request.headers)
        if refused:
            _reply(request, asked, *refused)
            return
        _reply_raw(request, asked, *azure.data.forward(request.command, parts.path, parts.query, request.headers, raw))
        return
    if path.startswith("/endpoints/"):
        _reply_raw(request, asked, *azure.score(request.command, path, request.headers, raw))
        return
    try:
        status, answer, headers = azure.answer(request.command, path, query, body, request.headers)
    except Exception as error:  # noqa: BLE001  # told to the test by `Asked`, and to whoever asks
        status, answer, headers = fault(500, "FakeBug", repr(error))
        azure.manager.broken.append(f"{asked.short}: {error!r}")
    if wrong and wrong.kind == "lost":
        _hang_up(request)
        return
    _reply(request, asked, status, answer, headers)


_CODES = {
    401: "ExpiredAuthenticationToken",
    403: "AuthorizationFailed",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw


def _reply(request: BaseHTTPRequestHandler, asked: Asked, status: int, answer: Any, headers: dict[str, str]) -> None:
    asked.answer = answer
    content = b"" if answer is None else json.dumps(answer).encode()
    _reply_raw(request, asked, status, {"Content-Type": "application/json", **headers}, content)


def _reply_raw(
    request: BaseHTTPRequestHandler, asked: Asked, status: int, headers: dict[str, str], content: bytes
) -> None:
    asked.status = status
    request.send_response(status)
    for name, value in headers.items():
        if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
            request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)


def _hang_up(request: BaseHTTPRequestHandler) -> None:
    """Reset the connection: what the other side reads is an error, not an end."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    request.close_connection = True
    request.connection.close()
