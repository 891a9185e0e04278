"""Divides labelled rows into training, validation and test, so that no normalized text stands in two of them.

What a seed gives depends on the texts alone, not on their order or number of repeats: each text draws its place from
a keyed hash, so that most texts keep their split when the source grows.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa

from compliance.errors import BadInput
from compliance.schema import SPLITS

METHODS = ("text", "group", "time")
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


@dataclass(frozen=True)
class Splits:
    """Rows by split, in the order of the source.

    `left_out` holds rows of a split by time whose text already stands in an earlier split, with their `reason`.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    left_out: pd.DataFrame

    def items(self) -> Iterable[tuple[str, pd.DataFrame]]:
        """Give name and rows of each split."""
        return [(name, getattr(self, name)) for name in SPLITS]


def rules(plan: SplitPlan) -> pa.Column | None:
    """Give the rules that the plan's column must meet in every row."""
    present = pa.Check(lambda values: values.str.strip() != "", error=f"{plan.column} is missing")
    if plan.by == "group":
        return pa.Column(str, present)
    if plan.by == "time":
        readable = pa.Check(
            lambda values: moments(values).notna() | (values.str.strip() == ""),
            error=f"{plan.column} is neither a number nor an ISO 8601 date",
        )
        return pa.Column(str, [present, readable])
    return None


def split(rows: pd.DataFrame, plan: SplitPlan) -> Splits:
    """Divide rows.

    Args:
        rows: Columns `normalized`, `label` (0 or 1) and `by`; no text stands with both labels.
        plan: How to divide them.

    Raises:
        BadInput: The rows cannot be divided so that each split holds both labels, and says what stands in the way.
    """
    assign = {"text": _by_text, "group": _by_group, "time": _by_time}[plan.by]
    places = assign(rows, plan)
    seen_earlier = _stands_earlier(rows["normalized"], places)
    parts = {name: rows[(places == name) & ~seen_earlier].reset_index(drop=True) for name in SPLITS}
    left_out = rows[seen_earlier].assign(reason=SEEN_EARLIER).reset_index(drop=True)
    _check_labels(parts, plan)
    return Splits(**parts, left_out=left_out)


def moments(values: pd.Series) -> pd.Series:
    """Read times as numbers, or as seconds since 1970 where more are ISO 8601 dates; NaN where one is neither."""
    numbers = pd.to_numeric(values, errors="coerce").replace([np.inf, -np.inf], np.nan)
    dates = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True)
    if numbers.notna().sum() >= dates.notna().sum():
        return numbers.astype(float)
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


def _by_text(rows: pd.DataFrame, plan: SplitPlan) -> pd.Series:
    texts = rows.drop_duplicates("normalized")[["normalized", "label"]]
    counts = texts["label"].value_counts()
    if scarce := [label for label in LABEL_NAMES if counts.get(label, 0) < len(SPLITS)]:
        raise BadInput(
            *(
                f"{counts.get(label, 0)} distinct texts are {LABEL_NAMES[label]}; at least {len(SPLITS)} are needed, "
                "one for each split: add labelled rows, or --set prepare.rows=NUMBER where they are generated"
                for label in scarce
            )
        )
    keys = [_draw(text, plan.seed) for text in texts["normalized"]]
    texts = texts.assign(key=keys).sort_values(["key", "normalized"])
    place = texts.groupby("label").cumcount()
    size = texts["label"].map(counts)
    test = (size * plan.test_share).round().clip(lower=1)
    validation = (size * plan.validation_share).round().clip(lower=1)
    validation = np.minimum(validation, size - test - 1).clip(lower=1)
    test = np.minimum(test, size - validation - 1)
    names = np.select([place < test, place < test + validation], ["test", "validation"], "train")
    return rows["normalized"].map(pd.Series(names, index=texts["normalized"]))


