"""What a test says about a model, and how sure it is: estimates with 95 % intervals over distinct texts.

Where a quantity does not exist (recall without a positive, AUC with one label) it is NaN, never a guess.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
RESAMPLES = 2_000
RESAMPLED_AT_ONCE = 2_000_000  # counts held in memory while the AUC is resampled
NO_ANSWER = -1
NAMES = ("accuracy", "precision", "noncompliant_recall", "missed_rate", "f1", "auc")


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % interval; NaN where it does not exist."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Give the value with its interval, as reports show it."""
        if math.isnan(self.value):
            return "not defined"
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"

    def as_dict(self) -> dict[str, float | None]:
        """Give what JSON can hold: None where there is no number."""
        return {name: finite(getattr(self, name)) for name in ("value", "low", "high")}


NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Confusion:
    """Counts of distinct texts; positive is non-compliant."""

    caught: int  # non-compliant and flagged
    missed: int  # non-compliant and passed
    false_alarms: int  # compliant and flagged
    passed: int  # compliant and passed

    @classmethod
    def count(cls, labels: np.ndarray, flags: np.ndarray) -> "Confusion":
        """Count labels (1 is non-compliant) against flags, as `flags` gives them; no answer counts as a wrong one."""
        positive = labels == 1
        return cls(
            caught=int((positive & (flags == 1)).sum()),
            missed=int((positive & (flags != 1)).sum()),
            false_alarms=int((~positive & (flags != 0)).sum()),
            passed=int((~positive & (flags == 0)).sum()),
        )

    def __add__(self, other: "Confusion") -> "Confusion":
        """Give the counts of both."""
        return Confusion(
            self.caught + other.caught,
            self.missed + other.missed,
            self.false_alarms + other.false_alarms,
            self.passed + other.passed,
        )

    @property
    def texts(self) -> int:
        """How many texts were judged."""
        return self.caught + self.missed + self.false_alarms + self.passed

    @property
    def noncompliant(self) -> int:
        """How many of them are non-compliant."""
        return self.caught + self.missed

    @property
    def flagged(self) -> int:
        """How many of them the model flags."""
        return self.caught + self.false_alarms

    @property
    def errors(self) -> int:
        """How many of them it labels wrongly."""
        return self.missed + self.false_alarms


@dataclass(frozen=True)
class Evaluation:
    """What was measured on the distinct texts of a test split."""

    confusion: Confusion
    estimates: Mapping[str, Estimate]  # by NAMES

    def __getitem__(self, name: str) -> Estimate:
        """Give one estimate."""
        return self.estimates[name]

    def scraps(self) -> dict[str, float]:
        """Give every estimate as name, name_low and name_high, plain floats, NaN where there is no number."""
        found: dict[str, float] = {}
        for name, estimate in self.estimates.items():
            found |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        confusion = self.confusion
        return {
            "texts": confusion.texts,
            "noncompliant_texts": confusion.noncompliant,
            "confusion": {
                "caught": confusion.caught,
                "missed": confusion.missed,
                "false_alarms": confusion.false_alarms,
                "passed": confusion.passed,
            },
            "estimates": {name: estimate.as_dict() for name, estimate in self.estimates.items()},
        }


@dataclass(frozen=True)
class Difference:
    """Accuracy of a model minus that of another on the same texts, and on how many only one of them is right."""

    accuracy: Estimate
    only_first_right: int
    only_second_right: int

    @property
    def discordant(self) -> int:
        """On how many texts exactly one of the two is right."""
        return self.only_first_right + self.only_second_right

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return {
            "accuracy_difference": self.accuracy.as_dict(),
            "only_this_right": self.only_first_right,
            "only_other_right": self.only_second_right,
        }


@dataclass(frozen=True)
class Parity:
    """How far two ways to compute the same probabilities lie apart."""

    texts: int
    label_flips: int
    maximum_difference: float

    def as_dict(self) -> dict[str, int | float | None]:
        """Give what JSON can hold."""
        return {
            "texts": self.texts,
            "label_flips": self.label_flips,
            "maximum_difference": finite(self.maximum_difference),
        }


