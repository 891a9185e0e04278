from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance import reading
from compliance.errors import BadInput
from compliance.places import FUTURE
from compliance.reading import Layout
from compliance.screening import BOTH_LABELS, Screened, check_limits, screen
from compliance.splitting import SplitPlan
from tests.compliance import oracle
from tests.compliance.prepared import kept, rejected, source
from tests.drawn import examples

PLAN = SplitPlan()
FUTURE_LAYOUT = Layout(future_column="split", future_values=["2018"])


@dataclass
class Judged:
    screened: Screened
    kept: pd.DataFrame
    rejected: pd.DataFrame


@pytest.fixture
def judge(tmp_path: Path):
    def judged(*records: tuple[str, str], layout: Layout | None = None, plan=PLAN, size=reading.CHUNK, **columns):
        texts, labels = [text for text, _ in records], [label for _, label in records]
        found = screen(source(texts, labels, **columns), layout or Layout(), plan, tmp_path, size=size)
        return Judged(found, kept(found), rejected(tmp_path))

    return judged


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_every_rule_has_its_reason_and_nothing_vanishes(judge, size):
    judged = judge(
        ("Iron part", "1"),
        ("", "1"),
        ("  ", ""),
        ("steel", ""),
        ("steel", "maybe"),
        ("—", "0"),
        ("x" * 21, "0"),
        ("tin\0box", "0"),
        ("STEEL part!", " 0 "),
        ("broken", ""),
        fault=[""] * 9 + ["its quotes do not match"],
        layout=Layout(maximum_length=20),
        size=size,
    )
    assert judged.kept[["row", "text", "normalized", "label"]].to_numpy().tolist() == [
        [1, "Iron part", "iron part", 1],
        [9, "STEEL part!", "steel part", 0],
    ]
    assert judged.kept["label"].dtype == "int8"
    assert judged.rejected[["row", "line", "reason"]].to_numpy().tolist() == [
        [2, 3, "the text is empty"],
        [3, 4, "the label is missing; the text is empty"],
        [4, 5, "the label is missing"],
        [5, 6, "the label is neither '1' nor '0'"],
        [6, 7, "the text holds no word of letters a to z or digits"],
        [7, 8, "the text is longer than 20 characters"],
        [8, 9, "the text holds a NUL character"],
        [10, 11, "its quotes do not match"],
    ]
    assert judged.screened.reasons.total() == judged.screened.rejected == 8
    assert judged.screened.first_refused == 3


@pytest.mark.parametrize("size", [1, 2, 7])
def test_all_rows_of_a_text_with_both_labels_are_refused_wherever_they_stand(judge, size):
    judged = judge(("Iron.", "1"), ("", "1"), ("iron", "0"), ("iron", "1"), ("steel", "0"), size=size)
    assert judged.rejected["row"].tolist() == [1, 2, 3, 4]
    assert judged.rejected["reason"].tolist() == [BOTH_LABELS, "the text is empty", BOTH_LABELS, BOTH_LABELS]
    assert judged.rejected["label"].tolist() == ["1", "1", "0", "1"]
    assert judged.screened.first_refused == 2


def test_a_row_refused_for_another_reason_conflicts_with_none(judge):
    assert judge(("iron", "1"), ("iron", "?"), ("steel", "0")).kept["row"].tolist() == [1, 3]


def test_repeated_rows_are_kept_and_counted(judge):
    judged = judge(("iron part", "1"), ("Iron part", "1"), ("steel", "0"))
    assert len(judged.kept) == 3
    counts = judged.screened.counts
    assert (counts.texts, counts.rows, counts.repeats) == ({0: 1, 1: 1}, {0: 1, 1: 2}, {1: 1, 2: 1})
    assert counts.words == {0: {1: 1}, 1: {2: 1}}


def test_rows_outside_keep_values_are_set_aside_unjudged(judge):
    judged = judge(
        ("iron", "1"),
        ("iron", "0"),
        ("", ""),
        ("steel", "0"),
        keep=["train", "test", "test", "train"],
        layout=Layout(keep_column="split", keep_values=["train"]),
    )
    assert (judged.screened.rows_read, judged.screened.rows_set_aside, judged.screened.rejected) == (4, 2, 0)
    assert judged.kept["row"].tolist() == [1, 4]


