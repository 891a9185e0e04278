"""What is told of every answer, and who takes it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Record:
    """A request and its answer. One that failed has a status from 500 on; its texts are not stored.

    Attributes:
        seconds: Time that the answer took.
        time: When it was given, in seconds since 1970.
    """

    correlation_id: str
    texts: Sequence[str]
    labels: Sequence[str]
    probabilities: Sequence[float]
    model: str
    version: int | None
    digest: str
    slot: str | None
    mirrored: bool
    seconds: float
    status: int = 200
    time: float = field(default_factory=time.time)


class Collector(Protocol):
    """Takes records."""

    @property
    def dropped(self) -> int:
        """Give how many records were lost."""

    def put(self, record: Record) -> bool:
        """Take a record at once, and give False where it is lost."""

    def close(self) -> None:
        """Store what waits, within seconds, and take no more."""


class Nothing:
    """Collects nothing."""

    dropped = 0

    def put(self, record: Record) -> bool:
        """Forget a record."""
        return True

    def close(self) -> None:
        """Do nothing."""
