"""Rows on their way from the source into the splits, on disk: memory holds a chunk of them and a byte for each.

Two things are kept per row that was found sound: the row itself, and a record of its normalized text (a 128-bit digest,
blake2b, taken for the text: two texts with one digest have never been seen) in one of a number of files by the digest.
All rows of a text lie in one file, so what concerns equal texts (repeats, conflicting labels, leakage) is decided one
file at a time.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PARTS = 64
RECORD = np.dtype(
    [
        ("high", "<u8"),  # the digest of the normalized text
        ("low", "<u8"),
        ("draw", "<u8"),  # the text's place in the order that the seed means
        ("place", "<u4"),  # of the row in the spool
        ("group", "<u4"),  # number of its group, 0 where rows have none
        ("label", "u1"),
        ("future", "u1"),  # whether it belongs to the future set
        ("words", "<u2"),  # of the normalized text; 65,535 stands for more, too
    ]
)
MOST_ROWS = 2**32 - 1
MOST_WORDS = 2**16 - 1
FOLDER = ".spool-"
BATCH = 50_000  # rows held at once


class Spool:
    """Sound rows of a source, in its order.

    Columns: `row`, `line`, `text`, `normalized`, `label` (int8, 1 is non-compliant), `by`, `future` (bool), and the
    slice columns.

    Args:
        folder: Where the files are made, in a folder of their own.
        seed: What orders the texts.
        slices: Names of the slice columns.
        grouped: Whether `by` names the groups of rows, which are numbered in `groups`.
    """

    def __init__(self, folder: Path, seed: int, slices: Sequence[str] = (), *, grouped: bool = False):
        self.seed = seed
        self.grouped = grouped
        self.rows = 0
        self.groups: dict[str, int] = {}
        self._held = tempfile.TemporaryDirectory(prefix=FOLDER, dir=folder)  # goes with the process, at the latest
        self._folder = Path(self._held.name)
        self._parts = [(self._folder / f"{number:02}").open("wb") for number in range(PARTS)]
        types: dict[str, Any] = {"row": pa.int64(), "line": pa.int64(), "text": pa.string(), "normalized": pa.string()}
        types |= {"label": pa.int8(), "by": pa.string(), "future": pa.bool_()}
        self.schema = pa.schema([*types.items(), *((name, pa.string()) for name in slices)])
        self._writer = pq.ParquetWriter(self._folder / "rows.parquet", self.schema, compression="lz4")

    def add(self, rows: pd.DataFrame) -> None:
        """Append rows with the columns that the class names."""
        if rows.empty:
            return
        if self.rows + len(rows) > MOST_ROWS:
            raise ValueError(f"more than {MOST_ROWS:,} rows")
        self._writer.write_table(pa.Table.from_pandas(rows, schema=self.schema, preserve_index=False))
        records = np.empty(len(rows), RECORD)
        which, texts = pd.factorize(rows["normalized"])
        digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
        halves = np.frombuffer(digests, "<u8").reshape(-1, 2)[which]
        records["high"], records["low"] = halves[:, 0], halves[:, 1]
        records["draw"] = np.array([draw(text, self.seed) for text in texts], "<u8")[which]
        records["place"] = np.arange(self.rows, self.rows + len(rows))
        records["group"] = self._group_numbers(rows["by"]) if self.grouped else 0
        records["label"], records["future"] = rows["label"], rows["future"]
        records["words"] = np.array([min(text.count(" ") + 1, MOST_WORDS) for text in texts], "<u2")[which]
        self.rows += len(rows)
        part = records["high"] % PARTS
        order = np.argsort(part, kind="stable")
        for number, held in enumerate(np.split(records[order], np.searchsorted(part[order], np.arange(1, PARTS)))):
            held.tofile(self._parts[number])

    def by_text(self, wanted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the records of some rows, all of a text and set (future or not) together and in the order of the source.

        Args:
            wanted: bool by row.

        Yields:
            Records, at least one, and where each text starts among them.
        """
        for file in self._parts:
            file.flush()
            records = np.fromfile(file.name, RECORD)
            records = records[wanted[records["place"]]]
            if len(records):
                records = records[np.lexsort([records[name] for name in ("place", "low", "high", "future")])]
                same = [records[name][1:] == records[name][:-1] for name in ("high", "low", "future")]
                yield records, np.flatnonzero(np.r_[True, ~np.logical_and.reduce(same)])

    def _group_numbers(self, names: pd.Series) -> np.ndarray:
        which, found = pd.factorize(names)
        numbers = np.array([self.groups.setdefault(name, len(self.groups)) for name in found], "<u4")
        return np.asarray(numbers[which])

    def batches(self, size: int = BATCH, columns: list[str] | None = None) -> Iterator[tuple[slice, pd.DataFrame]]:
        """Give the rows again, each batch with its places."""
        self._writer.close()
        first = 0
        with pq.ParquetFile(self._folder / "rows.parquet") as file:
            for batch in file.iter_batches(size, columns=columns):
                yield slice(first, first + len(batch)), batch.to_pandas()
                first += len(batch)

    def close(self) -> None:
        """Take the files away; nothing can be read any more."""
        for file in self._parts:
            file.close()
        self._writer.close()
        self._held.cleanup()


def draw(name: str, seed: int) -> int:
    """Give a text or group its place in the order that a seed means; the same on every machine."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "big")


def clear(folder: Path) -> None:
    """Take away what a process that was killed left behind."""
    for left in folder.glob(f"{FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)
