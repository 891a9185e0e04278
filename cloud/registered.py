"""What is registered in a workspace under a version that never changes: environments and data."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from azure.ai.ml.entities import Data, Environment

T = TypeVar("T")


def found(get: Callable[[], T]) -> T | None:
    """Give what a look-up of the SDK finds; None where it does not exist."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return get()
    except ResourceNotFoundError:
        return None


def environment(name: str, version: str, image: str, conda: Path) -> "Environment":
    """Give an environment: an image with the packages of a conda file on it, built when it is first used."""
    from azure.ai.ml.entities import Environment

    said = f"{conda.name} of the project"
    return Environment(name=name, version=version, image=image, conda_file=str(conda), description=said)


def data(name: str, version: str, path: Path) -> "Data":
    """Give a data asset: a file or folder of this machine, which is uploaded when it is registered."""
    from azure.ai.ml.entities import Data

    return Data(name=name, version=version, path=str(path), type=kind(path))


def kind(path: Path) -> str:
    """Give what Azure ML calls a file or a folder."""
    return "uri_folder" if path.is_dir() else "uri_file"
