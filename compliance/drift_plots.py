"""Figures about a window of answers beside the reference, closed before they are given back."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compliance.figures import COMPLIANT, NONCOMPLIANT, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE, WINDOW = "#4c78a8", "#f58518"
WIDTH = 7.2  # inches
BINS = np.linspace(0, 1, 21)
NO_DAYS = "the times of the answers are not known"


def volumes(days: pd.DataFrame) -> "Figure":
    """Draw how many answers each day saw, and how many of them were flagged.

    Args:
        days: As `compliance.window.Window` holds them; says so where it is empty.
    """
    figure, (axes,) = blank(width=WIDTH, height=0.8 if days.empty else 3.0)
    if days.empty:
        axes.text(0.5, 0.5, NO_DAYS, ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return figure
    places = np.arange(len(days))
    axes.bar(places, days["flagged"], color=NONCOMPLIANT, label="flagged non-compliant")
    axes.bar(places, days["rows"] - days["flagged"], bottom=days["flagged"], color=COMPLIANT, label="passed")
    step = max(1, -(-len(days) // 12))
    axes.set_xticks(places[::step], days.index[::step], rotation=30, ha="right", fontsize="small")
    axes.set_ylabel("answers")
    axes.set_title("answers by day")
    figure.legend(loc="outside lower center", ncols=2, edgecolor="none", fontsize="small")
    return figure


def scores(reference: pd.DataFrame, window: pd.DataFrame) -> "Figure":
    """Draw the distribution of the probabilities of both.

    Args:
        reference: Distinct texts with `probability`.
        window: Distinct texts with `probability`.
    """
    figure, (axes,) = blank(width=WIDTH, height=3.4)
    for texts, name, colour in ((reference, "reference", REFERENCE), (window, "window", WINDOW)):
        shares = np.histogram(texts["probability"], BINS)[0] / len(texts)
        axes.stairs(shares, BINS, color=colour, linewidth=2, label=f"{name} ({len(texts):,} texts)")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("probability of non-compliance")
    axes.set_ylabel("share of distinct texts")
    axes.set_title("what the model answers")
    axes.legend(framealpha=1, edgecolor="none", loc="upper center")
    return figure


def words(table: pd.DataFrame) -> "Figure":
    """Draw in which share of the texts each word stands; a star marks words that the model does not know.

    Args:
        table: As `compliance.drift.words` gives it.
    """
    figure, (axes,) = blank(width=WIDTH, height=1.2 + 0.25 * len(table))
    places = np.arange(len(table))[::-1]
    axes.hlines(places, table["reference"], table["window"], color="#bab0ac", zorder=1)
    axes.scatter(table["reference"], places, color=REFERENCE, label="reference", zorder=2)
    axes.scatter(table["window"], places, color=WINDOW, label="window", zorder=2)
    axes.set_yticks(
        places, [word if known else f"{word} *" for word, known in table["known"].items()], fontsize="small"
    )
    axes.set_xlim(left=-0.01)
    axes.set_xlabel("share of the distinct texts that hold the word")
    axes.set_title("the words that differ most (* unknown to the model)")
    axes.legend(framealpha=1, edgecolor="none", loc="lower right")
    return figure
