"""Who this process would be to Azure, by its environment variables: whether each is set, and never what it holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from cloud import identity, workspace

PACKAGES = ("azure-ai-ml", "azure-identity", "azureml-mlflow")
FEDERATED = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE")
MANAGED = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")
SECRETS = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD")  # what federation replaces
PLACES = (workspace.VARIABLE, *workspace.PARTS)


@dataclass(frozen=True)
class Signs:
    """What can be told without asking anybody.

    Attributes:
        identity: Who it would be, in words.
        variables: Each variable that counts, and whether it is set.
        packages: Each package that is needed, and its version; empty where it is absent.
        faults: What stands in the way, or is not as it should be.
    """

    identity: str
    variables: dict[str, bool]
    packages: dict[str, str]
    faults: list[str]


def read(environment: Mapping[str, str], has_command: Callable[[str], object]) -> Signs:
    """Read the signs.

    Args:
        environment: The variables of this process.
        has_command: Tells whether a command exists, such as `az`.
    """
    pipeline = (identity.REQUEST, *identity.PIPELINE.values())
    known = (*PLACES, *pipeline, *FEDERATED, *MANAGED, *SECRETS)
    variables = {name: bool(environment.get(name)) for name in dict.fromkeys(known)}
    packages = {name: _version(name) for name in PACKAGES}
    faults = [f"{name} is not installed: pip install 'trey[azureml]'" for name, found in packages.items() if not found]
    faults += [
        f"{name} is set: a secret where workload identity federation needs none; take it away"
        for name in SECRETS
        if variables[name]
    ]
    return Signs(_identity(variables, pipeline, has_command), variables, packages, faults)


def _identity(variables: Mapping[str, bool], pipeline: tuple[str, ...], has_command: Callable[[str], object]) -> str:
    """Say who answers for this process, in the order in which the credential looks."""
    if all(variables[name] for name in pipeline):
        return "AzurePipelinesCredential: the federated service connection of this job of Azure Pipelines"
    chain = "DefaultAzureCredential"
    if any(variables[name] for name in SECRETS) and variables["AZURE_CLIENT_ID"]:
        return f"{chain}: a service principal with a secret"
    if all(variables[name] for name in FEDERATED):
        return f"{chain}: workload identity, whose token lies in a file"
    managed = next((name for name in MANAGED if variables[name]), None)
    if managed:
        return f"{chain}: the managed identity of this machine ({managed} is set)"
    if has_command("az"):
        return f"{chain}: whoever signed in with az login, or the identity of this machine where Azure gave it one"
    return f"{chain}: nobody, unless Azure gave this machine an identity; az is not installed"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
