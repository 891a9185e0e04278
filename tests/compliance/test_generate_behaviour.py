"""Generated behavioural tests: one change at a time, and labels that follow the rule."""

import re

import pandas as pd
import pytest

from compliance import generators
from compliance.generate import CONDITIONS, MATERIALS
from compliance.generate_behaviour import DIRECTION, FUNCTIONALITY, INVARIANCE, connected_car_behaviour
from compliance.generators import GENERATORS

from .test_generate import label

NAMES = ("connected-car-behaviour", "connected-car-hard-behaviour")
VALUES = "|".join([*MATERIALS, *CONDITIONS, r"(?:19|20)\d\d"])


@pytest.fixture(scope="module", params=NAMES)
def cases(request: pytest.FixtureRequest) -> pd.DataFrame:
    return GENERATORS[request.param](1_300, 3)


def test_every_test_is_there_in_equal_shares(cases: pd.DataFrame) -> None:
    counted = cases.groupby(["kind", "test"]).size()
    assert set(counted) == {100}
    assert counted.groupby("kind").size().to_dict() == {DIRECTION: 6, FUNCTIONALITY: 4, INVARIANCE: 3}


def test_one_value_changes_and_no_other_word(cases: pd.DataFrame) -> None:
    for case in cases[cases["kind"] != FUNCTIONALITY].to_dict("records"):
        first, second = (re.split(f"({VALUES})", case[name]) for name in ("text", "changed"))
        assert first[::2] == second[::2]  # what stands between the values
        changed = {(one, other) for one, other in zip(first[1::2], second[1::2], strict=True) if one != other}
        assert len(changed) == 1


def test_plain_labels_follow_the_rule() -> None:
    for case in connected_car_behaviour(1_300, 5).to_dict("records"):
        first, last = label(case["text"]), label(case["changed"] or case["text"])
        assert last == case["label"]
        assert (first != last) == (case["kind"] == DIRECTION)


def test_the_seed_decides(cases: pd.DataFrame) -> None:
    name = NAMES[int("rated" in " ".join(cases["text"]))]
    pd.testing.assert_frame_equal(GENERATORS[name](1_300, 3), cases)
    assert not GENERATORS[name](1_300, 4).equals(cases)


def test_a_generated_source_brings_its_slices_and_behaviour() -> None:
    assert generators.slices_of("generated:connected-car") == ["material", "condition", "decade"]
    assert generators.behaviour_of("generated:connected-car-hard") == "generated:connected-car-hard-behaviour"
    for other in ("connected-car", "parts.csv", "generated:connected-car-challenges"):
        assert generators.slices_of(other) == []
        assert generators.behaviour_of(other) == ""


@pytest.mark.parametrize("source", ["connected-car", "connected-car-hard"])
def test_the_columns_that_a_generated_source_brings_are_there(source: str) -> None:
    made = GENERATORS[source](50, 1)
    assert set(generators.slices_of(f"generated:{source}")) <= set(made.columns)
