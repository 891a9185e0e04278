"""Bounds of a parameter, read from the last clause of its comment.

    test_share: float = 0.15  # share kept for the final judgement, between 0 and 1

A clause is `between A and B` (both allowed), `at least A`, `at most A`, `above A` or `below A`, after a comma or alone.
Any other comment is help and bounds nothing.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_NUMBER = r"([-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_CLAUSE = re.compile(rf"(?:^|,\s*)(?:(between) {_NUMBER} and {_NUMBER}|(at least|at most|above|below) {_NUMBER})$")


@dataclass(frozen=True)
class Constraint:
    """The numbers a parameter may be.

    Attributes:
        text: As the comment states it.
        low: The least number; None where there is none.
        high: The largest number; None where there is none.
        strict: Whether `low` and `high` themselves are refused.
    """

    text: str
    low: float | None = None
    high: float | None = None
    strict: bool = False

    def allows(self, number: float) -> bool:
        """Tell whether a number keeps it."""
        if self.strict:
            return (self.low is None or number > self.low) and (self.high is None or number < self.high)
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)

    def breaches(self, value: Any) -> Iterator[float]:
        """Give the numbers in a value that break it; items of lists and mappings count, None and texts do not."""
        if isinstance(value, list | dict):
            for item in value.values() if isinstance(value, dict) else value:
                yield from self.breaches(item)
        elif isinstance(value, int | float) and not isinstance(value, bool) and not self.allows(value):
            yield value


def read(comment: str) -> tuple[str, Constraint | None]:
    """Split a comment into its help and its constraint.

    Raises:
        ValueError: Its bounds leave no number, or are beyond the range of numbers.
    """
    found = _CLAUSE.search(comment.strip())
    if not found:
        return comment, None
    between, first, second, one_sided, bound = found.groups()
    text = found[0].lstrip(", ")
    words = comment.strip()[: found.start()]
    if between:
        low, high = _number(first), _number(second)
        if low > high:
            raise ValueError(f"`{text}` leaves no number")
        return words, Constraint(text, low, high)
    number = _number(bound)
    return words, {
        "at least": Constraint(text, low=number),
        "at most": Constraint(text, high=number),
        "above": Constraint(text, low=number, strict=True),
        "below": Constraint(text, high=number, strict=True),
    }[one_sided]


def _number(written: str) -> float:
    """Read a bound; a whole number stays one, since a float rounds it beyond 2**53."""
    number = int(written) if re.fullmatch(r"[-+]?[\d_]+", written) else float(written)
    if number in {math.inf, -math.inf}:
        raise ValueError(f"`{written}` is beyond the range of numbers")
    return number
