"""Estimates against hand-made counts and independent implementations, and honest about what does not exist."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score, roc_auc_score

from compliance import metrics

LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
SCORES = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.4, 0.3, 0.2, 0.1, 0.0])


def nothing(estimate: metrics.Estimate) -> bool:
    return all(math.isnan(end) for end in (estimate.value, estimate.low, estimate.high))


def test_counts_and_estimates_by_hand() -> None:
    found = metrics.evaluate(LABELS, SCORES, threshold=0.5, seed=1)
    assert found.confusion == metrics.Confusion(caught=3, missed=1, false_alarms=1, passed=5)
    assert (found.confusion.texts, found.confusion.noncompliant, found.confusion.flagged) == (10, 4, 4)
    assert found.confusion.errors == 2
    values = {name: estimate.value for name, estimate in found.estimates.items()}
    shares = {"accuracy": 0.8, "precision": 0.75, "noncompliant_recall": 0.75, "missed_rate": 0.25}
    assert values == shares | {"f1": 0.75, "auc": 20.5 / 24}
    assert all(estimate.low < estimate.value < estimate.high for estimate in found.estimates.values())


def test_a_probability_at_the_threshold_is_flagged() -> None:
    assert metrics.evaluate(np.array([1, 0]), np.array([0.5, 0.4999]), 0.5, seed=1).confusion.errors == 0


@given(st.integers(1, 3_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_wilson_agrees_with_scipy(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert metrics.wilson(*counts) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_auc_and_f1_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(3)
    for _ in range(20):
        labels = random.integers(0, 2, 80)
        scores = np.round(random.random(80) * 0.6 + labels * 0.3, 1)  # with many ties
        found = metrics.evaluate(labels, scores, 0.5, seed=1)
        assert found["auc"].value == pytest.approx(roc_auc_score(labels, scores))
        assert found["f1"].value == pytest.approx(f1_score(labels, scores >= 0.5))


def test_the_bootstrap_agrees_with_one_that_resamples_texts() -> None:
    random = np.random.default_rng(5)
    labels = (random.random(300) < 0.4).astype(int)
    scores = np.clip(random.normal(0.35 + 0.3 * labels, 0.2), 0, 1)
    found = metrics.evaluate(labels, scores, 0.5, seed=1)
    drawn = [random.integers(0, 300, 300) for _ in range(2_000)]
    aucs = [roc_auc_score(labels[places], scores[places]) for places in drawn]
    f1s = [f1_score(labels[places], scores[places] >= 0.5) for places in drawn]
    for name, resampled in (("auc", aucs), ("f1", f1s)):
        assert (found[name].low, found[name].high) == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(11)
    held = []
    for caught in random.binomial(200, 0.93, size=1_000):
        low, high = metrics.wilson(int(caught), 200)
        held.append(low <= 0.93 <= high)
    assert 0.93 <= np.mean(held) <= 0.98


def test_the_seed_decides_the_resampling() -> None:
    random = np.random.default_rng(4)
    labels, scores = random.integers(0, 2, 200), random.random(200)
    first, again, other = (metrics.evaluate(labels, scores, 0.5, seed) for seed in (1, 1, 2))
    assert first == again
    assert first["auc"].value == other["auc"].value
    assert first["auc"].low != other["auc"].low


def test_resampling_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = metrics.evaluate(LABELS, SCORES, 0.5, seed=1)["auc"]
    monkeypatch.setattr(metrics, "RESAMPLED_AT_ONCE", 70)
    assert metrics.evaluate(LABELS, SCORES, 0.5, seed=1)["auc"] == whole


def test_without_a_noncompliant_text_there_is_no_recall() -> None:
    found = metrics.evaluate(np.zeros(20, int), np.full(20, 0.1), 0.5, seed=1)
    assert found["accuracy"].value == 1.0
    assert all(nothing(found[name]) for name in ("precision", "noncompliant_recall", "f1", "auc"))
    assert math.isnan(found.scraps()["noncompliant_recall_low"])


def test_where_nothing_is_flagged_there_is_no_precision() -> None:
    found = metrics.evaluate(LABELS, np.full(10, 0.1), 0.5, seed=1)
    assert nothing(found["precision"])
    assert found["noncompliant_recall"].value == 0.0
    assert found["f1"].value == 0.0
    assert found["auc"].value == 0.5


def test_a_model_without_a_number_for_one_text_has_no_figures() -> None:
    found = metrics.evaluate(LABELS, np.where(np.arange(10) == 4, np.nan, SCORES), 0.5, seed=1)
    assert all(nothing(estimate) for estimate in found.estimates.values())
    assert found.as_dict()["estimates"]["accuracy"] == {"value": None, "low": None, "high": None}


def test_without_a_text_there_is_nothing_to_say() -> None:
    found = metrics.evaluate([], np.array([]), 0.5, seed=1)
    assert all(nothing(estimate) for estimate in found.estimates.values())
    assert math.isnan(metrics.majority_accuracy(np.array([1]), np.array([])))
    assert nothing(metrics.accuracy_difference(np.array([]), np.array([]), np.array([]), seed=1).accuracy)


def test_scraps_have_the_names_the_pipeline_documents() -> None:
    names = {f"{name}{end}" for name in metrics.NAMES for end in ("", "_low", "_high")}
    scraps = metrics.evaluate(LABELS, SCORES, 0.5, seed=1).scraps()
    assert set(scraps) == names
    assert {type(value) for value in scraps.values()} == {float}


@given(st.integers(1, 3_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_exact_interval_agrees_with_scipy(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(0.95, method="exact")
    assert metrics.clopper_pearson(*counts) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_two_models_are_compared_text_by_text() -> None:
    labels = np.array([1] * 50 + [0] * 50)
    first, second = labels == 1, labels == 1
    second = second.copy()
    second[:8] = False
    first = first.copy()
    first[99] = True
    found = metrics.accuracy_difference(labels, first, second, seed=1)
    assert (found.only_first_right, found.only_second_right, found.discordant) == (8, 1, 9)
    assert found.accuracy.value == pytest.approx(0.07)
    assert 0.0 < found.accuracy.low < 0.07 < found.accuracy.high < 0.15


def test_equal_models_do_not_differ() -> None:
    labels = np.tile(LABELS, 200)
    few, many = (metrics.accuracy_difference(held, held == 1, held == 1, seed=1) for held in (LABELS, labels))
    assert few.accuracy.value == many.accuracy.value == few.discordant == 0
    # that they never differed on ten texts proves little, on two thousand much
    assert few.accuracy.low <= -0.1 < -0.002 <= many.accuracy.low <= 0


def test_non_inferiority_is_wrong_no_more_often_than_promised() -> None:
    """A model one point worse passes a margin of one point in about 2.5 % of trials."""
    random = np.random.default_rng(2)
    labels, passed = np.ones(500, int), []
    for trial in range(200):
        draw = random.random(500)
        first, second = draw < 0.94, (draw < 0.92) | (draw >= 0.97)  # right on .94 and .95 of texts
        passed.append(metrics.accuracy_difference(labels, first, second, seed=trial).accuracy.low >= -0.01)
    assert np.mean(passed) <= 0.07


def test_the_commonest_training_label_is_the_baseline() -> None:
    assert metrics.majority_accuracy(np.array([1, 1, 0]), np.array([1, 0, 0, 0])) == 0.25
    assert metrics.majority_accuracy(np.array([1, 0, 0]), np.array([1, 0, 0, 0])) == 0.75


def texts(*normalized: str) -> pd.DataFrame:
    return pd.DataFrame({"text": [text.upper() for text in normalized], "normalized": normalized, "label": 1})


def test_leakage_counts_distinct_texts_seen_elsewhere() -> None:
    test = texts("a", "a", "b", "c", "d")
    assert metrics.split_leakage(test, texts("a", "x"), texts("c", "c")) == 2
    assert metrics.split_leakage(test, texts("x"), texts("y")) == 0


def test_a_repeated_text_is_one_piece_of_evidence() -> None:
    rows = pd.DataFrame({"text": ["A b", "a, b", "c"], "normalized": ["a b", "a b", "c"], "label": [1, 1, 0]})
    assert metrics.distinct_texts(rows)["text"].tolist() == ["A b", "c"]


def test_errors_put_what_was_passed_first_and_the_surest_answer_before_others() -> None:
    rows = pd.DataFrame({"text": list("abcdef"), "label": [1, 1, 0, 0, 1, 0]})
    listed = metrics.errors(rows, np.array([0.4, 0.1, 0.6, 0.9, 0.8, np.nan]), 0.5)
    assert listed["text"].tolist() == ["b", "a", "d", "c", "f"]
    assert listed["answer"].tolist() == [0, 0, 1, 1, metrics.NO_ANSWER]


def test_without_errors_the_table_is_empty() -> None:
    rows = pd.DataFrame({"text": ["a"], "label": [1]})
    listed = metrics.errors(rows, np.array([0.9]), 0.5)
    assert listed.columns.tolist() == ["text", "label", "answer", "probability"]
    assert len(listed) == 0


def test_parity_counts_flips_and_the_largest_difference() -> None:
    found = metrics.parity(np.array([0.1, 0.5, 0.9]), np.array([0.1, 0.4999, 0.7]), 0.5)
    assert (found.texts, found.label_flips) == (3, 1)
    assert found.maximum_difference == pytest.approx(0.2)


def test_parity_with_what_is_no_number_is_no_number() -> None:
    found = metrics.parity(np.array([0.1, np.nan]), np.array([0.1, 0.2]), 0.5)
    assert math.isnan(found.maximum_difference)
    assert found.as_dict() == {"texts": 2, "label_flips": 1, "maximum_difference": None}


def test_an_estimate_reads_as_reports_show_it() -> None:
    assert str(metrics.Estimate(0.5, 0.25, 0.75)) == "0.5000 (0.2500 to 0.7500)"
    assert str(metrics.NOTHING) == "not defined"


def test_no_answer_is_a_wrong_answer_wherever_answers_are_counted() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([np.nan, 0.1, np.nan, np.inf])
    flags = metrics.flags(scores, 0.5)
    assert flags.tolist() == [metrics.NO_ANSWER, 0, metrics.NO_ANSWER, metrics.NO_ANSWER]
    assert metrics.Confusion.count(labels, flags) == metrics.Confusion(caught=0, missed=2, false_alarms=1, passed=1)
    assert metrics.evaluate(labels, scores, 0.5, seed=1).confusion.errors == 3


def test_a_model_without_answers_loses_against_one_with_them() -> None:
    labels = np.zeros(40, int)
    silent, answering = metrics.flags(np.full(40, np.nan), 0.5), metrics.flags(np.full(40, 0.1), 0.5)
    for pair, value in (((silent, answering), -1), ((answering, silent), 1), ((silent, silent), 0)):
        assert metrics.accuracy_difference(labels, *pair, seed=1).accuracy.value == value
    against_plain = metrics.accuracy_difference(labels, silent, np.zeros(40, bool), seed=1)
    assert against_plain.accuracy.value == -1  # a model without a network flags with True and False


def test_an_answer_that_only_one_way_gives_is_a_flip() -> None:
    found = metrics.parity(np.array([0.1, 0.9, np.nan]), np.array([np.nan, 0.9, np.nan]), 0.5)
    assert found.label_flips == 1
