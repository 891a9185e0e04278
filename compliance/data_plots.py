"""Figures about the data, closed before they are given back, so that a notebook shows each once, where it says so."""

from typing import TYPE_CHECKING

import pandas as pd

from compliance.figures import COMPLIANT, NONCOMPLIANT, blank
from compliance.places import Counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPEATED = "#bab0ac"
MOST_BINS = 60


def repetition(counts: Counts, overview: pd.DataFrame) -> "Figure":
    """Draw how often texts repeat, and how many rows and distinct texts each split holds.

    Args:
        counts: As `compliance.places.resolve` gives them.
        overview: As `compliance.places.overview` gives it.
    """
    figure, (left, right) = blank(2)
    repeats = counts.repeats
    left.hist(list(repeats), bins=_whole_numbers(1, max(repeats)), weights=list(repeats.values()), color=COMPLIANT)
    left.locator_params(axis="x", integer=True)
    left.set_xlabel("rows with the same words")
    left.set_ylabel("distinct texts")
    left.set_title(f"{counts.rows.total():,} rows hold {counts.texts.total():,} distinct texts")
    _bars(right, overview, {"rows": REPEATED, "texts": COMPLIANT}, {"rows": "rows", "texts": "distinct texts"})
    right.set_ylabel("count")
    right.set_title("rows and distinct texts by split")
    return figure


def balance(overview: pd.DataFrame) -> "Figure":
    """Draw the share of non-compliant rows and texts in each split.

    Args:
        overview: As `compliance.places.overview` gives it.
    """
    figure, (axes,) = blank()
    shares = pd.DataFrame(
        {
            "rows": overview["noncompliant_rows"] / overview["rows"],
            "texts": overview["noncompliant_texts"] / overview["texts"],
        }
    )
    labels = {"rows": "of rows", "texts": "of distinct texts"}
    _bars(axes, shares, {"rows": REPEATED, "texts": NONCOMPLIANT}, labels, "{:.1%}")
    axes.set_ylim(0, 1)
    axes.set_ylabel("share labelled non-compliant")
    axes.set_title("class balance by split")
    return figure


def lengths(counts: Counts) -> "Figure":
    """Draw the number of words of the distinct texts, by label.

    Args:
        counts: As `compliance.places.resolve` gives them.
    """
    figure, (axes,) = blank()
    held = [counts.words[label] for label in (0, 1)]
    longest, shortest = (pick(pick(words) for words in held if words) for pick in (max, min))
    axes.hist(
        [list(words) for words in held],
        bins=_whole_numbers(shortest, longest),
        weights=[list(words.values()) for words in held],
        label=["compliant", "non-compliant"],
        color=[COMPLIANT, NONCOMPLIANT],
        stacked=True,
    )
    axes.set_xlabel("words in a text")
    axes.set_ylabel("distinct texts")
    axes.set_title("length of the texts")
    axes.legend(framealpha=1, edgecolor="none")
    return figure


def _whole_numbers(first: int, last: int) -> list[float]:
    """Give edges of bins around whole numbers, several numbers to a bin where there are too many."""
    width = max(1, -(-(last - first + 1) // MOST_BINS))
    return [edge - 0.5 for edge in range(first, last + width + 1, width)]


def _bars(axes, table: pd.DataFrame, colours: dict, labels: dict, number: str = "{:,.0f}") -> None:  # type: ignore[no-untyped-def]
    width = 0.8 / len(colours)
    for place, (column, colour) in enumerate(colours.items()):
        positions = [group + (place - (len(colours) - 1) / 2) * width for group in range(len(table))]
        bars = axes.bar(positions, table[column], width=width, color=colour, label=labels[column])
        axes.bar_label(bars, fmt=number, fontsize=8)
    axes.set_xticks(range(len(table)), table.index)
    axes.legend(framealpha=1, edgecolor="none")
