"""Azure Blob Storage as a place for collected lines: append blobs, in the layout of the folders.

The service signs in with its own identity (managed identity, workload identity, or who is signed in with the Azure
command line); it needs the role *Storage Blob Data Contributor* on the container, which must exist.

An append that failed may have been carried out all the same: each names the place at which it must begin, and where
its fate is unknown, the blob's length tells it. So no line is stored twice.
"""

from collections.abc import Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, ContainerClient

from service.sinks import SinkFault

SECONDS = 10  # for a connection, and for an answer
MOST_BLOCKS = 49_000  # appends to a blob; Azure allows 50,000
BLOCK = 4 * 1024 * 1024  # bytes of an append; Azure allows no more in its older accounts


class Blobs:
    """A container.

    Args:
        container: The container, whose client does not retry by itself.
        where: The path inside of it of an environment's lines.
        name: The blobs' name without its ending: the process's own.
    """

    def __init__(self, container: ContainerClient, where: str, name: str):
        self._container = container
        self._where = where
        self._name = name
        self._day = ""
        self._number = 0  # of the blob, where a day needs several
        self._blob: BlobClient | None = None
        self._blocks = self._length = 0
        self._unsure: bytes | None = None  # what was sent last and never confirmed

    @classmethod
    def at(cls, url: str, where: str, name: str) -> "Blobs":
        """Give the container at an address; nothing is sent before the first write."""
        from azure.identity import DefaultAzureCredential

        return cls(container_at(url, DefaultAzureCredential()), where, name)

    def write(self, day: str, lines: Sequence[bytes]) -> None:
        """Append lines to the blob of their day."""
        content = b"".join(lines)
        try:
            blob = self._opened(day)
            if self._unsure is not None and self._is_carried_out(blob, content):
                return
            self._unsure = content
            blob.append_block(content, appendpos_condition=self._length, validate_content=True)
            self._confirm(len(content))
        except AzureError as error:
            if isinstance(error, ResourceNotFoundError):  # somebody took the blob away: begin it again
                self._blob = None
            raise SinkFault(f"{self._container.url}: {_in_one_line(error)}") from error

    def close(self) -> None:
        """Close the connections."""
        self._container.close()

    def _opened(self, day: str) -> BlobClient:
        """Give the blob of a day, created where it is not there."""
        if day != self._day:
            self._day, self._number, self._blob = day, 0, None
        if self._blob is not None and self._blocks >= MOST_BLOCKS:
            self._number, self._blob = self._number + 1, None
        if self._blob is None:
            blob = self._container.get_blob_client(self._path())
            try:
                blob.create_append_blob(match_condition=MatchConditions.IfMissing)
                self._length = 0
            except ResourceExistsError:  # created by an attempt that seemed to fail
                self._length = blob.get_blob_properties().size
            self._blob, self._blocks, self._unsure = blob, 0, None
        return self._blob

    def _path(self) -> str:
        number = f".{self._number}" if self._number else ""
        return f"{self._where}/{self._day.replace('-', '/')}/{self._name}{number}.jsonl"

    def _is_carried_out(self, blob: BlobClient, content: bytes) -> bool:
        """Tell whether the last append, whose answer did not arrive, was this one and was carried out."""
        length = blob.get_blob_properties().size
        same = content == self._unsure and length == self._length + len(content)
        self._length, self._unsure = length, None
        return same

    def _confirm(self, length: int) -> None:
        self._length += length
        self._blocks += 1
        self._unsure = None


def container_at(url: str, credential: TokenCredential, **options: Any) -> ContainerClient:
    """Give the client of a container, which tries once and does not wait for long.

    Args:
        url: The container's address.
        credential: What signs in.
        options: More of the client's own.
    """
    limits = {"retry_total": 0, "connection_timeout": SECONDS, "read_timeout": SECONDS, "max_block_size": BLOCK}
    return ContainerClient.from_container_url(url, credential=credential, **limits | options)


def _in_one_line(error: AzureError) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
