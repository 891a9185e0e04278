import pandas as pd
import pytest

from compliance.errors import BadInput
from compliance.reading import Layout, Table, read
from compliance.screening import check_limits, screen
from compliance.splitting import SplitPlan

PLAN = SplitPlan()


def table(*records: tuple[str, str], keep=None, by=None, fault=None) -> Table:
    numbers = range(1, len(records) + 1)
    columns = {
        "row": numbers,
        "line": [number + 1 for number in numbers],
        "text": [text for text, _ in records],
        "label": [label for _, label in records],
        "keep": keep or [""] * len(records),
        "by": by or [""] * len(records),
        "fault": fault or [""] * len(records),
    }
    return Table(pd.DataFrame(columns), "parts.csv", None)


def test_every_rule_has_its_reason_and_nothing_vanishes():
    screened = screen(
        table(
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
        ),
        Layout(maximum_length=20),
        PLAN,
    )
    assert screened.kept[["row", "text", "normalized", "label"]].to_numpy().tolist() == [
        [1, "Iron part", "iron part", 1],
        [9, "STEEL part!", "steel part", 0],
    ]
    assert screened.kept["label"].dtype == "int8"
    assert screened.rejected[["row", "line", "reason"]].to_numpy().tolist() == [
        [2, 3, "the text is empty"],
        [3, 4, "the label is missing; the text is empty"],
        [4, 5, "the label is missing"],
        [5, 6, "the label is neither '1' nor '0'"],
        [6, 7, "the text holds no word of letters a to z or digits"],
        [7, 8, "the text is longer than 20 characters"],
        [8, 9, "the text holds a NUL character"],
        [10, 11, "its quotes do not match"],
    ]


def test_all_rows_of_a_text_with_both_labels_are_refused():
    screened = screen(table(("Iron.", "1"), ("iron", "0"), ("iron", "1"), ("steel", "0")), Layout(), PLAN)
    assert screened.rejected["row"].tolist() == [1, 2, 3]
    assert set(screened.rejected["reason"]) == {"the same words stand with both labels"}


def test_a_row_refused_for_another_reason_conflicts_with_none():
    screened = screen(table(("iron", "1"), ("iron", "?"), ("steel", "0")), Layout(), PLAN)
    assert screened.kept["row"].tolist() == [1, 3]


def test_repeated_rows_are_kept():
    assert len(screen(table(("iron", "1"), ("iron", "1"), ("steel", "0")), Layout(), PLAN).kept) == 3


def test_rows_outside_keep_values_are_set_aside_unjudged():
    records = table(("iron", "1"), ("iron", "0"), ("", ""), ("steel", "0"), keep=["train", "test", "test", "train"])
    screened = screen(records, Layout(keep_column="split", keep_values=["train"]), PLAN)
    assert (screened.rows_read, screened.rows_set_aside, len(screened.rejected)) == (4, 2, 0)
    assert screened.kept["row"].tolist() == [1, 4]


def test_keep_values_that_do_not_occur_are_named():
    records = table(("iron", "1"), ("steel", "0"), keep=["train", "test"])
    with pytest.raises(BadInput, match=r"keep_values \['trian'\] do not occur in column 'split', which holds 'train'"):
        screen(records, Layout(keep_column="split", keep_values=["train", "trian"]), PLAN)


def test_labels_are_those_of_the_layout():
    layout = Layout(noncompliant_value="FAIL", compliant_value="PASS")
    screened = screen(table(("iron", "FAIL"), ("steel", "PASS"), ("tin", "fail")), layout, PLAN)
    assert screened.kept["label"].tolist() == [1, 0]
    assert screened.rejected["reason"].tolist() == ["the label is neither 'FAIL' nor 'PASS'"]


@pytest.mark.parametrize(
    ("plan", "by", "reasons"),
    [
        (SplitPlan(by="group", column="plant"), ["A", " ", "B"], ["plant is missing"]),
        (
            SplitPlan(by="time", column="day"),
            ["2020-01-02", "", "soon"],
            ["day is missing", "day is neither a number nor an ISO 8601 date"],
        ),
    ],
)
def test_rows_that_the_split_could_not_place_are_refused(plan, by, reasons):
    screened = screen(table(("iron", "1"), ("steel", "0"), ("tin", "0"), by=by), Layout(), plan)
    assert screened.rejected["reason"].tolist() == reasons


def test_sources_of_which_nothing_can_be_used_are_told_all_faults_at_once():
    screened = screen(table(("iron", "yes"), ("steel", "no")), Layout(), PLAN)
    with pytest.raises(BadInput) as caught:
        check_limits(screened, Layout(), minimum_rows=500, reject_limit=0.01)
    assert caught.value.faults == (
        "2 of 2 rows were refused (100.0%), reject_limit allows 1.0%: 2 × the label is neither '1' nor '0'. The first "
        "is line 2; rejected.csv lists all. Mend them, or accept it with --set prepare.reject_limit=1",
        "0 rows are left to use, minimum_rows asks for 500: add labelled rows, or --set prepare.minimum_rows=1",
    )


def test_a_source_without_one_readable_record_is_refused_too():
    screened = screen(table(("a", ""), fault=["its quotes do not match"]), Layout(), PLAN)
    with pytest.raises(BadInput, match="1 of 1 rows were refused"):
        check_limits(screened, Layout(), minimum_rows=1, reject_limit=0.5)


@pytest.mark.parametrize(("rejected", "refused"), [(9, False), (10, False), (11, True)])
def test_the_limit_itself_is_allowed(rejected, refused):
    good = [("iron", "1"), ("steel", "0")] * 500
    records = good[: 1_000 - rejected] + [("", "1")] * rejected
    screened = screen(table(*records), Layout(), PLAN)
    if refused:
        with pytest.raises(BadInput, match=r"1\.1%.*reject_limit=0\.011"):
            check_limits(screened, Layout(), minimum_rows=1, reject_limit=0.01)
    else:
        check_limits(screened, Layout(), minimum_rows=1, reject_limit=0.01)


@pytest.mark.parametrize("limit", [-0.1, 1.5, float("nan")])
def test_limits_that_are_none_are_refused_and_let_nothing_pass(limit):
    screened = screen(table(("iron", "1"), ("steel", "0"), ("", "1")), Layout(), PLAN)
    with pytest.raises(BadInput) as caught:
        check_limits(screened, Layout(), minimum_rows=0, reject_limit=limit)
    told = [fault for fault in caught.value.faults if fault.startswith(("reject_limit is", "minimum_rows is 0"))]
    assert len(told) == 2


@pytest.mark.parametrize(("value", "missing"), [("1", "compliant"), ("0", "non-compliant")])
def test_one_class_alone_is_refused(value, missing):
    screened = screen(table(("iron", value), ("steel", value)), Layout(), PLAN)
    with pytest.raises(BadInput, match=f"no row is {missing} "):
        check_limits(screened, Layout(), minimum_rows=1, reject_limit=0.01)


@pytest.mark.needs_shared
def test_the_mot_rows_before_2018_are_all_usable(shared_dir):
    layout = Layout(keep_column="split", keep_values=["train"])
    screened = screen(read(str(shared_dir / "data" / "mot_rfr_compliance.csv"), layout), layout, PLAN)
    assert (screened.rows_set_aside, len(screened.rejected), len(screened.kept)) == (2_100, 0, 4_217)
    assert screened.kept["normalized"].nunique() == 4_217
