"""Azure on loopback for the tests of any room.

The conftest.py of another room takes it so, since each place that imports them starts servers of its own:

    from ..azure.fixtures import azure, azure_server, azurite, mlflow_server  # noqa: F401 - fixtures

`azure` is a workspace with a CPU and a GPU cluster, its storage in Azurite, and this process told by environment
variables to find it, so that `cloud.client(cloud.workspace.find())` is Microsoft's own SDK against it. Children inherit
all of it. Whatever is put is checked against Microsoft's schemas where ../shared has them, and nothing but loopback can
be reached; either fault fails the test when it ends.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ..conftest import SHARED
from ..delivery.azure_like import served
from ..service.azurite import Azurite, azurite
from . import guard
from .contract import Contract
from .data_plane import Storage
from .server import Azure, Server, listening

__all__ = ["Azure", "azure", "azure_server", "azurite", "mlflow_server"]
FOREIGN = (  # what would lead the SDK elsewhere
    "AZURE_AUTHORITY_HOST", "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "IDENTITY_ENDPOINT",
    "SYSTEM_OIDCREQUESTURI", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID",
)  # fmt: skip
SCHEMAS = SHARED / "contracts" / "azure-ml" / "schemas"


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Give what starts MLflow's own server, with the limits of Azure ML's, when it is first asked for."""
    started: list[str] = []
    with ExitStack() as stack:

        def address() -> str:
            if not started:
                started.append(stack.enter_context(served(tmp_path_factory.mktemp("mlflow-behind-azure"))).store)
            return started[0]

        yield address


@pytest.fixture(scope="session")
def azure_server(azurite: Azurite) -> Iterator[Server]:
    """Give the port behind which each test has an Azure of its own."""
    with listening(azurite.issuer) as server:
        yield server


@pytest.fixture
def azure(
    azurite: Azurite,
    azure_server: Server,
    mlflow_server: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Azure]:
    """Give a workspace of the test's own."""
    with at_work(azurite, azure_server, mlflow_server, tmp_path, monkeypatch) as new:
        yield new


@contextmanager
def at_work(
    azurite: Azurite,
    server: Server,
    mlflow: Callable[[], str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Azure]:
    """Give a workspace, and fail where a body broke its contract or something was sought outside this machine."""
    contract = Contract(SCHEMAS) if SCHEMAS.is_dir() else None
    new = Azure(server.server_port, Storage(azurite.port, azurite.authority), contract)
    new.data.mlflow = mlflow
    server.azure = new
    guarded(monkeypatch, folder)
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(azurite.authority))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")  # nobody asks `az` or PowerShell
    for name, value in new.environment.items():
        monkeypatch.setenv(name, value)
    _tell_mlflow_of_the_cloud()
    yield new.seed()
    assert not new.manager.broken, "\n".join(new.manager.broken)
    assert not guard.attempts(), "\n".join(guard.attempts())


def _tell_mlflow_of_the_cloud() -> None:
    """Let azureml-mlflow read the clouds again where another test imported it: it does so once, at its import."""
    module = sys.modules.get("azureml.mlflow._common._cloud.cloud")
    if module:
        module.KNOWN_CLOUDS.update(module.get_known_clouds())


def guarded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep this process and its children on this machine."""
    monkeypatch.setenv(guard.LOG, str(folder / "network.log"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(guard.SITE), *filter(None, [os.environ.get("PYTHONPATH")])]))
    guard.install()
