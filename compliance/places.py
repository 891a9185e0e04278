"""Where each sound row of a source ends: in a split, in the future set, or refused. One byte for each row."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from compliance.schema import LABELS, SPLITS
from compliance.spool import Spool

UNDECIDED, TRAIN, VALIDATION, TEST, FUTURE, CONFLICT, SEEN, NO_TIME = range(8)
PLACES = {name: number for number, name in enumerate(SPLITS, start=TRAIN)}


@dataclass
class Counts:
    """What distinct texts there are that no row contradicts.

    Attributes:
        texts: By label, outside of the future set.
        rows: By label, outside of the future set.
        repeats: How many texts stand in so many rows, outside of the future set.
        words: How many texts have a label and so many words, by label and words, outside of the future set.
        future_rows: Rows of the future set.
        future_texts: Distinct texts of the future set.
    """

    texts: Counter[int] = field(default_factory=Counter)
    rows: Counter[int] = field(default_factory=Counter)
    repeats: Counter[int] = field(default_factory=Counter)
    words: dict[int, Counter[int]] = field(default_factory=lambda: {label: Counter() for label in LABELS})
    future_rows: int = 0
    future_texts: int = 0


def resolve(spool: Spool, places: np.ndarray) -> Counts:
    """Mark all rows of a text that stands with both labels in one set, and the sound rows of the future set; count.

    Args:
        spool: The rows.
        places: uint8 by row, changed in place; rows that are refused already take no part.
    """
    counts = Counts()
    for records, starts in spool.by_text(places == UNDECIDED):
        sizes = np.diff(np.r_[starts, len(records)])
        noncompliant = np.add.reduceat(records["label"].astype(np.int64), starts)
        agreed = (noncompliant == 0) | (noncompliant == sizes)
        future = records["future"][starts] == 1
        places[records["place"][np.repeat(~agreed, sizes)]] = CONFLICT
        places[records["place"][np.repeat(agreed & future, sizes)]] = FUTURE
        kept = agreed & ~future
        for label in LABELS:
            held = kept & (records["label"][starts] == label)
            counts.texts[label] += int(held.sum())
            counts.rows[label] += int(sizes[held].sum())
            _add(counts.words[label], records["words"][starts][held])
        _add(counts.repeats, sizes[kept])
        counts.future_rows += int(sizes[agreed & future].sum())
        counts.future_texts += int((agreed & future).sum())
    return counts


def _add(counter: Counter[int], numbers: np.ndarray) -> None:
    found, times = np.unique(numbers, return_counts=True)
    counter.update(dict(zip(found.tolist(), times.tolist(), strict=True)))


def divided(places: np.ndarray) -> np.ndarray:
    """Mark the rows that stand in a split."""
    return np.isin(places, list(PLACES.values()))


def leaks(spool: Spool, places: np.ndarray) -> int:
    """Count the texts that stand in more than one split."""
    found = 0
    for records, starts in spool.by_text(divided(places)):
        own = places[records["place"]]
        found += int(np.count_nonzero(np.minimum.reduceat(own, starts) != np.maximum.reduceat(own, starts)))
    return found


def overview(spool: Spool, places: np.ndarray) -> pd.DataFrame:
    """Give rows, distinct texts and how many of them are non-compliant, a line per split."""
    counted = {name: np.zeros(4, np.int64) for name in SPLITS}
    for records, starts in spool.by_text(divided(places)):
        place, noncompliant = places[records["place"]], records["label"] == 1
        for name, number in PLACES.items():
            rows, texts = place == number, place[starts] == number
            counted[name] += [
                np.count_nonzero(held)
                for held in (rows, texts, rows & noncompliant, texts & noncompliant[starts])
            ]  # fmt: skip
    columns = ["rows", "texts", "noncompliant_rows", "noncompliant_texts"]
    return pd.DataFrame.from_dict(counted, orient="index", columns=columns).rename_axis("split")
