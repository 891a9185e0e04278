"""What an answer costs."""

import pytest

from compliance import budget
from compliance.scorer import Scorer

from .conftest import Tiny


def test_latency_is_that_of_single_texts(tiny: Tiny) -> None:
    asked: list[list[str]] = []

    class Counting(Scorer):
        def score(self, texts):
            asked.append(list(texts))
            return super().score(texts)

    assert budget.latency(Counting.from_onnx(tiny.onnx), ["steel", "iron"]) > 0
    assert len(asked) == budget.FIRST + budget.TIMED
    assert asked[:3] == [["steel"], ["iron"], ["steel"]]


def test_without_a_text_nothing_is_timed(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match="give at least one"):
        budget.latency(Scorer.from_onnx(tiny.onnx), [])


def test_size_is_in_millions_of_bytes() -> None:
    assert budget.megabytes(b"x" * 250_000) == 0.25