def flags(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Flag texts: 1 from the threshold on, 0 below it, NO_ANSWER where the probability is none, so that it is wrong.

    Args:
        probabilities: Of non-compliance.
        threshold: Probability from which a text is flagged.

    Returns:
        int8[texts].
    """
    found = np.asarray(probabilities)
    return np.where(np.isfinite(found), found >= threshold, NO_ANSWER).astype(np.int8)


def distinct_texts(rows: pd.DataFrame) -> pd.DataFrame:
    """Give one row per normalized text, the first as it came, so that a repeated text is one piece of evidence."""
    return rows.drop_duplicates("normalized").reset_index(drop=True)


def evaluate(labels: Sequence[int] | np.ndarray, probabilities: np.ndarray, threshold: float, seed: int) -> Evaluation:
    """Judge probabilities of distinct texts.

    Proportions have Wilson's intervals, but the share of non-compliant texts that are passed, which a recall may hang
    on, has the exact one of Clopper and Pearson. F1 and AUC have percentile bootstrap intervals over texts, which have
    no width where no text is labelled wrongly. A model that gives no finite probability for some text has no accuracy
    either: every estimate is NaN.

    Args:
        labels: 1 is non-compliant, 0 compliant.
        probabilities: Of non-compliance, in the order of `labels`.
        threshold: Probability from which a text is flagged.
        seed: Decides the resampling.
    """
    truth = np.asarray(labels)
    scores = np.asarray(probabilities, dtype=np.float64)
    confusion = Confusion.count(truth, flags(scores, threshold))
    if not np.isfinite(scores).all():
        return Evaluation(confusion, dict.fromkeys(NAMES, NOTHING))
    random = np.random.default_rng(seed)
    estimates = {
        "accuracy": proportion(confusion.caught + confusion.passed, confusion.texts),
        "precision": proportion(confusion.caught, confusion.flagged),
        "noncompliant_recall": proportion(confusion.caught, confusion.noncompliant),
        "missed_rate": exact_proportion(confusion.missed, confusion.noncompliant),
        "f1": _f1(confusion, random),
        "auc": _auc(truth, scores, random),
    }
    return Evaluation(confusion, estimates)


def proportion(successes: int, trials: int) -> Estimate:
    """Give a proportion with Wilson's interval; not defined without trials."""
    if trials == 0:
        return NOTHING
    return Estimate(successes / trials, *wilson(successes, trials))


def exact_proportion(successes: int, trials: int) -> Estimate:
    """Give a proportion with the exact interval of Clopper and Pearson; not defined without trials."""
    if trials == 0:
        return NOTHING
    return Estimate(successes / trials, *clopper_pearson(successes, trials))


def wilson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Give Wilson's score interval of a proportion; NaN without trials."""
    from scipy.stats import norm

    if trials == 0:
        return math.nan, math.nan
    z = float(norm.ppf((1 + confidence) / 2))
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low = 0.0 if successes == 0 else (centre - reach) / scale
    high = 1.0 if successes == trials else (centre + reach) / scale
    return low, high


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Give the exact interval of a proportion (C. Clopper and E. Pearson, Biometrika 26, 1934); NaN without trials.

    It never covers less than it says, where Wilson's does so on average: for what must not be promised wrongly.
    """
    from scipy.stats import beta

    if trials == 0:
        return math.nan, math.nan
    outside = (1 - confidence) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(outside, successes, trials - successes + 1))
    high = 1.0 if successes == trials else float(beta.ppf(1 - outside, successes + 1, trials - successes))
    return low, high


def accuracy_difference(labels: np.ndarray, first: np.ndarray, second: np.ndarray, seed: int) -> Difference:
    """Compare two models on the same texts by paired bootstrap.

    Half a text is added to each kind on which one alone is right, and to each of the two others (A. Agresti and Y. Min,
    Statistics in Medicine 24, 2005): without, models that never differ on twenty texts would be proven equal.

    Args:
        labels: 1 is non-compliant.
        first: Flags of the model in question (1 is non-compliant, 0 compliant, anything else a wrong answer).
        second: Flags of the model it is compared with.
        seed: Decides the resampling.
    """
    first_right, second_right = first == (labels == 1), second == (labels == 1)
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    texts = len(labels)
    if texts == 0:
        return Difference(NOTHING, 0, 0)
    # a resampled text falls into one of three kinds, so drawing texts is drawing the counts of the kinds
    kinds = np.array([only_first + 0.5, only_second + 0.5, texts - only_first - only_second + 1]) / (texts + 2)
    drawn = np.random.default_rng(seed).multinomial(texts, kinds, size=RESAMPLES)
    low, high = ends((drawn[:, 0] - drawn[:, 1]) / texts)
    return Difference(Estimate((only_first - only_second) / texts, low, high), only_first, only_second)


def majority_accuracy(train_labels: np.ndarray, test_labels: np.ndarray) -> float:
    """Give the accuracy of always answering the commonest training label; NaN without a test text.

    Both are labels of distinct texts: counted over rows, the commonest label may be another than most texts have.
    """
    if len(test_labels) == 0:
        return math.nan
    commonest = np.bincount(train_labels, minlength=2).argmax()
    return float(np.mean(np.asarray(test_labels) == commonest))


def split_leakage(test: pd.DataFrame, *seen: pd.DataFrame) -> int:
    """Count the distinct normalized test texts that also stand in splits the model has seen."""
    known = {text for rows in seen for text in rows["normalized"]}
    return len(set(test["normalized"]) & known)


def errors(texts: pd.DataFrame, probabilities: np.ndarray, threshold: float) -> pd.DataFrame:
    """Give the texts that are labelled wrongly: first those that passed, then false alarms, the surest answer first.

    Args:
        texts: Distinct texts with `text` and `label`.
        probabilities: In their order. A text without a finite one counts as wrong.
        threshold: Probability from which a text is flagged.

    Returns:
        `text`, `label`, `answer` (both 1 for non-compliant; -1 for no answer) and `probability`.
    """
    answers = pd.DataFrame(
        {
            "text": texts["text"],
            "label": texts["label"].astype(int),
            "answer": flags(probabilities, threshold).astype(int),
            "probability": probabilities,
        }
    )
    wrong = answers[answers["answer"] != answers["label"]]
    surest = (wrong["probability"] - threshold).abs()
    order = wrong.assign(surest=surest).sort_values(["label", "surest", "text"], ascending=[False, False, True])
    return order.drop(columns="surest").reset_index(drop=True)


def parity(first: np.ndarray, second: np.ndarray, threshold: float) -> Parity:
    """Compare two arrays of probabilities of the same texts; where one is NaN, the difference is NaN."""
    if len(first) == 0:
        return Parity(0, 0, math.nan)
    difference = np.abs(first.astype(np.float64) - second.astype(np.float64))
    flips = flags(first, threshold) != flags(second, threshold)
    return Parity(len(first), int(flips.sum()), float(difference.max()))


def finite(value: float) -> float | None:
    """Give a number as JSON can hold it: None where it is none."""
    return value if math.isfinite(value) else None


def _f1(confusion: Confusion, random: np.random.Generator) -> Estimate:
    kinds = np.array([confusion.caught, confusion.missed, confusion.false_alarms, confusion.passed])
    if confusion.noncompliant + confusion.flagged == 0:
        return NOTHING
    drawn = random.multinomial(confusion.texts, kinds / confusion.texts, size=RESAMPLES)
    return Estimate(float(_f1_of(kinds)), *ends(_f1_of(drawn)))


def _f1_of(kinds: np.ndarray) -> np.ndarray:
    """Give F1 from counts of caught, missed, false alarms (last axis); NaN where there is none of them."""
    caught, missed, false_alarms = kinds[..., 0], kinds[..., 1], kinds[..., 2]
    with np.errstate(invalid="ignore"):
        return 2 * caught / (2 * caught + missed + false_alarms)  # type: ignore[no-any-return]


def _auc(labels: np.ndarray, scores: np.ndarray, random: np.random.Generator) -> Estimate:
    positive = labels == 1
    if positive.all() or not positive.any():
        return NOTHING
    order = np.argsort(scores, kind="stable")
    positive, ordered = positive[order], scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # where each distinct score starts
    value = _auc_of(np.ones((1, len(ordered))), positive, starts)[0]
    texts = len(ordered)
    block = max(1, RESAMPLED_AT_ONCE // texts)
    resampled = []
    for done in range(0, RESAMPLES, block):
        drawn = random.multinomial(texts, np.full(texts, 1 / texts), size=min(block, RESAMPLES - done))
        resampled.append(_auc_of(drawn, positive, starts))
    return Estimate(float(value), *ends(np.concatenate(resampled)))


def _auc_of(weights: np.ndarray, positive: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Give the AUC of each line of weights over texts ordered by score; ties count half.

    Args:
        weights: [resamples, texts], how often each text was drawn.
        positive: bool[texts].
        starts: Where each distinct score starts.
    """
    positives = np.add.reduceat(weights * positive, starts, axis=1)
    negatives = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (positives * (below + negatives / 2)).sum(axis=1) / pairs  # type: ignore[no-any-return]


def ends(resampled: np.ndarray) -> tuple[float, float]:
    """Give the ends of the percentile interval of a bootstrap; resamples without a value are left out."""
    defined = resampled[np.isfinite(resampled)]
    if len(defined) == 0:
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
