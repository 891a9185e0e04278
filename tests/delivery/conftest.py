"""Models and a registry that the tests of this room share."""

import sys
from pathlib import Path

import pytest

from ..azure.fixtures import azure, azure_server, azurite, mlflow_server  # noqa: F401 - fixtures
from ..fixtures_model import make_model, model_dir  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def registry_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give a registry's folder. Tables take seconds to create: tests share it, each with a model name of its own."""
    return str(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def endpoint_store(tmp_path: Path) -> Path:
    """Give a folder for endpoints."""
    return tmp_path / "endpoints"


@pytest.fixture(autouse=True)
def another_azure() -> None:
    """Forget what was learnt of the Azure of another test, where anything was."""
    for module, learnt in (("delivery.host_azureml", "_client"), ("delivery.registry", "_mlflow_address")):
        if module in sys.modules:
            getattr(sys.modules[module], learnt).cache_clear()
