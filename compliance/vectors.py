"""Word vectors that somebody trained before, read from a file in GloVe's format: `word v1 … vN`, one word a line.

The project ships no such file. Vectors of 100 numbers, as the published lab takes them, are what GloVe's own pages give
as `glove.6B.100d.txt` (J. Pennington et al., GloVe: Global Vectors for Word Representation, EMNLP 2014).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compliance.errors import BadInput
from compliance.vocabulary import FIRST_WORD

if TYPE_CHECKING:
    import keras

EMBEDDING = "embedding"  # the layer that holds the vectors of words
SHOWN = 5  # faults that are told
NEXT = "--set train.vectors_path=FILE, or '' for none"


@dataclass(frozen=True)
class Vectors:
    """Vectors of the words that a network knows.

    Attributes:
        table: float32[words, dimension], in their order; zeros where the file has none.
        found: How many of the words have one.
    """

    table: np.ndarray
    found: int


def read(path: Path | str, words: Sequence[str], dimension: int) -> Vectors:
    """Read the vectors of some words, of a word that comes twice the first; those of others are only counted.

    Args:
        path: A file in GloVe's format, in UTF-8.
        words: Whose vectors are wanted; normalized, so in lower case.
        dimension: How many numbers the network reads for a word.

    Raises:
        BadInput: There is no such file, its vectors have another length, some line is malformed, or it holds none of
            the words.
    """
    if not Path(path).is_file():
        raise BadInput(f"vectors_path: {path} is no file; give one of lines `word v1 … v{dimension}`: {NEXT}")
    wanted = {word: place for place, word in enumerate(words)}
    given: dict[str, np.ndarray] = {}
    faults = []
    for number, line in _lines(path):
        word, *values = line.split(" ")
        if number == 1 and len(values) != dimension:
            raise BadInput(_other_dimension(path, len(values), dimension))
        if len(values) != dimension:
            faults.append(f"line {number} has {len(values)} numbers")
        elif word in wanted and word not in given:
            try:
                given[word] = _vector(values)
            except ValueError as error:
                faults.append(f"line {number}: {error}")
    if faults:
        told = "; ".join(faults[:SHOWN])
        raise BadInput(
            f"{path} has {len(faults):,} malformed lines ({told}); each must be a word and {dimension} numbers, "
            f"one space between them: {NEXT}"
        )
    if not given:
        raise BadInput(
            f"{path} has a vector for none of the {len(words):,} words of the training texts, such as "
            f"{', '.join(words[:SHOWN])}; give one of their language, in lower case: {NEXT}"
        )
    return Vectors(_table(given, wanted, dimension), len(given))


def place(network: "keras.Model", vectors: Vectors) -> None:
    """Give the words of a network their vectors; padding, unknown words and those without one get zeros."""
    embedding = network.get_layer(EMBEDDING)
    [drawn] = embedding.get_weights()
    table = np.zeros_like(drawn)
    table[FIRST_WORD:] = vectors.table
    embedding.set_weights([table])


def digest(path: Path | str) -> str:
    """Give the sha256 of a file of vectors: where it lies does not matter."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(path: Path | str) -> Iterator[tuple[int, str]]:
    try:
        with Path(path).open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.rstrip("\r\n ")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not in UTF-8 ({error.reason}): save it again in UTF-8, or {NEXT}") from error


def _vector(values: Sequence[str]) -> np.ndarray:
    vector = np.array([float(value) for value in values], dtype=np.float32)
    if not np.isfinite(vector).all():
        raise ValueError("a number is not finite")
    return vector


def _other_dimension(path: Path | str, arrived: int, dimension: int) -> str:
    head = "; a first line of two counts, as word2vec writes it, must be taken out" if arrived == 1 else ""
    return f"{path} has vectors of {arrived} numbers; the network reads {dimension}{head}: {NEXT}"


def _table(given: Mapping[str, np.ndarray], wanted: Mapping[str, int], dimension: int) -> np.ndarray:
    table = np.zeros((len(wanted), dimension), dtype=np.float32)
    for word, vector in given.items():
        table[wanted[word]] = vector
    return table
