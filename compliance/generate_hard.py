"""The connected-car rule behind wording as people write it: many phrasings, other facts, negations, decoys, typos.

A description states the material, the condition and the year of manufacture of one component or two, and facts beside
them. What it says of other things (the crate it came in, the year of its inspection) and what it denies ("not made of
plastic") decides nothing. A text is non-compliant when one of its components is, by the rule of `compliance.generate`.

Half of the texts are non-compliant, most of them by one value alone; what is denied or said of other things mostly
speaks for the other label, so that counting words is of little use.
"""

import random
from dataclasses import dataclass

import pandas as pd

from compliance import wording
from compliance.generate import CONDITIONS, MATERIALS, YEARS, is_noncompliant
from compliance.wording import NEGATION, ORDERS, PHRASING, STATED, TYPOS, UNSEEN_YEARS

SECOND, DENIED, BESIDE = 0.3, 0.3, 0.5  # shares of texts, statements and kinds of statement
DECOY = 0.8  # share of the values that decide nothing which speak for the other label
ALSO_BROKEN = 0.2  # share of non-compliant components with a second value that breaks the rule
SLIP = 0.35  # share of longer words that are misspelt, in the set of typos
SHORTEST_SLIP = 5  # letters
COLUMNS = ("text", "label", "material", "condition", "decade", "templates")
SEVERAL = "several"  # slice of a text with two components

Value = str | int


@dataclass(frozen=True)
class Fact:
    """One value of a component, and two that decide nothing: what it is said not to be, and what something else is."""

    own: Value
    denied: Value
    beside: Value


Component = dict[str, Fact]  # by what is stated


def connected_car_hard(rows: int, seed: int) -> pd.DataFrame:
    """Draw labelled descriptions for training and the ordinary test.

    Args:
        rows: How many.
        seed: The same seed gives the same rows.

    Returns:
        As text: `text`, `label` ("1" is non-compliant), `material`, `condition`, `decade` ("several" for two
        components), and `templates`, the ids of what it was written with.
    """
    return _table(rows, seed, "")


