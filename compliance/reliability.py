"""Whether probabilities come true as often as they say."""

import math

import numpy as np
import pandas as pd

from compliance.metrics import NOTHING, RESAMPLED_AT_ONCE, RESAMPLES, Estimate, ends, wilson

BINS = 10


def table(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Compare what a model promises with what came true, in bins of equal width that hold a text.

    Texts without a finite probability are left out.

    Returns:
        `promised` (mean probability), `observed` (share of non-compliant), `low` and `high` (Wilson), `texts`.
    """
    finite = np.isfinite(probabilities)
    labels, probabilities = labels[finite], probabilities[finite]
    place = _bins(probabilities, bins)
    lines = []
    for number in np.unique(place):
        held = place == number
        texts, positives = int(held.sum()), int((labels[held] == 1).sum())
        low, high = wilson(positives, texts)
        promised = float(probabilities[held].mean())
        lines.append({"promised": promised, "observed": positives / texts, "low": low, "high": high, "texts": texts})
    return pd.DataFrame(lines, columns=["promised", "observed", "low", "high", "texts"])


def error(labels: np.ndarray, probabilities: np.ndarray, seed: int, bins: int = BINS) -> Estimate:
    """Give the expected calibration error: how far promise and outcome lie apart, on average over texts.

    In bins of equal width (C. Guo et al., On Calibration of Modern Neural Networks, 2017, arXiv:1706.04599), with a
    percentile bootstrap interval over texts. Chance keeps the two apart where a bin holds few texts, which makes it too
    high; what cancels within a bin is hidden, which makes it too low.

    Args:
        labels: Of distinct texts; 1 is non-compliant.
        probabilities: Theirs. One that is not finite, and the error is not defined.
        seed: Decides the resampling.
        bins: How many bins.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    texts = len(scores)
    if texts == 0 or not np.isfinite(scores).all():
        return NOTHING
    apart = scores - (np.asarray(labels) == 1)
    inside = (_bins(scores, bins)[:, None] == np.arange(bins)) * apart[:, None]  # [texts, bins]
    random = np.random.default_rng(seed)
    block = max(1, RESAMPLED_AT_ONCE // texts)
    resampled = []
    for done in range(0, RESAMPLES, block):
        drawn = random.multinomial(texts, np.full(texts, 1 / texts), size=min(block, RESAMPLES - done))
        resampled.append(_error_of(drawn, inside))
    value = float(_error_of(np.ones((1, texts)), inside)[0])
    return Estimate(value, *ends(np.concatenate(resampled)))


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Give the mean square of what a probability lacks to the truth (G. Brier, 1950); NaN without a finite one each."""
    if len(probabilities) == 0:
        return math.nan
    return float(np.mean((np.asarray(probabilities, dtype=np.float64) - (np.asarray(labels) == 1)) ** 2))


def _bins(probabilities: np.ndarray, bins: int) -> np.ndarray:
    return np.clip((probabilities * bins).astype(int), 0, bins - 1)


def _error_of(weights: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give the error of each line of weights: sums of a bin are promise minus outcome times the texts in it."""
    found: np.ndarray = np.abs(weights @ inside).sum(axis=1) / weights.sum(axis=1)
    return found
