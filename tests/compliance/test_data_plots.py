from collections import Counter

import matplotlib
import pandas as pd
import pytest

from compliance import data_plots
from compliance.places import Counts

matplotlib.use("agg")


@pytest.fixture
def counts() -> Counts:
    """Count the rows "iron" × 3 and "iron part" × 2, non-compliant, and "a steel part", compliant."""
    return Counts(
        texts=Counter({0: 1, 1: 2}),
        rows=Counter({0: 1, 1: 5}),
        repeats=Counter({1: 1, 2: 1, 3: 1}),
        words={0: Counter({3: 1}), 1: Counter({1: 1, 2: 1})},
    )


@pytest.fixture
def overview() -> pd.DataFrame:
    return pd.DataFrame(
        {"rows": [4, 1, 1], "texts": [2, 1, 1], "noncompliant_rows": [3, 1, 0], "noncompliant_texts": [1, 1, 0]},
        index=["train", "validation", "test"],
    )


def heights(axes) -> list[float]:
    return [bar.get_height() for bar in axes.patches]


def test_repetition_shows_how_often_texts_repeat_and_what_the_splits_hold(counts, overview):
    left, right = data_plots.repetition(counts, overview).axes
    assert heights(left) == [1, 1, 1]
    assert left.get_title() == "6 rows hold 3 distinct texts"
    assert heights(right) == [4, 1, 1, 2, 1, 1]


def test_balance_shows_shares(overview):
    (axes,) = data_plots.balance(overview).axes
    assert heights(axes) == [0.75, 1, 0, 0.5, 1, 0]


def test_lengths_count_words_of_distinct_texts(counts):
    (axes,) = data_plots.lengths(counts).axes
    assert heights(axes) == [0, 0, 1, 1, 1, 0]


def test_one_very_long_text_needs_no_more_bars_than_fit(counts):
    counts.words[1][5_000] = 1
    (axes,) = data_plots.lengths(counts).axes
    assert len(heights(axes)) <= 2 * data_plots.MOST_BINS + 2


def test_figures_are_closed_and_every_axis_has_a_label(counts, overview):
    import matplotlib.pyplot as plt

    figures = [data_plots.repetition(counts, overview), data_plots.balance(overview), data_plots.lengths(counts)]
    assert plt.get_fignums() == []
    assert all(axes.get_ylabel() and axes.get_title() for figure in figures for axes in figure.axes)
