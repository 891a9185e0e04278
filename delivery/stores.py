"""Where a registry is and what its tags are called: shared by what speaks to MLflow and what only looks."""

import re
from pathlib import Path

from delivery.errors import RegistryError
from delivery.names import checked

SQLITE = "sqlite:///"
DATABASE = "mlflow.db"
DIGEST = "digest"
CHAMPION = "champion."  # begins the tag that marks an environment's champion
_MARK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def tracking_uri(registry_store: str) -> str:
    """Give MLflow's address of a registry: SQLite for a folder; an address stays as it is.

    Raises:
        RegistryError: The folder's path holds a character that an address cannot carry.
    """
    if "://" in registry_store or registry_store.startswith("azureml:"):
        return registry_store
    folder = Path(registry_store).resolve()
    if set("?#%") & set(str(folder)):
        raise RegistryError(f"the registry folder {folder} holds one of ? # %; choose another with --set, or move it")
    return f"{SQLITE}{folder / DATABASE}"


def folder_of(uri: str) -> Path | None:
    """Give the folder of a registry that is one, or None for an address."""
    return Path(uri.removeprefix(SQLITE)).parent if uri.startswith(SQLITE) else None


def mark_rank(value: str) -> str | None:
    """Give what orders the values of a champion tag, or None for a value that marks nothing.

    A mark is the time at which it was set; "true", which an earlier release wrote, is older than any.
    """
    if value == "true":
        return ""
    return value if _MARK.fullmatch(value) else None


def champion_tag(environment: str) -> str:
    """Name the tag that marks an environment's champion."""
    return f"{CHAMPION}{checked('environment', environment)}"
