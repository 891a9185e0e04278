"""The card says what was measured, and warns where the figures prove little."""

import json
from typing import Any

import numpy as np
import pandas as pd

from compliance import challenge, future, metrics, statements
from compliance.behaviour import Behaviour, Outcome
from compliance.card import Evidence, datasheet, model_card
from compliance.demands import Demand, operating_point
from compliance.slices import Bound

LABELS = np.array([1] * 40 + [0] * 60)
GOOD = np.where(LABELS == 1, 0.9, 0.1)
GOOD[0] = 0.2
DATA: dict[str, Any] = {
    "source": "parts.csv",
    "source_sha256": "a" * 64,
    "data_digest": "b" * 64,
    "split": {"by": "text", "column": None, "seed": 7},
    "counts": {
        "rows_read": 1_010,
        "rows_rejected": 7,
        "rows_set_aside": 3,
        "rows_kept": 1_000,
        "distinct_texts": 600,
        "noncompliant_share": 0.4,
    },
    "columns": {"text": "description", "label": "verdict"},
    "labels": [{"label": 0, "value": "OK"}, {"label": 1, "value": "NOK"}],
    "rejected": {"the text is empty": 2, "the label is missing": 5},
    "splits": {
        name: {"rows": rows, "texts": texts, "noncompliant_texts": texts // 2}
        for name, rows, texts in (("test", 150, 100), ("train", 700, 400), ("validation", 150, 100))
    },
}
TRAINING: dict[str, Any] = {
    "architecture": "word-cnn",
    "weights": 8_481,
    "vocabulary_size": 65,
    "tokens": 32,
    "seed": 7,
    "hyperparameters": {"epochs": 6},
    "epochs_run": 6,
    "best_epoch": 4,
    "validation_loss": 0.0136,
    "calibration": {"slope": 0.8, "intercept": 0.0, "texts": 100},
    "missed_cost": 10.0,
    "threshold": 0.5,
    "versions": {"keras": "3.15.1"},
}


BEHAVIOUR = Behaviour({"steel to plastic": Outcome("direction", 60, metrics.exact_proportion(0, 60))}, pd.DataFrame())
SAID = {
    "title": "Parts of plant 7",
    "details": "Reads what inspectors write.",
    "contact": "quality@plant-7.example",
    "primary_use": "To flag parts for a check.",
    "secondary_use": "To sort an inventory.",
    "out_of_scope_use": "Deciding alone.",
    "motivation": "Reading takes hours.",
    "caveats": "Plant 7 alone.",
}
MISSED = Demand(
    "share passed",
    metrics.Estimate(0.025, 0.001, 0.13),
    0.2,
    at_most=True,
    texts=40,
    chance=0.93,
    sound="passes 4.00% of them",
)


def evidence(**changes: Any) -> Evidence:
    evaluation = metrics.evaluate(LABELS, GOOD, 0.5, seed=1)
    given: dict[str, Any] = {
        "name": "parts",
        "evaluation": evaluation,
        "majority_accuracy": 0.6,
        "split_leakage": 0,
        "parity": metrics.Parity(150, 0, 1.2e-7),
        "calibration_error": metrics.Estimate(0.01, 0.005, 0.02),
        "against_baseline": metrics.Difference(metrics.Estimate(0.03, 0.01, 0.05), 3, 0),
        "slice_bounds": [Bound("plant", "north", 60, metrics.Estimate(0.98, 0.9, 1.0))],
        "future": None,
        "challenge": None,
        "behaviour": BEHAVIOUR,
        "asked": [MISSED],
        "operating_point": operating_point(evaluation, 0.5, 10.0, 0.5),
        "statements": statements.read(SAID, "parts"),
        "data": DATA,
        "training": TRAINING,
    }
    return Evidence(**(given | changes))


def card(**changes: Any) -> str:
    return model_card(evidence(**changes))


def test_the_future_set_is_told_where_there_is_one() -> None:
    rows = pd.DataFrame({"text": ["A", "b", "c"], "normalized": ["a", "b", "c"], "label": np.array([1, 0, 1], np.int8)})
    splits = {"train": rows[:1].assign(label=np.int8(0))}
    judged = future.judge(rows, np.array([0.1, 0.2, 0.9]), splits, threshold=0.5, seed=1)
    told = card(future=judged)
    assert "## After the rules changed" in told
    assert "3 distinct texts follow later rules" in told
    assert "1 of them stand in its splits, 1 of these with another label" in told
    assert "| accuracy | 0.6667 (0.2077 to 0.9385) | 1.0000 (0.3424 to 1.0000) |" in told
    assert "After the rules changed" not in card()


def test_challenge_sets_are_told_where_there_are_any() -> None:
    rows = pd.DataFrame({"set": "years", "text": ["a", "b"], "normalized": ["a", "b"], "label": [1, 0]})
    told = card(challenge=challenge.judge(rows, np.array([0.9, 0.9]), {}, threshold=0.5))
    assert "## Challenge sets" in told
    assert "| years | 2 | 0.5000 (0.0945 to 0.9055) | 1.0000 (0.2065 to 1.0000) | 0 | 1 | 0 |" in told
    assert "Challenge sets" not in card()


def test_behavioural_tests_are_told() -> None:
    assert "| steel to plastic | direction | 60 | 0.0000 (0.0000 to 0.0596) |" in card()


def test_every_section_is_there_in_order() -> None:
    headings = [line for line in card().splitlines() if line.startswith("#")]
    assert headings == [
        "# Parts of plant 7",
        "## Intended use",
        "## Operating point",
        "## Data",
        "## Training",
        "## Performance",
        "## What was asked, and what was shown",
        "## What this test could show",
        "## Calibration",
        "## Against a model without a network",
        "## Slices",
        "## Checks",
        "## Behaviour",
        "## Caveats",
        "## Limits",
        "## Provenance",
        "## Registration",
    ]


def test_figures_are_those_that_were_measured() -> None:
    text = card()
    low, high = metrics.wilson(39, 40)
    assert f"| noncompliant_recall | 0.9750 | {low:.4f} to {high:.4f} |" in text
    assert "| non-compliant | 39 | 1 |" in text
    assert "| compliant | 0 | 60 |" in text
    assert "- Rejected for: the label is missing (5); the text is empty (2)." in text
    assert (
        "1,010 rows read, 7 rejected, 3 set aside, 1,000 kept; they hold 600 distinct texts, and 40.0% of the" in text
    )
    assert f"up to {metrics.clopper_pearson(1, 40)[1]:.2%}" in text
    assert "| train | 700 | 400 | 200 |\n| validation | 150 | 100 | 50 |\n| test | 150 | 100 | 50 |" in text


def test_the_future_set_is_counted_where_there_is_one() -> None:
    data = {**DATA, "counts": {**DATA["counts"], "rows_read": 1_030, "future_rows": 20}}
    assert "1,030 rows read, 7 rejected, 3 set aside, 20 in the future set, 1,000 kept;" in card(data=data)


def test_a_sound_model_carries_no_warning() -> None:
    assert "**" not in card()


def test_the_operating_point_says_whose_choice_it_was() -> None:
    assert "chosen on validation texts, where passing a non-compliant one costs as much as 10 false alarms" in card()
    by_hand = operating_point(metrics.evaluate(LABELS, GOOD, 0.3, seed=1), 0.3, 10.0, 0.5)
    assert "given by hand, in place of the 0.5 that training chose" in card(operating_point=by_hand)


def test_the_operating_point_says_what_it_costs() -> None:
    assert "the test texts cost 10. Flagging all of them would cost 60, flagging none 400." in card()


def test_what_was_asked_stands_beside_what_was_measured() -> None:
    assert "| share passed | yes | 0.0250 (0.0010 to 0.1300) | at most 0.2 | 40 |" in card()
    narrow = Demand("share passed", MISSED.measured, 0.1, at_most=True, texts=40)
    assert "| share passed | **no** | 0.0250 (0.0010 to 0.1300) | at most 0.1 | 40 |" in card(asked=[narrow])


def test_a_test_that_is_too_small_is_called_so() -> None:
    assert "| passes 4.00% of them | 40 | 93% |" in card()
    small = Demand(
        "share passed", MISSED.measured, 0.2, at_most=True, texts=9, chance=0.4, sound="passes 4.00% of them"
    )
    assert (
        "**The test is small: a model that really passes 4.00% of them is shown to be so with a chance of 40%.**"
        in (card(asked=[small]))
    )


def test_the_words_of_people_are_shown_as_they_wrote_them() -> None:
    text = card()
    for words in SAID.values():
        assert words in text


def test_a_text_that_nobody_wrote_says_what_to_give() -> None:
    silent = evidence(statements=statements.read({}, "parts"))
    text = model_card(silent)
    assert text.startswith("# parts\n")
    assert "- Primary use: not stated: give `primary_use` in evaluate.datasheet\n" in text
    assert "- Contact: not stated: give `contact` in evaluate.datasheet\n" in text
    assert "## Caveats\n\nnot stated: give `caveats` in evaluate.datasheet\n" in text
    told = datasheet(silent)
    assert set(told["not_stated"]) == SAID.keys() - {"title", "details"}
    assert all(told[field].startswith("not stated: give") for field in told["not_stated"])


def test_the_datasheet_has_every_field_that_needs_no_registration() -> None:
    told = datasheet(evidence())
    assert told["not_stated"] == []
    assert told["type"] == "word-cnn"
    assert told["details"].startswith("Reads what inspectors write.\n\nLabels a text")
    assert "labels from `verdict`, where `NOK` is non-compliant and `OK` compliant" in told["data_description"]
    assert all(told[field] == words for field, words in SAID.items() if field != "details")
    assert any("up to" in line for line in told["limits"])
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_what_would_change_the_digest_is_left_to_the_registration() -> None:
    told = datasheet(evidence())
    assert not told.keys() & {"date", "version", "build_number", "run_id"}
    assert "stand in its `DATASHEET.md`" in card()


def test_a_slice_with_a_bar_in_its_name_stays_in_its_cell() -> None:
    odd = Bound("plant", "a|b\nc", 60, metrics.Estimate(0.98, 0.9, 1.0))
    assert "| plant: a\\|b c | 60 |" in card(slice_bounds=[odd])


def test_probabilities_as_training_left_them_are_called_so() -> None:
    raw = TRAINING | {"calibration": {"slope": 1.0, "intercept": 0.0, "texts": 0}}
    assert "The log-odds of the network were multiplied by 0.800, fitted on 100 distinct validation texts" in card()
    assert "**Probabilities were not calibrated.**" in card(training=raw)


def test_a_network_that_a_simple_model_matches_says_so() -> None:
    even = metrics.Difference(metrics.Estimate(0.0, -0.02, 0.02), 2, 2)
    assert "The network is shown to be better." in card()
    assert "The network is **not shown to be better**." in card(against_baseline=even)


def test_slices_are_told_where_columns_were_named() -> None:
    assert "| plant: north | 60 | 0.9800 (0.9000 to 1.0000) |" in card()
    assert "## Slices" not in card(slice_bounds=[])


def test_leakage_is_said_first_among_the_limits() -> None:
    limits = card(split_leakage=3).partition("## Limits\n\n")[2]
    assert limits.startswith("- **3 test texts were seen before: the figures prove nothing.**")


def test_a_model_no_better_than_the_commonest_label_says_so() -> None:
    assert "**Not shown to be better than always giving the commonest label.**" in card(majority_accuracy=0.95)


def test_what_does_not_exist_is_called_so() -> None:
    broken = metrics.evaluate(LABELS, np.full(100, np.nan), 0.5, seed=1)
    text = card(evaluation=broken, parity=metrics.Parity(150, 0, float("nan")))
    assert " nan" not in text
    assert "| accuracy | not defined | not defined |" in text
    assert "largest difference of probability not defined" in text
    assert "**Not shown to be better than always giving the commonest label.**" in text


def test_limits_follow_the_split() -> None:
    by_group = DATA | {"split": {"by": "group", "column": "plant", "seed": 7}}
    assert "groups of `plant` that training never saw" in card(data=by_group)
    by_time = DATA | {"split": {"by": "time", "column": "built", "seed": 7}}
    assert "the latest by `built`" in card(data=by_time)
    rows = pd.DataFrame({"set": "years", "text": ["a"], "normalized": ["a"], "label": [1]})
    judged = challenge.judge(rows, np.array([0.9]), {}, threshold=0.5)
    assert "on what the source lacks was not measured." in card()
    assert "on what the source lacks is told by the challenge sets alone." in card(challenge=judged)


def test_the_rows_that_were_chosen_are_told() -> None:
    chosen = DATA | {"keep": {"column": "year", "values": ["2016", "2017"]}}
    chosen |= {"future": {"column": "year", "values": ["2018"]}}
    assert "Only rows whose `year` is `2016` or `2017`." in card(data=chosen)
    assert "Future set: rows whose `year` is `2018`." in card(data=chosen)


def test_equal_evidence_gives_equal_text() -> None:
    assert card() == card()
    assert datasheet(evidence()) == datasheet(evidence())
