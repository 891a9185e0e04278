"""How a model does on parts of a set of texts: one slice for each value of an extra column of the source."""

from collections.abc import Mapping

import pandas as pd

from compliance import metrics
from compliance.metrics import Estimate
from compliance.reading import SLICE as PREFIX

MEASURED = ("texts", "noncompliant_texts", "accuracy", "noncompliant_recall")
SHOWN = ("texts", "accuracy", "noncompliant_recall")
NO_VALUE = "(empty)"


def columns(rows: pd.DataFrame) -> list[str]:
    """Give the slice columns of prepared rows, which begin with `slice_`."""
    return [name for name in rows.columns if name.startswith(PREFIX)]


def measure(rows: pd.DataFrame, probabilities: Mapping[str, float], column: str, threshold: float) -> pd.DataFrame:
    """Measure each value of a slice column on its distinct texts.

    A text that stands in several slices counts in each of them.

    Args:
        rows: `normalized`, `label` (1 is non-compliant) and the slice column.
        probabilities: Of non-compliance, by normalized text.
        column: The slice column.
        threshold: Probability from which a text is flagged.

    Returns:
        By value: `texts`, `noncompliant_texts`, `accuracy` and `noncompliant_recall` (`Estimate`), most texts first.
    """
    texts = rows.drop_duplicates([column, "normalized"])
    flags = texts["normalized"].map(probabilities) >= threshold
    lines: dict[str, dict[str, int | Estimate]] = {}
    for value, held in texts.groupby(column):
        confusion = metrics.Confusion.count(held["label"].to_numpy(), flags[held.index].to_numpy())
        lines[str(value) or NO_VALUE] = {
            "texts": confusion.texts,
            "noncompliant_texts": confusion.noncompliant,
            "accuracy": metrics.proportion(confusion.caught + confusion.passed, confusion.texts),
            "noncompliant_recall": metrics.proportion(confusion.caught, confusion.noncompliant),
        }
    table = pd.DataFrame.from_dict(lines, orient="index", columns=list(MEASURED))
    return table.rename_axis(column.removeprefix(PREFIX)).sort_values("texts", ascending=False, kind="stable")


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
