"""Models beside each other on the same texts, divided again and again: paired, with an interval that may be trusted.

The difference of two models over overlapping splits varies more than its spread suggests, so the interval is that of
the corrected resampled t-test (C. Nadeau and Y. Bengio, Inference for the Generalization Error, Machine Learning 52,
2003, section 6).
"""

import math
import sys
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.model_selection import StratifiedShuffleSplit

from benchmarks.pages import sheet

TEST_SHARE = 0.15
MEASURES = {
    "accuracy": accuracy_score,
    "macro-F1": lambda labels, flags: f1_score(labels, flags, average="macro"),
    "non-compliant recall": recall_score,
}

# From the texts to learn from, the texts that are asked and the number of the split to flags, bool[asked].
Answers = Callable[[pd.DataFrame, pd.DataFrame, int], np.ndarray]


def corrected_interval(differences: np.ndarray, ratio: float, confidence: float = 0.95) -> tuple[float, float]:
    """Give the ends of the interval of a mean difference over resampled splits.

    Args:
        differences: One per split.
        ratio: Texts asked divided by texts learned from, in a split.
        confidence: Of the interval, between 0 and 1.
    """
    splits = len(differences)
    error = math.sqrt((1 / splits + ratio) * differences.var(ddof=1))
    reach = stats.t.ppf((1 + confidence) / 2, splits - 1) * error
    return differences.mean() - reach, differences.mean() + reach


def compare(texts: pd.DataFrame, models: Mapping[str, Answers], splits: int, seed: int = 1) -> pd.DataFrame:
    """Measure the models on each split; give a row per split with columns (measure, model).

    Args:
        texts: Distinct texts with `text`, `normalized` and `label`.
        models: Those to compare, by name.
        splits: How many.
        seed: Decides them.
    """
    rows = []
    divided = StratifiedShuffleSplit(splits, test_size=TEST_SHARE, random_state=seed).split(texts, texts["label"])
    for number, (learned, asked) in enumerate(divided, start=1):
        test = texts.iloc[asked]
        flags = {name: answer(texts.iloc[learned], test, number) for name, answer in models.items()}
        rows.append(
            {
                (name, who): measure(test["label"], given)
                for name, measure in MEASURES.items()
                for who, given in flags.items()
            }
        )
        accuracy = ", ".join(f"{who} {rows[-1]['accuracy', who]:.4f}" for who in flags)
        print(f"split {number} of {splits}: accuracy of {accuracy}", file=sys.stderr)
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]))


def verdict(first: str, second: str, low: float, high: float) -> str:
    """Say in words what the interval of first minus second means."""
    return f"{first} is better" if low > 0 else f"{second} is better" if high < 0 else "neither is shown to be better"


def table(measured: pd.DataFrame, first: str, second: str) -> str:
    """Write the comparison of two models as Markdown."""
    rows = [["measure", first, second, "difference (95 %)", "says"]]
    for name in MEASURES:
        both = measured[name]
        differences = (both[first] - both[second]).to_numpy()
        low, high = corrected_interval(differences, TEST_SHARE / (1 - TEST_SHARE))
        means = [f"{both[who].mean():.4f}" for who in (first, second)]
        change = f"{differences.mean():+.4f} ({low:+.4f} to {high:+.4f})"
        rows.append([name, *means, change, verdict(first, second, low, high)])
    return sheet(*rows)
