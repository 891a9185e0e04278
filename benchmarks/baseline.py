"""The network beside TF-IDF and logistic regression: same distinct texts, same splits, paired.

Example:
    python -m benchmarks.baseline                    # the texts and the training plan of the newest run
    python -m benchmarks.baseline RUN --splits 20    # of a run: its id, the beginning of one, or a path

Both answer the same test texts after learning from the others; the network spends some of these on choosing its epoch,
the baseline on choosing its settings. `benchmarks.resampled` says what the intervals are.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks.resampled import Answers, compare, table
from compliance import baseline, data, metrics, model
from runner import record

ROOT = Path(__file__).resolve().parents[1]
THRESHOLD = 0.5
NETWORK, BASELINE = "network", f"{baseline.NAME}, tuned"


def network(plan: model.TrainingPlan) -> Answers:
    """Give what trains the network as the train phase does; each split has its own first weights."""

    def answers(learned: pd.DataFrame, asked: pd.DataFrame, number: int) -> np.ndarray:
        training, validation = train_test_split(
            learned, test_size=len(asked), stratify=learned["label"], random_state=number
        )
        vocabulary = model.learn_vocabulary(plan, training)
        trained = model.train(replace(plan, seed=number), vocabulary, training, validation)
        return model.probabilities(trained.network, vocabulary, plan.tokens, list(asked["text"])) >= THRESHOLD

    return answers


def tuned_baseline(learned: pd.DataFrame, asked: pd.DataFrame, number: int) -> np.ndarray:
    """Choose the baseline's settings within the texts to learn from, fit it on all of them, and answer."""
    settings = baseline.tuned(learned, number)
    return baseline.answers(baseline.fit(learned, settings), asked)


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
    measured = compare(texts, {NETWORK: network(plan), BASELINE: tuned_baseline}, asked.splits)
    print(f"{len(texts):,} distinct texts of {run_dir.name}, {asked.splits} splits, plan {plan.hyperparameters}\n")
    print(table(measured, NETWORK, BASELINE))


if __name__ == "__main__":
    main()
