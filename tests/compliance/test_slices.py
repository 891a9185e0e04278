"""Slices: each value of an extra column by itself, over its distinct texts."""

import numpy as np
import pandas as pd

from compliance import slices

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
