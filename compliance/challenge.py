"""Challenge sets: labelled texts that ask what a random test split cannot, such as new phrasing, new years, negation.

A random test split shares its wording with training, and a model near .999 there may fall to .6 on a turn of phrase it
has not met. A challenge set is written or collected to ask for one such thing. It takes no part in making the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compliance import metrics, questions
from compliance.metrics import CONFIDENCE, Confusion, Estimate

ERRORS_FILE = "challenge_errors.csv"
PARAMETER = "evaluate.challenge_source"  # names the sets


@dataclass(frozen=True)
class Answer:
    """How a model did on one challenge set, in distinct texts.

    Attributes:
        confusion: Counts of its answers.
        accuracy: With an interval that holds for all sets of a challenge together.
        recall: Share of non-compliant texts that are flagged, likewise.
        seen: Texts that also stand in a split: the model may answer these from memory.
    """

    confusion: Confusion
    accuracy: Estimate
    recall: Estimate
    seen: int


@dataclass(frozen=True)
class Challenge:
    """How a model did on every challenge set."""

    answers: Mapping[str, Answer]  # by name of the set

    def worst(self, floor: float) -> str:
        """Name the set that speaks for all: one below the floor before one that is not sure to reach it."""
        accuracy = {name: answer.accuracy for name, answer in self.answers.items()}
        return min(accuracy, key=lambda name: (accuracy[name].value >= floor, accuracy[name].low, name))

    def scraps(self, floor: float) -> dict[str, float | str]:
        """Give what gates look at: the worst set by the accuracy that every set must reach."""
        name = self.worst(floor)
        worst = self.answers[name]
        return {
            "challenge_sets": len(self.answers),
            "challenge_worst": name,
            "challenge_texts": worst.confusion.texts,
            "challenge_accuracy": worst.accuracy.value,
            "challenge_accuracy_low": worst.accuracy.low,
            "challenge_seen": sum(answer.seen for answer in self.answers.values()),
        }

    def table(self) -> pd.DataFrame:
        """Give a line per set, as text for people."""
        lines = {
            name: {
                "texts": f"{answer.confusion.texts:,}",
                "accuracy": str(answer.accuracy),
                "non-compliant recall": str(answer.recall),
                "missed": f"{answer.confusion.missed:,}",
                "false alarms": f"{answer.confusion.false_alarms:,}",
                "seen before": f"{answer.seen:,}",
            }
            for name, answer in self.answers.items()
        }
        return pd.DataFrame.from_dict(lines, orient="index").rename_axis("set")

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold, by set."""
        return {
            name: {
                "texts": answer.confusion.texts,
                "noncompliant_texts": answer.confusion.noncompliant,
                "accuracy": answer.accuracy.as_dict(),
                "noncompliant_recall": answer.recall.as_dict(),
                "seen": answer.seen,
            }
            for name, answer in self.answers.items()
        }


def read(source: str, column: str, data: Mapping[str, Any], *, rows: int, seed: int) -> pd.DataFrame:
    """Read challenge sets, laid out as the source of the data was.

    Args:
        source: Path of a CSV file, http(s) address of one, or `generated:NAME`.
        column: The column that names the set of a row.
        data: The data report of the prepare phase, which says how texts and labels are written.
        rows: How many to generate, where they are generated.
        seed: Of the generator.

    Returns:
        Distinct texts of each set: `set`, `text`, `normalized`, `label` (1 is non-compliant).

    Raises:
        BadInput: It cannot be read, or a row is unsound: each is a question somebody chose, so none is left out.
    """
    asked = questions.read(source, PARAMETER, {"set": ("challenge_column", column)}, data, rows=rows, seed=seed)
    found = asked.rows
    asked.check(
        "challenge sets",
        f"--set {PARAMETER}=''",
        {
            "it names no set": found["set"].str.strip() == "",
            "the same words stand with both labels": found.groupby("normalized")["label"].transform("nunique") > 1,
        },
    )
    found = found.assign(label=asked.labels)
    return found.drop_duplicates(["set", "normalized"])[["set", "text", "normalized", "label"]].reset_index(drop=True)


def judge(
    rows: pd.DataFrame, probabilities: np.ndarray, splits: Mapping[str, pd.DataFrame], threshold: float
) -> Challenge:
    """Judge the answers to challenge sets.

    The intervals hold for all sets together (Bonferroni), since the worst of them is looked at.

    Args:
        rows: As `read` gives them.
        probabilities: Of non-compliance, in their order; one that is no number counts as wrong.
        splits: The splits that the model was made and judged with.
        threshold: Probability from which a text is flagged.
    """
    known = set().union(*(split["normalized"] for split in splits.values()))
    confidence = 1 - (1 - CONFIDENCE) / rows["set"].nunique()
    flags = metrics.flags(probabilities, threshold)
    answers = {}
    for name, held in rows.groupby("set"):
        labels, at = held["label"].to_numpy(), held.index.to_numpy()
        confusion = Confusion.count(labels, flags[at])
        answers[str(name)] = Answer(
            confusion,
            _share(confusion.texts - confusion.errors, confusion.texts, confidence),
            _share(confusion.caught, confusion.noncompliant, confidence),
            int(held["normalized"].isin(known).sum()),
        )
    return Challenge(answers)


def _share(successes: int, trials: int, confidence: float) -> Estimate:
    return Estimate(successes / trials, *metrics.wilson(successes, trials, confidence)) if trials else metrics.NOTHING
