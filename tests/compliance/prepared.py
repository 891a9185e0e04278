"""What the notebook `prepare` does, for tests: from rows to splits, with any size of chunk."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from compliance import data, places, reading, screening, splitting
from compliance.places import PLACES, SEEN, UNDECIDED
from compliance.reading import Layout, Source
from compliance.screening import Screened
from compliance.splitting import SplitPlan
from compliance.spool import Spool


@dataclass
class Rows:
    """Rows in memory, as a source gives them."""

    frame: pd.DataFrame

    def chunks(self, size: int) -> Iterator[pd.DataFrame]:
        for first in range(0, len(self.frame), size):
            yield self.frame.iloc[first : first + size]


def source(texts, labels, **columns) -> Source:
    """Make a source of rows whose lines are those of a CSV below its header."""
    numbers = np.arange(1, len(texts) + 1)
    frame = pd.DataFrame({"row": numbers, "line": numbers + 1, "text": texts, "label": labels, "fault": "", **columns})
    return Source("parts.csv", None, Rows(frame.astype({"text": object, "label": object})))


def kept(screened: Screened) -> pd.DataFrame:
    """Give the rows that may be divided."""
    parts = [rows[screened.places[where] == UNDECIDED] for where, rows in screened.spool.batches()]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=screened.spool.schema.names)


def rejected(folder: Path) -> pd.DataFrame:
    """Read the list of refused rows."""
    return pd.read_csv(folder / "rejected.csv", keep_default_na=False, dtype={"text": str, "label": str})


@dataclass
class Prepared:
    source: Source
    screened: Screened
    overview: pd.DataFrame
    report: dict


def prepare(
    folder: Path,
    path: str,
    layout: Layout | None = None,
    plan: SplitPlan | None = None,
    size: int = reading.CHUNK,
    **options,
) -> Prepared:
    """Do what the notebook does."""
    layout, plan = layout or Layout(), plan or SplitPlan()
    opened = reading.open_source(path, layout, reading.columns(layout, plan.column), **options)
    folder.mkdir(exist_ok=True)
    screened = screening.screen(opened, layout, plan, folder, size=size)
    screening.check_limits(screened, minimum_rows=1, reject_limit=0.5)
    overview = screening.divide(screened, plan, folder)
    data.write_splits(folder, screened)
    report = data.report(opened, plan, screened, overview, folder)
    data.write_report(folder, report)
    screened.close()
    return Prepared(opened, screened, overview, report)


@dataclass
class Divided:
    """Rows by split, and those that are left out."""

    parts: dict[str, pd.DataFrame]
    left_out: pd.DataFrame

    def items(self):
        return self.parts.items()


def divide(rows: pd.DataFrame, plan: SplitPlan, size: int = reading.CHUNK) -> Divided:
    """Divide rows with `normalized`, `label` and `by`, which are spooled `size` at a time."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), plan.seed, grouped=plan.by == "group")
        whole = rows.assign(line=rows["row"], future=False).reset_index(drop=True)
        for first in range(0, len(whole), size):
            spool.add(whole.iloc[first : first + size])
        found = np.full(len(whole), UNDECIDED, np.uint8)
        try:
            splitting.split(spool, found, places.resolve(spool, found), plan)
        finally:
            spool.close()
    return Divided({name: whole[found == number] for name, number in PLACES.items()}, whole[found == SEEN])
