"""Does a window of texts and answers look like what the model was judged on?

Four signals, each a test with its own size of effect. Four tests at 5 % raise a false alarm in 18 of 100 windows that
are like the reference; adjusted after Holm (Scandinavian Journal of Statistics 6, 1979) in 4 or 5. A small window sees
little: 50 texts miss a quarter of the cases in which 15 % of the texts hold new words, 200 miss almost none.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from compliance import metrics
from compliance.metrics import NOTHING, Estimate
from compliance.spool import draw

DRIFT, SMALL, NONE, TOO_LITTLE = "drift", "small difference", "no difference seen", "too little data"
LEVEL = 0.05  # of the adjusted tests
EFFECTS = {"flagged": 0.05, "scores": 0.1, "unknown_words": 0.05, "wording": 0.6}  # least that matters
LEAST_TEXTS = 200
SMALLEST_SHOWN = 0.0001  # p-value


@dataclass(frozen=True)
class Signal:
    """One comparison of a window with the reference.

    Attributes:
        name: What is compared.
        reference: The figure of the reference; NaN where the signal has none.
        window: The figure of the window; NaN where the signal has none.
        effect: How far they are apart, with its 95 % interval where there is one.
        p: Chance of an effect this large without drift.
        adjusted: The same, adjusted for the number of signals.
    """

    name: str
    reference: float
    window: float
    effect: Estimate
    p: float
    adjusted: float = math.nan

    def verdict(self, texts: int) -> str:
        """Give what it says of a window with so many texts."""
        matters = abs(self.effect.value) >= EFFECTS[self.name]
        if self.adjusted < LEVEL:
            return DRIFT if matters else SMALL
        return NONE if texts >= LEAST_TEXTS else TOO_LITTLE


def compare(
    reference: pd.DataFrame, window: pd.DataFrame, vocabulary: Collection[str], *, seed: int
) -> dict[str, Signal]:
    """Compare a window with the reference by four signals.

    Args:
        reference: Distinct texts that the model did not learn from: `normalized`, `probability`, `flagged`.
        window: Distinct texts of the window, with the same columns.
        vocabulary: Words that the model knows.
        seed: Decides which half of the texts the wording is learned from.

    Returns:
        By name: `flagged` (share of texts flagged), `scores` (largest distance of the distributions of probabilities,
        after Kolmogorov and Smirnov), `unknown_words` (share of texts with a word the model does not know), `wording`
        (how well a classifier tells the two apart: area under its ROC curve on texts it did not learn from).
    """
    from scipy import stats

    known = set(vocabulary)
    both = (reference, window)
    unknown = [texts["normalized"].map(lambda text: not known.issuperset(text.split())) for texts in both]
    scores = stats.ks_2samp(reference["probability"], window["probability"])
    signals = [
        _shares("flagged", reference["flagged"], window["flagged"]),
        Signal("scores", math.nan, math.nan, replace(NOTHING, value=float(scores.statistic)), float(scores.pvalue)),
        _shares("unknown_words", *unknown),
        _wording(list(reference["normalized"]), list(window["normalized"]), seed),
    ]
    adjusted = holm([signal.p for signal in signals])
    return {one.name: replace(one, adjusted=value) for one, value in zip(signals, adjusted, strict=True)}


def holm(values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, so that 5 % remains the chance of any false alarm among them."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(np.argsort(values, kind="stable")):
        largest = max(largest, min(1.0, values[place] * (len(values) - rank)))
        adjusted[place] = largest
    return adjusted


def verdict(signals: Mapping[str, Signal], texts: int) -> str:
    """Give the gravest of the signals' verdicts for a window with so many texts."""
    found = {signal.verdict(texts) for signal in signals.values()}
    return next(verdict for verdict in (DRIFT, TOO_LITTLE, SMALL, NONE) if verdict in found)


