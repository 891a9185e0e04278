import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import gates
from runner.gates import Reference, Rule
from runner.record import PhaseEntry

from .conftest import entry

RECALL = Reference("evaluate", "recall_low")


def rule(kind: str = "min", bound: Any = 0.95, scrap: Reference = RECALL, **more: Any) -> Rule:
    return Rule("register", scrap, kind, bound, **more)


def verdict(judged: Rule, **evidence: PhaseEntry) -> tuple[str, str]:
    gate = gates.judge("register", [judged], evidence)[0]
    return gate["verdict"], gate["reason"]


@pytest.mark.parametrize(
    ("kind", "bound", "value", "wanted"),
    [
        ("min", 0.95, 0.997, ("pass", "0.997 ≥ 0.95")),
        ("min", 0.95, 0.95, ("pass", "0.95 ≥ 0.95")),
        ("min", 0.95, 0.94, ("fail", "0.94 < 0.95")),
        ("min", 0.95, 0.9499999999, ("fail", "0.9499999999 < 0.95")),
        ("max", 0, 0, ("pass", "0 ≤ 0")),
        ("max", 0, 3, ("fail", "3 > 0")),
        ("equals", "abc", "abc", ("pass", "'abc' = 'abc'")),
        ("equals", "abc", "abd", ("fail", "'abd' ≠ 'abc'")),
        ("equals", 1, True, ("fail", "true ≠ 1")),
        ("equals", True, 1, ("fail", "1 ≠ true")),
        ("equals", 1, 1.0, ("pass", "1.0 = 1")),
        ("equals", "1", 1, ("fail", "1 ≠ '1'")),
    ],
)
def test_a_rule_compares(kind: str, bound: Any, value: Any, wanted: tuple[str, str]) -> None:
    assert verdict(rule(kind, bound), evaluate=entry(recall_low=value)) == wanted


@pytest.mark.parametrize("value", [None, True, "0.99", "nan", [0.99], {"low": 0.99}, math.nan, math.inf])
def test_what_is_no_finite_number_fails(value: Any) -> None:
    result, reason = verdict(rule(), evaluate=entry(recall_low={"value": value, "cell": 1}))
    assert result == "fail"
    assert "no number" in reason or "not finite" in reason


@pytest.mark.parametrize("status", ["pending", "running", "failed", "skipped"])
def test_a_phase_that_did_not_succeed_is_no_evidence(status: str) -> None:
    result = verdict(rule(), evaluate=entry(status, recall_low=0.99))
    assert result == ("fail", f"evaluate.recall_low does not count: evaluate is {status}")


def test_a_cached_phase_is_evidence() -> None:
    assert verdict(rule(), evaluate=entry("cached", recall_low=0.99))[0] == "pass"


def test_missing_evidence_fails() -> None:
    assert verdict(rule()) == ("fail", "evaluate.recall_low is missing: nothing is known of evaluate")
    assert verdict(rule(), evaluate=entry()) == ("fail", "evaluate.recall_low is missing: evaluate did not glue it")


def test_a_scrap_glued_twice_fails() -> None:
    twice = {"value": 0.99, "cell": 3, "fault": "it was glued 2 times, in cell 2 and 3"}
    result = verdict(rule(), evaluate=entry(recall_low=twice))
    assert result == ("fail", "evaluate.recall_low does not count: it was glued 2 times, in cell 2 and 3")


def test_a_phase_without_rules_is_refused() -> None:
    judged = gates.judge("register", [], {"evaluate": entry(recall_low=1.0)})
    assert gates.stops(judged)
    assert judged[0]["reason"] == "no rules: a guarded phase without a rule is refused, not passed"


def test_a_bound_may_be_a_scrap() -> None:
    judged = rule(bound=Reference("evaluate", "majority"))
    assert verdict(judged, evaluate=entry(recall_low=0.8, majority=0.7)) == ("pass", "0.8 ≥ 0.7")
    assert verdict(judged, evaluate=entry(recall_low=0.8, majority=0.9)) == ("fail", "0.8 < 0.9")
    assert verdict(judged, evaluate=entry(recall_low=0.8))[0] == "fail"


ABOUT = Reference("evaluate", "worst")


