"""Tells rows that can be used from rows that cannot, and says why not; a chunk at a time.

Nothing vanishes: every row is kept, refused, set aside, or part of the future set.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from compliance import places, rejects, schema, splitting, spool
from compliance.errors import BadInput
from compliance.places import CONFLICT, NO_TIME, SEEN, UNDECIDED, Counts
from compliance.reading import CHUNK, SLICE, Layout, Source
from compliance.splitting import LABEL_NAMES, SEEN_EARLIER, SplitPlan
from compliance.spool import Spool
from compliance.text import normalize_all

BOTH_LABELS = "the same words stand with both labels"
REPORT_EVERY = 1_000_000  # rows


@dataclass
class Screened:
    """The rows of a source after they were judged.

    Attributes:
        layout: Where the source holds what.
        spool: The sound rows.
        places: uint8 by sound row, as `compliance.places` names them.
        counts: Of sound rows that no other row contradicts.
        rows_read: Rows in the source.
        rows_set_aside: Rows outside keep_values, not judged.
        reasons: How many rows were refused for each reason.
        first_refused: Line of the first refused row; None where there is none.
    """

    layout: Layout
    spool: Spool
    places: np.ndarray
    counts: Counts
    rows_read: int
    rows_set_aside: int
    reasons: Counter[str]
    first_refused: int | None

    @property
    def rejected(self) -> int:
        """How many rows were refused."""
        return self.reasons.total()

    @property
    def kept(self) -> int:
        """How many rows are there to divide."""
        return self.counts.rows.total()

    def close(self) -> None:
        """Take away the files that hold the sound rows."""
        self.spool.close()


@dataclass
class _Tally:
    """What is counted while chunks go by."""

    read: int = 0
    set_aside: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first_refused: int | None = None
    held: dict[str, Counter[str]] = field(default_factory=dict)  # values of keep_column and future_column


def screen(  # noqa: PLR0913  what is judged, by what, into where
    source: Source,
    layout: Layout,
    plan: SplitPlan,
    folder: Path,
    *,
    report: Callable[[str], None] = lambda _: None,
    size: int = CHUNK,
) -> Screened:
    """Judge every row of a source by the rules of `compliance.schema`, and list the refused ones in rejected.csv.

    Args:
        source: What is read.
        layout: Where it holds what.
        plan: How it will be divided, which asks something of the rows, too.
        folder: Where rejected.csv is written, and the sound rows are put by until they are divided.
        report: Is told of every million rows.
        size: Rows held at once.

    Raises:
        BadInput: The source cannot be read, or a value in keep_values or future_values does not occur.
    """
    spool.clear(folder)
    held = Spool(folder, plan.seed, [SLICE + name for name in layout.slice_columns], grouped=plan.by == "group")
    try:
        tally = _Tally()
        chunks = _told(source.chunks(size), report, tally)
        first = next(chunks)  # what is wrong with the source as a whole is told before a file is written
        path = folder / rejects.REJECTED_FILE
        rejects.write(path, _judged(itertools.chain([first], chunks), layout, plan, held, tally))
        _check_occurs(layout, tally)
        placed = np.full(held.rows, UNDECIDED, np.uint8)
        if plan.by == "time":
            splitting.refuse_unread_times(held, placed)
        counts = places.resolve(held, placed)
        screened = Screened(
            layout, held, placed, counts, tally.read, tally.set_aside, tally.reasons, tally.first_refused
        )
        _refuse(screened, plan, path, (CONFLICT, NO_TIME))
    except BaseException:
        held.close()
        raise
    return screened


def divide(screened: Screened, plan: SplitPlan, folder: Path) -> pd.DataFrame:
    """Give each row its split, and list those that are left out.

    Returns:
        As `compliance.places.overview` gives it.

    Raises:
        BadInput: As `compliance.splitting.split`.
    """
    try:
        overview = splitting.split(screened.spool, screened.places, screened.counts, plan)
        _refuse(screened, plan, folder / rejects.REJECTED_FILE, (SEEN,))
    except BaseException:
        screened.spool.close()
        raise
    return overview


def _refuse(screened: Screened, plan: SplitPlan, path: Path, wanted: tuple[int, ...]) -> None:
    """Add the sound rows that were refused in the end to the list and to the counts."""
    if not np.isin(screened.places, wanted).any():
        return
    reasons = {CONFLICT: BOTH_LABELS, NO_TIME: splitting.no_time(plan), SEEN: SEEN_EARLIER}
    values = {0: screened.layout.compliant_value, 1: screened.layout.noncompliant_value}
    rejects.merge(path, _refused_later(screened, {place: reasons[place] for place in wanted}, values))


def _refused_later(screened: Screened, reasons: dict[int, str], values: dict[int, str]) -> Iterator[pd.DataFrame]:
    for where, rows in screened.spool.batches(columns=["row", "line", "text", "label"]):
        reason = pd.Series(screened.places[where], index=rows.index).map(reasons)
        refused = rows.assign(reason=reason, label=rows["label"].map(values))[reason.notna()]
        if len(refused):
            screened.reasons.update(refused["reason"])
            line = int(refused["line"].iloc[0])
            screened.first_refused = min(line, screened.first_refused or line)
            yield refused


def check_limits(screened: Screened, *, minimum_rows: int, reject_limit: float) -> None:
    """Refuse a source of which too little is left.

    Args:
        screened: The judged rows.
        minimum_rows: How many rows must be left.
        reject_limit: Largest share of the judged rows that may be refused, 0 to 1.

    Raises:
        BadInput: Too many rows were refused, too few are left, all have one label, or a limit is none; all that holds.
    """
    faults = []
    if not 0 <= reject_limit <= 1:
        faults.append(f"reject_limit is {reject_limit}; give a share from 0 to 1: --set prepare.reject_limit=0.01")
    if minimum_rows < 1:
        faults.append(f"minimum_rows is {minimum_rows}; give a number above 0: --set prepare.minimum_rows=500")
    rejected, kept = screened.rejected, screened.kept
    judged = rejected + kept + screened.counts.future_rows
    if rejected and rejected > reject_limit * judged:
        allowed = min(np.ceil(rejected / judged * 1000) / 1000, 1.0)
        faults.append(
            f"{rejected:,} of {judged:,} rows were refused ({rejected / judged:.1%}), reject_limit allows "
            f"{reject_limit:.1%}: {_summary(screened.reasons)}. The first is line "
            f"{screened.first_refused}; rejected.csv lists all. "
            f"Mend them, or accept it with --set prepare.reject_limit={allowed:g}"
        )
    if kept < minimum_rows:
        faults.append(
            f"{kept:,} rows are left to use, minimum_rows asks for {minimum_rows:,}: add labelled rows, "
            f"or --set prepare.minimum_rows={max(kept, 1)}"
        )
    held = {label for label, rows in screened.counts.rows.items() if rows}
    if kept and len(held) == 1:
        layout = screened.layout
        missing, value = (1, layout.noncompliant_value) if held == {0} else (0, layout.compliant_value)
        faults.append(
            f"no row is {LABEL_NAMES[missing]} (label {value!r}), a model needs both labels: add such rows, "
            "or check noncompliant_value and compliant_value"
        )
    if faults:
        screened.spool.close()
        raise BadInput(*faults)


def _told(chunks: Iterator[pd.DataFrame], report: Callable[[str], None], tally: _Tally) -> Iterator[pd.DataFrame]:
    for chunk in chunks:
        before, tally.read = tally.read, tally.read + len(chunk)
        yield chunk
        if before // REPORT_EVERY < tally.read // REPORT_EVERY:
            report(f"{tally.read:,} rows judged")


def _judged(
    chunks: Iterator[pd.DataFrame], layout: Layout, plan: SplitPlan, held: Spool, tally: _Tally
) -> Iterator[pd.DataFrame]:
    """Put the sound rows of each chunk by, and give the refused ones."""
    for chunk in chunks:
        rows = _tidy(chunk)
        chosen, future, broken = _chosen(rows, layout, tally)
        tally.set_aside += int((~chosen & ~future & ~broken).sum())
        judged = rows[(chosen | future) & ~broken]
        judged = judged.assign(normalized=normalize_all(judged["text"]), future=future[judged.index])
        reasons = pd.concat([rows.loc[broken, "fault"], *_reasons(judged, layout, plan)])
        sound = judged.drop(index=reasons.index, errors="ignore")
        held.add(sound.assign(label=(sound["label"] == layout.noncompliant_value).astype(np.int8)))
        refused = rows.assign(reason=reasons).loc[reasons.index.sort_values(), list(rejects.REJECTED)]
        if len(refused):
            tally.reasons.update(refused["reason"])
            tally.first_refused = tally.first_refused or int(refused["line"].iloc[0])
            yield refused


def _tidy(chunk: pd.DataFrame) -> pd.DataFrame:
    """Number the index from 0, take blanks around labels and `by` away, and give `by` where there is none."""
    by = chunk["by"].str.strip() if "by" in chunk else ""
    return chunk.assign(label=chunk["label"].str.strip(), by=by).reset_index(drop=True)


def _chosen(rows: pd.DataFrame, layout: Layout, tally: _Tally) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Mark rows that are to be used, rows of the future set, and records that could not be read."""
    broken = rows["fault"] != ""
    marks = []
    for part, column, values in (
        ("keep", layout.keep_column, layout.keep_values),
        ("future", layout.future_column, layout.future_values),
    ):
        if column:
            tally.held.setdefault(part, Counter()).update(rows.loc[~broken, part])
        marks.append(rows[part].isin(list(values)) if column else pd.Series(part == "keep", index=rows.index))
    chosen, future = marks
    return chosen & ~future, future & ~broken, broken


