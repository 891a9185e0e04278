"""Where collected lines go: what every such place offers, and the one that is a folder.

Lines lie in `<model>/<environment>/<YYYY>/<MM>/<DD>/<name of the process>.jsonl`, by the day (UTC) of their time.
"""

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from service.collection_settings import CollectionSettings
from service.settings import BadSettings

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_PRIVATE = 0o600  # texts of technicians are nobody else's


class SinkFault(Exception):
    """Lines could not be stored now; the same lines may be given again."""


class Sink(Protocol):
    """A place for lines."""

    def write(self, day: str, lines: Sequence[bytes]) -> None:
        """Store lines, all of them or, as far as anybody can tell, none.

        Args:
            day: `YYYY-MM-DD`, which all of them belong to.
            lines: Each a JSON object that ends with a line feed.

        Raises:
            SinkFault: They are not stored. Whoever gave them gives the same ones again, or gives up.
        """

    def close(self) -> None:
        """Give back what is held."""


def process_name() -> str:
    """Give a name that no other process has, on this machine or another."""
    return f"{_ODD.sub('-', socket.gethostname())[:60]}-{os.getpid()}-{secrets.token_hex(4)}"


def place(model: str, environment: str) -> str:
    """Give the path of an environment's lines inside of the folder or container.

    Args:
        model: The model's name.
        environment: Where it is served.
    """
    return "/".join(_ODD.sub("-", part).lstrip(".") or "unnamed" for part in (model, environment))


class Files:
    """A folder. Each write reaches the operating system before it returns, so that a process that is killed loses none.

    Args:
        folder: The folder of an environment.
        name: The file's name without its ending: the process's own.
        durable: Whether each write waits for the disk, so that a machine without power loses none, either.
    """

    def __init__(self, folder: Path, name: str, *, durable: bool = False):
        self._folder = folder
        self._name = name
        self._durable = durable
        self._day = ""
        self._file: int | None = None
        self._size = 0

    def write(self, day: str, lines: Sequence[bytes]) -> None:
        """Append lines to the file of their day."""
        content = memoryview(b"".join(lines))
        try:
            file = self._opened(day)
            written = 0
            while written < len(content):
                written += os.write(file, content[written:])
            if self._durable:
                os.fsync(file)
            self._size += written
        except OSError as error:
            self._take_back()
            raise SinkFault(f"{self._folder}: {error}") from error

    def close(self) -> None:
        """Hand what was written to the disk, and close the file."""
        file, self._file, self._day = self._file, None, ""
        if file is not None:
            with contextlib.suppress(OSError):
                os.fsync(file)
            with contextlib.suppress(OSError):  # some disks tell here what went wrong before
                os.close(file)

    def _opened(self, day: str) -> int:
        if self._file is None or day != self._day:
            self.close()
            folder = self._folder.joinpath(*day.split("-"))
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{self._name}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
            self._day, self._size = day, os.fstat(self._file).st_size
        return self._file

    def _take_back(self) -> None:
        """Leave the file as it was before lines were written in part, and open it anew next time."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
        self.close()


def sinks(settings: CollectionSettings, where: str, *, durable: bool = False) -> list[Sink]:
    """Give the places that the settings name.

    Args:
        settings: Where to collect.
        where: The path of an environment's lines inside of a folder or container.
        durable: Whether a write returns only when its lines outlast the machine; leaves out what cannot promise it.

    Raises:
        BadSettings: A package is not installed.
    """
    found: list[Sink] = []
    if settings.dir:
        found.append(Files(Path(settings.dir) / where, process_name(), durable=durable))
    with _needed_packages():
        if settings.blob_url:
            from service.sink_blob import Blobs

            found.append(Blobs.at(settings.blob_url, where, process_name()))
        if settings.azureml and not durable:
            from service.sink_azureml import DataCollector

            found.append(DataCollector(settings.azureml))
    return found


@contextlib.contextmanager
def _needed_packages() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        name = error.name or str(error)
        extra = "collect-azureml" if name.startswith(("azureml", "pandas")) else "collect-azure"
        raise BadSettings(f"there is no package {name}; install it: pip install 'trey[{extra}]'") from error
