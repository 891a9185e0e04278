"""What takes too long to run whole for each change: a part of it is drawn by the date; `make nightly` takes all."""

import os
import random
import time
from collections.abc import Sequence
from typing import TypeVar

Row = TypeVar("Row")

WHOLE = os.environ.get("TREY_WHOLE") == "1"
FEWEST = 10  # examples of a property


def seed() -> str:
    """Give what decides which rows are drawn: the date, or what TREY_SEED says. A table that changed gives others."""
    return os.environ.get("TREY_SEED") or time.strftime("%Y%m%d", time.gmtime())


def drawn(rows: Sequence[Row], count: int) -> list[Row]:
    """Draw some rows, in their order: other ones tomorrow, and the same again where TREY_SEED names the date.

    Args:
        rows: A table, or the points at which something may be killed.
        count: How many of them, unless TREY_WHOLE=1 asks for all.
    """
    if WHOLE or count >= len(rows):
        return list(rows)
    chosen = random.Random(seed()).sample(range(len(rows)), count)  # noqa: S311 - no secret
    return [rows[index] for index in sorted(chosen)]


def examples(count: int) -> int:
    """Give how many examples of a property are tried: a quarter of what it deserves, or all where TREY_WHOLE=1.

    Which examples is not drawn by the seed: Hypothesis chooses, and prints those that fail.
    """
    return count if WHOLE else min(count, max(count // 4, FEWEST))
