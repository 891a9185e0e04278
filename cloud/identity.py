"""Who this process is to Azure. No secret is read from a file or a parameter: the platform vouches for the identity."""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cloud.errors import NotInstalled

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

logging.getLogger("azure.identity").addHandler(logging.NullHandler())  # it logs at length what it then raises
# What a step of Azure Pipelines has whose service connection uses workload identity federation: AzureCLI@2 and its
# like set the first four, and the step hands over the last, `env: {SYSTEM_ACCESSTOKEN: $(System.AccessToken)}`.
PIPELINE = {
    "client_id": "AZURESUBSCRIPTION_CLIENT_ID",
    "tenant_id": "AZURESUBSCRIPTION_TENANT_ID",
    "service_connection_id": "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
    "system_access_token": "SYSTEM_ACCESSTOKEN",
}
REQUEST = "SYSTEM_OIDCREQUESTURI"
_AUTHORITY = "AZURE_AUTHORITY_HOST"
_KNOWN = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn")


def credential(environment: Mapping[str, str] | None = None) -> "TokenCredential":
    """Give what asks for tokens: nothing is asked for until a client needs one.

    In Azure Pipelines, with a federated service connection, each token comes from a fresh assertion of the pipeline, so
    that a run of many hours does not end with the token of its first minute. Elsewhere azure-identity looks for a
    workload identity, a managed identity, and who is signed in with `az login`.

    Args:
        environment: The variables to look at; this process's where it is None.

    Raises:
        NotInstalled: azure-identity is not installed.
    """
    try:
        from azure.identity import AzurePipelinesCredential, DefaultAzureCredential
    except ModuleNotFoundError as error:
        raise NotInstalled(error.name) from None
    variables = os.environ if environment is None else environment
    if all(variables.get(name) for name in (REQUEST, *PIPELINE.values())):
        found = {option: variables[name] for option, name in PIPELINE.items()}
        return AzurePipelinesCredential(**found, **_private_cloud(variables))
    return DefaultAzureCredential()


def _private_cloud(variables: Mapping[str, str]) -> dict[str, Any]:
    """Keep a cloud of one's own from being looked up among the public ones, which do not know it."""
    authority = variables.get(_AUTHORITY, "")
    return {"disable_instance_discovery": True} if authority and not any(name in authority for name in _KNOWN) else {}
