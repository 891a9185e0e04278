"""The words a network knows, and texts as the numbers it reads. Learned from the training split alone."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from compliance.errors import BadInput
from compliance.text import tokenize

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2


@dataclass(frozen=True)
class Vocabulary:
    """Words, the commonest first; the first has the number 2. 0 is padding and 1 any other word."""

    words: tuple[str, ...]

    @classmethod
    def learn(cls, texts: Iterable[str], maximum: int) -> Self:
        """Take the commonest words of texts; among equally common ones, the earlier in the alphabet.

        Args:
            texts: Training texts. A text that stands twice counts twice.
            maximum: Words to keep at most.

        Raises:
            BadInput: There is no word in them.
        """
        repeats = Counter(texts)
        counts: Counter[str] = Counter()
        for text, times in repeats.items():
            for word in tokenize(text):
                counts[word] += times
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        if not ranked:
            raise BadInput("the training texts hold no word: run the prepare notebook again on another source")
        return cls(tuple(ranked[:maximum]))

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read what `write` wrote.

        Raises:
            BadInput: It is missing or something else.
        """
        try:
            stored = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"{path} is no vocabulary ({error}): run the train notebook again") from error
        words = stored.get("words") if isinstance(stored, dict) else None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise BadInput(f"{path} holds no list of words: run the train notebook again")
        return cls(tuple(words))

    def write(self, path: Path | str) -> None:
        """Write the words in order, as JSON."""
        stored = {"padding": PADDING, "unknown": UNKNOWN, "first": FIRST_WORD, "words": list(self.words)}
        Path(path).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")

    @property
    def size(self) -> int:
        """How many numbers there are, padding and the unknown word included."""
        return FIRST_WORD + len(self.words)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Word -> number."""
        return {word: number for number, word in enumerate(self.words, start=FIRST_WORD)}

    def encode(self, texts: Sequence[str], tokens: int) -> np.ndarray:
        """Give the numbers of the first words of each text, filled up with padding.

        Args:
            texts: Raw or normalized; both give the same.
            tokens: How many words are read.

        Returns:
            int32[len(texts), tokens].
        """
        encoded = np.full((len(texts), tokens), PADDING, dtype=np.int32)
        numbers = self.numbers
        for row, text in zip(encoded, texts, strict=True):
            words = tokenize(text)[:tokens]
            row[: len(words)] = [numbers.get(word, UNKNOWN) for word in words]
        return encoded
