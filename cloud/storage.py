"""Folders of a workspace's datastore, read as whoever is signed in."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cloud.errors import Refused

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential

_FOLDER_MARK = "hdi_isfolder"  # metadata of a blob that stands for a folder, as a mounted container leaves them


def download(ml: "MLClient", identity: "TokenCredential", datastore: str, prefix: str, folder: Path) -> int:
    """Bring the files below a path of a datastore into a folder, and give how many there were.

    Args:
        ml: The workspace's client.
        identity: Who reads.
        datastore: Name of the datastore; it must be one of blobs.
        prefix: The path in it.
        folder: Where to; it is made.

    Raises:
        Refused: The datastore holds no blobs, or a name leads out of the folder.
        azure.core.exceptions.AzureError: Storage does not give them; see `cloud.client.answering`.
    """
    prefix = f"{prefix.strip('/')}/"
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with container(ml, identity, datastore) as client:
        for blob in client.list_blobs(name_starts_with=prefix, include=["metadata"]):
            name = PurePosixPath(blob.name.removeprefix(prefix))
            if (blob.metadata or {}).get(_FOLDER_MARK):
                (folder / name).mkdir(parents=True, exist_ok=True)
                continue
            if name.is_absolute() or ".." in name.parts:
                raise Refused(f"the datastore names a file {blob.name!r}", next_step="look at the datastore")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                client.download_blob(blob.name, max_concurrency=4).readinto(file)
            count += 1
    return count


def read_tail(url: str, offset: int) -> bytes:
    """Give what a blob holds from a byte on; nothing where it is no longer than that.

    Args:
        url: Its address, with the signature that lets anybody read it.
        offset: The first byte that is wanted.
    """
    from azure.core.exceptions import HttpResponseError
    from azure.storage.blob import BlobClient

    with BlobClient.from_blob_url(url) as client:
        try:
            content: bytes = client.download_blob(offset=offset).readall()
        except HttpResponseError as error:
            if error.status_code in {404, 416}:  # not there yet, or nothing new
                return b""
            raise
    return content


def container(ml: "MLClient", identity: "TokenCredential", datastore: str) -> Any:
    """Give the client of a datastore's container, to be used in a `with`.

    Raises:
        Refused: The datastore holds no blobs.
    """
    from azure.ai.ml.entities import AzureBlobDatastore
    from azure.storage.blob import ContainerClient

    found = ml.datastores.get(datastore)
    if not isinstance(found, AzureBlobDatastore):
        said = f"datastore {datastore} is {type(found).__name__}; outputs can come back from blob storage alone"
        raise Refused(said, next_step="name a datastore of blobs in params/azure.yaml")
    address = f"{found.protocol}://{found.account_name}.blob.{found.endpoint}"
    return ContainerClient(address, found.container_name, credential=identity)
