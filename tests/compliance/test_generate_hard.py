"""The harder descriptions: the rule behind the wording, and challenge sets that share neither templates nor years."""

import re

import pandas as pd
import pytest

from compliance import wording
from compliance.generate_hard import connected_car_challenges, connected_car_hard
from compliance.text import normalize, tokenize

YEAR = re.compile(r"\b(19[7-9]\d|20[01]\d)\b")


@pytest.fixture(scope="module")
def training() -> pd.DataFrame:
    return connected_car_hard(6_000, seed=3)


@pytest.fixture(scope="module")
def challenges() -> pd.DataFrame:
    return connected_car_challenges(4_000, seed=3)


def templates(rows: pd.DataFrame, *kinds: str) -> set[str]:
    names = {name for told in rows["templates"] for name in told.split(" ")}
    return {name for name in names if not kinds or name.rpartition("/")[0] in kinds}


def years(rows: pd.DataFrame) -> set[int]:
    return {int(year) for text in rows["text"] for year in YEAR.findall(text)}


def test_the_seed_decides(training: pd.DataFrame) -> None:
    assert connected_car_hard(6_000, seed=3).equals(training)
    assert not connected_car_hard(6_000, seed=4).equals(training)


def test_labels_are_about_balanced_in_training_and_in_each_set(
    training: pd.DataFrame, challenges: pd.DataFrame
) -> None:
    for rows in (training, *(held for _, held in challenges.groupby("set"))):
        assert (rows["label"] == "1").mean() == pytest.approx(0.5, abs=0.06)


def test_the_label_follows_the_rule_where_one_component_is_described(training: pd.DataFrame) -> None:
    single = training[training["material"] != "several"]
    bad = single["material"].isin(["plastic", "iron"]) | single["condition"].isin(["poor", "fair"])
    old = single["decade"].isin(["1970s", "1980s"])
    assert (single.loc[bad | old, "label"] == "1").all()
    assert (single.loc[single["decade"].isin(["2000s", "2010s"]) & ~bad, "label"] == "0").all()


def test_what_is_stated_stands_in_the_text(training: pd.DataFrame) -> None:
    for row in training[training["material"] != "several"].head(300).itertuples():
        assert row.material in row.text and row.condition in row.text and row.decade[:3] in row.text


def test_sets_are_written_with_templates_that_training_never_draws(
    training: pd.DataFrame, challenges: pd.DataFrame
) -> None:
    phrasing = challenges[challenges["set"] == wording.PHRASING]
    stated = templates(phrasing, "material", "condition", "year", "order")
    assert stated and not stated & templates(training)
    negation = challenges[challenges["set"] == wording.NEGATION]
    denied = templates(negation, "material-denied", "condition-denied", "year-denied", "order")
    assert denied and not denied & templates(training)
    assert all("-denied/" in told for told in negation["templates"])


def test_unseen_clauses_are_worded_as_no_clause_of_training() -> None:
    known = {normalize(clause) for clauses in wording.TRAINING_CLAUSES.values() for clause in clauses}
    unseen = [normalize(c) for kinds in wording.UNSEEN_CLAUSES.values() for clauses in kinds.values() for c in clauses]
    assert len(unseen) == len(set(unseen))
    assert not known & set(unseen)


def test_what_decides_is_worded_in_words_that_training_knows() -> None:
    known = {word for clauses in wording.TRAINING_CLAUSES.values() for clause in clauses for word in tokenize(clause)}
    deciding = [
        word
        for kinds in wording.UNSEEN_CLAUSES.values()
        for kind, clauses in kinds.items()
        if kind != "fact"
        for clause in clauses
        for word in tokenize(clause)
    ]
    assert set(deciding) <= known


def test_held_out_years_are_never_named_in_training_and_always_in_their_set(
    training: pd.DataFrame, challenges: pd.DataFrame
) -> None:
    held_out = set(wording.HELD_OUT_YEARS)
    assert not years(training) & held_out
    assert years(challenges[challenges["set"] == wording.UNSEEN_YEARS]) <= held_out
    assert not held_out & {1994, 1995}, "what lies between them no example could tell"


def test_the_year_alone_decides_in_the_set_of_unseen_years(challenges: pd.DataFrame) -> None:
    asked = challenges[(challenges["set"] == wording.UNSEEN_YEARS) & (challenges["material"] != "several")]
    assert asked["material"].isin(["steel", "carbon fiber"]).all()
    assert asked["condition"].isin(["good", "new"]).all()


def test_a_set_of_typos_holds_words_that_nobody_else_writes(training: pd.DataFrame, challenges: pd.DataFrame) -> None:
    words = {word for text in training["text"] for word in tokenize(text)}
    typos = challenges.loc[challenges["set"] == wording.TYPOS, "text"]
    assert sum(any(word.isalpha() and word not in words for word in tokenize(text)) for text in typos) > len(typos) / 2


def test_rows_are_shared_out_among_the_sets() -> None:
    assert connected_car_challenges(7, seed=1)["set"].value_counts().to_dict() == {
        "phrasing": 2,
        "years": 2,
        "negation": 2,
        "typos": 1,
    }