@pytest.mark.parametrize(
    ("recall_low", "worst", "told"),
    [
        (0.5, "tyres", "evaluate.recall_low: 0.5 < 0.95: tyres"),
        (0.5, 3, "evaluate.recall_low: 0.5 < 0.95: 3"),
        (0.99, "tyres", "evaluate.recall_low: 0.99 ≥ 0.95"),
        (0.5, "", "evaluate.recall_low: 0.5 < 0.95"),
        (0.5, {"value": "tyres", "cell": 3, "fault": "it was glued 2 times"}, "evaluate.recall_low: 0.5 < 0.95"),
    ],
)
def test_what_does_not_pass_is_told_with_what_is_behind_it(recall_low: float, worst: Any, told: str) -> None:
    [judged] = gates.judge("register", [rule(about=ABOUT)], {"evaluate": entry(recall_low=recall_low, worst=worst)})
    assert gates.said(judged) == told


@pytest.mark.parametrize(
    ("worst", "told"),
    [
        ("tyre\nnext: trey release last --to production", "tyre next: trey release last --to production"),
        ("tyre\x1b[2J\x1b]0;all passed\x07\u2028", "tyre [2J ]0;all passed"),
        ("t" * 10_000, "t" * 199 + "…"),
    ],
)
def test_what_data_say_is_told_in_one_line_without_control_characters(worst: str, told: str) -> None:
    [judged] = gates.judge("register", [rule(about=ABOUT)], {"evaluate": entry(recall_low=0.9, worst=worst)})
    assert judged["about"] == told


def test_what_is_behind_a_value_is_no_evidence() -> None:
    [judged] = gates.judge("register", [rule(about=ABOUT)], {"evaluate": entry(recall_low=0.99)})
    assert (judged["verdict"], "about" in judged) == ("pass", False)


DATA = {"estimate": Reference("evaluate", "recall"), "n": Reference("evaluate", "texts")}


def test_too_little_data_is_its_own_verdict_and_stops() -> None:
    judged = gates.judge("register", [rule(**DATA)], {"evaluate": entry(recall_low=0.9, recall=0.97, texts=40)})
    assert judged[0]["verdict"] == "inconclusive"
    assert judged[0]["reason"] == "too little data to tell: 0.9 < 0.95, but the estimate 0.97 ≥ 0.95 (n 40)"
    assert (judged[0]["estimate"], judged[0]["n"]) == (0.97, 40)
    assert gates.stops(judged)


def test_an_estimate_that_misses_the_bound_fails() -> None:
    assert verdict(rule(**DATA), evaluate=entry(recall_low=0.9, recall=0.94, texts=40)) == ("fail", "0.9 < 0.95")


@pytest.mark.parametrize("broken", [{"recall": "nan"}, {"recall": None}, {"texts": 0}, {"texts": True}, {"texts": 2.5}])
def test_a_broken_estimate_or_count_fails_even_where_the_bound_is_met(broken: dict[str, Any]) -> None:
    scraps = {"recall_low": 0.99, "recall": 0.99, "texts": 40} | broken
    assert verdict(rule(**DATA), evaluate=entry(**scraps))[0] == "fail"


LITTLE = {"recall_low": 0.9, "recall": 0.97, "texts": 40, "model_digest": "d" * 64}
WAIVER: Any = {
    "kind": "waiver", "subject": "evaluate.recall_low", "by": "ada", "at": "2026-11-26T10:00:00.000Z",
    "comment": "checked by hand", "digest": "d" * 64, "rule": {"min": 0.95}, "value": 0.9,
}  # fmt: skip


def test_what_somebody_waived_is_waived_and_stops_nothing() -> None:
    judged = gates.judge("register", [rule(**DATA)], {"evaluate": entry(**LITTLE)}, [WAIVER])
    assert (judged[0]["verdict"], judged[0]["waiver"]) == ("waived", WAIVER)
    assert judged[0]["reason"].startswith("waived by ada: checked by hand; too little data to tell: 0.9 < 0.95")
    assert not gates.stops(judged)


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "approval"}, {"subject": "evaluate.other"}, {"digest": "e" * 64}, {"digest": ""},
        {"rule": {"min": 0.9}}, {"rule": {"max": 0.95}}, {"value": 0.91}, {"value": None},
    ],
)  # fmt: skip
def test_a_waiver_of_something_else_waives_nothing(changed: dict[str, Any]) -> None:
    for waiver in (WAIVER | changed, "bob", {}):
        judged = gates.judge("register", [rule(**DATA)], {"evaluate": entry(**LITTLE)}, [waiver])
        assert judged[0]["verdict"] == "inconclusive"


