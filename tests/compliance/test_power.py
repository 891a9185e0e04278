"""What a test of some size can show."""

import numpy as np
import pytest

from compliance import metrics, power


@pytest.mark.parametrize(("texts", "limit"), [(0, 0.05), (10, 0.05), (72, 0.05), (300, 0.05), (2_000, 0.01), (5, 1.0)])
def test_as_many_may_be_missed_as_the_exact_interval_allows(texts: int, limit: float) -> None:
    allowed = power.most_missed(texts, limit)
    within = [missed for missed in range(texts + 1) if metrics.clopper_pearson(missed, texts)[1] <= limit]
    assert allowed == (max(within) if within and texts else -1)


def test_a_small_test_stops_sound_models() -> None:
    assert power.of_missed_rate(40, 0.05, 0.0) == 0  # not even a model without a fault can pass
    few, many = (power.of_missed_rate(texts, 0.05, 0.02) for texts in (100, 1_000))
    assert 0 < few < 0.5
    assert many > 0.95


def test_the_chance_is_what_drawing_gives() -> None:
    missed = np.random.default_rng(1).binomial(300, 0.02, size=4_000)
    passed = np.mean([metrics.clopper_pearson(held, 300)[1] <= 0.05 for held in missed])
    assert power.of_missed_rate(300, 0.05, 0.02) == pytest.approx(passed, abs=0.02)


def test_models_as_good_as_the_champion_pass_as_often_as_promised() -> None:
    random, texts = np.random.default_rng(1), 3_000
    passed = []
    for trial in range(200):
        draw = random.random(texts)
        first, second = draw < 0.95, (draw < 0.925) | (draw >= 0.975)  # each alone right on 2.5 % of the texts
        difference = metrics.accuracy_difference(np.ones(texts, int), first, second, seed=trial)
        passed.append(difference.accuracy.low >= -0.01)
    assert power.of_difference(texts, 0.05, 0.01) == pytest.approx(np.mean(passed), abs=0.08)


def test_so_many_texts_give_the_chance_that_is_wanted() -> None:
    texts = power.texts_for_difference(0.05, 0.01)
    assert texts == 3_943
    assert power.of_difference(texts, 0.05, 0.01) == pytest.approx(power.WANTED, abs=0.001)
    assert power.of_difference(0, 0.05, 0.01) == 0


@pytest.mark.parametrize("texts", [20, 150, 400])
def test_models_that_never_differ_need_texts_to_show_it(texts: int) -> None:
    equal = metrics.accuracy_difference(np.ones(texts, int), np.ones(texts, bool), np.ones(texts, bool), seed=1)
    assert (power.of_difference(texts, 0.0, 0.01) > 0.5) == (equal.accuracy.low >= -0.01)
