"""Microsoft's Azurite as blob storage: HTTPS, and an identity in place of an account key."""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.storage.blob import ContainerClient

from service.sink_blob import container_at

from ..project import ROOT

FOLDER = ROOT / "tests" / "azurite"
PROGRAM = FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
ACCOUNT = "devstoreaccount1"
CONTAINER = "collected"


class Identity:
    """Gives a token as Microsoft Entra ID forms it; Azurite checks its form, audience and times, and no signature."""

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 3_600,
            "oid": "technician",
        }
        parts = [{"alg": "RS256", "typ": "JWT"}, claims, "no signature"]
        token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        return AccessToken(token, now + 3_600)


@dataclass(frozen=True)
class Azurite:
    """A running Azurite.

    Attributes:
        port: Where it listens on loopback.
        authority: The file that its certificate is checked with.
        issuer: What issued the certificate, and may issue others that the same file vouches for.
    """

    port: int
    authority: Path
    issuer: trustme.CA

    def url(self, port: int | None = None) -> str:
        """Give the address of the container; by another port where something stands before it."""
        return f"https://127.0.0.1:{port or self.port}/{ACCOUNT}/{CONTAINER}"

    def container(self, port: int | None = None, **options: object) -> ContainerClient:
        """Give the client of the container as the service makes it."""
        return container_at(self.url(port), Identity(), connection_verify=str(self.authority), **options)

    def lines(self, where: str = "") -> dict[str, list[dict]]:
        """Give what is stored, by the blobs' names."""
        with self.container() as container:
            names = sorted(blob.name for blob in container.list_blobs(name_starts_with=where))
            contents = {name: container.download_blob(name).readall().splitlines() for name in names}
        return {name: [json.loads(line) for line in lines] for name, lines in contents.items()}


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Give a running Azurite with a container; without it, skip, or fail where it is required."""
    node = shutil.which("node")
    if not node or not PROGRAM.is_file():
        missing = "azurite" if node else "node"
        if os.environ.get("TREY_REQUIRE_AZURITE") == "1":
            pytest.fail(f"TREY_REQUIRE_AZURITE is 1, but there is no {missing}: make azurite")
        pytest.skip(f"needs {missing}: install Node.js 20 or later, then make azurite")
    folder = tmp_path_factory.mktemp("azurite")
    with _running(node, folder) as started:
        with started.container() as container:
            container.create_container()
        yield started


@contextlib.contextmanager
def _running(node: str, folder: Path) -> Iterator[Azurite]:
    authority, certificate = trustme.CA(), folder / "certificate.pem"
    issued = authority.issue_cert("localhost", "127.0.0.1", f"{ACCOUNT}.blob.core.localhost")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    command = [node, str(PROGRAM), "--blobPort", "0", "--oauth", "basic"]
    command += ["--cert", str(certificate), "--key", str(folder / "key.pem")]
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence", "--silent"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield Azurite(_port(process), folder / "authority.pem", authority)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"successfully listen(?:s|ing) on https://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise AssertionError(f"azurite ended: {said}")
