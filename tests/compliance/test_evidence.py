"""What an evaluation leaves on disk, and what it refuses to judge."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compliance import evidence, metrics
from compliance.errors import BadInput

TEXTS = pd.DataFrame({"text": ["A", "b"], "normalized": ["a", "b"], "label": np.array([1, 0], np.int8)})


def test_splits_are_read_as_they_lie_there(tmp_path: Path) -> None:
    for name in ("train", "validation", "test"):
        TEXTS.to_parquet(tmp_path / f"{name}.parquet")  # the same texts in all three: that is measured, not refused
    assert [len(rows) for rows in evidence.read_splits(tmp_path).values()] == [2, 2, 2]


def test_missing_splits_are_named(tmp_path: Path) -> None:
    TEXTS.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(BadInput, match=r"lacks validation\.parquet, test\.parquet: run the prepare notebook again"):
        evidence.read_splits(tmp_path)


def test_a_network_trained_on_other_data_is_refused() -> None:
    evidence.check_same_data({"data_digest": "a"}, {"data_digest": "a"})
    with pytest.raises(BadInput, match="trained on data b, the splits here are a"):
        evidence.check_same_data({"data_digest": "a"}, {"data_digest": "b"})


@pytest.mark.parametrize("threshold", [1, -0.5, 50, float("nan")])
def test_a_threshold_outside_0_and_1_is_refused(threshold: float) -> None:
    evidence.check_threshold(0.5)
    evidence.check_threshold(0)  # the one that train chose
    with pytest.raises(BadInput, match=r"--set evaluate\.threshold=0"):
        evidence.check_threshold(threshold)


def test_margins_that_nothing_could_miss_or_keep_are_told_together() -> None:
    evidence.check_margins(missed_limit=0.05, champion_margin=0.01)
    with pytest.raises(BadInput, match=r"missed_limit is 0;(.|\n)*champion_margin is 1; give one between 0 and 1"):
        evidence.check_margins(missed_limit=0, champion_margin=1, calibration_limit=0.05)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_limits_that_nothing_keeps_or_misses_are_refused(value: float) -> None:
    evidence.check_limits(latency_limit=5, size_limit=0.1)
    with pytest.raises(BadInput, match=r"latency_limit is .*(.|\n)*size_limit is .*; give a number above 0"):
        evidence.check_limits(latency_limit=value, size_limit=value)


def test_breaches_of_the_rules_are_counted() -> None:
    sound = TEXTS.assign(row=[1, 2])[["row", "text", "normalized", "label"]]
    spoiled = sound.assign(label=np.array([1, 3], np.int8))
    assert evidence.schema_faults({"train": sound, "test": sound}) == 0
    assert evidence.schema_faults({"train": sound, "test": spoiled}) >= 1


class Half:
    """A scorer that is never sure."""

    def score(self, texts: list[str]) -> np.ndarray:
        return np.full(len(texts), 0.5, np.float32)


def test_answers_name_the_texts_and_labels_that_were_asked() -> None:
    first = evidence.answer(Half(), TEXTS)
    assert first.probabilities.tolist() == [0.5, 0.5]
    assert evidence.answer(Half(), TEXTS.copy()).asked == first.asked
    others = [TEXTS[::-1], TEXTS[:1], TEXTS.assign(label=[0, 0]), TEXTS.assign(text=["A", "c"])]
    assert len({first.asked, *(evidence.answer(Half(), rows).asked for rows in others)}) == 5


def test_predictions_hold_every_text_and_the_champion_s_where_there_is_one(tmp_path: Path) -> None:
    scores = np.array([0.9, 0.1], np.float32)
    evidence.write_predictions(tmp_path, TEXTS, scores, None)
    alone = pd.read_parquet(tmp_path / "predictions.parquet")
    assert alone.columns.tolist() == ["normalized", "label", "probability"]
    assert alone["label"].dtype == np.int8
    evidence.write_predictions(tmp_path, TEXTS, scores, scores / 2)
    both = pd.read_parquet(tmp_path / "predictions.parquet")
    assert both["champion_probability"].tolist() == (scores / 2).tolist()


def test_the_same_predictions_are_the_same_bytes(tmp_path: Path) -> None:
    scores = np.array([0.9, 0.1], np.float32)
    written = []
    for _ in range(2):
        evidence.write_predictions(tmp_path, TEXTS, scores, None)
        written.append((tmp_path / "predictions.parquet").read_bytes())
    assert written[0] == written[1]


def test_errors_are_a_table_anybody_can_open(tmp_path: Path) -> None:
    listed = metrics.errors(TEXTS, np.array([0.25, 0.75]), 0.5)
    evidence.write_errors(tmp_path, listed)
    assert (tmp_path / "errors.csv").read_text(encoding="utf-8") == (
        '"text","label","answer","probability"\n"A",1,0,"0.250000"\n"b",0,1,"0.750000"\n'
    )


def test_figures_that_do_not_exist_are_null(tmp_path: Path) -> None:
    broken = metrics.evaluate([1, 0], np.array([np.nan, 0.1]), 0.5, seed=1)
    parity = metrics.Parity(2, 0, float("nan"))
    found = evidence.results(
        broken,
        majority_accuracy=float("nan"),
        split_leakage=0,
        parity=parity,
        calibration_error=metrics.NOTHING,
        brier=float("nan"),
        against_baseline=metrics.Difference(metrics.NOTHING, 0, 0),
    )
    evidence.write_evaluation(tmp_path, found)
    written = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert written["schema"] == 1
    assert written["majority_accuracy"] is None
    assert written["estimates"]["accuracy"]["low"] is None
    assert written["parity"]["maximum_difference"] is None


@pytest.mark.parametrize("value", [1, 0.5, True, "abc"])
def test_what_exists_is_glued_as_it_is(value: object) -> None:
    assert evidence.scrap(value) is value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_does_not_exist_is_glued_in_words(value: float) -> None:
    assert evidence.scrap(value) == "not defined"


def test_the_champion_s_part_says_on_how_many_texts_they_differ() -> None:
    difference = metrics.accuracy_difference(np.array([1, 0]), np.array([True, False]), np.array([False, False]), 1)
    part = evidence.against_champion(3, "d", difference)
    assert (part["version"], part["digest"], part["only_this_right"], part["only_other_right"]) == (3, "d", 1, 0)
    assert part["accuracy_difference"]["value"] == 0.5
