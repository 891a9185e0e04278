"""Text as the model sees it: lower-case words of ASCII letters and digits.

The exported model cuts its raw text the same way inside the ONNX graph (lower case in the C locale, then
`[A-Za-z0-9]+`), so what is equal here is equal there.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_WORD = re.compile(r"[A-Za-z0-9]+")


def normalize(text: str) -> str:
    """Give the words of `text`, lower case, one space between them.

    Two texts have the same normalized text exactly when the model reads the same words in them. Splits, duplicates
    and conflicting labels are judged on it, so that two spellings the model cannot tell apart never stand in two
    splits. Only ASCII letters change case: the graph leaves all others out, and Unicode folding would make words
    of them that the model never sees (U+212A, the Kelvin sign, folds to `k`).

    A text without such a word gives "". The model sees nothing in it, so `prepare` refuses it.
    """
    return " ".join(_WORD.findall(text)).lower()


def normalize_all(texts: "pd.Series") -> "pd.Series":
    """Normalize each of many texts; equal ones once."""
    return texts.map({text: normalize(text) for text in texts.unique()}).astype(object)


def tokenize(text: str) -> list[str]:
    """Give the words of `text` in reading order, as the front of the exported graph does."""
    return normalize(text).split()
