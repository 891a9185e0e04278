"""Component descriptions made up after the grammar of the published connected-car lab, whose own file is gone.

Three templates, 4 conditions, 4 materials and 50 years give 2,400 distinct sentences of 65 distinct words, and no more:
100,000 rows repeat each of them many times.
"""

from itertools import product

import numpy as np
import pandas as pd

CONDITIONS = ("poor", "fair", "good", "new")
MATERIALS = ("plastic", "carbon fiber", "steel", "iron")
YEARS = range(1970, 2020)
TEMPLATES = (
    "{condition} condition {material} component manufactured in {year}",
    "{material} component manufactured in {year} in {condition} condition",
    "manufactured in {year} made of {material} in {condition} condition",
)

FACTS = ("text", "material", "condition", "decade")
FIRST_COMPLIANT_YEAR = 1995
NONCOMPLIANT_CONDITIONS = {"poor", "fair"}
NONCOMPLIANT_MATERIALS = {"plastic", "iron"}


def is_noncompliant(condition: str, material: str, year: int) -> bool:
    """Apply the lab's rule to one component."""
    return year < FIRST_COMPLIANT_YEAR or condition in NONCOMPLIANT_CONDITIONS or material in NONCOMPLIANT_MATERIALS


def connected_car(rows: int, seed: int) -> pd.DataFrame:
    """Draw labelled descriptions; each label has an even chance, then each sentence of that label has.

    Args:
        rows: How many to draw, with replacement.
        seed: The same seed gives the same rows.

    Returns:
        As text, as a CSV would hold it: `text`, `label` ("1" is non-compliant), `material`, `condition`, `decade`.
    """
    sentences: dict[bool, list[tuple[str, ...]]] = {True: [], False: []}
    for template, condition, material, year in product(TEMPLATES, CONDITIONS, MATERIALS, YEARS):
        sentence = template.format(condition=condition, material=material, year=year)
        told = (sentence, material, condition, f"{str(year)[:3]}0s")
        sentences[is_noncompliant(condition, material, year)].append(told)

    random = np.random.default_rng(seed)
    noncompliant = random.integers(2, size=rows).astype(bool)
    columns = np.empty((rows, len(FACTS)), dtype=object)
    for label, choices in sentences.items():
        drawn = noncompliant == label
        columns[drawn] = np.array(choices, dtype=object)[random.integers(len(choices), size=drawn.sum())]
    labels = np.where(noncompliant, "1", "0").astype(object)
    made = pd.DataFrame(columns, columns=list(FACTS))
    made.insert(1, "label", labels)
    return made
