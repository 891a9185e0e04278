"""Secrets as parameters: a value `env:NAME`, `file:PATH` or `keyvault:VAULT/NAME` says where the secret is.

The reference is what params files, records and keys hold. It is resolved when a run starts, in memory only.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import BadRequest
from runner.redaction import ORDINARY, SHORTEST, Redactor

KINDS = ("env:NAME", "file:PATH", "keyvault:VAULT/NAME")
HANDED = (  # environment variables by which a platform hands a token or a key to its processes
    *("SYSTEM_ACCESSTOKEN", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD"),
    *("AZUREML_RUN_TOKEN", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD", "IDENTITY_HEADER", "MSI_SECRET"),
    *("AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN"),
)
_REFERENCE = re.compile(r"(env|file|keyvault):(?!//)(.+)", re.DOTALL)
_KEYVAULT = re.compile(r"([A-Za-z0-9.:-]+)/([0-9A-Za-z-]+)")
_PUBLIC_CLOUD = "vault.azure.net"


@dataclass(frozen=True)
class Secret:
    """A secret, and the reference that led to it, which may be shown."""

    reference: str
    value: str = field(repr=False)


class Unresolved(ValueError):
    """A reference leads to no secret; the message says why."""


def is_reference(value: Any) -> bool:
    """Tell whether a value refers to a secret."""
    return isinstance(value, str) and bool(_REFERENCE.fullmatch(value))


def holds_reference(value: Any) -> bool:
    """Tell whether a list or a dict holds a reference, at any depth."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(is_reference(item) or holds_reference(item) for item in inside)


def absolute(value: Any, base: Path) -> Any:
    """Make the path of a `file:` reference absolute; other values are given back unchanged."""
    if is_reference(value) and value.startswith("file:"):
        return f"file:{(base / Path(value.removeprefix('file:')).expanduser()).resolve()}"
    return value


def resolve(references: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Secret]]:
    """Give the secrets that references lead to, by phase and name of the parameter.

    Raises:
        BadRequest: A reference leads to no secret; every fault is listed.
    """
    faults: list[str] = []
    found: dict[str, dict[str, Secret]] = {}
    for phase, named in references.items():
        found[phase] = {}
        for name, reference in named.items():
            try:
                found[phase][name] = Secret(reference, _value(reference))
            except Unresolved as error:
                faults.append(f"{phase}.{name} is {reference}: {error}")
    if faults:
        raise BadRequest(*faults, next_step=f"give --set PHASE.NAME=REFERENCE, one of {', '.join(KINDS)}")
    return found


def redactor(secrets: Mapping[str, Mapping[str, Secret]]) -> Redactor:
    """Give what takes secrets out of texts: those of these phases, called phase.name, and those of the platform.

    A kernel has the variables of this process: it needs them where a phase signs in to Azure.
    """
    handed = {name: os.environ.get(name, "").strip() for name in HANDED}
    fit = {name: value for name, value in handed.items() if len(value) >= SHORTEST and value not in ORDINARY}
    tokens = {f"variable {name}": value for name, value in fit.items()}
    given = {f"{phase}.{name}": found.value for phase, named in secrets.items() for name, found in named.items()}
    return Redactor(tokens | given)


def _value(reference: str) -> str:
    """Give what a reference leads to.

    Raises:
        Unresolved: It leads nowhere, or to a text too short to be kept out of outputs.
    """
    kind, _, place = reference.partition(":")
    value = {"env": _from_environment, "file": _from_file, "keyvault": _from_key_vault}[kind](place)
    if len(value.strip()) < SHORTEST:
        raise Unresolved(f"it holds {len(value.strip())} characters; a secret has at least {SHORTEST}")
    if value.strip() in ORDINARY:
        raise Unresolved("it is a word that stands in every notebook or record; a secret is not")
    return value


def _from_environment(name: str) -> str:
    if name not in os.environ:
        raise Unresolved(f"the environment has no variable {name}")
    return os.environ[name]


def _from_file(path: str) -> str:
    """Read a file; the end of its last line does not belong to the secret."""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Unresolved(f"the file cannot be read ({getattr(error, 'strerror', None) or 'it is no UTF-8'})") from None


def _from_key_vault(place: str) -> str:
    """Ask Azure Key Vault as the identity that azure-identity finds; VAULT is a name, or a host in another cloud."""
    found = _KEYVAULT.fullmatch(place)
    if not found:
        raise Unresolved("it must be keyvault:VAULT/NAME")
    try:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential
        from azure.keyvault.secrets import SecretClient
    except ModuleNotFoundError as error:
        raise Unresolved(f"{error.name} is not installed; it comes with: pip install 'trey[keyvault]'") from None
    host, name = found.groups()
    host = host if "." in host else f"{host}.{_PUBLIC_CLOUD}"
    try:
        with DefaultAzureCredential() as credential, SecretClient(f"https://{host}", credential) as client:
            value = client.get_secret(name).value
    except AzureError as error:
        raise Unresolved(
            f"Key Vault does not give it: {next(iter(str(error).splitlines()), type(error).__name__)}"
        ) from None
    if value is None:
        raise Unresolved("Key Vault gave a secret without a value")
    return value