def test_rows_of_the_future_set_are_judged_among_themselves(judge):
    judged = judge(
        ("iron", "1"),  # the later rules allow it: no conflict
        ("iron", "0"),
        ("tin", "0"),  # stands with both labels in the future set
        ("TIN", "1"),
        ("", "1"),
        ("steel", "0"),
        ("steel", "0"),
        future=["2016", "2018", "2018", "2018", "2018", "2016", "2018"],
        layout=FUTURE_LAYOUT,
        size=2,
    )
    assert judged.kept["row"].tolist() == [1, 6]
    assert np.flatnonzero(judged.screened.places == FUTURE).size == 2
    assert judged.rejected[["row", "reason"]].to_numpy().tolist() == [
        [3, BOTH_LABELS],
        [4, BOTH_LABELS],
        [5, "the text is empty"],
    ]
    counts = judged.screened.counts
    assert (judged.screened.kept, counts.future_rows, counts.future_texts, judged.screened.rejected) == (2, 2, 2, 3)


def test_rows_of_the_future_set_need_not_be_among_those_that_are_kept(judge):
    layout = Layout(keep_column="split", keep_values=["train"], future_column="split", future_values=["test"])
    parts = ["train", "test", "other", "train"]
    judged = judge(("a", "1"), ("b", "0"), ("c", "1"), ("d", "0"), keep=parts, future=parts, layout=layout)
    counted = (judged.screened.kept, judged.screened.counts.future_rows, judged.screened.rows_set_aside)
    assert counted == (2, 1, 1)


@pytest.mark.parametrize("size", [1, 2])
def test_values_to_look_for_that_do_not_occur_are_named(judge, size):
    layout = Layout(keep_column="split", keep_values=["train", "trian"], future_column="year", future_values=["2081"])
    columns = {"keep": ["train", "test"], "future": ["2017", "2018"]}
    with pytest.raises(BadInput) as caught:
        judge(("iron", "1"), ("steel", "0"), layout=layout, size=size, **columns)
    assert caught.value.faults == (
        "keep_values ['trian'] do not occur in column 'split', which holds 'train' (1 rows), 'test' (1 rows): "
        '--set "prepare.keep_values=[VALUE]"',
        "future_values ['2081'] do not occur in column 'year', which holds '2017' (1 rows), '2018' (1 rows): "
        '--set "prepare.future_values=[VALUE]"',
    )


def test_labels_are_those_of_the_layout(judge):
    layout = Layout(noncompliant_value="FAIL", compliant_value="PASS")
    judged = judge(
        ("iron", "FAIL"), ("steel", "PASS"), ("tin", "fail"), ("tin", "PASS"), ("tin", "FAIL"), layout=layout
    )
    assert judged.kept["label"].tolist() == [1, 0]
    assert judged.rejected["reason"].tolist() == ["the label is neither 'FAIL' nor 'PASS'", BOTH_LABELS, BOTH_LABELS]
    assert judged.rejected["label"].tolist() == ["fail", "PASS", "FAIL"]


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize(
    ("plan", "by", "reasons"),
    [
        (SplitPlan(by="group", column="plant"), ["A", " ", "B"], ["plant is missing"]),
        (
            SplitPlan(by="time", column="day"),
            ["2020-01-02", "", "soon"],
            ["day is missing", "day is neither a number nor an ISO 8601 date"],
        ),
        (  # a number is no time where most are dates; which they are is known at the end
            SplitPlan(by="time", column="day"),
            ["2020-01-02", "7", "2020-01-03"],
            ["day is neither a number nor an ISO 8601 date"],
        ),
    ],
)
def test_rows_that_the_split_could_not_place_are_refused(judge, plan, by, reasons, size):
    judged = judge(("iron", "1"), ("steel", "0"), ("tin", "0"), by=by, plan=plan, size=size)
    assert judged.rejected["reason"].tolist() == reasons


