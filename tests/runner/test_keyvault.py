"""References to Azure Key Vault: Microsoft's own client against a vault on loopback, over TLS, with its challenge."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.core.credentials import AccessToken

from runner import references
from runner.errors import BadRequest
from runner.references import Secret


class Vault(BaseHTTPRequestHandler):
    """Answers as https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret says."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != "Bearer token-of-the-test":
            self._answer(
                401, {}, f'Bearer authorization="https://login.localhost/t", resource="https://{self.server.host}"'
            )
        elif self.path.startswith("/secrets/db-password/?api-version="):
            self._answer(200, {"value": "from the vault", "id": f"https://{self.server.host}/secrets/db-password/1"})
        elif self.path.startswith("/secrets/forbidden/"):
            self._answer(403, {"error": {"code": "Forbidden", "message": "The user has no get permission."}})
        else:
            self._answer(404, {"error": {"code": "SecretNotFound", "message": "A secret was not found."}})

    def _answer(self, status: int, content: dict[str, Any], challenge: str = "") -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Identity:
    """What DefaultAzureCredential would find: nothing on this machine can ask Entra ID."""

    def __enter__(self) -> "Identity":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("token-of-the-test", 2**33)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("parts.vault.localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vault)
    server.host = f"vault.localhost:{server.server_port}"  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: lookup(
        "127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more))  # fmt: skip
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Identity)
    yield f"parts.vault.localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_secret_comes_from_the_vault(vault: str) -> None:
    reference = f"keyvault:{vault}/db-password"
    found = references.resolve({"use": {"password": reference}})
    assert found == {"use": {"password": Secret(reference, "from the vault")}}
    assert "from the vault" not in repr(found)


@pytest.mark.parametrize(
    ("name", "said"), [("nothing", "(SecretNotFound) A secret"), ("forbidden", "(Forbidden) The user")]
)
def test_what_the_vault_says_is_told(vault: str, name: str, said: str) -> None:
    with pytest.raises(BadRequest) as fault:
        references.resolve({"use": {"password": f"keyvault:{vault}/{name}"}})
    assert f"Key Vault does not give it: {said}" in fault.value.faults[0]


def test_without_an_identity_the_next_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for real, with every source of an identity but the environment's switched off."""
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    with pytest.raises(BadRequest) as fault:
        references.resolve({"use": {"password": "keyvault:parts/db-password"}})  # pragma: allowlist secret
    assert fault.value.faults[0].startswith("use.password is keyvault:parts/db-password: Key Vault does not give it: ")