def words(reference: pd.Series, window: pd.Series, vocabulary: Collection[str]) -> pd.DataFrame:
    """Give the words of both, those first whose share of the texts differs most.

    Args:
        reference: Normalized texts.
        window: Normalized texts.
        vocabulary: Words that the model knows.

    Returns:
        By word: `reference` and `window` (shares of the texts that hold it), `difference`, `known` to the model.
    """
    shares = [
        texts.map(lambda text: list(dict.fromkeys(text.split()))).explode().value_counts() / max(len(texts), 1)
        for texts in (reference, window)
    ]
    table = pd.DataFrame({"reference": shares[0], "window": shares[1]}).fillna(0.0)
    table["difference"] = table["window"] - table["reference"]
    table["known"] = table.index.isin(list(vocabulary))
    order = table.assign(size=-table["difference"].abs(), word=table.index).sort_values(["size", "word"]).index
    return table.loc[order].rename_axis("word")


def table(signals: Mapping[str, Signal], texts: int) -> pd.DataFrame:
    """Give a line per signal, as text, for a window with so many texts."""
    lines = {
        signal.name.replace("_", " "): {
            "reference": _number(signal.reference),
            "window": _number(signal.window),
            "effect": str(signal.effect) if not math.isnan(signal.effect.low) else _number(signal.effect.value),
            "matters from": f"{EFFECTS[signal.name]}",
            "p, adjusted": f"{signal.adjusted:.4f}" if signal.adjusted >= SMALLEST_SHOWN else f"< {SMALLEST_SHOWN}",
            "says": signal.verdict(texts),
        }
        for signal in signals.values()
    }
    return pd.DataFrame.from_dict(lines, orient="index")


def as_dict(signals: Mapping[str, Signal], texts: int) -> dict[str, Any]:
    """Give what JSON can hold."""
    return {
        name: {
            "reference": metrics.finite(signal.reference),
            "window": metrics.finite(signal.window),
            "effect": signal.effect.as_dict(),
            "p": signal.p,
            "p_adjusted": signal.adjusted,
            "verdict": signal.verdict(texts),
        }
        for name, signal in signals.items()
    }


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _shares(name: str, reference: pd.Series, window: pd.Series) -> Signal:
    """Compare two shares: Fisher's exact test, and Newcombe's interval (Statistics in Medicine 17, 1998, method 10)."""
    from scipy import stats

    counts = [(int(part.sum()), len(part)) for part in (reference, window)]
    p = stats.fisher_exact([[hits, size - hits] for hits, size in counts]).pvalue
    first, second = (metrics.proportion(*pair) for pair in counts)
    difference = second.value - first.value
    low = difference - math.hypot(second.value - second.low, first.high - first.value)
    high = difference + math.hypot(second.high - second.value, first.value - first.low)
    return Signal(name, first.value, second.value, Estimate(difference, low, high), float(p))


def _wording(reference: list[str], window: list[str], seed: int) -> Signal:
    """Learn to tell the two apart from one half of the texts, and ask about the other."""
    from scipy import stats
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = np.array(reference + window, dtype=object)
    of_window = np.repeat([0, 1], [len(reference), len(window)])
    learned = np.array([draw(text, seed + 1) % 2 == 0 for text in texts], dtype=bool)
    if any(len(set(of_window[half])) == 1 for half in (learned, ~learned)):
        return Signal("wording", math.nan, math.nan, NOTHING, 1.0)
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=str.split, token_pattern=None)
    classifier = make_pipeline(vectors, LogisticRegression(class_weight="balanced", max_iter=1_000))
    classifier.fit(texts[learned], of_window[learned])
    answers = classifier.decision_function(texts[~learned])
    asked = of_window[~learned] == 1
    test = stats.mannwhitneyu(answers[asked], answers[~asked], alternative="greater")
    area = float(test.statistic) / (asked.sum() * (~asked).sum())
    return Signal("wording", math.nan, math.nan, _area(area, int(asked.sum()), int((~asked).sum())), float(test.pvalue))


def _area(area: float, positives: int, negatives: int) -> Estimate:
    """Give an area under the ROC curve with its interval (Hanley and McNeil, Radiology 143, 1982)."""
    from scipy import stats

    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    error = math.sqrt(max(area * (1 - area) + spread, 0) / (positives * negatives))
    reach = float(stats.norm.ppf(0.975)) * error
    return Estimate(area, max(area - reach, 0.0), min(area + reach, 1.0))
