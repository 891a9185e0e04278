"""Comparisons over repeated splits: what the interval is, and that both models meet the same texts."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import resampled


def test_the_interval_is_wider_than_that_of_independent_splits_by_what_overlaps() -> None:
    differences = np.random.default_rng(1).normal(0.01, 0.02, size=20)
    low, high = resampled.corrected_interval(differences, 0.15 / 0.85)
    plain = stats.t.interval(0.95, 19, differences.mean(), differences.std(ddof=1) / math.sqrt(20))
    assert (low + high) / 2 == pytest.approx(differences.mean())
    assert (high - low) / (plain[1] - plain[0]) == pytest.approx(math.sqrt(1 + 20 * 0.15 / 0.85))


def test_models_answer_the_same_splits_and_learn_none_of_what_is_asked() -> None:
    texts = pd.DataFrame({"normalized": [f"t{number}" for number in range(100)], "label": [0, 1] * 50})
    met: dict[str, list[tuple[str, ...]]] = {"first": [], "second": []}

    def model(name: str) -> resampled.Answers:
        def answers(learned: pd.DataFrame, asked: pd.DataFrame, number: int) -> np.ndarray:
            assert not set(learned["normalized"]) & set(asked["normalized"])
            assert len(learned) + len(asked) == 100 and number == len(met[name]) + 1
            met[name].append(tuple(asked["normalized"]))
            return np.asarray(asked["label"] == 1) if name == "first" else np.ones(len(asked), dtype=bool)

        return answers

    found = resampled.compare(texts, {name: model(name) for name in met}, 3)
    assert met["first"] == met["second"] and len(set(met["first"])) == 3
    assert (found["accuracy"]["first"] == 1).all()
    assert found["accuracy"]["second"].tolist() == pytest.approx([0.5] * 3, abs=0.05)
    table = resampled.table(found, "first", "second")
    assert "| accuracy | 1.0000 | 0." in table and "first is better" in table
    assert "| non-compliant recall | 1.0000 | 1.0000 | +0.0000 (+0.0000 to +0.0000) | neither is shown" in table


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.1, 0.2, "a is better"), (-0.2, -0.1, "b is better"), (-0.1, 0.1, "neither is shown to be better")],
)
def test_a_verdict_follows_from_the_interval_alone(low: float, high: float, says: str) -> None:
    assert resampled.verdict("a", "b", low, high) == says