def connected_car_challenges(rows: int, seed: int) -> pd.DataFrame:
    """Draw the challenge sets in equal shares: new phrasing, years and negation, and typos.

    Args:
        rows: How many in all.
        seed: The same seed gives the same rows.

    Returns:
        As `connected_car_hard`, with the set's name in `set`.
    """
    sets = wording.CHALLENGES
    shares = [rows // len(sets) + (place < rows % len(sets)) for place in range(len(sets))]
    tables = [
        _table(share, seed + place, name).assign(set=name)
        for place, (name, share) in enumerate(zip(sets, shares, strict=True), start=1)
    ]
    return pd.concat(tables, ignore_index=True)


def _table(rows: int, seed: int, challenge: str) -> pd.DataFrame:
    writer = Writer(random.Random(seed), challenge)  # noqa: S311  repeatable, and nobody's secret
    return pd.DataFrame([writer.row() for _ in range(rows)], columns=list(COLUMNS))


def _values(challenge: str) -> dict[str, dict[bool, list[Value]]]:
    """Give what may be stated: kind -> whether it breaks the rule -> values."""
    breaks = {
        "material": lambda value: is_noncompliant("new", value, YEARS[-1]),
        "condition": lambda value: is_noncompliant(value, "steel", YEARS[-1]),
        "year": lambda value: is_noncompliant("new", "steel", value),
    }
    years = [year for year in YEARS if (year in wording.HELD_OUT_YEARS) == (challenge == UNSEEN_YEARS)]
    given: dict[str, list[Value]] = {"material": [*MATERIALS], "condition": [*CONDITIONS], "year": [*years]}
    return {
        kind: {broken: [value for value in values if breaks[kind](value) == broken] for broken in (False, True)}
        for kind, values in given.items()
    }


class Writer:
    """Writes descriptions for training, or for one challenge set."""

    def __init__(self, drawn: random.Random, challenge: str):
        self.random = drawn
        self.challenge = challenge
        self.values = _values(challenge)
        self.orders = wording.UNSEEN_ORDERS if challenge in (PHRASING, NEGATION) else wording.TRAINING_ORDERS

    def row(self) -> dict[str, str]:
        """Draw one description: its text and label, its slices, and what it was written with."""
        noncompliant = self.random.random() < 0.5  # noqa: PLR2004  each label as often
        components = [self._component(noncompliant=noncompliant)]
        if self.random.random() < SECOND:
            components.append(self._component(noncompliant=False))
            self.random.shuffle(components)
        written = [self._written(component) for component in components]
        text = self.random.choice(wording.SECONDS).join(text for text, _ in written)
        return {
            "text": self._misspelt(text) if self.challenge == TYPOS else text,
            "label": str(int(noncompliant)),
            **_slices(components),
            "templates": " ".join(name for _, names in written for name in names),
        }

    def alike(self, *components: dict[str, Value]) -> list[str]:
        """Write single components in the same words but for the values that they differ in.

        Args:
            components: Material, condition and year of each. What is denied, or said of other things, is none of them.
        """
        stated = {kind: {component[kind] for component in components} for kind in STATED}
        decoys = {
            kind: [value for values in self.values[kind].values() for value in values if value not in stated[kind]]
            for kind in STATED
        }
        others = {kind: (self.random.choice(decoys[kind]), self.random.choice(decoys[kind])) for kind in STATED}
        before = self.random.getstate()
        texts = []
        for component in components:
            self.random.setstate(before)
            texts.append(self._written({kind: Fact(component[kind], *others[kind]) for kind in STATED})[0])
        return texts

    def _component(self, *, noncompliant: bool) -> Component:
        broken = self._broken() if noncompliant else set()
        return {kind: self._fact(self.values[kind], kind in broken) for kind in STATED}

    def _broken(self) -> set[str]:
        """Draw which values break the rule; where unseen years are asked for, the year alone."""
        if self.challenge == UNSEEN_YEARS:
            return {"year"}
        more = {self.random.choice(STATED)} if self.random.random() < ALSO_BROKEN else set()
        return {self.random.choice(STATED)} | more

    def _fact(self, values: dict[bool, list[Value]], broken: bool) -> Fact:
        own = self.random.choice(values[broken])
        other = broken != (self.random.random() < DECOY)
        decoys = [value for value in values[other] if value != own]
        return Fact(own, self.random.choice(decoys), self.random.choice(decoys))

    def _written(self, component: Component) -> tuple[str, list[str]]:
        """Give the words for a component, and the ids of their templates."""
        order = self.random.choice(self.orders)
        clauses, names = [], [f"order/{ORDERS.index(order)}"]
        must_deny = self.random.choice(STATED) if self.challenge == NEGATION else ""
        for kind in order:
            if kind == "part":
                clauses.append(self.random.choice(wording.PARTS))
                continue
            denies = kind == must_deny or self.random.random() < DENIED
            fact = component[kind]
            clauses.append(self._clause(f"{kind} denied" if denies else kind, names, fact.own, fact.denied))
        besides = [kind for kind in STATED if self.random.random() < BESIDE]
        more = [self._clause(f"other {kind}", names, component[kind].own, component[kind].beside) for kind in besides]
        more += [self._clause("fact", names) for _ in range(self.random.choice((0, 0, 1, 2)))]
        for clause in more:
            clauses.insert(self.random.randint(0, len(clauses)), clause)
        return self.random.choice(wording.JOINTS).join(clauses), names

    def _clause(self, kind: str, names: list[str], own: Value = "", other: Value = "") -> str:
        """Draw a clause of a kind and fill it; its id is added to `names`."""
        known = wording.TRAINING_CLAUSES[kind]
        unseen = wording.UNSEEN_CLAUSES.get(self.challenge, {}).get(kind, ())
        place = self.random.randrange(len(unseen) or len(known))
        names.append(f"{kind}/{place + len(known) if unseen else place}".replace(" ", "-"))
        choose, number = self.random.choice, self.random.randint
        return (unseen or known)[place].format(
            m=own,
            c=own,
            y=own,
            x=other,
            date=self._date(own),
            xdate=self._date(other),
            month=choose(wording.MONTHS),
            xmonth=choose(wording.MONTHS),
            n=number(2, 999),
            s=number(10_000, 99_999),
            colour=choose(wording.COLOURS),
        )

    def _date(self, year: Value) -> str:
        day, month = self.random.randint(1, 28), self.random.randint(1, 12)
        forms = (
            f"{day:02}/{month:02}/{year}",
            f"{year}-{month:02}-{day:02}",
            f"{day}.{month}.{year}",
            f"{wording.MONTHS[month - 1]} {day}, {year}",
        )
        return self.random.choice(forms)

    def _misspelt(self, text: str) -> str:
        return " ".join(
            self._slip(word) if len(word) >= SHORTEST_SLIP and word.isalpha() and self.random.random() < SLIP else word
            for word in text.split(" ")
        )

    def _slip(self, word: str) -> str:
        """Lose, double, mistake or swap a letter of a word, but for the first."""
        place = self.random.randrange(1, len(word) - 1)
        before, letter, after = word[:place], word[place], word[place + 1 :]
        slips = (
            before + after,
            before + letter + letter + after,
            before + self.random.choice("abcdefghijklmnopqrstuvwxyz") + after,
            before + after[0] + letter + after[1:],
        )
        return self.random.choice(slips)


def _slices(components: list[Component]) -> dict[str, str]:
    if len(components) > 1:
        return dict.fromkeys(("material", "condition", "decade"), SEVERAL)
    [component] = components
    decade = f"{str(component['year'].own)[:3]}0s"
    return {"material": str(component["material"].own), "condition": str(component["condition"].own), "decade": decade}
