"""Takes out of a text what must not be stored: every match of the patterns that an operator gives.

Python matches a pattern without giving way to other threads, and some patterns take minutes for a short text. A
pattern is therefore refused where it can backtrack without end (a repeat inside of a repeat, a choice inside of a
repeat, a back-reference), and where it takes too long for texts of the greatest length that is looked at. The second
is a trial on texts of one or two characters repeated: it finds what commonly goes wrong, and is no proof.
"""

import re
import time
from collections.abc import Iterator, Sequence
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MARK = "[redacted]"
LONGEST = 10_000  # characters of a text that are looked at; what follows is not kept
MARGIN = 256  # characters that are looked at, but not kept, behind a text that is cut: a match may begin before the cut
MOST_SECONDS = 0.05  # of computing, for one text and one pattern
_FEWEST = 8  # characters of the first text of the trial
_GROWTH = 1.5
_UNITS = ("a", "1", " ", "a1", "a ", "1 ", "a.", "a-", "1-", "a@", "a@a.", "\n")
_REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT)


class Redactor:
    """Knows patterns, and puts `[redacted]` in the place of what they match.

    Args:
        patterns: Regular expressions that `fault` has nothing against.
    """

    def __init__(self, patterns: Sequence[str] = ()):
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def text(self, text: str) -> str:
        """Give a text without the matches; of a text that is longer than is looked at, give its beginning."""
        whole = len(text) <= LONGEST
        if not self._patterns:
            return text if whole else text[:LONGEST]
        safe = text if whole else text[: LONGEST + MARGIN]
        for pattern in self._patterns:
            safe = pattern.sub(MARK, safe)
        return safe if whole else safe[:-MARGIN][:LONGEST]


def fault(pattern: str) -> str | None:
    """Say why a pattern cannot be used; None where it can."""
    try:
        compiled = re.compile(pattern)
        if compiled.match(""):
            return "it matches the empty text; give a pattern that matches what is to be taken out"
        if _backtracks(parser.parse(pattern), False):
            return "it has a repeat or a choice inside of a repeat, or a back-reference, and may never end"
    except (re.error, RecursionError, OverflowError) as error:
        return f"it is no regular expression: {error}"
    if slow := next((unit for unit in _UNITS if _is_slow(compiled, unit)), None):
        took = f"more than {1_000 * MOST_SECONDS:.0f} ms for a text of {LONGEST:,} characters ({slow!r} repeated)"
        return f"it takes {took}; bound its repeats, for instance {{1,64}} in place of +"
    return None


def _backtracks(tree: Any, repeated: bool) -> bool:
    """Tell whether a part of a parsed pattern repeats, chooses or refers back where it is repeated itself."""
    for operation, argument in tree:
        varies = operation in _REPEATS and argument[0] != argument[1] and argument[1] > 1
        if operation in (constants.GROUPREF, constants.GROUPREF_EXISTS):
            return True
        if repeated and (varies or operation is constants.BRANCH):
            return True
        within = repeated or (operation in _REPEATS and argument[1] > 1)
        if any(_backtracks(part, within) for part in _parts(argument)):
            return True
    return False


def _parts(argument: Any) -> Iterator[Any]:
    """Give the patterns inside of an operation's argument, however deep tuples and lists hold them."""
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for item in argument:
            yield from _parts(item)


def _is_slow(pattern: re.Pattern[str], unit: str) -> bool:
    """Try texts that grow slowly, so that the trial itself ends soon after the first that takes too long."""
    length = float(_FEWEST)
    while length <= LONGEST * _GROWTH:
        text = (unit * (int(length) // len(unit) + 1))[: min(int(length), LONGEST)] + "!"
        began = time.thread_time()
        pattern.sub(MARK, text)
        if time.thread_time() - began > MOST_SECONDS:
            return True
        length *= _GROWTH
    return False
