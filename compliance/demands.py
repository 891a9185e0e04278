"""What was asked of a model, beside what was measured: each bound with the cautious end of an interval.

Whether the model may go on is for the gates to say, which a reader of the model folder does not have at hand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compliance import baseline, power, slices
from compliance.behaviour import Behaviour
from compliance.challenge import Challenge
from compliance.metrics import Difference, Estimate, Evaluation, finite
from compliance.slices import Bound

GOOD_SHARE = 5  # a sound model is taken to pass the limit's fifth of non-compliant texts


@dataclass(frozen=True)
class Limits:
    """What a scenario asks of its models.

    Attributes:
        missed: Largest share of non-compliant texts that may be passed.
        baseline_margin: Accuracy that may be lost against a model without a network.
        calibration: How far promise and outcome may lie apart on average.
        slice_floor: Accuracy that every slice must reach.
        challenge_floor: Accuracy that every challenge set must reach.
        behaviour: Share of its cases that may fail in any behavioural test.
        size: Millions of bytes that the exported file may have.
    """

    missed: float
    baseline_margin: float
    calibration: float
    slice_floor: float
    challenge_floor: float
    behaviour: float
    size: float


@dataclass(frozen=True)
class Demand:
    """One thing that was asked.

    Attributes:
        what: In words.
        measured: Its estimate, or the number where nothing is estimated.
        bound: What the cautious end must reach, or may reach.
        at_most: Whether the bound is an upper one.
        texts: Distinct texts it was measured on; 0 where none.
        chance: With which a sound model is shown to be so by as many texts; None where that is not said.
        sound: What a sound model is, in words; empty where `chance` is None.
    """

    what: str
    measured: Estimate
    bound: float
    at_most: bool
    texts: int = 0
    chance: float | None = None
    sound: str = ""

    @property
    def is_shown(self) -> bool:
        """Whether the cautious end keeps the bound; one that is no number does not."""
        return self.measured.high <= self.bound if self.at_most else self.measured.low >= self.bound

    @property
    def is_small(self) -> bool:
        """Whether a sound model would often not be shown to be so."""
        return self.chance is not None and self.chance < power.WANTED

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return {
            "what": self.what,
            "measured": self.measured.as_dict(),
            "at_most" if self.at_most else "at_least": finite(self.bound),
            "shown": self.is_shown,
            "texts": self.texts,
            "chance": None if self.chance is None else finite(self.chance),
        }


def judge(  # noqa: PLR0913  the place where questions come together
    limits: Limits,
    *,
    evaluation: Evaluation,
    majority_accuracy: float,
    against_baseline: Difference,
    calibration_error: Estimate,
    slice_bounds: Sequence[Bound],
    challenge: Challenge | None,
    behaviour: Behaviour,
    size: float,
) -> list[Demand]:
    """Put what was measured beside what was asked.

    Args:
        limits: What was asked.
        evaluation: What was measured on the distinct texts of the test split.
        majority_accuracy: Accuracy there of always giving the commonest training label.
        against_baseline: The model against one without a network.
        calibration_error: How far promise and outcome lie apart on average.
        slice_bounds: What is shown of every slice.
        challenge: What was measured on challenge sets, where there are any.
        behaviour: What came of behavioural tests.
        size: Millions of bytes of the exported file.
    """
    texts, noncompliant = evaluation.confusion.texts, evaluation.confusion.noncompliant
    failed_most = behaviour.worst(limits.behaviour)
    worst_test = behaviour.tests[failed_most]
    good = limits.missed / GOOD_SHARE
    apart = against_baseline.discordant / texts if texts else 0.0
    found = [
        Demand(
            "share of non-compliant texts that are passed",
            evaluation["missed_rate"],
            limits.missed,
            at_most=True,
            texts=noncompliant,
            chance=power.of_missed_rate(noncompliant, limits.missed, good),
            sound=f"passes {good:.2%} of the non-compliant texts",
        ),
        Demand(
            "accuracy, against always giving the commonest label",
            evaluation["accuracy"],
            majority_accuracy,
            at_most=False,
            texts=texts,
        ),
        Demand(
            f"accuracy minus that of {baseline.NAME}",
            against_baseline.accuracy,
            -limits.baseline_margin,
            at_most=False,
            texts=texts,
            chance=power.of_difference(texts, apart, limits.baseline_margin),
            sound=f"is exactly as good as {baseline.NAME}",
        ),
        Demand(
            "distance of promise and outcome, on average",
            calibration_error,
            limits.calibration,
            at_most=True,
            texts=texts,
        ),
        Demand(
            f"share of failed cases in the worst behavioural test ({failed_most})",
            worst_test.failed,
            limits.behaviour,
            at_most=True,
            texts=worst_test.cases,
        ),
        Demand("size of the exported file, MB", Estimate(size, size, size), limits.size, at_most=True),
    ]
    if slice_bounds:
        worst = slices.worst(list(slice_bounds), limits.slice_floor)
        what = f"accuracy on the least certain slice ({worst.name})"
        found.insert(3, Demand(what, worst.accuracy, limits.slice_floor, at_most=False, texts=worst.texts))
    if challenge:
        failed_set = challenge.worst(limits.challenge_floor)
        answer = challenge.answers[failed_set]
        what = f"accuracy on the worst challenge set ({failed_set})"
        found.insert(
            -1, Demand(what, answer.accuracy, limits.challenge_floor, at_most=False, texts=answer.confusion.texts)
        )
    return found


def operating_point(evaluation: Evaluation, threshold: float, missed_cost: float, chosen: float) -> dict[str, Any]:
    """Say where texts begin to be flagged, and what that costs on the test texts, in false alarms.

    Args:
        evaluation: What was measured at this threshold.
        threshold: Probability from which a text is flagged.
        missed_cost: What it costs to pass a non-compliant text, where flagging a compliant one costs 1.
        chosen: The threshold that training chose.
    """
    confusion = evaluation.confusion
    return {
        "threshold": threshold,
        "chosen_on_validation": math.isclose(threshold, chosen),
        "threshold_of_training": chosen,
        "missed_cost": missed_cost,
        "cost": confusion.missed * missed_cost + confusion.false_alarms,
        "cost_of_flagging_all": float(confusion.texts - confusion.noncompliant),
        "cost_of_flagging_none": confusion.noncompliant * missed_cost,
    }
