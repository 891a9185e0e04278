"""Challenge sets: what is read, what is refused, and the worst of them speaks for all."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compliance import challenge, metrics
from compliance.errors import BadInput

DATA: dict[str, Any] = {
    "columns": {"text": "description", "label": "verdict"},
    "labels": [{"label": 0, "value": "ok"}, {"label": 1, "value": "bad"}],
    "maximum_length": 100,
}


def written(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "asked.csv"
    path.write_text("\n".join(["description,verdict,set", *lines]) + "\n", encoding="utf-8")
    return str(path)


def read(source: str) -> pd.DataFrame:
    return challenge.read(source, "set", DATA, rows=1, seed=1)


def asked(**sets: tuple[int, int]) -> tuple[pd.DataFrame, np.ndarray]:
    """Give rows and probabilities: for each set, how many texts there are, and how many are answered wrongly."""
    rows = [
        {"set": name, "text": f"{name} {place}", "normalized": f"{name} {place}", "label": place % 2, "wrong": wrong}
        for name, (texts, errors) in sets.items()
        for place, wrong in ((place, place < errors) for place in range(texts))
    ]
    found = pd.DataFrame(rows)
    return found, np.where((found["label"] == 1) != found["wrong"], 0.9, 0.1)


def test_rows_are_read_as_the_source_of_the_data_was(tmp_path: Path) -> None:
    found = read(
        written(tmp_path, "Not of PLASTIC,ok,negation", "of plastic,bad,negation", "not of plastic!,ok,negation")
    )
    assert found.to_dict("records") == [
        {"set": "negation", "text": "Not of PLASTIC", "normalized": "not of plastic", "label": 0},
        {"set": "negation", "text": "of plastic", "normalized": "of plastic", "label": 1},
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("steel,maybe,years", "the label is neither 'bad' nor 'ok'"),
        (",ok,years", "the text is empty"),
        ("steel,ok,", "it names no set"),
        ("iron,ok,years", "the same words stand with both labels"),
        (f"{'x' * 101},ok,years", "longer than 100 characters"),
    ],
)
def test_an_unsound_row_is_named_and_none_is_left_out(tmp_path: Path, line: str, said: str) -> None:
    source = written(tmp_path, "iron,bad,years", line)
    with pytest.raises(BadInput) as refused:
        read(source)
    assert any("asked.csv line 3" in fault and said in fault for fault in refused.value.faults)
    assert "--set evaluate.challenge_source=''" in refused.value.faults[0]


def test_a_missing_column_is_told_with_the_parameter_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "asked.csv"
    path.write_text("description,verdict\niron,bad\n", encoding="utf-8")
    with pytest.raises(BadInput, match="has no column 'set'"):
        read(str(path))


def test_the_worst_set_speaks_for_all() -> None:
    rows, probabilities = asked(phrasing=(400, 2), negation=(400, 40), years=(400, 0))
    judged = challenge.judge(rows, probabilities, {}, threshold=0.5)
    found = judged.scraps(0.95)
    assert (found["challenge_sets"], found["challenge_worst"], found["challenge_texts"]) == (3, "negation", 400)
    assert found["challenge_accuracy"] == pytest.approx(0.9)
    low, _ = metrics.wilson(360, 400, 1 - 0.05 / 3)
    assert found["challenge_accuracy_low"] == pytest.approx(low)
    assert low < metrics.wilson(360, 400)[0], "an interval for three sets is wider than for one"


def test_few_texts_are_as_bad_as_many_errors() -> None:
    rows, probabilities = asked(small=(4, 0), large=(400, 4))
    assert challenge.judge(rows, probabilities, {}, threshold=0.5).worst(0.95) == "small"


def test_a_set_below_the_floor_is_not_hidden_by_a_small_one() -> None:
    rows, probabilities = asked(small=(20, 0), large=(2_000, 140))
    found = challenge.judge(rows, probabilities, {}, threshold=0.5).scraps(0.95)
    assert found["challenge_worst"] == "large"
    assert found["challenge_accuracy"] < 0.95  # so that the gate fails and does not call it too little data


def test_a_probability_that_is_no_number_counts_as_wrong() -> None:
    rows, probabilities = asked(years=(10, 0))
    probabilities[:] = np.nan
    judged = challenge.judge(rows, probabilities, {}, threshold=0.5)
    assert judged.answers["years"].confusion.errors == 10
    assert judged.scraps(0.95)["challenge_accuracy"] == 0


def test_texts_that_stand_in_a_split_are_counted() -> None:
    rows, probabilities = asked(years=(10, 0))
    splits = {"train": rows.iloc[:3], "test": rows.iloc[2:4]}
    judged = challenge.judge(rows, probabilities, splits, threshold=0.5)
    assert judged.scraps(0.95)["challenge_seen"] == 4
    assert judged.table().loc["years", "seen before"] == "4"


def test_a_set_with_one_label_has_no_recall() -> None:
    rows, probabilities = asked(years=(10, 0))
    compliant = rows["label"] == 0
    judged = challenge.judge(rows[compliant].reset_index(drop=True), probabilities[compliant], {}, threshold=0.5)
    assert judged.table().loc["years", "non-compliant recall"] == "not defined"
    assert judged.as_dict()["years"]["noncompliant_recall"]["value"] is None
