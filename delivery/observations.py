"""What a scoring service did, read from the lines that it collects: one JSON object for each text that it was asked.

A line that a killed service left half-way, or that says nothing of slot and status, is counted and passed over.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

DAYS = "[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]/*.jsonl"  # year, month, day


@dataclass(frozen=True)
class Observation:
    """One text of a request, and what came of it; a request that failed leaves one without label.

    Attributes:
        slot: Who answered.
        mirrored: The answer was recorded and never sent.
        item: The text's place in its request, from 0.
        digest: Of the model that answered; empty where none could be named.
        latency_ms: Milliseconds that the request took; None where unknown.
    """

    time: datetime
    correlation_id: str
    item: int
    slot: str
    digest: str
    mirrored: bool
    status: int
    label: str | None
    latency_ms: float | None


class Observations(Protocol):
    """What is observed of requests, wherever it is collected."""

    def read(self) -> list[Observation]:
        """Give what came since the last call, each line once."""


class Reader:
    """Gives what was collected since a moment, each line once, while the files grow.

    Args:
        folder: Where the lines are, in folders by year, month and day (UTC); it need not exist yet.
        since: Lines before this moment are passed over.
    """

    def __init__(self, folder: Path, since: datetime):
        self.folder = folder
        self.since = since
        self.unreadable = 0
        self._read: dict[Path, int] = {}

    def read(self) -> list[Observation]:
        """Give what came since the last call."""
        return [seen for path in self._files() for seen in self._new(path) if seen.time >= self.since]

    def _files(self) -> list[Path]:
        first = self.since.astimezone(UTC).strftime("%Y/%m/%d")
        return sorted(
            path for path in self.folder.glob(DAYS) if path.parent.relative_to(self.folder).as_posix() >= first
        )

    def _new(self, path: Path) -> Iterator[Observation]:
        """Give what whole lines were added to a file; the rest of the last one comes when it is whole."""
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read[path] = self._read.get(path, 0) + len(line)
                if (seen := observed(line)) is None:
                    self.unreadable += 1
                else:
                    yield seen


def observed(line: bytes) -> Observation | None:
    """Read one line, or give None where it is none that tells what happened."""
    try:
        return _observation(json.loads(line))
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _observation(found: dict[str, Any]) -> Observation:
    time = datetime.fromisoformat(found["time"])
    latency, label = found.get("latency_ms"), found.get("label")
    return Observation(
        time=time if time.tzinfo else time.replace(tzinfo=UTC),
        correlation_id=str(found["correlation_id"]),
        item=int(found.get("item") or 0),
        slot=str(found["slot"]),
        digest=str(found.get("digest") or ""),
        mirrored=bool(found.get("mirrored", False)),
        status=int(found["status"]),
        label=None if label is None else str(label),
        latency_ms=None if latency is None else float(latency),
    )
