"""The model that takes no network."""

from compliance import baseline, metrics

from .conftest import descriptions


def test_it_learns_the_rule_of_plain_descriptions() -> None:
    learned, asked = metrics.distinct_texts(descriptions(4_000, seed=1)), descriptions(500, seed=2)
    unseen = asked[~asked["normalized"].isin(learned["normalized"])]
    assert len(unseen) > 50
    flags = baseline.flags(learned, unseen)
    assert flags.dtype == bool
    assert (flags == (unseen["label"] == 1)).mean() > 0.95
