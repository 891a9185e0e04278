"""What is collected and where it goes, read from the environment once, at start-up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from service.redaction import fault
from service.settings import BadSettings

PREFIX = "SCORING_COLLECT_"
LONGEST_FLUSH = 1.0  # seconds; a process that is killed loses no more
_NOT_SHOWN = ("blob_url",)  # may hold a signature where it is wrong
_PARTS = (1, 2)  # of the path of a container's address; an emulator's begins with the account


@dataclass(frozen=True)
class CollectionSettings:
    """What is collected and where it goes; without a place, nothing is."""

    dir: str = ""  # folder for JSON lines; empty for none
    blob_url: str = ""  # address of a container of Azure Blob Storage, without a signature; empty for none
    azureml: str = ""  # name of a collection of Azure ML's data collector; empty for none
    share: float = 1.0  # share of the requests, between 0 and 1; those that failed are always collected
    redact: tuple[str, ...] = ()  # regular expressions, one a line; what they match is never stored
    queue: int = 10_000  # requests that wait to be stored; more are dropped
    queue_characters: int = 20_000_000  # characters of the texts of all that wait
    flush_seconds: float = 0.25  # time between two writes, at most 1

    @property
    def collects(self) -> bool:
        """Tell whether anything is collected at all."""
        return bool(self.dir or self.blob_url or self.azureml)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "CollectionSettings":
        """Read `SCORING_COLLECT_DIR` and the like; what is not set, or empty, keeps its default.

        Raises:
            BadSettings: Values cannot be used; the message lists all of them.
        """
        values, faults = {}, []
        for name, read in _READERS.items():
            variable = f"{PREFIX}{name.upper()}"
            if given := environment.get(variable, ""):
                try:
                    values[name] = read(given)
                except ValueError as error:
                    shown = "" if name in _NOT_SHOWN else f" is {given!r}"
                    faults.append(f"{variable}{shown}: {error}")
        if faults:
            raise BadSettings("\n".join(faults))
        return cls(**values)


def _whole(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise ValueError("give a whole number above 0")
    return int(given)


def _share(given: str) -> float:
    share = _number(given)
    if share is None or not 0 <= share <= 1:
        raise ValueError("give a number from 0 to 1")
    return share


def _flush(given: str) -> float:
    seconds = _number(given)
    if seconds is None or not 0 < seconds <= LONGEST_FLUSH:
        raise ValueError(f"give a number above 0, at most {LONGEST_FLUSH:g}: what waits is lost by a kill")
    return seconds


def _number(given: str) -> float | None:
    try:
        return float(given)
    except ValueError:
        return None


def _patterns(given: str) -> tuple[str, ...]:
    patterns = tuple(line for line in given.splitlines() if line.strip())
    faults = [f"pattern {pattern!r} is refused: {reason}" for pattern in patterns if (reason := fault(pattern))]
    if faults:
        raise ValueError("; ".join(faults))
    return patterns


def _container(given: str) -> str:
    address = urlsplit(given)
    if address.query or "@" in address.netloc:
        raise ValueError("it holds a signature or a key; leave it out: the service signs in with its own identity")
    parts = [part for part in address.path.split("/") if part]
    if address.scheme != "https" or not address.hostname or len(parts) not in _PARTS:
        raise ValueError("give a container's address: https://ACCOUNT.blob.core.windows.net/CONTAINER")
    return given.rstrip("/")


_READERS: dict[str, Callable[[str], Any]] = {
    "dir": str,
    "blob_url": _container,
    "azureml": str,
    "share": _share,
    "redact": _patterns,
    "queue": _whole,
    "queue_characters": _whole,
    "flush_seconds": _flush,
}
