"""Each question keeps its bound where the cautious end of the interval does, and only there."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compliance import challenge, metrics
from compliance.behaviour import Behaviour, Outcome
from compliance.demands import Demand, Limits, judge, operating_point
from compliance.metrics import Difference, Estimate
from compliance.slices import Bound

LABELS = np.array([1] * 200 + [0] * 300)
SCORES = np.where(LABELS == 1, 0.9, 0.1)
SCORES[:2] = 0.2
SCORES[-3:] = 0.8
LIMITS = Limits(
    missed=0.05,
    baseline_margin=0.02,
    calibration=0.05,
    slice_floor=0.85,
    challenge_floor=0.95,
    behaviour=0.05,
    size=20.0,
)


def questions(limits: Limits = LIMITS, **changes: Any) -> dict[str, Demand]:
    given: dict[str, Any] = {
        "evaluation": metrics.evaluate(LABELS, SCORES, 0.5, seed=1),
        "majority_accuracy": 0.6,
        "against_baseline": Difference(Estimate(0.0, -0.01, 0.01), 5, 5),
        "calibration_error": Estimate(0.01, 0.005, 0.02),
        "slice_bounds": [],
        "challenge": None,
        "behaviour": Behaviour({"spelling": Outcome("invariance", 90, Estimate(0.0, 0.0, 0.04))}, pd.DataFrame()),
        "size": 0.2,
    }
    return {line.what.partition(" (")[0]: line for line in judge(limits, **(given | changes))}


def test_all_that_gates_ask_of_the_model_itself_is_there() -> None:
    rows = pd.DataFrame({"set": "years", "text": ["a", "b"], "normalized": ["a", "b"], "label": [1, 0]})
    judged = challenge.judge(rows, np.array([0.9, 0.9]), {}, threshold=0.5)
    found = questions(challenge=judged, slice_bounds=[Bound("plant", "north", 60, Estimate(0.98, 0.9, 1.0))])
    assert {what: line.is_shown for what, line in found.items()} == {
        "share of non-compliant texts that are passed": True,
        "accuracy, against always giving the commonest label": True,
        "accuracy minus that of TF-IDF + logistic regression": True,
        "accuracy on the least certain slice": True,
        "distance of promise and outcome, on average": True,
        "accuracy on the worst challenge set": False,
        "share of failed cases in the worst behavioural test": True,
        "size of the exported file, MB": True,
    }


def test_the_cautious_end_decides_not_the_estimate() -> None:
    missed = questions()["share of non-compliant texts that are passed"]
    assert missed.measured == metrics.exact_proportion(2, 200)
    assert missed.is_shown
    tight = Limits(**(vars(LIMITS) | {"missed": 0.02}))
    assert not questions(tight)["share of non-compliant texts that are passed"].is_shown


@pytest.mark.parametrize("at_most", [True, False])
def test_what_does_not_exist_is_not_shown(at_most: bool) -> None:
    assert not Demand("a", metrics.NOTHING, 0.5, at_most=at_most).is_shown


def test_the_chance_of_a_sound_model_is_told() -> None:
    missed = questions()["share of non-compliant texts that are passed"]
    assert missed.sound == "passes 1.00% of the non-compliant texts"
    assert missed.chance == pytest.approx(0.8580, abs=1e-3)  # at most 3 of 200 passed, where 2 are expected
    assert not missed.is_small
    tight = Limits(**(vars(LIMITS) | {"missed": 0.02}))
    assert questions(tight)["share of non-compliant texts that are passed"].is_small


def test_json_holds_it_even_without_a_number() -> None:
    nothing = Demand("a", metrics.NOTHING, math.nan, at_most=True).as_dict()
    assert nothing == {
        "what": "a",
        "measured": {"value": None, "low": None, "high": None},
        "at_most": None,
        "shown": False,
        "texts": 0,
        "chance": None,
    }


def test_an_operating_point_tells_its_cost_beside_doing_nothing() -> None:
    point = operating_point(metrics.evaluate(LABELS, SCORES, 0.5, seed=1), 0.5, 10.0, 0.4)
    assert point == {
        "threshold": 0.5,
        "chosen_on_validation": False,
        "threshold_of_training": 0.4,
        "missed_cost": 10.0,
        "cost": 23.0,
        "cost_of_flagging_all": 300.0,
        "cost_of_flagging_none": 2000.0,
    }