def _check_occurs(layout: Layout, tally: _Tally) -> None:
    """Refuse values to look for that no row holds.

    Raises:
        BadInput: With what the column holds.
    """
    faults = []
    for part, held in tally.held.items():
        column, wanted = getattr(layout, f"{part}_column"), getattr(layout, f"{part}_values")
        if unknown := [value for value in wanted if value not in held]:
            values = ", ".join(f"{value!r} ({count:,} rows)" for value, count in held.most_common(8))
            more = f" and {len(held) - 8} more" if len(held) > 8 else ""  # noqa: PLR2004  as many as were shown
            faults.append(
                f"{part}_values {unknown} do not occur in column {column!r}, which holds {values}{more}: "
                f'--set "prepare.{part}_values=[VALUE]"'
            )
    if faults:
        raise BadInput(*faults)


def _reasons(judged: pd.DataFrame, layout: Layout, plan: SplitPlan) -> Iterator[pd.Series]:
    """Give the reasons to refuse rows, by index; a row that breaks two rules gets both reasons."""
    for rows, by in ((judged[~judged["future"]], splitting.rules(plan)), (judged[judged["future"]], None)):
        yield schema.reasons(schema.readable_rows(layout, by), rows)


def _summary(reasons: Counter[str], longest: int = 6) -> str:
    parts = [f"{count:,} × {reason}" for reason, count in reasons.most_common(longest)]
    return "; ".join(parts) + (f"; and {len(reasons) - longest} other reasons" if len(reasons) > longest else "")
