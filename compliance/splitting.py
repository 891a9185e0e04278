"""Divides labelled rows into training, validation and test, so that no normalized text stands in two of them.

What a seed gives depends on the texts alone, not on their order or number of repeats: each text draws its place from
a keyed hash, so that most texts keep their split when the source grows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa

from compliance.errors import BadInput
from compliance.places import (
    NO_TIME,
    SEEN,
    TEST,
    TRAIN,
    UNDECIDED,
    VALIDATION,
    Counts,
    divided,
    overview,
)
from compliance.schema import SPLITS
from compliance.spool import Spool, draw

METHODS = ("text", "group", "time")
NUMBERS, DATES = "numbers", "dates"
LARGEST_SEED = 2**32 - 1  # what numpy and TensorFlow take
SEEN_EARLIER = "the same words stand in an earlier split"
LABEL_NAMES = {0: "compliant", 1: "non-compliant"}


@dataclass(frozen=True)
class SplitPlan:
    """How rows are divided: by text, by the groups of a column, or by the time in a column.

    Shares are of distinct texts (by text, by group) or of rows (by time); the training split takes what is left.
    """

    by: str = "text"
    column: str = ""
    validation_share: float = 0.15
    test_share: float = 0.15
    seed: int = 7

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, all at once."""
        if faults := list(self._faults()):
            raise BadInput(*faults)

    def _faults(self) -> Iterator[str]:
        if self.by not in METHODS:
            yield f"split_by is {self.by!r}; it may be {', '.join(METHODS)}: --set prepare.split_by=text"
        if self.by in ("group", "time") and not self.column:
            yield f"split_by is {self.by!r} and split_column is empty; name the column: --set prepare.split_column=NAME"
        if self.by == "text" and self.column:
            yield (
                f"split_column is {self.column!r}, which split_by 'text' does not use: --set prepare.split_by=group, "
                "--set prepare.split_by=time, or leave split_column out"
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            yield f"seed is {self.seed}; give a whole number from 0 to {LARGEST_SEED}: --set all.seed=7"
        for name in ("validation_share", "test_share"):
            share = getattr(self, name)
            if not 0 < share < 1:
                yield f"{name} is {share}; give a share between 0 and 1: --set prepare.{name}=0.15"
        if self.validation_share + self.test_share >= 1:
            yield (
                f"validation_share {self.validation_share} and test_share {self.test_share} leave nothing to train on; "
                "their sum must stay below 1: --set prepare.test_share=0.15"
            )


def rules(plan: SplitPlan) -> pa.Column | None:
    """Give the rules that the plan's column must meet in every row."""
    present = pa.Check(lambda values: values.str.strip() != "", error=f"{plan.column} is missing")
    if plan.by == "group":
        return pa.Column(str, present)
    if plan.by == "time":
        readable = pa.Check(
            lambda values: _is_time(values) | (values.str.strip() == ""),
            error=no_time(plan),
        )
        return pa.Column(str, [present, readable])
    return None


def no_time(plan: SplitPlan) -> str:
    """Give the reason why a row without a readable time is refused."""
    return f"{plan.column} is neither a number nor an ISO 8601 date"


def _is_time(values: pd.Series) -> pd.Series:
    return moments(values, NUMBERS).notna() | moments(values, DATES).notna()


def split(spool: Spool, places: np.ndarray, counts: Counts, plan: SplitPlan) -> pd.DataFrame:
    """Give every row without a place its split.

    Args:
        spool: The rows.
        places: uint8 by row, changed in place.
        counts: As `places.resolve` gave them.
        plan: How to divide them.

    Returns:
        As `places.overview` gives it.

    Raises:
        BadInput: The rows cannot be divided so that each split holds both labels, and says what stands in the way.
    """
    divide = {"text": _by_text, "group": _by_group, "time": _by_time}[plan.by]
    divide(spool, places, counts, plan)
    found = overview(spool, places)
    _check_labels(found, plan)
    return found


def moments(values: pd.Series, kind: str) -> pd.Series:
    """Read times as numbers, or as seconds since 1970 where they are ISO 8601 dates; NaN where one is not.

    Args:
        values: Texts.
        kind: NUMBERS or DATES.
    """
    if kind == NUMBERS:
        return pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan).astype(float)
    dates = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True)
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


def refuse_unread_times(spool: Spool, places: np.ndarray) -> None:
    """Mark the rows whose time cannot be read: the times of a source are numbers, or dates where more of them are.

    Args:
        spool: The rows, with times in `by`.
        places: uint8 by row, changed in place.
    """
    places[np.isnan(_times(spool)) & ~_future(spool)] = NO_TIME


def _times(spool: Spool) -> np.ndarray:
    held = dict.fromkeys((NUMBERS, DATES), 0)
    for _, rows in spool.batches(columns=["by"]):
        for kind in held:
            held[kind] += int(moments(rows["by"], kind).notna().sum())
    kind = NUMBERS if held[NUMBERS] >= held[DATES] else DATES
    times = np.empty(spool.rows)
    for where, rows in spool.batches(columns=["by"]):
        times[where] = moments(rows["by"], kind)
    return times


def _future(spool: Spool) -> np.ndarray:
    future = np.empty(spool.rows, bool)
    for where, rows in spool.batches(columns=["future"]):
        future[where] = rows["future"]
    return future


