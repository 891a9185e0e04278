"""The list of refused rows, written as they are found, in the order of the source."""

import csv
import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

REJECTED = ("row", "line", "reason", "text", "label")
REJECTED_FILE = "rejected.csv"
LONGEST_SHOWN = 1_000  # characters of a refused text


def write(path: Path, refused: Iterable[pd.DataFrame]) -> None:
    """Write a list of refused rows.

    Args:
        path: The file.
        refused: Chunks with the columns of REJECTED, in order; texts are cut to 1,000 characters.
    """
    _write(path, (record for chunk in refused for record in _records(chunk)))


def merge(path: Path, refused: Iterable[pd.DataFrame]) -> None:
    """Add rows that were refused later to the list, each in its place.

    Args:
        path: A list as `write` leaves it.
        refused: Chunks with the columns of REJECTED, in the order of the source.
    """
    merged = path.with_suffix(".new")
    later = (record for chunk in refused for record in _records(chunk))
    _write(merged, heapq.merge(_read(path), later, key=lambda record: record[0]))
    merged.replace(path)


def _write(path: Path, records: Iterable[tuple[int, int, str, str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(REJECTED)
        writer.writerows(records)


def _read(path: Path) -> Iterator[tuple[int, int, str, str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for row, line, reason, text, label in rows:
            yield int(row), int(line), reason, text, label


def _records(chunk: pd.DataFrame) -> Iterator[tuple[int, int, str, str, str]]:
    shown = chunk.assign(text=chunk["text"].str.slice(0, LONGEST_SHOWN))
    yield from shown[list(REJECTED)].itertuples(index=False, name=None)
