"""Whether probabilities come true as often as they say: bins, the error with its interval, the square of what lacks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance import metrics, reliability


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1, width=32)), min_size=1, max_size=200))
def test_calibration_holds_every_text_once(judged: list[tuple[int, float]]) -> None:
    labels, scores = (np.array(column) for column in zip(*judged, strict=True))
    table = reliability.table(labels, scores)
    assert table["texts"].sum() == len(judged)
    assert (table["observed"] * table["texts"]).sum() == pytest.approx(labels.sum())
    assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()


def drawn(texts: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Give labels that come true as often as probabilities say, then move the probabilities away from that."""
    random = np.random.default_rng(1)
    true = random.uniform(0.1, 0.7, texts)
    return (random.random(texts) < true).astype(int), true + shift


def test_the_error_is_how_far_promise_and_outcome_lie_apart() -> None:
    labels, scores = np.array([1, 0, 1, 1]), np.array([0.75, 0.75, 0.25, 0.25])
    # half of the first two and all of the others came true
    assert reliability.error(labels, scores, seed=1).value == pytest.approx((0.25 + 0.75) / 2)


def test_the_error_agrees_with_the_table() -> None:
    labels, scores = drawn(500)
    table = reliability.table(labels, scores)
    apart = (table["promised"] - table["observed"]).abs() * table["texts"]
    assert reliability.error(labels, scores, seed=1).value == pytest.approx(apart.sum() / 500)


def test_a_model_that_promises_too_much_is_found_out() -> None:
    sound, shifted = (reliability.error(*drawn(4_000, shift), seed=1) for shift in (0.0, 0.2))
    assert sound.low <= sound.value <= sound.high < 0.06
    assert 0.17 < shifted.low <= shifted.value <= shifted.high < 0.25


def test_the_same_seed_gives_the_same_interval() -> None:
    assert reliability.error(*drawn(300), seed=4) == reliability.error(*drawn(300), seed=4)
    assert reliability.error(*drawn(300), seed=4) != reliability.error(*drawn(300), seed=5)


def test_without_a_number_for_each_text_there_is_no_error() -> None:
    for scores in (np.array([0.5, np.nan]), np.array([])):
        labels = np.zeros(len(scores), int)
        assert str(reliability.error(labels, scores, seed=1)) == str(metrics.NOTHING)
        assert math.isnan(reliability.brier(labels, scores))


def test_the_square_of_what_lacks() -> None:
    assert reliability.brier(np.array([1, 0]), np.array([0.8, 0.4])) == pytest.approx((0.04 + 0.16) / 2)
