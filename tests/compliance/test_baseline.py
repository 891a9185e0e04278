"""The model that takes no network."""

import pandas as pd

from compliance import baseline, metrics

from .conftest import descriptions


def test_it_learns_the_rule_of_plain_descriptions() -> None:
    learned, asked = metrics.distinct_texts(descriptions(4_000, seed=1)), descriptions(500, seed=2)
    unseen = asked[~asked["normalized"].isin(learned["normalized"])]
    assert len(unseen) > 50
    flags = baseline.flags(learned, unseen)
    assert flags.dtype == bool
    assert (flags == (unseen["label"] == 1)).mean() > 0.95


def test_flags_are_those_of_the_standard_settings() -> None:
    learned, asked = metrics.distinct_texts(descriptions(1_000, seed=1)), descriptions(200, seed=2)
    fitted = baseline.fit(learned, baseline.STANDARD)
    assert (baseline.answers(fitted, asked) == baseline.flags(learned, asked)).all()


def test_tuning_takes_what_answers_the_kept_texts_rightly() -> None:
    """Only the order of two words tells the labels apart, so single words cannot."""
    pairs = [f"{first} {second} t{number}" for number in range(60) for first, second in (("a", "b"), ("b", "a"))]
    learned = pd.DataFrame({"normalized": pairs, "label": [0, 1] * 60})
    assert baseline.tuned(learned, seed=1).longest == 2
    assert baseline.tuned(learned, seed=1, most=80).longest == 2


def test_of_equally_good_settings_the_first_is_taken() -> None:
    learned = pd.DataFrame({"normalized": ["iron"] * 20 + ["steel"] * 20, "label": [1] * 20 + [0] * 20})
    learned["normalized"] += [f" x{number}" for number in range(40)]
    assert baseline.tuned(learned, seed=1) == baseline.GRID[0]
