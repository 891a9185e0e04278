"""Who this process is: in a step of Azure Pipelines, and elsewhere."""

import pytest
from azure.identity import AzurePipelinesCredential, DefaultAzureCredential

from cloud.client import client
from cloud.identity import PIPELINE, credential
from cloud.workspace import find

from ..azure import tokens
from ..azure.server import Azure

STEP = {
    "SYSTEM_OIDCREQUESTURI": "https://localhost/oidctoken",
    "SYSTEM_ACCESSTOKEN": "of-the-pipeline",
    "AZURESUBSCRIPTION_CLIENT_ID": "00000000-0000-0000-0000-0000000000cc",
    "AZURESUBSCRIPTION_TENANT_ID": tokens.TENANT,
    "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "connection",
}


def test_in_a_pipeline_with_a_federated_connection_it_is_the_pipelines() -> None:
    assert isinstance(credential(STEP), AzurePipelinesCredential)


@pytest.mark.parametrize("missing", ["SYSTEM_OIDCREQUESTURI", *PIPELINE.values()])
def test_where_one_variable_is_missing_it_is_whoever_is_signed_in(missing: str) -> None:
    assert isinstance(credential(STEP | {missing: ""}), DefaultAzureCredential)


def test_a_pipeline_gets_its_token_by_federation_and_without_a_secret(
    azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = STEP | {"SYSTEM_OIDCREQUESTURI": f"{azure.url}/oidctoken", "AZURE_AUTHORITY_HOST": azure.url}
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    here = find()
    assert client(here).workspaces.get(here.name).location == "westeurope"
    ways = [one.path for one in azure.asked if "oidctoken" in one.path or "oauth2" in one.path]
    assert ways == ["/oidctoken", f"/{tokens.TENANT}/oauth2/v2.0/token"]
    assert not [one for one in azure.asked if one.path == "/msi/token"]
