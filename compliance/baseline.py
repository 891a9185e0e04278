"""What no network is needed for: TF-IDF and logistic regression, learned from the same texts.

A network costs more to train, to serve and to understand. One that is not at least as good has no business in
production.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

NAME = "TF-IDF + logistic regression"
INNER_SHARE = 0.2  # of the learned texts, on which settings are chosen


@dataclass(frozen=True)
class Settings:
    """What can be chosen about it.

    Attributes:
        longest: Words in a row that count as one feature, at most.
        strength: Of the regression: the inverse of its regularization.
        sublinear: Whether a word that stands n times in a text counts 1 + log n times.
    """

    longest: int = 2
    strength: float = 10
    sublinear: bool = True


STANDARD = Settings()
GRID = tuple(Settings(*chosen) for chosen in product((1, 2, 3), (1, 10, 100, 1_000), (True, False)))


def fit(learned: pd.DataFrame, settings: Settings = STANDARD) -> "Pipeline":
    """Learn from words and words in a row.

    Args:
        learned: Distinct texts with `normalized` and `label` (1 is non-compliant); both labels occur.
        settings: What was chosen.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(
        ngram_range=(1, settings.longest), sublinear_tf=settings.sublinear, tokenizer=str.split, token_pattern=None
    )
    fitted = make_pipeline(words, LogisticRegression(C=settings.strength, max_iter=2_000))
    return fitted.fit(learned["normalized"], learned["label"])


def answers(fitted: "Pipeline", asked: pd.DataFrame) -> np.ndarray:
    """Flag the texts that are asked. bool[asked]."""
    found: np.ndarray = np.asarray(fitted.predict(asked["normalized"])) == 1
    return found


def flags(learned: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
    """Learn with the standard settings, and flag the texts that are asked. bool[asked].

    Args:
        learned: Distinct texts with `normalized` and `label` (1 is non-compliant); both labels occur.
        asked: Texts with `normalized`.
    """
    return answers(fit(learned), asked)


def tuned(learned: pd.DataFrame, seed: int, most: int | None = None, grid: Sequence[Settings] = GRID) -> Settings:
    """Choose the settings that answer most texts rightly of a part of the learned ones that is kept aside for it.

    Of settings that do equally well, the first in the grid is taken: the plainest, as it is ordered.

    Args:
        learned: As `fit` takes them.
        seed: Decides which texts are kept aside.
        most: Choose on so many of the texts at most; on all of them if None.
        grid: What may be chosen.
    """
    from sklearn.model_selection import train_test_split

    if most and len(learned) > most:
        learned, _ = train_test_split(learned, train_size=most, stratify=learned["label"], random_state=seed)
    inner, kept = train_test_split(learned, test_size=INNER_SHARE, stratify=learned["label"], random_state=seed)
    right = {settings: (answers(fit(inner, settings), kept) == (kept["label"] == 1)).mean() for settings in grid}
    return max(grid, key=lambda settings: right[settings])