@st.composite
def labelled(draw):
    """Draw rows whose texts repeat, some with both labels, some empty, some of the future set."""
    count = draw(st.integers(1, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    numbers = random.integers(draw(st.integers(2, 60)), size=count)
    texts = [f"Part {number}" if number else "" for number in numbers]
    labels = np.where(random.random(count) < 0.1, random.integers(2, size=count), numbers % 2)
    return texts, [str(label) for label in labels], np.where(random.random(count) < 0.3, "2018", "2016").tolist()


@given(rows=labelled(), size=st.sampled_from([1, 2, 7, 1_000]))
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_size_of_chunk_judges_as_memory_would(judge, rows, size):
    texts, labels, future = rows
    frame = pd.DataFrame({"normalized": [text.lower() for text in texts], "label": labels, "future": future})
    sound = frame[frame["normalized"] != ""]
    conflicting = pd.concat(
        [oracle.conflicting(part) for _, part in sound.groupby("future")] or [pd.Series(dtype=bool)]
    )
    good = sound[~conflicting.reindex(sound.index, fill_value=False)]
    before = good[good["future"] == "2016"]

    layout = FUTURE_LAYOUT if "2018" in future else Layout()
    judged = judge(*zip(texts, labels, strict=True), layout=layout, size=size, future=future)
    counts = judged.screened.counts
    assert judged.kept["row"].tolist() == (before.index + 1).tolist()
    assert judged.rejected["row"].tolist() == [row + 1 for row in frame.index if row not in good.index]
    assert counts.future_rows == len(good) - len(before)
    assert counts.future_texts == good["normalized"][good["future"] == "2018"].nunique()
    assert counts.texts.total() == before["normalized"].nunique()
    assert counts.repeats == before["normalized"].value_counts().value_counts().to_dict()


def test_sources_of_which_nothing_can_be_used_are_told_all_faults_at_once(judge):
    judged = judge(("iron", "yes"), ("steel", "no"))
    with pytest.raises(BadInput) as caught:
        check_limits(judged.screened, minimum_rows=500, reject_limit=0.01)
    assert caught.value.faults == (
        "2 of 2 rows were refused (100.0%), reject_limit allows 1.0%: 2 × the label is neither '1' nor '0'. The first "
        "is line 2; rejected.csv lists all. Mend them, or accept it with --set prepare.reject_limit=1",
        "0 rows are left to use, minimum_rows asks for 500: add labelled rows, or --set prepare.minimum_rows=1",
    )


def test_a_source_without_one_readable_record_is_refused_too(judge):
    judged = judge(("a", ""), fault=["its quotes do not match"])
    with pytest.raises(BadInput, match="1 of 1 rows were refused"):
        check_limits(judged.screened, minimum_rows=1, reject_limit=0.5)


@pytest.mark.parametrize(("refused", "too_many"), [(9, False), (10, False), (11, True)])
def test_the_limit_itself_is_allowed(judge, refused, too_many):
    good = [("iron", "1"), ("steel", "0")] * 500
    judged = judge(*good[: 1_000 - refused], *[("", "1")] * refused)
    if too_many:
        with pytest.raises(BadInput, match=r"1\.1%.*reject_limit=0\.011"):
            check_limits(judged.screened, minimum_rows=1, reject_limit=0.01)
    else:
        check_limits(judged.screened, minimum_rows=1, reject_limit=0.01)


@pytest.mark.parametrize("limit", [-0.1, 1.5, float("nan")])
def test_limits_that_are_none_are_refused_and_let_nothing_pass(judge, limit):
    judged = judge(("iron", "1"), ("steel", "0"), ("", "1"))
    with pytest.raises(BadInput) as caught:
        check_limits(judged.screened, minimum_rows=0, reject_limit=limit)
    told = [fault for fault in caught.value.faults if fault.startswith(("reject_limit is", "minimum_rows is 0"))]
    assert len(told) == 2


@pytest.mark.parametrize(("value", "missing"), [("1", "compliant"), ("0", "non-compliant")])
def test_one_class_alone_is_refused(judge, value, missing):
    judged = judge(("iron", value), ("steel", value))
    with pytest.raises(BadInput, match=f"no row is {missing} "):
        check_limits(judged.screened, minimum_rows=1, reject_limit=0.01)


def test_progress_is_told_and_what_fails_leaves_the_list_and_no_other_file(tmp_path, monkeypatch):
    monkeypatch.setattr("compliance.screening.REPORT_EVERY", 4)
    told: list[str] = []
    rows = source([f"part {n}" for n in range(10)], ["1"] * 10)
    found = screen(rows, Layout(), PLAN, tmp_path, report=told.append, size=2)
    assert told == ["4 rows judged", "8 rows judged"]
    with pytest.raises(BadInput):
        check_limits(found, minimum_rows=500, reject_limit=0.01)
    assert [path.name for path in tmp_path.iterdir()] == ["rejected.csv"]


@pytest.mark.needs_shared
def test_the_mot_rows_before_2018_are_all_usable_and_those_of_2018_are_the_future(shared_dir, tmp_path):
    layout = Layout(keep_column="split", keep_values=["train"], future_column="split", future_values=["test"])
    path = str(shared_dir / "data" / "mot_rfr_compliance.csv")
    screened = screen(reading.open_source(path, layout, reading.columns(layout)), layout, PLAN, tmp_path, size=1_000)
    assert (screened.rows_set_aside, screened.rejected, screened.kept) == (8, 0, 4_217)
    assert (screened.counts.texts.total(), screened.counts.future_rows) == (4_217, 2_092)