def _by_group(rows: pd.DataFrame, plan: SplitPlan) -> pd.Series:
    block = _blocks(rows)
    texts = rows.assign(block=block).groupby("block")["normalized"].nunique()
    first_group = rows["by"].groupby(block).min()
    order = sorted(texts.index, key=lambda number: (_draw(first_group[number], plan.seed), first_group[number]))

    total = int(texts.sum())
    target = {"test": plan.test_share * total, "validation": plan.validation_share * total}
    held = dict.fromkeys(target, 0)
    places = {}
    for number in order:
        name = max(target, key=lambda split: target[split] - held[split])
        if held[name] + texts[number] / 2 <= target[name]:  # nearer to the target with this block than without
            places[number] = name
            held[name] += texts[number]
        else:
            places[number] = "train"
    if any(held[name] < target[name] / 2 for name in target):
        largest = texts.idxmax()
        groups = rows.loc[block == largest, "by"].nunique()
        raise BadInput(
            f"the {rows['by'].nunique():,} groups of {plan.column} cannot be divided: {groups:,} of them, joined by "
            f"texts they share, hold {texts[largest]:,} of {total:,} texts, and whole groups must fill a validation "
            f"split of about {target['validation']:,.0f} and a test split of about {target['test']:,.0f} texts: "
            "--set prepare.split_column=NAME of a finer column, or --set prepare.split_by=text"
        )
    return block.map(places)


def _blocks(rows: pd.DataFrame) -> pd.Series:
    """Number the sets of groups that must stay together: groups that share a text, directly or through others."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    groups, texts = (pd.factorize(rows[column])[0] for column in ("by", "normalized"))
    first_text = groups.max() + 1
    nodes = first_text + texts.max() + 1
    links = coo_matrix((np.ones(len(rows), dtype=np.int8), (groups, first_text + texts)), shape=(nodes, nodes))
    _, component = connected_components(links, directed=False)
    return pd.Series(component[groups], index=rows.index)


def _by_time(rows: pd.DataFrame, plan: SplitPlan) -> pd.Series:
    times = moments(rows["by"])
    # share of the rows up to and including each moment; rows of one moment stay together
    share = times.value_counts(normalize=True).sort_index().cumsum()
    if len(share) < len(SPLITS):
        raise BadInput(
            f"{plan.column} holds {len(share)} different times; at least {len(SPLITS)} are needed to divide by time: "
            "choose a finer column, or --set prepare.split_by=text"
        )
    first = min(_nearest(share, 1 - plan.validation_share - plan.test_share), len(share) - 3)
    second = min(max(_nearest(share, 1 - plan.test_share), first + 1), len(share) - 2)
    names = np.select([times <= share.index[first], times <= share.index[second]], ["train", "validation"], "test")
    return pd.Series(names, index=rows.index)


def _nearest(share: pd.Series, wanted: float) -> int:
    return int(np.abs(share.to_numpy() - wanted).argmin())


def _stands_earlier(normalized: pd.Series, places: pd.Series) -> pd.Series:
    """Mark rows whose text stands in an earlier split than their own; by text and by group there are none."""
    position = places.map({name: number for number, name in enumerate(SPLITS)})
    return position > position.groupby(normalized).transform("min")


def _check_labels(parts: dict[str, pd.DataFrame], plan: SplitPlan) -> None:
    """Refuse splits in which a label is missing: nothing could be learned from them, or nothing said about it."""
    faults = [
        f"split by {plan.by}, the {name} split holds {len(part):,} rows and none is {meaning}; each split needs both "
        f"labels: give more rows, change validation_share or test_share, or --set prepare.split_by=text"
        for name, part in parts.items()
        for label, meaning in LABEL_NAMES.items()
        if not (part["label"] == label).any()
    ]
    if faults:
        raise BadInput(*faults)


def _draw(name: str, seed: int) -> bytes:
    """Give a text or group its place in the order that a seed means; the same on every machine."""
    return hashlib.blake2b(name.encode(), digest_size=8, key=str(seed).encode()).digest()
