"""Which slots got copies when: a deployment of Azure cannot tell a copy from a request, so it is told by its time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SKEW = timedelta(seconds=2)  # by which the clocks of two machines may differ


@dataclass(frozen=True)
class Change:
    """A change of what is mirrored: before `begun` the old holds, after `ended` the new."""

    begun: datetime
    ended: datetime
    slots: frozenset[str]


class Mirroring:
    """The changes that this process made; before the first of them nothing was mirrored."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    @contextmanager
    def changing(self, mirror: Mapping[str, int]) -> Iterator[None]:
        """Note a change that begins and ends with the block."""
        begun = datetime.now(UTC)
        try:
            yield
        finally:
            self._changes.append(Change(begun - SKEW, datetime.now(UTC) + SKEW, frozenset(mirror)))

    def at(self, slot: str, moment: datetime) -> bool | None:
        """Tell whether a slot got copies at a moment; None while that was changing."""
        was = False
        for change in self._changes:
            if moment < change.begun:
                return was
            is_now = slot in change.slots
            if moment <= change.ended and is_now != was:
                return None
            was = is_now
        return was
