"""What a deployment of Azure ML did, read from the lines of its data collector in blob storage.

The collector writes an event of the form CloudEvents a line: `data` has the lines that the service gave it, perhaps
those of several requests together. They lie at `<prefix>/<deployment>/<collection>/YYYY/MM/DD/HH/<instance>.jsonl`.
https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from azure.storage.blob import ContainerClient

from delivery.observations import Observation, observed

ROOT = "modelDataCollector"
ENDING = ".jsonl"
# Gives whether a slot was mirrored to at a moment; None where it cannot be told.
Mirrored = Callable[[str, datetime], bool | None]


class BlobReader:
    """Gives what was collected since a moment, each line once, while the blobs grow.

    Args:
        container: Where the collector writes.
        endpoint: Name of the endpoint.
        slots: Its deployments.
        collection: Name of the collection.
        since: Lines before this moment are passed over.
        mirrored: Tells copies from requests: a deployment itself cannot. Lines of which it does not know are passed
            over.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        container: ContainerClient,
        *,
        endpoint: str,
        slots: Sequence[str],
        collection: str,
        since: datetime,
        mirrored: Mirrored,
    ):
        self.unreadable = 0
        self._container = container
        self._prefixes = {slot: f"{ROOT}/{endpoint}/{slot}/{collection}/" for slot in slots}
        self._since = since
        self._mirrored = mirrored
        self._read: dict[str, int] = {}  # bytes of each blob

    def read(self) -> list[Observation]:
        """Give what came since the last call."""
        return [seen for slot in self._prefixes for seen in self._of(slot) if seen.time >= self._since]

    def _of(self, slot: str) -> Iterator[Observation]:
        for line in self._lines(self._prefixes[slot]):
            for found in _answers(line):
                seen = observed(json.dumps(found | {"slot": slot, "mirrored": False}).encode())
                if seen is None:
                    self.unreadable += 1
                elif (copied := self._mirrored(slot, seen.time)) is not None:
                    yield replace(seen, mirrored=copied)

    def _lines(self, prefix: str) -> Iterator[bytes]:
        """Give what whole lines were added; the rest of the last one comes when it is whole."""
        for day in self._days():
            for blob in self._container.list_blobs(name_starts_with=f"{prefix}{day}/"):
                read = self._read.get(blob.name, 0)
                if not blob.name.endswith(ENDING) or blob.size <= read:
                    continue
                content = self._container.download_blob(blob.name, offset=read, length=blob.size - read).readall()
                whole = content[: content.rfind(b"\n") + 1]
                self._read[blob.name] = read + len(whole)
                yield from whole.splitlines()

    def _days(self) -> Iterator[str]:
        """Name the days since the first one, and the next: the collector's clock may be ahead."""
        day, last = self._since.astimezone(UTC).date(), datetime.now(UTC).date() + timedelta(days=1)
        while day <= last:
            yield day.strftime("%Y/%m/%d")
            day += timedelta(days=1)


def _answers(line: bytes) -> list[dict]:
    """Give the lines in an event; one that cannot be read gives a line that says nothing."""
    try:
        data = json.loads(line)["data"]
    except (ValueError, KeyError, TypeError):
        return [{}]
    return [found if isinstance(found, dict) else {} for found in data] if isinstance(data, list) else [{}]
