"""What a network's answers are worth: probabilities that come true as often as they say, and the threshold that costs
least.

Both are chosen on validation texts. The correction is folded into the network's last layer, so that the exported file
gives calibrated probabilities by itself, and nothing has to be applied where it is served.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from compliance.errors import BadInput

if TYPE_CHECKING:
    import keras

LAST = "score"  # the layer that an architecture ends in
READ_AT_ONCE = 1_024
LOG_SLOPES = (-7.0, 3.0)  # between which the logarithm of a slope is looked for


@dataclass(frozen=True)
class Calibration:
    """How the log-odds of a network were corrected: slope · log-odds + intercept.

    Attributes:
        slope: Below 1, the network was too sure of itself; above 1, not sure enough.
        intercept: Takes back what weighing one label more heavily in training put on the log-odds.
        texts: Distinct texts that it was fitted on; 0 where nothing was corrected.
    """

    slope: float = 1.0
    intercept: float = 0.0
    texts: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return {"slope": self.slope, "intercept": self.intercept, "texts": self.texts}


UNCORRECTED = Calibration()


@dataclass(frozen=True)
class Decision:
    """From which probability a text is flagged, and why there.

    Attributes:
        calibration: How the log-odds behind the probabilities were corrected.
        missed_cost: What it costs to pass a non-compliant text, where flagging a compliant one costs 1.
        threshold: The probability.
    """

    calibration: Calibration
    missed_cost: float
    threshold: float

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return {
            "calibration": self.calibration.as_dict(),
            "missed_cost": self.missed_cost,
            "threshold": self.threshold,
        }


def log_odds(network: "keras.Model", numbers: np.ndarray) -> np.ndarray:
    """Give what the last layer makes of texts before it becomes a probability. float64[texts].

    Args:
        network: A functional model whose last layer is a dense one with a sigmoid, called `score`.
        numbers: Word numbers, int32[texts, tokens].
    """
    import keras

    last = network.get_layer(LAST)
    signs = keras.Model(network.inputs, last.input).predict(numbers, batch_size=READ_AT_ONCE, verbose=0)
    kernel, bias = (np.asarray(weights, dtype=np.float64) for weights in last.get_weights())
    odds: np.ndarray = (np.asarray(signs, dtype=np.float64) @ kernel + bias).reshape(-1)
    return odds


def fit(odds: np.ndarray, labels: Sequence[int] | np.ndarray, weight: float = 1.0) -> Calibration:
    """Fit the correction on validation texts.

    A weight on non-compliant rows adds its logarithm to the log-odds (C. Elkan, The Foundations of Cost-Sensitive
    Learning, IJCAI 2001, theorem 2), which is taken back. Then one number, the temperature, makes the network as sure
    as it may be (C. Guo et al. 2017, arXiv:1706.04599). A second number, as J. Platt fits it, would hang on the few
    texts that are labelled wrongly.

    The slope is the likeliest under a log-normal prior around 1 with a spread of a factor of e. Without one, a network
    that tells the texts apart without an error would become infinitely sure. Drawing its labels towards the middle,
    Platt's way out, goes by the label with more texts and makes the other's probabilities far too timid.

    A network that no factor makes less surprised than even odds is left as it is: turning it round would hide that.

    Args:
        odds: The network's log-odds, of distinct texts.
        labels: Theirs; 1 is non-compliant.
        weight: Of a non-compliant row in training, where a compliant one weighs 1.
    """
    from scipy.optimize import minimize_scalar

    signs = np.where(np.asarray(labels) == 1, 1.0, -1.0)
    if len(np.unique(signs)) < 2 or not np.isfinite(odds).all():  # noqa: PLR2004  both labels
        return UNCORRECTED
    margins = signs * (odds - math.log(weight))
    if _loss_grows(margins):
        return UNCORRECTED

    def surprise(log_slope: float) -> float:
        return float(np.logaddexp(0, -math.exp(log_slope) * margins).sum() + log_slope**2 / 2)

    slope = math.exp(minimize_scalar(surprise, bounds=LOG_SLOPES, method="bounded", options={"xatol": 1e-6}).x)
    return Calibration(slope, -slope * math.log(weight), len(odds))


def _loss_grows(margins: np.ndarray) -> bool:
    """Tell whether any sureness at all makes it worse than giving every text even odds."""
    return float(margins.sum()) <= 0


def corrected(network: "keras.Model", calibration: Calibration) -> "keras.Model":
    """Give a network that answers with the correction in its last layer; the one given stays as it is."""
    import keras

    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    last = copy.get_layer(LAST)
    kernel, bias = last.get_weights()
    last.set_weights([kernel * calibration.slope, bias * calibration.slope + calibration.intercept])
    return copy


def check_missed_cost(missed_cost: float) -> None:
    """Refuse a cost that nothing can be weighed with.

    Raises:
        BadInput: It is not above 0, or not finite.
    """
    if not (missed_cost > 0 and math.isfinite(missed_cost)):
        raise BadInput(f"missed_cost is {missed_cost}; give a number above 0: --set train.missed_cost=10")


def operating_point(labels: Sequence[int] | np.ndarray, probabilities: np.ndarray, missed_cost: float) -> float:
    """Choose the probability from which a text is flagged: the one that costs least on validation texts.

    Each text counts twice: by its label, and by what its calibrated probability expects. The labels alone would hang
    the choice on a handful of texts that are labelled wrongly; the probabilities alone call for 1 / (1 + missed_cost)
    (Elkan 2001, theorem 1), whatever happened. Of thresholds that cost the same, the nearest to what the probabilities
    call for is taken.

    Args:
        labels: Of distinct texts; 1 is non-compliant.
        probabilities: Theirs, calibrated.
        missed_cost: What it costs to pass a non-compliant text, where flagging a compliant one costs 1.

    Returns:
        Between 0 and 1, both excluded. Without a finite probability for each text, what calibrated ones call for.

    Raises:
        BadInput: As `check_missed_cost` says.
    """
    check_missed_cost(missed_cost)
    called_for = 1 / (1 + missed_cost)
    scores = np.asarray(probabilities, dtype=np.float64)
    if len(scores) == 0 or not np.isfinite(scores).all():
        return called_for
    candidates = _between(np.unique(scores), called_for)
    costs = cost(labels, scores, candidates, missed_cost) + expected_cost(scores, candidates, missed_cost)
    distance = np.abs(_odds(candidates) - _odds(np.array([called_for])))
    return float(candidates[np.lexsort((distance, costs.round(9)))[0]])


def cost(
    labels: Sequence[int] | np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray, missed_cost: float
) -> np.ndarray:
    """Give what each threshold costs on these texts, in false alarms. float64[thresholds]."""
    positive = np.asarray(labels) == 1
    missed = np.searchsorted(np.sort(probabilities[positive]), thresholds, side="left")
    passed = np.searchsorted(np.sort(probabilities[~positive]), thresholds, side="left")
    found: np.ndarray = missed * missed_cost + (int((~positive).sum()) - passed)
    return found


def expected_cost(probabilities: np.ndarray, thresholds: np.ndarray, missed_cost: float) -> np.ndarray:
    """Give what each threshold would cost if the probabilities were right, in false alarms. float64[thresholds]."""
    ordered = np.sort(probabilities)
    passed = np.searchsorted(ordered, thresholds, side="left")
    noncompliant = np.r_[0, np.cumsum(ordered)][passed]  # expected among those that pass
    flagged = (len(ordered) - passed) - (ordered.sum() - noncompliant)  # compliant ones expected among the others
    found: np.ndarray = missed_cost * noncompliant + flagged
    return found


def _between(scores: np.ndarray, called_for: float) -> np.ndarray:
    """Give thresholds between neighbouring scores, below the lowest and above the highest, and the one called for."""
    inside = scores[(scores > 0) & (scores < 1)]
    edges = np.r_[0.0, inside, 1.0]
    return np.append((edges[:-1] + edges[1:]) / 2, called_for)


def _odds(probabilities: np.ndarray) -> np.ndarray:
    odds: np.ndarray = np.log(probabilities / (1 - probabilities))
    return odds
