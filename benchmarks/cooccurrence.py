"""Word vectors from which words stand near each other, in GloVe's format: a stand-in for a file that was downloaded.

The project ships no vectors, so the comparison of architectures makes some from the texts that it trains with: the
pointwise mutual information of neighbours, positive parts alone, brought down to a few numbers for each word (O. Levy
and Y. Goldberg, Neural Word Embedding as Implicit Matrix Factorization, NeurIPS 2014).
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

NEAR = 5  # words to each side that are neighbours
ENOUGH = 5  # times that a word must stand in the texts, as GloVe's own tool has it


def vectors(texts: Iterable[str], dimension: int) -> dict[str, np.ndarray]:
    """Give each word of normalized texts that is not rare its vector; with too few words, the last numbers are 0."""
    split = [text.split() for text in texts]
    times = Counter(word for words in split for word in words)
    pairs: Counter[tuple[str, str]] = Counter()
    for every in split:
        words = [word for word in every if times[word] >= ENOUGH]
        for place, word in enumerate(words):
            for other in words[place + 1 : place + 1 + NEAR]:
                pairs[word, other] += 1
                pairs[other, word] += 1
    words = sorted({word for word, _ in pairs})
    places = {word: place for place, word in enumerate(words)}
    rows, columns = ([places[pair[side]] for pair in pairs] for side in (0, 1))
    counts = np.fromiter(pairs.values(), dtype=float)
    totals = np.bincount(rows, weights=counts)
    information = np.log(counts * counts.sum() / (totals[rows] * totals[columns]))
    near = csr_array((np.maximum(information, 0), (rows, columns)), shape=(len(words), len(words)))
    left, strength, _ = randomized_svd(near, min(dimension, len(words)), random_state=0)
    table = np.zeros((len(words), dimension))
    table[:, : len(strength)] = left * np.sqrt(strength)
    return dict(zip(words, table, strict=True))


def write(path: Path, texts: Iterable[str], dimension: int) -> None:
    """Write the vectors of the words of normalized texts as GloVe does."""
    made = vectors(texts, dimension)
    lines = (f"{word} {' '.join(f'{value:.6f}' for value in vector)}\n" for word, vector in made.items())
    path.write_text("".join(lines), encoding="utf-8")