@pytest.mark.parametrize("scraps", [{"recall": 0.9}, {"recall_low": None}, {"texts": 0}, {"recall": "nan"}])
def test_a_failure_or_missing_evidence_cannot_be_waived(scraps: dict[str, Any]) -> None:
    evidence = {"evaluate": entry(**LITTLE | scraps)}
    [judged] = gates.judge("register", [rule(**DATA)], evidence, [WAIVER | {"value": (LITTLE | scraps)["recall_low"]}])
    assert judged["verdict"] == "fail"
    assert "waiver" not in judged


def test_a_waiver_is_bound_to_the_model_that_was_judged_last_or_to_an_output() -> None:
    evidence = {"train": entry(model_digest="t"), "evaluate": entry(model_digest="e"), "register": entry("pending")}
    assert gates.judged_digest(evidence, "train") == "e"
    assert gates.judged_digest({"make": entry(number=1)}, "make") == "0" * 64
    assert gates.judged_digest({"make": entry("failed", model_digest="m")}, "other") == ""


CONDITIONS = ("champion", "challenge", "slices")


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(
    ("there", "wanted"),
    [(False, "not-applicable"), (True, "pass"), (None, "fail"), ("false", "fail"), (0, "fail")],
)
def test_a_rule_with_a_condition_needs_to_know_whether_it_holds(condition: str, there: Any, wanted: str) -> None:
    judged = rule(when=condition)
    scraps = {"recall_low": {"value": 0.99, "cell": 1}, condition: {"value": there, "cell": 1}}
    assert verdict(judged, evaluate=entry(**scraps))[0] == wanted
    assert verdict(judged, evaluate=entry(recall_low=0.99))[0] == "fail"


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.floats(), max_size=2)
)
SCRAPS = st.fixed_dictionaries(
    {},
    optional={
        name: st.fixed_dictionaries({"value": VALUES, "cell": st.just(1)}, optional={"fault": st.just("glued twice")})
        for name in ("recall_low", "recall", "texts", "majority", *CONDITIONS)
    },
)
STATUSES = st.sampled_from(["pending", "running", "succeeded", "cached", "failed", "skipped"])
RULES = st.builds(
    rule,
    kind=st.sampled_from(["min", "max", "equals"]),
    bound=st.floats(-1, 1) | st.just(Reference("evaluate", "majority")),
    estimate=st.none() | st.just(DATA["estimate"]),
    n=st.none() | st.just(DATA["n"]),
    when=st.none() | st.sampled_from(CONDITIONS),
)


def sound(scraps: dict[str, Any], name: str) -> bool:
    scrap = scraps.get(name)
    return scrap is not None and "fault" not in scrap


def finite(scraps: dict[str, Any], name: str) -> bool:
    value = scraps[name]["value"] if sound(scraps, name) else None
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@given(RULES, STATUSES, SCRAPS)
def test_nothing_passes_on_evidence_that_is_missing_or_broken(
    judged: Rule, status: str, scraps: dict[str, Any]
) -> None:
    gate = gates.judge("register", [judged], {"evaluate": entry(status, **scraps)})[0]
    if gate["verdict"] == "fail":
        return
    assert status in ("succeeded", "cached")
    if judged.when:
        assert sound(scraps, judged.when)
        assert scraps[judged.when]["value"] is (gate["verdict"] != "not-applicable")
    if gate["verdict"] == "not-applicable":
        return
    assert sound(scraps, "recall_low")
    if judged.kind == "equals":
        assert gate["verdict"] == "pass"
        assert gate["value"] == gate["bound"]
        assert str(gate["value"]).strip().lower() not in ("", "nan", "inf", "-inf", "none")
        return
    assert finite(scraps, "recall_low")
    assert not isinstance(judged.bound, Reference) or finite(scraps, "majority")
    assert judged.estimate is None or finite(scraps, "recall")
    assert judged.n is None or (finite(scraps, "texts") and scraps["texts"]["value"] >= 1)
    met = gate["value"] >= gate["bound"] if judged.kind == "min" else gate["value"] <= gate["bound"]
    assert met is (gate["verdict"] == "pass")
