"""Slices: each value of an extra column by itself, over its distinct texts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from compliance import metrics, slices
from compliance.errors import BadInput
from compliance.metrics import Confusion

ROWS = pd.DataFrame(
    {
        "normalized": ["a", "a", "b", "c", "a", "d"],
        "label": np.array([1, 1, 0, 1, 1, 0], np.int8),
        "slice_plant": ["x", "x", "x", "y", "y", ""],
        "text": list("aabcad"),
    }
)
SCORES = {"a": 0.9, "b": 0.8, "c": 0.1, "d": 0.2}


def test_each_value_counts_its_distinct_texts() -> None:
    table = slices.measure(ROWS, SCORES, "slice_plant", 0.5)
    assert slices.columns(ROWS) == ["slice_plant"]
    assert table.index.name == "plant"
    assert table["texts"].to_dict() == {"x": 2, "y": 2, "(empty)": 1}
    assert table["noncompliant_texts"].to_dict() == {"x": 1, "y": 2, "(empty)": 0}
    assert {value: estimate.value for value, estimate in table["accuracy"].items()} == {
        "x": 0.5,
        "y": 0.5,
        "(empty)": 1.0,
    }
    assert str(table["noncompliant_recall"]["(empty)"]) == "not defined"


def test_no_answer_is_a_wrong_answer() -> None:
    table = slices.measure(ROWS, {name: np.nan for name in SCORES}, "slice_plant", 0.5)
    assert {estimate.value for estimate in table["accuracy"]} == {0.0}
    [bound, *_] = slices.bounds({"slice_plant": table}, floor=0.5, minimum=1)
    assert bound.accuracy.low == 0


def test_two_sets_side_by_side() -> None:
    test = slices.measure(ROWS[:3], SCORES, "slice_plant", 0.5)
    later = slices.measure(ROWS[3:], SCORES, "slice_plant", 0.5)
    table = slices.side_by_side({"test": test, "future": later})
    assert table.index.tolist() == ["x", "y", "(empty)"]
    assert table["test", "texts"].tolist() == ["2", "", ""]
    assert table["future", "texts"].tolist() == ["", "2", "1"]
    assert table["future", "accuracy"]["y"] == "0.5000 (0.0945 to 0.9055)"


def test_json_holds_every_value() -> None:
    found = slices.as_dict(slices.measure(ROWS, SCORES, "slice_plant", 0.5))
    assert found["(empty)"]["noncompliant_recall"] == {"value": None, "low": None, "high": None}
    assert found["y"]["texts"] == 2


def counted(**slices_: tuple[int, int]) -> dict[str, pd.DataFrame]:
    """Give the table of one column: value -> (texts labelled rightly, texts)."""
    lines = {
        value: {"texts": texts, "confusion": Confusion(right, texts - right, 0, 0)}
        for value, (right, texts) in slices_.items()
    }
    return {"slice_plant": pd.DataFrame.from_dict(lines, orient="index")}


def test_all_lower_ends_reach_the_floor_where_holm_s_procedure_shows_it() -> None:
    floor = 0.9
    for right in ((97, 99, 100), (95, 96, 99), (96, 96, 96), (97, 97, 98), (96, 98, 99), (90, 100, 100)):
        tables = counted(**{f"p{place}": (held, 100) for place, held in enumerate(right)})
        found = slices.bounds(tables, floor=floor, minimum=1)
        chances = sorted(binomtest(held, 100, floor, alternative="greater").pvalue for held in right)
        shown = all(chance <= 0.05 / (3 - place) for place, chance in enumerate(chances))
        assert (min(slice_.accuracy.low for slice_ in found) >= floor) == shown, right


def test_the_slice_that_is_surest_bears_the_strictest_bound() -> None:
    found = slices.bounds(counted(a=(100, 100), b=(98, 100), c=(90, 100)), floor=0.9, minimum=1)
    assert [slice_.value for slice_ in found] == ["a", "b", "c"]
    assert found[0].accuracy.low == pytest.approx(metrics.clopper_pearson(100, 100, 1 - 0.1 / 3)[0])
    assert found[2].accuracy.low == pytest.approx(metrics.clopper_pearson(90, 100, 0.9)[0])


def test_a_slice_below_the_floor_speaks_before_a_small_one() -> None:
    found = slices.bounds(counted(small=(5, 5), bad=(80, 100)), floor=0.9, minimum=1)
    assert slices.worst(found, 0.9).name == "plant: bad"
    small = slices.worst(slices.bounds(counted(small=(5, 5), good=(100, 100)), floor=0.9, minimum=1), 0.9)
    assert small.name == "plant: small"
    assert small.accuracy.low < 0.9 <= small.accuracy.value


def test_rare_values_are_judged_together_until_they_are_enough() -> None:
    def judged(**held: tuple[int, int]) -> dict[str, int]:
        return {slice_.value: slice_.texts for slice_ in slices.bounds(counted(**held), floor=0.9, minimum=50)}

    assert judged(a=(100, 100), b=(30, 30), c=(40, 40)) == {"a": 100, "(rare)": 70}
    assert judged(a=(100, 100), b=(60, 60), c=(4, 4)) == {"a": 100, "(rare)": 64}
    assert judged(a=(100, 100), b=(60, 60)) == {"a": 100, "b": 60}
    assert judged(a=(3, 3), b=(4, 4)) == {"(rare)": 7}


def test_a_bound_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(BadInput, match=r"slice_floor is 1.5(.|\n)*slice_minimum is 0"):
        slices.bounds(counted(a=(1, 1)), floor=1.5, minimum=0)


def test_the_least_certain_slice_is_shown_first() -> None:
    table = slices.bounds_table(slices.bounds(counted(a=(100, 100), b=(90, 100)), floor=0.9, minimum=1))
    assert table.index.tolist() == ["plant: b", "plant: a"]
    assert table.columns.tolist() == ["texts", "accuracy"]
