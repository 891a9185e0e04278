"""The future set: with and without shared texts, and the labels that the later rules changed."""

from pathlib import Path

import numpy as np
import pandas as pd

from compliance import future, metrics

SPLITS = {
    "train": pd.DataFrame({"normalized": ["a", "b", "b"], "label": np.array([0, 1, 1], np.int8)}),
    "test": pd.DataFrame({"normalized": ["c"], "label": np.array([0], np.int8)}),
}
TEXTS = pd.DataFrame(
    {
        "text": ["A!", "B", "C", "D", "E"],
        "normalized": ["a", "b", "c", "d", "e"],
        "label": np.array([1, 1, 1, 0, 1], np.int8),
    }
)
SCORES = np.array([0.1, 0.9, 0.8, 0.2, 0.3])


def judged() -> future.Future:
    return future.judge(TEXTS, SCORES, SPLITS, threshold=0.5, seed=1)


def test_shared_texts_are_counted_and_left_out_of_the_unseen() -> None:
    found = judged()
    assert found.every.confusion == metrics.Confusion(caught=2, missed=2, false_alarms=0, passed=1)
    assert found.unseen.confusion == metrics.Confusion(caught=0, missed=1, false_alarms=0, passed=1)
    assert found.shared == 3


def test_changed_labels_are_listed_as_text() -> None:
    assert judged().changed.to_dict("list") == {
        "text": ["A!", "C"],
        "label_before": [0, 0],
        "label": [1, 1],
        "answer": [0, 1],
    }


def test_nothing_shared_and_everything_shared() -> None:
    apart = future.judge(TEXTS[3:], SCORES[3:], SPLITS, threshold=0.5, seed=1)
    assert (apart.shared, len(apart.changed)) == (0, 0)
    same = future.judge(TEXTS[:3], SCORES[:3], SPLITS, threshold=0.5, seed=1)
    assert same.unseen.confusion.texts == 0
    assert str(same.unseen["accuracy"]) == "not defined"


def test_scraps_are_named_for_the_record_and_json_holds_the_same() -> None:
    found = judged()
    scraps = found.scraps()
    assert (scraps["future_texts"], scraps["future_unseen_texts"], scraps["future_changed_labels"]) == (5, 2, 2)
    assert scraps["future_accuracy"] == found.as_dict()["every"]["estimates"]["accuracy"]["value"] == 0.6
    assert scraps["future_unseen_accuracy_low"] < scraps["future_unseen_accuracy"] == 0.5


def test_side_by_side() -> None:
    test = metrics.evaluate(np.array([0, 1]), np.array([0.1, 0.9]), 0.5, seed=1)
    table = future.side_by_side(test, judged())
    assert table.columns.tolist() == ["test", "future", "future, unseen texts"]
    assert table.loc["accuracy"].tolist() == [
        "1.0000 (0.3424 to 1.0000)",
        "0.6000 (0.2307 to 0.8824)",
        "0.5000 (0.0945 to 0.9055)",
    ]
    assert table.loc["texts"].tolist() == ["2", "5", "2"]


def test_it_is_read_where_it_lies(tmp_path: Path) -> None:
    assert future.read(tmp_path) is None
    TEXTS.to_parquet(tmp_path / "future.parquet")
    read = future.read(tmp_path)
    assert read is not None
    assert read.equals(TEXTS)


def test_changed_labels_are_written(tmp_path: Path) -> None:
    future.write_changed(tmp_path, judged().changed)
    written = (tmp_path / "changed_labels.csv").read_text(encoding="utf-8")
    assert written == "text,label_before,label,answer\nA!,0,1,0\nC,0,1,1\n"
