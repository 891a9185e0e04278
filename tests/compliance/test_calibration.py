"""Probabilities that come true as often as they say, and the threshold that costs least."""

import numpy as np
import pytest

from compliance import calibration, export, metrics, model
from compliance.calibration import UNCORRECTED, Calibration
from compliance.errors import BadInput
from compliance.scorer import Scorer

from .conftest import Tiny, descriptions


def logistic(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def drawn(texts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Give true log-odds and labels that follow from them."""
    random = np.random.default_rng(seed)
    odds = random.normal(0, 2, texts)
    return odds, (random.random(texts) < logistic(odds)).astype(int)


def test_a_network_too_sure_of_itself_is_corrected() -> None:
    odds, labels = drawn(20_000, seed=1)
    found = calibration.fit(3 * odds, labels)
    assert found.slope == pytest.approx(1 / 3, rel=0.05)
    assert (found.intercept, found.texts) == (0, 20_000)


def test_a_weight_in_training_is_taken_back() -> None:
    odds, labels = drawn(20_000, seed=1)
    found = calibration.fit(odds + np.log(8), labels, weight=8)
    assert found.slope == pytest.approx(1, rel=0.05)
    assert found.slope * (odds + np.log(8)) + found.intercept == pytest.approx(found.slope * odds)


@pytest.mark.parametrize("sure", [1.0, 5.0, 12.0])
def test_texts_told_apart_without_an_error_do_not_make_it_infinitely_sure(sure: float) -> None:
    odds = np.r_[np.full(50, sure), np.full(50, -sure)]
    assert 1 <= calibration.fit(odds, odds > 0).slope <= 6


def test_the_rarer_label_is_not_made_timid_by_the_commoner() -> None:
    random = np.random.default_rng(1)
    odds = np.r_[random.normal(30, 8, 900), random.normal(-7, 1, 60)]
    found = calibration.fit(odds, odds > 0)
    assert logistic(found.slope * odds[-60:]).max() < 0.1


@pytest.mark.parametrize(
    ("odds", "labels"),
    [
        pytest.param(-drawn(500, 2)[0], drawn(500, 2)[1], id="worse than chance"),
        pytest.param(np.array([1.0, 2.0]), np.array([1, 1]), id="one label"),
        pytest.param(np.array([1.0, np.nan]), np.array([1, 0]), id="no number"),
        pytest.param(np.array([]), np.array([]), id="no text"),
    ],
)
def test_what_cannot_be_corrected_is_left_alone(odds: np.ndarray, labels: np.ndarray) -> None:
    assert calibration.fit(odds, labels) == UNCORRECTED


def test_the_correction_is_in_the_exported_file(tiny: Tiny) -> None:
    texts = list(descriptions(200, seed=5)["text"])
    numbers = tiny.vocabulary.encode(texts, tiny.plan.tokens)
    odds = calibration.log_odds(tiny.trained.network, numbers)
    assert logistic(odds) == pytest.approx(tiny.keras_probabilities(texts), abs=1e-6)

    network = calibration.corrected(tiny.trained.network, Calibration(0.5, 0.25, 200))
    scorer = Scorer.from_onnx(export.to_onnx(network, tiny.vocabulary, tiny.plan.tokens))
    assert scorer.score(texts) == pytest.approx(logistic(0.5 * odds + 0.25), abs=1e-5)
    # the network that was given answers as before
    assert calibration.log_odds(tiny.trained.network, numbers) == pytest.approx(odds)


@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
def test_every_architecture_can_be_corrected(architecture: str, tiny: Tiny) -> None:
    network = model.build(model.TrainingPlan(architecture=architecture, tokens=5), tiny.vocabulary)
    numbers = tiny.vocabulary.encode(["steel", ""], 5)
    odds = calibration.log_odds(network, numbers)
    shifted = calibration.corrected(network, Calibration(1.0, 2.0, 2))
    assert calibration.log_odds(shifted, numbers) == pytest.approx(odds + 2, abs=1e-5)


def test_without_an_error_the_threshold_is_what_the_costs_call_for() -> None:
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([0.01, 0.02, 0.97, 0.99])
    assert calibration.operating_point(labels, probabilities, missed_cost=9) == pytest.approx(0.1)
    assert calibration.operating_point(labels, probabilities, missed_cost=1) == pytest.approx(0.5)


def test_a_dearer_miss_lowers_the_threshold() -> None:
    odds, labels = drawn(5_000, seed=3)
    thresholds = [calibration.operating_point(labels, logistic(odds), price) for price in (0.5, 1, 5, 50)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > 0.5 > thresholds[-1]


def test_no_threshold_costs_less() -> None:
    odds, labels = drawn(300, seed=4)
    probabilities = logistic(odds)
    thresholds = np.append(np.linspace(0.001, 0.999, 999), calibration.operating_point(labels, probabilities, 7))
    costs = calibration.cost(labels, probabilities, thresholds, 7)
    expected = calibration.expected_cost(probabilities, thresholds, 7)
    assert (costs + expected)[-1] == pytest.approx((costs + expected).min())

    flags = probabilities >= thresholds[-1]
    confusion = metrics.Confusion.count(labels, flags)
    assert costs[-1] == 7 * confusion.missed + confusion.false_alarms
    assert expected[-1] == pytest.approx(7 * probabilities[~flags].sum() + (1 - probabilities[flags]).sum())


def test_one_text_that_is_labelled_wrongly_does_not_decide_alone() -> None:
    random = np.random.default_rng(6)
    probabilities = np.r_[random.uniform(0.0, 0.05, 500), random.uniform(0.95, 1.0, 500), 0.001]
    labels = np.r_[np.zeros(500), np.ones(500), 1]
    assert calibration.operating_point(labels, probabilities, missed_cost=20) > 0.04


@pytest.mark.parametrize("probabilities", [np.array([0.2, np.nan]), np.array([])])
def test_without_numbers_the_threshold_is_what_the_costs_call_for(probabilities: np.ndarray) -> None:
    assert calibration.operating_point(np.zeros(len(probabilities)), probabilities, 3) == 0.25


def test_probabilities_of_nought_and_one_leave_a_threshold_between() -> None:
    found = calibration.operating_point(np.array([1, 0, 1, 0]), np.array([0.0, 0.0, 1.0, 1.0]), 10)
    assert 0 < found < 1


@pytest.mark.parametrize("price", [0, -1, float("nan"), float("inf")])
def test_a_cost_that_weighs_nothing_is_refused(price: float) -> None:
    with pytest.raises(BadInput, match=r"missed_cost is .*; give a number above 0"):
        calibration.operating_point(np.array([1]), np.array([0.5]), price)
