"""Fixtures of this folder's tests."""

from ..azure.fixtures import azure, azure_server, azurite, mlflow_server  # noqa: F401 - fixtures
