import csv
import re

import pytest

from compliance.generate import CONDITIONS, MATERIALS, TEMPLATES, YEARS, connected_car, is_noncompliant
from compliance.text import tokenize

GRAMMAR = [
    re.compile(
        re.escape(template)
        .replace(r"\{condition\}", f"(?P<condition>{'|'.join(CONDITIONS)})")
        .replace(r"\{material\}", f"(?P<material>{'|'.join(MATERIALS)})")
        .replace(r"\{year\}", r"(?P<year>\d{4})")
        .replace(r"\ ", " ")
    )
    for template in TEMPLATES
]

ROWS_OF_SEED_7 = [
    ["manufactured in 1979 made of steel in good condition", "1"],
    ["iron component manufactured in 1984 in good condition", "1"],
    ["manufactured in 1998 made of plastic in fair condition", "1"],
]


def parse(text: str) -> dict[str, str]:
    found = [match.groupdict() for pattern in GRAMMAR if (match := pattern.fullmatch(text))]
    assert len(found) == 1, text
    return found[0]


def label(text: str) -> str:
    part = parse(text)
    return "1" if is_noncompliant(part["condition"], part["material"], int(part["year"])) else "0"


@pytest.fixture(scope="module")
def hundred_thousand():
    return connected_car(100_000, seed=7)


def test_a_hundred_thousand_rows_hold_all_2400_sentences_and_65_words(hundred_thousand):
    texts = hundred_thousand["text"].unique()
    assert len(texts) == 2_400 == len(TEMPLATES) * len(CONDITIONS) * len(MATERIALS) * len(YEARS)
    assert len({word for text in texts for word in tokenize(text)}) == 65


def test_labels_follow_the_rule_and_are_about_balanced(hundred_thousand):
    distinct = hundred_thousand.drop_duplicates("text")
    assert [label(text) for text in distinct["text"]] == distinct["label"].tolist()
    assert (hundred_thousand["label"] == "1").mean() == pytest.approx(0.5, abs=0.01)


def test_texts_are_lower_case(hundred_thousand):
    assert hundred_thousand["text"].str.islower().all()


def test_the_seed_decides():
    assert connected_car(500, seed=1).equals(connected_car(500, seed=1))
    assert not connected_car(500, seed=1).equals(connected_car(500, seed=2))


def test_rows_of_seed_7_stay_what_they_are():
    assert connected_car(3, seed=7)[["text", "label"]].values.tolist() == ROWS_OF_SEED_7


def test_the_facts_of_a_sentence_stand_beside_it(hundred_thousand):
    for made in hundred_thousand.drop_duplicates("text").to_dict("records"):
        assert f"{made['material']} " in f"{made['text']} "
        assert f"{made['condition']} condition" in made["text"]
        assert f" {made['decade'][:3]}" in made["text"]
        assert re.fullmatch(r"\d{3}0s", made["decade"])


@pytest.mark.needs_shared
def test_rows_of_the_published_lab_follow_the_same_grammar_and_rule(shared_dir):
    with (shared_dir / "data" / "lab_real_rows.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 9
    assert [label(row["text"].lower()) for row in rows] == [row["label"] for row in rows]
