"""The network beside TF-IDF and logistic regression: same distinct texts, same splits, paired.

Example:
    python -m benchmarks.baseline                    # the texts and the training plan of the newest run
    python -m benchmarks.baseline RUN --splits 20    # of a run: its id, the beginning of one, or a path

Both answer the same test texts after learning from the others; the network spends some of these on choosing its epoch,
the baseline needs none for that. The difference of two models over overlapping splits varies more than its spread
suggests, so the interval is that of the corrected resampled t-test (C. Nadeau and Y. Bengio, Inference for the
Generalization Error, Machine Learning 52, 2003, section 6).
"""

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.model_selection import StratifiedShuffleSplit, train_test_split
from sklearn.pipeline import make_pipeline

from compliance import data, metrics, model
from compliance.vocabulary import Vocabulary
from runner import record

ROOT = Path(__file__).resolve().parents[1]
THRESHOLD = 0.5
TEST_SHARE = 0.15
MEASURES = {
    "accuracy": accuracy_score,
    "macro-F1": lambda labels, flags: f1_score(labels, flags, average="macro"),
    "non-compliant recall": recall_score,
}
NETWORK, BASELINE = "network", "TF-IDF + logistic regression"


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


def answers_of_network(learned: pd.DataFrame, asked: pd.DataFrame, plan: model.TrainingPlan) -> np.ndarray:
    """Train the network as the train phase does, and give its flags for the texts that are asked."""
    training, validation = train_test_split(
        learned, test_size=len(asked), stratify=learned["label"], random_state=plan.seed
    )
    vocabulary = Vocabulary.learn(training["normalized"], plan.maximum_words)
    trained = model.train(plan, vocabulary, training, validation)
    return model.probabilities(trained.network, vocabulary, plan.tokens, list(asked["text"])) >= THRESHOLD


def answers_of_baseline(learned: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
    """Fit the baseline on words and pairs of words, and give its flags for the texts that are asked."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=str.split, token_pattern=None)
    fitted = make_pipeline(words, LogisticRegression(C=10, max_iter=2_000))
    fitted.fit(learned["normalized"], learned["label"])
    return np.asarray(fitted.predict(asked["normalized"])) == 1


def compare(texts: pd.DataFrame, plan: model.TrainingPlan, splits: int) -> pd.DataFrame:
    """Measure both on each split; give a row per split with columns (measure, model)."""
    rows = []
    divided = StratifiedShuffleSplit(splits, test_size=TEST_SHARE, random_state=1).split(texts, texts["label"])
    for number, (learned, asked) in enumerate(divided, start=1):
        test = texts.iloc[asked]
        flags = {
            NETWORK: answers_of_network(texts.iloc[learned], test, replace(plan, seed=number)),
            BASELINE: answers_of_baseline(texts.iloc[learned], test),
        }
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


def verdict(name: str, low: float, high: float) -> str:
    """Say in words what an interval of network minus baseline means."""
    if low > 0:
        return f"The network is better by {name}."
    if high < 0:
        return f"{BASELINE} is better by {name}."
    return f"By {name} neither is better: the interval holds 0."


def page(measured: pd.DataFrame) -> str:
    """Write the comparison as Markdown."""
    lines = [f"| measure | {NETWORK} | {BASELINE} | difference (95 %) |", "|---|---|---|---|"]
    said = []
    for name in MEASURES:
        both = measured[name]
        low, high = corrected_interval((both[NETWORK] - both[BASELINE]).to_numpy(), TEST_SHARE / (1 - TEST_SHARE))
        means = both.mean()
        lines.append(
            f"| {name} | {means[NETWORK]:.4f} | {means[BASELINE]:.4f} "
            f"| {means[NETWORK] - means[BASELINE]:+.4f} ({low:+.4f} to {high:+.4f}) |"
        )
        said.append(verdict(name, low, high))
    return "\n".join([*lines, "", *said])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default="last", help="id of a run, the beginning of one, a path, or last")
    parser.add_argument("--splits", type=int, default=20, help="how many splits")
    asked = parser.parse_args()
    run_dir = record.find(ROOT / "runs", asked.run)
    training = record.load(run_dir)["phases"]["train"]["params"]
    plan = model.TrainingPlan(**{name: training[name] for name in model.TrainingPlan.__dataclass_fields__})
    prepared = data.load(run_dir / "prepare")
    texts = metrics.distinct_texts(pd.concat(prepared.values(), ignore_index=True))
    measured = compare(texts, plan, asked.splits)
    print(f"{len(texts):,} distinct texts of {run_dir.name}, {asked.splits} splits, plan {plan.hyperparameters}\n")
    print(page(measured))


if __name__ == "__main__":
    main()