def _by_text(spool: Spool, places: np.ndarray, counts: Counts, plan: SplitPlan) -> None:
    if scarce := [label for label in LABEL_NAMES if counts.texts[label] < len(SPLITS)]:
        raise BadInput(
            *(
                f"{counts.texts[label]} distinct texts are {LABEL_NAMES[label]}; at least {len(SPLITS)} are needed, "
                "one for each split: add labelled rows, or --set prepare.rows=NUMBER where they are generated"
                for label in scarce
            )
        )
    last = {label: _last_draws(spool, places, label, counts.texts[label], plan) for label in LABEL_NAMES}
    for records, _ in spool.by_text(places == UNDECIDED):
        for label, (test, validation) in last.items():
            held = records[records["label"] == label]
            split = np.where(held["draw"] <= validation, VALIDATION, TRAIN)
            places[held["place"]] = np.where(held["draw"] <= test, TEST, split)


def _last_draws(spool: Spool, places: np.ndarray, label: int, texts: int, plan: SplitPlan) -> tuple[int, int]:
    """Give the draws of the last text of a label that goes to the test, and to the validation split."""
    draws, filled = np.empty(texts, "<u8"), 0
    for records, starts in spool.by_text(places == UNDECIDED):
        found = records["draw"][starts][records["label"][starts] == label]
        draws[filled : filled + len(found)] = found
        filled += len(found)
    test = max(1, round(texts * plan.test_share))
    validation = max(1, min(max(1, round(texts * plan.validation_share)), texts - test - 1))
    test = min(test, texts - validation - 1)
    draws.partition((test - 1, test + validation - 1))
    return int(draws[test - 1]), int(draws[test + validation - 1])


def _by_group(spool: Spool, places: np.ndarray, _: Counts, plan: SplitPlan) -> None:
    names = np.array(list(spool.groups), object)
    block = _blocks(spool, places)
    texts = np.zeros(block.max() + 1, np.int64)
    present = np.zeros(len(names), bool)
    for records, starts in spool.by_text(places == UNDECIDED):
        texts += np.bincount(block[records["group"][starts]], minlength=len(texts))
        present[records["group"]] = True
    first_name = pd.Series(names[present]).groupby(block[present]).min()
    order = sorted(first_name.index, key=lambda number: (draw(first_name[number], plan.seed), first_name[number]))

    total = int(texts.sum())
    target = {VALIDATION: plan.validation_share * total, TEST: plan.test_share * total}
    held = dict.fromkeys(target, 0)
    split = np.full(len(texts), TRAIN, np.uint8)
    for number in order:
        place = max((TEST, VALIDATION), key=lambda place: target[place] - held[place])
        if held[place] + texts[number] / 2 <= target[place]:  # nearer to the target with this block than without
            split[number] = place
            held[place] += int(texts[number])
    if any(held[place] < target[place] / 2 for place in target):
        largest = int(texts.argmax())
        raise BadInput(
            f"the {present.sum():,} groups of {plan.column} cannot be divided: "
            f"{(block[present] == largest).sum():,} of them, joined by texts they share, hold {texts[largest]:,} of "
            f"{total:,} texts, and whole groups must fill a validation split of about {target[VALIDATION]:,.0f} and a "
            f"test split of about {target[TEST]:,.0f} texts: "
            "--set prepare.split_column=NAME of a finer column, or --set prepare.split_by=text"
        )
    for records, _starts in spool.by_text(places == UNDECIDED):
        places[records["place"]] = split[block[records["group"]]]


def _blocks(spool: Spool, places: np.ndarray) -> np.ndarray:
    """Number the sets of groups that must stay together: groups that share a text, directly or through others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = [np.empty((0, 2), np.int64)]
    for records, starts in spool.by_text(places == UNDECIDED):
        group = records["group"].astype(np.int64)
        first = np.repeat(group[starts], np.diff(np.r_[starts, len(records)]))
        pairs = [np.unique(np.vstack([*pairs, np.column_stack([first, group])[first != group]]), axis=0)]
    one, other = pairs[0].T
    size = len(spool.groups)
    links = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(size, size))
    return np.asarray(connected_components(links, directed=False)[1])


def _by_time(spool: Spool, places: np.ndarray, _: Counts, plan: SplitPlan) -> None:
    times = _times(spool)
    undecided = places == UNDECIDED
    # share of the rows up to and including each moment; rows of one moment stay together
    moment, rows = np.unique(times[undecided], return_counts=True)
    share = rows.cumsum() / rows.sum()
    if len(share) < len(SPLITS):
        raise BadInput(
            f"{plan.column} holds {len(share)} different times; at least {len(SPLITS)} are needed to divide by time: "
            "choose a finer column, or --set prepare.split_by=text"
        )
    first = min(_nearest(share, 1 - plan.validation_share - plan.test_share), len(share) - 3)
    second = min(max(_nearest(share, 1 - plan.test_share), first + 1), len(share) - 2)
    split = np.where(times <= moment[second], VALIDATION, TEST)
    places[undecided] = np.where(times <= moment[first], TRAIN, split)[undecided]
    for records, starts in spool.by_text(divided(places)):
        own = places[records["place"]]
        earliest = np.repeat(np.minimum.reduceat(own, starts), np.diff(np.r_[starts, len(records)]))
        places[records["place"][own > earliest]] = SEEN


def _nearest(share: np.ndarray, wanted: float) -> int:
    return int(np.abs(share - wanted).argmin())


def _check_labels(found: pd.DataFrame, plan: SplitPlan) -> None:
    """Refuse splits in which a label is missing: nothing could be learned from them, or nothing said about it."""
    held = {1: found["noncompliant_rows"], 0: found["rows"] - found["noncompliant_rows"]}
    faults = [
        f"split by {plan.by}, the {name} split holds {found.loc[name, 'rows']:,} rows and none is {meaning}; each "
        "split needs both labels: give more rows, change validation_share or test_share, or --set prepare.split_by=text"
        for name in SPLITS
        for label, meaning in LABEL_NAMES.items()
        if held[label][name] == 0
    ]
    if faults:
        raise BadInput(*faults)
