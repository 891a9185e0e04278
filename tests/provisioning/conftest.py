"""Fixtures of other rooms."""

from ..azure.fixtures import azure, azure_server, azurite, mlflow_server  # noqa: F401 - fixtures
from ..runner.conftest import chain, project  # noqa: F401 - fixtures
