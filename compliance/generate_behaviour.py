"""Behavioural tests of the connected-car rule, plain and behind harder wording: texts, and the same with one change.

Each test changes one value of a component and nothing else, so that a model that fails it has not learned the rule,
whatever its accuracy. The kinds are those of M. Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models with
CheckList, ACL 2020: minimum functionality, invariance, direction.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import pandas as pd

from compliance.generate import CONDITIONS, MATERIALS, TEMPLATES, YEARS, is_noncompliant
from compliance.generate_hard import Writer
from compliance.wording import STATED

FUNCTIONALITY, INVARIANCE, DIRECTION = "functionality", "invariance", "direction"
COLUMNS = ("test", "kind", "text", "changed", "label")

Value = str | int
Values = dict[str, Value]  # what a component is stated to be: material, condition, year


class Phrase(Protocol):
    """Writes components alike but for the values that differ."""

    def __call__(self, *components: Values) -> list[str]:
        """Give a text for each."""


def connected_car_behaviour(rows: int, seed: int) -> pd.DataFrame:
    """Draw behavioural tests in the wording of `connected_car`.

    Args:
        rows: How many cases in all, in equal shares.
        seed: The same seed gives the same rows.

    Returns:
        As text: `test`, `kind`, `text`, `changed` ("" where nothing is), `label` of the text that is changed last.
    """
    return _cases(rows, random.Random(seed), _plain, YEARS)  # noqa: S311  repeatable, and nobody's secret


def connected_car_hard_behaviour(rows: int, seed: int) -> pd.DataFrame:
    """Draw behavioural tests in the wording of `connected_car_hard`; otherwise as `connected_car_behaviour`."""
    drawn = random.Random(seed)  # noqa: S311
    writer = Writer(drawn, "")
    years = sorted(int(year) for values in writer.values["year"].values() for year in values)
    return _cases(rows, drawn, lambda _: writer.alike, years)


def _plain(drawn: random.Random) -> Phrase:
    template = drawn.choice(TEMPLATES)
    return lambda *components: [template.format(**values) for values in components]


def _cases(
    rows: int, drawn: random.Random, phrase: Callable[[random.Random], Phrase], years: Sequence[int]
) -> pd.DataFrame:
    choices: dict[str, list[Value]] = {"material": [*MATERIALS], "condition": [*CONDITIONS], "year": [*years]}
    sound, broken = (_by_kind(choices, noncompliant=noncompliant) for noncompliant in (False, True))
    makers = dict(_tests(drawn, sound, broken))
    shares = [rows // len(makers) + (place < rows % len(makers)) for place in range(len(makers))]
    lines = []
    for ((test, kind), make), share in zip(makers.items(), shares, strict=True):
        for _ in range(share):
            first, second = make()
            texts = phrase(drawn)(first, *([second] if second else []))
            label = str(int(_breaks(second or first)))
            lines.append((test, kind, texts[0], texts[1] if second else "", label))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _tests(
    drawn: random.Random, sound: dict[str, list[Value]], broken: dict[str, list[Value]]
) -> Iterator[tuple[tuple[str, str], Callable[[], tuple[Values, Values | None]]]]:
    """Give each test's name and kind, and what draws a component and what becomes of it."""

    def all_sound() -> Values:
        return {stated: drawn.choice(sound[stated]) for stated in STATED}

    def one_broken(stated: str) -> tuple[Values, None]:
        return all_sound() | {stated: drawn.choice(broken[stated])}, None

    def other(stated: str) -> tuple[Values, Values]:
        first = all_sound()
        others = [value for value in sound[stated] if value != first[stated]]
        return first, first | {stated: drawn.choice(others)}

    def breaks(stated: str) -> tuple[Values, Values]:
        first = all_sound()
        return first, first | {stated: drawn.choice(broken[stated])}

    def mended(stated: str) -> tuple[Values, Values]:
        first, second = breaks(stated)
        return second, first

    yield ("nothing breaks the rule", FUNCTIONALITY), lambda: (all_sound(), None)
    for stated in STATED:
        yield (f"the {stated} alone breaks the rule", FUNCTIONALITY), partial(one_broken, stated)
        yield (f"another sound {stated}", INVARIANCE), partial(other, stated)
        yield (f"the {stated} comes to break the rule", DIRECTION), partial(breaks, stated)
        yield (f"the {stated} no longer breaks the rule", DIRECTION), partial(mended, stated)


def _by_kind(choices: dict[str, list[Value]], *, noncompliant: bool) -> dict[str, list[Value]]:
    """Give the values of each kind that break the rule by themselves, or do not."""
    neutral: Values = {"material": "steel", "condition": "new", "year": YEARS[-1]}
    return {
        stated: [value for value in values if _breaks(neutral | {stated: value}) == noncompliant]
        for stated, values in choices.items()
    }


def _breaks(values: Values) -> bool:
    return is_noncompliant(str(values["condition"]), str(values["material"]), int(values["year"]))
