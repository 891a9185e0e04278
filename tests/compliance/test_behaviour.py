"""Behavioural tests: how they are read, what counts as a failure, what is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from compliance import behaviour, metrics
from compliance.behaviour import DIRECTION, FUNCTIONALITY, INVARIANCE, SPELLING
from compliance.errors import BadInput
from compliance.scorer import Scorer
from tests.fixtures_model import onnx_bytes

DATA: dict[str, Any] = {
    "columns": {"text": "text", "label": "label"},
    "labels": [{"label": 0, "value": "ok"}, {"label": 1, "value": "reject"}],
    "maximum_length": 200,
}
HEAD = "test,kind,text,changed,label"


class Told:
    """A scorer that knows its answers by heart."""

    threshold = 0.5

    def __init__(self, **answers: float):
        self.answers = answers

    def score(self, texts: list[str]) -> np.ndarray:
        return np.array([self.answers[text] for text in texts], np.float32)


def case(kind: str, changed: str = "", label: int = 1, test: str = "t") -> pd.DataFrame:
    return pd.DataFrame([{"test": test, "kind": kind, "text": "a", "changed": changed, "label": label}])


@pytest.mark.parametrize(
    ("kind", "first", "changed", "label", "fails"),
    [
        (FUNCTIONALITY, 0.9, None, 1, False),
        (FUNCTIONALITY, 0.9, None, 0, True),
        (INVARIANCE, 0.9, 0.6, 1, False),
        (INVARIANCE, 0.4, 0.1, 1, False),  # wrong twice, but alike: accuracy is not asked here
        (INVARIANCE, 0.9, 0.4, 1, True),
        (DIRECTION, 0.1, 0.9, 1, False),
        (DIRECTION, 0.9, 0.1, 0, False),
        (DIRECTION, 0.9, 0.9, 1, True),  # it does not flip
        (DIRECTION, 0.9, 0.1, 1, True),  # it flips the wrong way
        (FUNCTIONALITY, np.nan, None, 0, True),
        (INVARIANCE, np.nan, np.nan, 0, True),
        (INVARIANCE, 0.1, np.nan, 0, True),
        (DIRECTION, np.nan, 0.9, 1, True),
    ],
)
def test_what_a_case_asks(kind: str, first: float, changed: float | None, label: int, fails: bool) -> None:
    scorer = Told(a=first, **({} if changed is None else {"b": changed}))
    found = behaviour.judge(case(kind, "" if changed is None else "b", label), scorer)  # type: ignore[arg-type]
    assert found.tests["t"].failed.value == float(fails)
    assert len(found.failures) == int(fails)


def test_the_worst_test_speaks_and_all_bounds_hold_together() -> None:
    cases = pd.concat(
        [case(FUNCTIONALITY, test="good")] * 60 + [case(FUNCTIONALITY, label=0, test="bad")] * 3, ignore_index=True
    )
    found = behaviour.judge(cases, Told(a=0.9))  # type: ignore[arg-type]
    assert found.worst(0.05) == "bad"
    assert found.scraps(0.05) | {"behaviour_failed_high": None} == {
        "behaviour_tests": 2,
        "behaviour_worst": "bad",
        "behaviour_cases": 3,
        "behaviour_failed": 1.0,
        "behaviour_failed_high": None,
    }
    assert found.tests["good"].failed.high == pytest.approx(metrics.clopper_pearson(0, 60, 0.95)[1])  # 5 % over two
    assert found.table().index.tolist() == ["bad", "good"]
    assert found.as_dict()["good"]["cases"] == 60


def test_a_test_above_the_limit_is_not_hidden_by_a_small_one() -> None:
    small = [case(FUNCTIONALITY, test="small")] * 20
    large = [case(FUNCTIONALITY, test="large")] * 1_860 + [case(FUNCTIONALITY, label=0, test="large")] * 140
    found = behaviour.judge(pd.concat(small + large, ignore_index=True), Told(a=0.9))  # type: ignore[arg-type]
    assert found.scraps(0.05)["behaviour_worst"] == "large"
    assert found.scraps(0.05)["behaviour_failed"] > 0.05  # so that the gate fails and does not call it too little data


def test_spelling_is_asked_of_any_texts() -> None:
    texts = pd.DataFrame({"text": ["Steel, new; 2012", "é", "straße 1"], "label": [1, 0, 0]})
    cases = behaviour.of_spelling(texts)
    assert cases["test"].unique().tolist() == [SPELLING]
    assert dict(zip(cases["text"], cases["changed"], strict=True))["Steel, new; 2012"] == "  STEEL  NEW  2012 . "
    assert "straße 1" not in set(cases["text"])  # its capital letters are other words
    heard = behaviour.judge(cases, Scorer.from_onnx(onnx_bytes()))
    assert heard.tests[SPELLING].failed.value == 0


def test_spelling_finds_a_model_that_reads_capital_letters_otherwise() -> None:
    class Capitals:
        threshold = 0.5

        def score(self, texts: list[str]) -> np.ndarray:
            return np.array([text.isupper() for text in texts], np.float32)

    cases = behaviour.of_spelling(pd.DataFrame({"text": ["steel"], "label": [0]}))
    assert behaviour.judge(cases, Capitals()).tests[SPELLING].failed.value == 1  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    def write(*lines: str) -> str:
        path = tmp_path / "tests.csv"
        path.write_text("\n".join([HEAD, *lines]) + "\n", encoding="utf-8")
        return str(path)

    return write


def test_a_table_is_read_with_the_labels_of_the_source(table: Callable[..., str]) -> None:
    source = table("rust,functionality,rusted through,,reject", "tyre,direction,new tyre,worn tyre,reject")
    found = behaviour.read(source, DATA, rows=1, seed=1)
    assert found.to_dict("records") == [
        {"test": "rust", "kind": FUNCTIONALITY, "text": "rusted through", "changed": "", "label": 1},
        {"test": "tyre", "kind": DIRECTION, "text": "new tyre", "changed": "worn tyre", "label": 1},
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (",functionality,steel,,ok", "it names no test"),
        ("t,function,steel,,ok", "its kind is not functionality, invariance or direction"),
        ("t,functionality,steel,iron,ok", "functionality has no changed text"),
        ("t,direction,steel,,ok", "a changed text is missing"),
        ("t,functionality,,,ok", "the text is empty"),
        ("t,functionality,steel,,maybe", "the label is neither"),
    ],
)
def test_an_unsound_row_is_refused_by_line(table: Callable[..., str], line: str, fault: str) -> None:
    with pytest.raises(BadInput) as refused:
        behaviour.read(table("u,functionality,iron,,reject", line), DATA, rows=1, seed=1)
    assert "1 rows of the behavioural tests are unsound" in str(refused.value)
    assert "tests.csv line 3" in str(refused.value)
    assert fault in str(refused.value)


def test_two_spellings_of_a_case_are_one(table: Callable[..., str]) -> None:
    source = table("t,invariance,red steel,blue steel,ok", "t,invariance,Red  steel,BLUE steel.,ok")
    assert len(behaviour.read(source, DATA, rows=1, seed=1)) == 1


def test_a_test_has_one_kind(table: Callable[..., str]) -> None:
    with pytest.raises(BadInput, match="its test has cases of another kind"):
        behaviour.read(table("t,functionality,a,,ok", "t,invariance,a,b,ok"), DATA, rows=1, seed=1)
