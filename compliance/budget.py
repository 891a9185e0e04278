"""What an answer costs: how long it takes, and how large the file is that gives it."""

import statistics
import time

from compliance.scorer import Scorer

TIMED = 200  # texts, one after the other
FIRST = 20  # answers that are not timed: memory is still being laid out
ROUNDS = 3  # times that all texts are asked
BYTES_IN_MB = 1_000_000


def latency(scorer: Scorer, texts: list[str]) -> float:
    """Give the median time of an answer to one text, in milliseconds; the texts are asked in turn.

    Raises:
        ValueError: There is no text.
    """
    if not texts:
        raise ValueError("no text to be timed with: give at least one")
    asked = [texts[place % len(texts)] for place in range(FIRST + TIMED)]
    times = [_timed(scorer, [text]) for text in asked]
    return 1_000 * statistics.median(times[FIRST:])


def throughput(scorer: Scorer, texts: list[str]) -> float:
    """Give how many texts a second are answered, all of them asked at once; the median of three times.

    Raises:
        ValueError: There is no text.
    """
    if not texts:
        raise ValueError("no text to be timed with: give at least one")
    return len(texts) / statistics.median(_timed(scorer, texts) for _ in range(ROUNDS))


def megabytes(onnx: bytes) -> float:
    """Give the size of an exported file, in millions of bytes."""
    return len(onnx) / BYTES_IN_MB


def _timed(scorer: Scorer, texts: list[str]) -> float:
    start = time.perf_counter()
    scorer.score(texts)
    return time.perf_counter() - start
