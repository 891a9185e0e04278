import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from compliance import schema
from compliance.errors import BadInput
from compliance.reading import Layout


def split_rows(**columns) -> pd.DataFrame:
    rows = pd.DataFrame({"row": [1, 2], "text": ["Iron", "Steel"], "normalized": ["iron", "steel"], "label": [1, 0]})
    return rows.astype({"row": "int64", "label": np.int8}).assign(**columns)


def test_sound_rows_break_no_rule():
    assert schema.breaches(schema.split_rows(), split_rows()).empty
    schema.validate(schema.split_rows(), split_rows(), "train")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (split_rows(row=[1, 1]), "field_uniqueness"),
        (split_rows(row=[0, 1]), "greater_than_or_equal_to(1)"),
        (split_rows(text=["", "Steel"]), "str_length(1, None)"),
        (split_rows(normalized=["Iron ", "steel"]), "str_matches"),
        (split_rows(label=np.array([1, 2], dtype=np.int8)), "isin((0, 1))"),
        (split_rows(label=[1, 0]), "dtype('int8')"),
        (split_rows(label=np.array([1, 1], dtype=np.int8)), "both labels occur"),
        (split_rows(normalized=["iron", "iron"]), "equal words have equal labels"),
        (split_rows(more=1), "column_in_schema"),
        (split_rows().drop(columns="label"), "column_in_dataframe"),
    ],
)
def test_each_rule_of_a_split_is_held(rows, said):
    with pytest.raises(BadInput) as caught:
        schema.validate(schema.split_rows(), rows, "train")
    assert said in str(caught.value)
    assert all(fault.startswith("train: ") for fault in caught.value.faults)


def test_all_broken_rules_are_told_at_once():
    with pytest.raises(BadInput) as caught:
        schema.validate(schema.split_rows(), split_rows(row=[0, 0], text=["", ""]), "train")
    assert len(caught.value.faults) == 3


def test_a_text_in_two_splits_is_found():
    together = pd.DataFrame({"split": ["train", "train", "test"], "normalized": ["iron", "steel", "iron"]})
    broken = schema.breaches(schema.separate_splits(), together)
    assert sorted(broken["index"]) == [0, 2]


def test_a_row_is_told_once_for_each_rule_it_breaks():
    rows = pd.DataFrame({"text": ["iron", "", "x" * 9], "normalized": ["iron", "", "x" * 9], "label": ["1", "", "?"]})
    broken = schema.breaches(schema.readable_rows(Layout(maximum_length=5)), rows)
    assert sorted(broken["index"].value_counts().items()) == [(1, 2), (2, 2)]


def test_the_column_that_is_split_by_has_rules_of_its_own():
    present = pa.Column(str, pa.Check(lambda values: values != "", error="plant is missing"))
    rows = pd.DataFrame({"text": ["iron"], "normalized": ["iron"], "label": ["1"], "by": [""]})
    assert schema.breaches(schema.readable_rows(Layout(), present), rows)["check"].tolist() == ["plant is missing"]
