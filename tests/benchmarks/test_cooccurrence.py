"""Vectors that are made from texts: the format, and that neighbours lie near each other."""

from pathlib import Path

import numpy as np

from benchmarks import cooccurrence
from compliance import vectors

TEXTS = ["good steel part", "good iron part", "year nineteen ninety", "year two thousand"] * 5


def test_words_with_the_same_neighbours_have_like_vectors() -> None:
    made = cooccurrence.vectors(TEXTS, 4)

    def likeness(one: str, other: str) -> float:
        return float(made[one] @ made[other] / np.linalg.norm(made[one]) / np.linalg.norm(made[other]))

    assert likeness("steel", "iron") > likeness("steel", "ninety") + 0.5


def test_what_is_written_can_be_read_and_is_filled_up_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    cooccurrence.write(path, TEXTS, 30)
    found = vectors.read(path, ("steel", "zebra", "year"), 30)
    assert found.found == 2
    assert found.table[0].any() and not found.table[1].any() and not found.table[0][12:].any()


def test_the_same_texts_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        cooccurrence.write(tmp_path / name, TEXTS, 10)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
