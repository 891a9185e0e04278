"""The words a network knows, and texts as the numbers it reads. Learned from the training split alone.

What training never saw may still be read as something it did see, by the same table, which stands in the exported
graph: a year as the nearest known year, a misspelt word as the word it was meant to be.
"""

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
YEARS = range(1900, 2100)
ENOUGH_YEARS = 10  # known ones; fewer are no scale that another could be placed on
SHORTEST_SPELT = 5  # letters; the misspellings of shorter words are too often other words
NEIGHBOURS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # rows of a keyboard


@dataclass(frozen=True)
class Vocabulary:
    """Words, the commonest first; the first has the number 2. 0 is padding and 1 any other word.

    Attributes:
        words: What training knows.
        nearest_year: Whether a year that is not among them counts as the nearest one that is.
        misspellings: Whether a misspelt word counts as the only known word that it can be a slip of.
    """

    words: tuple[str, ...]
    nearest_year: bool = False
    misspellings: bool = False

    @classmethod
    def learn(
        cls, texts: Iterable[str], maximum: int, *, nearest_year: bool = False, misspellings: bool = False
    ) -> Self:
        """Take the commonest words of texts; among equally common ones, the earlier in the alphabet.

        Args:
            texts: Training texts. A text that stands twice counts twice.
            maximum: Words to keep at most.
            nearest_year: Whether a year that is not among them counts as the nearest one that is.
            misspellings: Whether a misspelt word counts as the word it was meant to be.

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
        return cls(tuple(ranked[:maximum]), nearest_year, misspellings)

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
        return cls(tuple(words), stored.get("nearest_year") is True, stored.get("misspellings") is True)

    def write(self, path: Path | str) -> None:
        """Write the words in order, and how others are read, as JSON."""
        stored = {
            "padding": PADDING,
            "unknown": UNKNOWN,
            "first": FIRST_WORD,
            "nearest_year": self.nearest_year,
            "misspellings": self.misspellings,
            "words": list(self.words),
        }
        Path(path).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")

    @property
    def size(self) -> int:
        """How many numbers there are, padding and the unknown word included."""
        return FIRST_WORD + len(self.words)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Known word -> number."""
        return {word: number for number, word in enumerate(self.words, start=FIRST_WORD)}

    @cached_property
    def lookup(self) -> dict[str, int]:
        """Every word that has a number -> its number; several words may share one."""
        read_as = (nearest_years(self.words) if self.nearest_year else {}) | (
            slips(self.words) if self.misspellings else {}
        )
        return self.numbers | {word: self.numbers[known] for word, known in read_as.items()}

    def encode(self, texts: Sequence[str], tokens: int) -> np.ndarray:
        """Give the numbers of the first words of each text, filled up with padding.

        Args:
            texts: Raw or normalized; both give the same.
            tokens: How many words are read.

        Returns:
            int32[len(texts), tokens].
        """
        encoded = np.full((len(texts), tokens), PADDING, dtype=np.int32)
        numbers = self.lookup
        for row, text in zip(encoded, texts, strict=True):
            words = tokenize(text)[:tokens]
            row[: len(words)] = [numbers.get(word, UNKNOWN) for word in words]
        return encoded


def nearest_years(words: Iterable[str]) -> dict[str, str]:
    """Give for each year that is not among words the nearest that is, the earlier of two, if ENOUGH_YEARS are known."""
    known = sorted(int(word) for word in words if word in _YEAR_WORDS)
    if len(known) < ENOUGH_YEARS:
        return {}
    nearest = {year: min(known, key=lambda other: (abs(other - year), other)) for year in YEARS}
    return {str(year): str(other) for year, other in nearest.items() if year != other}


def slips(words: Iterable[str]) -> dict[str, str]:
    """Give for each slip of the pen the word it was meant to be: a letter lost, doubled, hit beside, or two swapped.

    A slip that is itself a known word, or one of two words, is left out (after P. Norvig, How to Write a Spelling
    Corrector, 2007, with the lookup turned round as in W. Garbe's SymSpell).
    """
    known = set(words)
    meant: dict[str, str | None] = {}
    for word in sorted(known):
        if len(word) >= SHORTEST_SPELT and word.isalpha():
            for slip in _slips_of(word) - known:
                meant[slip] = None if slip in meant else word
    return {slip: word for slip, word in sorted(meant.items()) if word}


def _slips_of(word: str) -> set[str]:
    """Give the slips of one word; the first letter is seldom the wrong one, and stays."""
    found = set()
    for place in range(1, len(word)):
        before, letter, after = word[:place], word[place], word[place + 1 :]
        found |= {before + after, before + letter + letter + after}
        found |= {before + other + after for other in _BESIDE[letter]}
        if after:
            found.add(before + after[0] + letter + after[1:])
    return found


def _beside() -> dict[str, str]:
    """Give for each letter those beside it on its row of the keyboard."""
    found = {}
    for row in NEIGHBOURS:
        for place, letter in enumerate(row):
            found[letter] = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    return found


_BESIDE = _beside()
_YEAR_WORDS = {str(year) for year in YEARS}
