"""How a model does on parts of a set of texts: one slice for each value of an extra column of the source."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from compliance import metrics
from compliance.errors import BadInput
from compliance.metrics import CONFIDENCE, Confusion, Estimate
from compliance.reading import SLICE as PREFIX

MEASURED = ("texts", "noncompliant_texts", "accuracy", "noncompliant_recall", "confusion")
SHOWN = ("texts", "accuracy", "noncompliant_recall")
NO_VALUE = "(empty)"
RARE = "(rare)"


@dataclass(frozen=True)
class Bound:
    """What is shown of one slice, in texts labelled rightly.

    Attributes:
        column: The slice column.
        value: Its value; RARE stands for all that are too rare to be judged alone.
        texts: Distinct texts in it.
        accuracy: With an interval of the level that Holm's procedure gives it.
    """

    column: str
    value: str
    texts: int
    accuracy: Estimate

    @property
    def name(self) -> str:
        """Give column and value."""
        return f"{self.column}: {self.value}"


def columns(rows: pd.DataFrame) -> list[str]:
    """Give the slice columns of prepared rows, which begin with `slice_`."""
    return [name for name in rows.columns if name.startswith(PREFIX)]


def measure(rows: pd.DataFrame, probabilities: Mapping[str, float], column: str, threshold: float) -> pd.DataFrame:
    """Measure each value of a slice column on its distinct texts.

    A text that stands in several slices counts in each of them.

    Args:
        rows: `normalized`, `label` (1 is non-compliant) and the slice column.
        probabilities: Of non-compliance, by normalized text; one that is no number counts as wrong.
        column: The slice column.
        threshold: Probability from which a text is flagged.

    Returns:
        By value, most texts first: `texts`, `noncompliant_texts`, `accuracy` and `noncompliant_recall` (`Estimate`),
        and `confusion`, the counts behind them.
    """
    texts = rows.drop_duplicates([column, "normalized"])
    flags = pd.Series(metrics.flags(texts["normalized"].map(probabilities).to_numpy(), threshold), texts.index)
    lines: dict[str, dict[str, int | Estimate | Confusion]] = {}
    for value, held in texts.groupby(column):
        confusion = metrics.Confusion.count(held["label"].to_numpy(), flags[held.index].to_numpy())
        lines[str(value) or NO_VALUE] = {
            "texts": confusion.texts,
            "noncompliant_texts": confusion.noncompliant,
            "accuracy": metrics.proportion(confusion.caught + confusion.passed, confusion.texts),
            "noncompliant_recall": metrics.proportion(confusion.caught, confusion.noncompliant),
            "confusion": confusion,
        }
    table = pd.DataFrame.from_dict(lines, orient="index", columns=list(MEASURED))
    return table.rename_axis(column.removeprefix(PREFIX)).sort_values("texts", ascending=False, kind="stable")


def bounds(tables: Mapping[str, pd.DataFrame], *, floor: float, minimum: int) -> list[Bound]:
    """Bound the accuracy of every slice from below, each at its level of Holm's procedure.

    By Holm's procedure (S. Holm, Scandinavian Journal of Statistics 6, 1979): the slice that is surest to reach the
    floor has to show it most strictly, the next a little less so. Every lower end reaches the floor exactly where the
    procedure shows it of all slices, which is wrong in 5 % of cases at most. As intervals they do not hold together.

    Args:
        tables: What `measure` gave, by slice column.
        floor: The accuracy that every slice must reach, between 0 and 1.
        minimum: Values with fewer distinct texts are judged together with the other rare ones of their column.

    Returns:
        The slices, the least certain last.

    Raises:
        BadInput: The floor or the minimum cannot be meant.
    """
    if faults := list(_limit_faults(floor, minimum)):
        raise BadInput(*faults)
    found = [slice_ for column, table in tables.items() for slice_ in _pooled(column, table, minimum)]
    ordered = sorted(found, key=lambda held: (_doubt(held[2], floor), held[:2]))
    left = len(ordered)
    return [
        Bound(column, value, confusion.texts, _accuracy(confusion, left - place))
        for place, (column, value, confusion) in enumerate(ordered)
    ]


def worst(found: list[Bound], floor: float) -> Bound:
    """Give the slice that speaks for all: one below the floor before one that is not sure to reach it."""
    return min(found, key=lambda slice_: (slice_.accuracy.value >= floor, slice_.accuracy.low, slice_.name))


def bounds_table(found: list[Bound]) -> pd.DataFrame:
    """Give a line per slice, the least certain first, as text for people."""
    lines = {
        slice_.name: {"texts": f"{slice_.texts:,}", "accuracy": str(slice_.accuracy)} for slice_ in reversed(found)
    }
    return pd.DataFrame.from_dict(lines, orient="index", columns=["texts", "accuracy"]).rename_axis("slice")


def bounds_as_dict(found: list[Bound]) -> dict[str, dict[str, object]]:
    """Give what JSON can hold, by name of the slice."""
    return {slice_.name: {"texts": slice_.texts, "accuracy": slice_.accuracy.as_dict()} for slice_ in found}


def _limit_faults(floor: float, minimum: int) -> list[str]:
    faults = []
    if not 0 < floor < 1:
        faults.append(f"slice_floor is {floor}; give one between 0 and 1: --set evaluate.slice_floor=0.85")
    if minimum < 1:
        faults.append(f"slice_minimum is {minimum}; give a whole number above 0: --set evaluate.slice_minimum=50")
    return faults


def _pooled(column: str, table: pd.DataFrame, minimum: int) -> list[tuple[str, str, Confusion]]:
    """Give column, value and counts of each slice; the rarest together, until they hold as many texts as they must."""
    name = column.removeprefix(PREFIX)
    ordered = table.sort_values("texts", kind="stable")["confusion"]
    before = np.cumsum([confusion.texts for confusion in ordered]) - ordered.map(lambda confusion: confusion.texts)
    rare = (ordered.map(lambda confusion: confusion.texts) < minimum) | ((before > 0) & (before < minimum))
    kept = [(name, str(value), confusion) for value, confusion in ordered[~rare].items()]
    pool = list(ordered[rare])
    return [*kept, (name, RARE, sum(pool[1:], pool[0]))] if pool else kept


def _doubt(confusion: Confusion, floor: float) -> float:
    """Give the chance of so many right answers, or more, at an accuracy of the floor."""
    from scipy.stats import binom

    return float(binom.sf(confusion.texts - confusion.errors - 1, confusion.texts, floor))


def _accuracy(confusion: Confusion, together: int) -> Estimate:
    """Give the share labelled rightly, its lower end the exact one at the level that is left for so many slices."""
    right = confusion.texts - confusion.errors
    confidence = 1 - 2 * (1 - CONFIDENCE) / together  # of two sides, so that each has its full share
    return Estimate(right / confusion.texts, *metrics.clopper_pearson(right, confusion.texts, confidence))


def side_by_side(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the slices of several sets of texts beside each other, as text; "" where a set lacks a value.

    Args:
        tables: What `measure` gave, by name of the set; the order of the first one leads.
    """
    shown = {
        (name, figure): table[figure].map(lambda held: f"{held:,}" if isinstance(held, int) else str(held))
        for name, table in tables.items()
        for figure in SHOWN
    }
    order = list(dict.fromkeys(value for table in tables.values() for value in table.index))
    axis = next(iter(tables.values())).index.name
    return pd.DataFrame(shown).reindex(order).fillna("").rename_axis(axis)


def as_dict(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Give what JSON can hold, by value of the slice."""
    return {
        str(value): {
            "texts": int(line["texts"]),
            "noncompliant_texts": int(line["noncompliant_texts"]),
            "accuracy": line["accuracy"].as_dict(),
            "noncompliant_recall": line["noncompliant_recall"].as_dict(),
        }
        for value, line in table.iterrows()
    }
