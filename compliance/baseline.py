"""What no network is needed for: TF-IDF and logistic regression, learned from the same texts.

A network costs more to train, to serve and to understand. One that is not at least as good has no business in
production.
"""

import numpy as np
import pandas as pd

NAME = "TF-IDF + logistic regression"
STRENGTH = 10  # of the regression: the inverse of its regularization


def flags(learned: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
    """Learn from words and pairs of words, and flag the texts that are asked. bool[asked].

    Args:
        learned: Distinct texts with `normalized` and `label` (1 is non-compliant); both labels occur.
        asked: Texts with `normalized`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=str.split, token_pattern=None)
    fitted = make_pipeline(words, LogisticRegression(C=STRENGTH, max_iter=2_000))
    fitted.fit(learned["normalized"], learned["label"])
    found: np.ndarray = np.asarray(fitted.predict(asked["normalized"])) == 1
    return found
