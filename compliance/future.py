"""How a model does on the future set: rows from after the rules changed, which took no part in making or judging it.

No gate looks at them. They show what a change of rules does to a model made under the old ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compliance import metrics
from compliance.data import FUTURE_SET
from compliance.metrics import Evaluation

FILE = f"{FUTURE_SET}.parquet"
CHANGED_FILE = "changed_labels.csv"
SIDES = ("test", "future", "future, unseen texts")


@dataclass(frozen=True)
class Future:
    """What was measured on the distinct texts of a future set.

    Attributes:
        every: On all of them.
        unseen: On those that stand in none of the splits: the others may be answered from memory.
        changed: Texts that also stand in a split, with another label: `text`, `label_before`, `label`, `answer`
            (1 is non-compliant).
    """

    every: Evaluation
    unseen: Evaluation
    changed: pd.DataFrame

    @property
    def shared(self) -> int:
        """How many of its texts stand in a split, too."""
        return self.every.confusion.texts - self.unseen.confusion.texts

    def scraps(self) -> dict[str, float]:
        """Give counts and estimates under the names that the run record knows."""
        found: dict[str, float] = {
            "future_texts": self.every.confusion.texts,
            "future_unseen_texts": self.unseen.confusion.texts,
            "future_changed_labels": len(self.changed),
        }
        for prefix, evaluation in (("future_", self.every), ("future_unseen_", self.unseen)):
            found |= {f"{prefix}{name}": value for name, value in evaluation.scraps().items()}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return {
            "every": self.every.as_dict(),
            "unseen": self.unseen.as_dict(),
            "shared_texts": self.shared,
            "changed_labels": len(self.changed),
        }


def read(prepare_dir: Path | str) -> pd.DataFrame | None:
    """Read the future set as it lies there; None where *prepare* was given none."""
    path = Path(prepare_dir) / FILE
    return pd.read_parquet(path) if path.is_file() else None


def judge(
    texts: pd.DataFrame,
    probabilities: np.ndarray,
    splits: Mapping[str, pd.DataFrame],
    *,
    threshold: float,
    seed: int,
) -> Future:
    """Judge the answers to a future set.

    Args:
        texts: Its distinct texts: `text`, `normalized`, `label` (1 is non-compliant).
        probabilities: Of non-compliance, in their order.
        splits: The splits the model was made and judged with.
        threshold: Probability from which a text is flagged.
        seed: Decides the resampling behind the intervals.
    """
    before = pd.concat(splits.values()).drop_duplicates("normalized").set_index("normalized")["label"]
    label_before = texts["normalized"].map(before)
    labels, unseen = texts["label"].to_numpy(), label_before.isna().to_numpy()
    changed = (label_before.notna() & (label_before != texts["label"])).to_numpy()
    answers = texts.assign(label_before=label_before, answer=metrics.flags(probabilities, threshold))[changed]
    kinds = {"label_before": int, "label": int, "answer": int}
    answers = answers[["text", *kinds]].astype(kinds)
    return Future(
        every=metrics.evaluate(labels, probabilities, threshold, seed),
        unseen=metrics.evaluate(labels[unseen], probabilities[unseen], threshold, seed),
        changed=answers.sort_values(["label_before", "text"], ignore_index=True),
    )


def side_by_side(test: Evaluation, future: Future) -> pd.DataFrame:
    """Give a line per measure and a column per set of texts, each with its 95 % interval, and the counts below."""
    sets = dict(zip(SIDES, (test, future.every, future.unseen), strict=True))
    lines = {name: {side: str(found[name]) for side, found in sets.items()} for name in metrics.NAMES}
    lines["texts"] = {side: f"{found.confusion.texts:,}" for side, found in sets.items()}
    lines["of them non-compliant"] = {side: f"{found.confusion.noncompliant:,}" for side, found in sets.items()}
    return pd.DataFrame.from_dict(lines, orient="index")


def write_changed(output_dir: Path, changed: pd.DataFrame) -> None:
    """Write the texts whose label changed."""
    changed.to_csv(output_dir / CHANGED_FILE, index=False, lineterminator="\n")
