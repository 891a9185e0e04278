"""No evidence that is missing, stale or of the wrong kind passes a gate; sound evidence that meets the bound does."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from runner import gates, scraps
from runner.errors import BadRequest
from runner.gates import Reference, Rule
from runner.record import GateEntry, PhaseEntry

from ..drawn import examples
from .conftest import Project, entry
from .test_single import run as run_phase

MORE = settings(max_examples=examples(300), deadline=None)
NAMES = ("value", "bound", "estimate", "n", "champion")  # the scraps a rule may look at, by what they are to it
REFERENCES = {name: Reference("evaluate", name) for name in NAMES}
NUMBERS = st.integers(-1_000, 1_000) | st.floats(-1e9, 1e9)
TEXTS = st.sampled_from(["a", "none", "b" * 64, "1", "true"]) | st.text(min_size=1, max_size=8).filter(
    lambda text: not says_nothing(text)
)


def says_nothing(text: str) -> bool:
    """Say again, by enumeration, which texts stand for no result."""
    word = text.strip().lower().lstrip("+-")
    if word in {"", "nan", "inf", "infinity"} or text.strip() in {"None", "NaT", "<NA>"}:
        return True
    try:
        return math.isinf(float(text))  # such as 1e999
    except ValueError:
        return False


@st.composite
def rules(draw: st.DrawFn, kinds: tuple[str, ...] = ("min", "max", "equals")) -> Rule:
    """Generate a rule as pipeline.yaml allows it."""
    kind = draw(st.sampled_from(kinds))
    literal = NUMBERS | st.booleans() | TEXTS if kind == "equals" else NUMBERS
    estimate = draw(st.booleans()) and kind != "equals"
    return Rule(
        "register",
        REFERENCES["value"],
        kind,
        draw(literal | st.just(REFERENCES["bound"])),
        REFERENCES["estimate"] if estimate else None,
        REFERENCES["n"] if draw(st.booleans()) and kind != "equals" else None,
        draw(st.none() | st.just("so")),
        draw(st.none() | st.just("champion")),
    )


def looked_at(rule: Rule) -> list[str]:
    return [reference.scrap for reference in rule.references]


def meeting(rule: Rule, bound: Any) -> st.SearchStrategy:
    """Generate values that meet a bound."""
    if rule.kind == "equals":
        return st.just(bound)
    far = st.floats(0, 1e9) | st.integers(0, 1_000)
    wanted = far.map(lambda more: bound + more) if rule.kind == "min" else far.map(lambda more: bound - more)
    return wanted | st.just(bound)


def missing(rule: Rule, bound: float) -> st.SearchStrategy:
    """Generate numbers that do not meet a bound."""
    other = NUMBERS.filter(lambda number: number < bound if rule.kind == "min" else number > bound)
    nearest = math.nextafter(bound, -math.inf if rule.kind == "min" else math.inf)
    return other | st.just(nearest)


@st.composite
def sound(draw: st.DrawFn, rule: Rule) -> dict[str, Any]:
    """Generate evidence that is as it should be and meets the rule's bound."""
    found: dict[str, Any] = {}
    bound = rule.bound
    if isinstance(bound, Reference):
        bound = found["bound"] = draw(NUMBERS | st.booleans() | TEXTS if rule.kind == "equals" else NUMBERS)
    found["value"] = draw(meeting(rule, bound))
    if rule.estimate:
        found["estimate"] = draw(NUMBERS)
    if rule.n:
        found["n"] = draw(st.integers(1, 10**6) | st.integers(1, 10**6).map(float))
    if rule.when:
        found["champion"] = True
    return found


NO_NUMBERS = (
    st.sampled_from([math.nan, math.inf, -math.inf, 10**400, -(10**400), None, True, False])
    | st.sampled_from(["nan", "NaN", "inf", "-inf", "0.99", "", "None", " nan ", "-nan", "1e999"])
    | st.text(max_size=5)
    | st.lists(st.just(0.99), max_size=2)
    | st.dictionaries(st.just("low"), st.just(0.99), max_size=1)
)
NO_VALUES = st.sampled_from(
    [math.nan, math.inf, -math.inf, None, "nan", "NAN", " inf", "+Infinity", "-nan", "1e999", "", " ", "None", "<NA>"]
) | st.sampled_from([[], [1], {}, {"a": 1}, 10**400, "NaT"])
NO_CHAMPIONS = NO_VALUES | st.sampled_from([0, 1, 1.0, "true", "false"])
NO_COUNTS = NO_NUMBERS | st.sampled_from([0, -1, 2.5, 0.0, -3.0])
FAULTS = st.sampled_from(["it was glued 2 times, in cell 2 and 3", "it holds nan, which is not finite"])
UNUSABLE = ("failed", "skipped", "pending", "running", "", "Succeeded", "interrupted")


def spoiled_values(rule: Rule, name: str) -> st.SearchStrategy:
    if name == "champion":
        return NO_CHAMPIONS
    if name == "n":
        return NO_COUNTS
    return NO_VALUES if rule.kind == "equals" else NO_NUMBERS


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Rule, dict[str, PhaseEntry]]:
    """Generate a rule and evidence for it that would pass, but for what was done to at least one scrap of it."""
    rule = draw(rules())
    values = draw(sound(rule))
    how = draw(st.sampled_from(["scraps", "scraps", "scraps", "status", "unknown"]))
    if how == "unknown":
        return rule, {"train": entry(**values)}
    given_scraps = {name: {"value": value, "cell": 1} for name, value in values.items()}
    status = draw(st.sampled_from(UNUSABLE)) if how == "status" else draw(st.sampled_from(["succeeded", "cached"]))
    if how == "scraps":
        for name in draw(st.lists(st.sampled_from(looked_at(rule)), min_size=1, unique=True)):
            defect = draw(st.sampled_from(["missing", "fault", "value", "value"]))
            if defect == "missing":
                del given_scraps[name]
            elif defect == "fault":
                given_scraps[name]["fault"] = draw(FAULTS)
            else:
                given_scraps[name]["value"] = draw(spoiled_values(rule, name))
                if rule.kind == "equals" and name == "value":  # two that are spoiled alike are not equal either
                    rule, given_scraps = alike(rule, given_scraps)
    return rule, {"evaluate": entry(status, **given_scraps)}


def alike(rule: Rule, found: dict[str, Any]) -> tuple[Rule, dict[str, Any]]:
    """Give the bound of a rule the very value of its scrap."""
    if "bound" in found:
        found["bound"] = {"value": found["value"]["value"], "cell": 2}
    return rule, found


def judged(rule: Rule, evidence: Mapping[str, PhaseEntry]) -> GateEntry:
    (gate,) = gates.judge("register", [rule], evidence)
    return gate


@MORE
@given(spoiled())
def test_spoiled_evidence_never_passes(case: tuple[Rule, dict[str, PhaseEntry]]) -> None:
    rule, evidence = case
    gate = judged(rule, evidence)
    assert gate["verdict"] == "fail"
    assert gates.stops([gate])
    assert gate["reason"]


SHAPES = [
    Rule("register", REFERENCES["value"], kind, bound, estimate, n, None, when)
    for kind in ("min", "max", "equals")
    for bound in (7, REFERENCES["bound"])
    for estimate in ((None, REFERENCES["estimate"]) if kind != "equals" else (None,))
    for n in ((None, REFERENCES["n"]) if kind != "equals" else (None,))
    for when in (None, "champion")
]
GOOD = {"value": 7, "bound": 7, "estimate": 7, "n": 7, "champion": True}
NOTHING = [math.nan, math.inf, -math.inf, 10**400, -(10**400), None, [], [7], {}, {"a": 7}]
NOTHING += ["nan", "NaN", " nan ", "-nan", "inf", "-Infinity", "1e999", "", " ", "None", "NaT", "<NA>"]
NO_NUMBER = [*NOTHING, True, False, "7", "7.0", "seven"]
SPOILED: dict[str, list[Any]] = {
    "value": NO_NUMBER,
    "bound": NO_NUMBER,
    "estimate": NO_NUMBER,
    "n": [*NO_NUMBER, 0, -1, 0.5, 2.5, -3.0],
    "champion": [*NOTHING, 0, 1, 1.0, "true", "false"],
}


@pytest.mark.parametrize("rule", SHAPES, ids=lambda rule: " ".join([rule.kind, *looked_at(rule)]))
def test_each_defect_of_each_scrap_fails_each_shape_of_rule(rule: Rule) -> None:
    good = {name: {"value": value, "cell": 1} for name, value in GOOD.items()}
    assert judged(rule, {"evaluate": entry(**good)})["verdict"] == "pass"
    for status in UNUSABLE:
        assert judged(rule, {"evaluate": entry(status, **good)})["verdict"] == "fail"
    for name in looked_at(rule):
        others = {other: scrap for other, scrap in good.items() if other != name}
        assert judged(rule, {"evaluate": entry(**others)})["verdict"] == "fail"
        for fault in ("it was glued 2 times, in cell 2", "it holds nan, which is not finite"):
            faulty = good[name] | {"fault": fault}
            assert judged(rule, {"evaluate": entry(**others, **{name: faulty})})["verdict"] == "fail"
        for value in SPOILED[name]:
            gate = judged(rule, {"evaluate": entry(**others, **{name: {"value": value, "cell": 1}})})
            assert gate["verdict"] == "fail", (name, value)
            json.dumps(gate, allow_nan=False)


@pytest.mark.parametrize("value", NOTHING)
def test_two_results_that_are_not_there_are_not_equal(value: Any) -> None:
    rule = Rule("register", REFERENCES["value"], "equals", REFERENCES["bound"])
    both = {name: {"value": value, "cell": 1} for name in ("value", "bound")}
    assert judged(rule, {"evaluate": entry(**both)})["verdict"] == "fail"


@given(st.sampled_from([(1, True), (0, False), (1.0, True), ("1", 1), ("true", True), ("0", False), ("", 0)]))
def test_what_only_python_takes_for_equal_is_not(pair: tuple[Any, Any]) -> None:
    for value, bound in (pair, pair[::-1]):
        rule = Rule("register", REFERENCES["value"], "equals", bound)
        assert judged(rule, {"evaluate": entry(value=value)})["verdict"] == "fail"


def test_no_rule_is_no_pass() -> None:
    assert gates.stops(gates.judge("register", [], {"evaluate": entry(value=7)}))


@MORE
@given(st.data(), rules())
def test_sound_evidence_that_meets_the_bound_passes(data: st.DataObject, rule: Rule) -> None:
    values = data.draw(sound(rule))
    gate = judged(rule, {"evaluate": entry(data.draw(st.sampled_from(["succeeded", "cached"])), **values)})
    assert gate["verdict"] == "pass", gate["reason"]
    assert not gates.stops([gate])


@MORE
@given(st.data(), rules(kinds=("min", "max")))
def test_data_are_too_few_only_where_the_estimate_meets_what_the_value_does_not(
    data: st.DataObject, rule: Rule
) -> None:
    values = data.draw(sound(rule))
    bound = values["bound"] if isinstance(rule.bound, Reference) else rule.bound
    values["value"] = data.draw(missing(rule, bound))  # type: ignore[arg-type]
    if rule.estimate:
        values["estimate"] = data.draw(meeting(rule, bound) | missing(rule, bound))  # type: ignore[arg-type]
    met = "estimate" in values and (
        values["estimate"] >= bound if rule.kind == "min" else values["estimate"] <= bound  # type: ignore[operator]
    )
    gate = judged(rule, {"evaluate": entry(**values)})
    assert gate["verdict"] == ("inconclusive" if met else "fail")
    assert gates.stops([gate])


@MORE
@given(st.data(), rules(kinds=("min", "max")), NUMBERS, st.floats(0, 1e9))
def test_a_better_value_never_turns_a_pass_into_anything_else(
    data: st.DataObject, rule: Rule, value: float, better: float
) -> None:
    values = data.draw(sound(rule)) | {"value": value}
    assume(judged(rule, {"evaluate": entry(**values)})["verdict"] == "pass")
    values["value"] = value + better if rule.kind == "min" else value - better
    assert judged(rule, {"evaluate": entry(**values)})["verdict"] == "pass"


@MORE
@given(st.data(), rules())
def test_without_a_champion_a_rule_for_one_is_set_aside_and_no_other(data: st.DataObject, rule: Rule) -> None:
    values = data.draw(sound(rule)) | {"champion": False}
    gate = judged(rule, {"evaluate": entry(**values)})
    assert gate["verdict"] == ("not-applicable" if rule.when else "pass")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
SCRAPS = st.fixed_dictionaries(
    {},
    optional={
        name: st.fixed_dictionaries({"value": ANYTHING, "cell": st.just(1)}, optional={"fault": FAULTS})
        for name in NAMES
    },
)


@MORE
@given(st.lists(rules(), max_size=3), st.sampled_from(["succeeded", "cached", *UNUSABLE]), SCRAPS)
def test_whatever_was_judged_can_be_written_to_the_record(some: list[Rule], status: str, found: dict[str, Any]) -> None:
    result = gates.judge("register", some, {"evaluate": entry(status, **found)})
    assert len(result) == max(1, len(some))
    assert json.loads(json.dumps(result, allow_nan=False)) == result


# The whole way: from the bytes of an executed notebook to a verdict.


def output(name: Any, data: Any, encoder: str = "json", **changed: Any) -> dict[str, Any]:
    payload = {"name": name, "data": data, "encoder": encoder, "version": 1} | changed
    kind = f"application/scrapbook.scrap.{encoder}+json"
    return {"output_type": "display_data", "metadata": {}, "data": {kind: payload}}


def cell(*outputs: dict[str, Any], kind: str = "code", tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {"tags": list(tags)}, "source": "glue()", "outputs": list(outputs)}


def without(key: str, name: str, value: Any) -> dict[str, Any]:
    made = output(name, value)
    del next(iter(made["data"].values()))[key]
    return made


Spoil = Callable[[str, Any], list[dict[str, Any]]]
SPOILT_CELLS: dict[str, Spoil] = {
    "twice in one cell": lambda name, value: [cell(output(name, value), output(name, value))],
    "twice in two cells": lambda name, value: [cell(output(name, value)), cell(), cell(output(name, value))],
    "in two encodings": lambda name, value: [cell(output(name, value)), cell(output(name, str(value), "text"))],
    "twice in one output": lambda name, value: [
        cell({"output_type": "display_data", "data": output(name, 0, "text")["data"] | output(name, value)["data"]})
    ],
    "again where a banner is": lambda name, value: [
        cell(output(name, 0), tags=("papermill-error-cell-tag",)),
        cell(output(name, value)),
    ],
    "NaN": lambda name, _: [cell(output(name, math.nan))],
    "infinite": lambda name, _: [cell(output(name, math.inf)), cell()],
    "NaN as text": lambda name, _: [cell(output(name, "nan", "text"))],
    "NaN inside": lambda name, _: [cell(output(name, [math.nan]))],
    "another encoder": lambda name, value: [cell(output(name, value, "pandas"))],
    "two encoders": lambda name, value: [cell(payload({"name": name, "data": value, "encoder": "text"}))],
    "an encoder that is no text": lambda name, value: [
        cell(payload({"name": name, "data": value, "encoder": ["json"]}))
    ],
    "a number as text": lambda name, _: [cell(output(name, 7, "text"))],
    "no data": lambda name, value: [cell(without("data", name, value))],
    "no encoder": lambda name, value: [cell(without("encoder", name, value))],
    "no name": lambda name, value: [cell(without("name", name, value))],
    "payload is a list": lambda name, value: [cell(payload([name, value]))],
    "payload is a number": lambda name, value: [cell(payload(value))],
    "in a text": lambda name, value: [cell({"output_type": "stream", "text": json.dumps(output(name, value))})],
    "in prose": lambda name, value: [cell(output(name, value), kind="markdown")],
    "in a raw cell": lambda name, value: [cell(output(name, value), kind="raw")],
    "in a banner": lambda name, value: [
        cell(output(name, value), kind="markdown", tags=("papermill-error-cell-tag",)),
    ],
    "not at all": lambda *_: [cell()],
}


def payload(content: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"application/scrapbook.scrap.json+json": content}}


def in_a_notebook(path: Path, values: Mapping[str, Any], spoilt: Mapping[str, str]) -> dict[str, PhaseEntry]:
    """Write an executed notebook that glued values, some of them in a way that spoils them, and read it back."""
    cells = []
    for name, value in values.items():
        cells += SPOILT_CELLS[spoilt[name]](name, value) if name in spoilt else [cell(output(name, value))]
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    path.write_text(json.dumps(document), encoding="utf-8")
    found, _ = scraps.read(path, {"value": "what is judged"})
    json.dumps(found, allow_nan=False)
    return {"evaluate": entry(**found)}


FILES = settings(
    max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # each example writes the one file anew


@FILES
@given(st.data(), rules())
def test_what_a_notebook_glued_well_passes(tmp_path: Path, data: st.DataObject, rule: Rule) -> None:
    evidence = in_a_notebook(tmp_path / "n.ipynb", data.draw(sound(rule)), {})
    gate = judged(rule, evidence)
    assert gate["verdict"] == "pass", gate["reason"]


@FILES
@given(st.data(), rules())
def test_what_a_notebook_glued_badly_never_passes(tmp_path: Path, data: st.DataObject, rule: Rule) -> None:
    values = data.draw(sound(rule))
    names = data.draw(st.lists(st.sampled_from(looked_at(rule)), min_size=1, unique=True))
    spoilt = {name: data.draw(st.sampled_from(sorted(SPOILT_CELLS))) for name in names}
    if rule.kind == "equals":  # here a number in the encoding of texts may well be what the bound says
        assume("a number as text" not in spoilt.values() or values["value"] != 7)
    evidence = in_a_notebook(tmp_path / "n.ipynb", values, spoilt)
    assert judged(rule, evidence)["verdict"] == "fail"


@pytest.mark.parametrize("spoilt", SPOILT_CELLS)
@pytest.mark.parametrize("name", ["value", "bound"])
def test_each_way_to_glue_badly_fails_each_kind_of_rule(tmp_path: Path, spoilt: str, name: str) -> None:
    for kind in ("min", "max", "equals"):
        evidence = in_a_notebook(tmp_path / "n.ipynb", {"value": 7, "bound": 7}, {name: spoilt})
        rule = Rule("register", REFERENCES["value"], kind, REFERENCES["bound"])
        assert judged(rule, evidence)["verdict"] == "fail"


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.lists(st.text(), max_size=2)))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(None)
def test_a_name_that_is_no_text_names_nothing(tmp_path: Path, name: Any) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "cells": [cell(output(name, 1.0))]}), encoding="utf-8")
    found, _ = scraps.read(path, {})
    rule = Rule("register", Reference("evaluate", str(name)), "min", 0)
    assert judged(rule, {"evaluate": entry(**found)})["verdict"] == "fail"


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANYTHING, ANYTHING, st.sampled_from(["json", "text", "pandas"]))
def test_whatever_a_notebook_glued_can_be_read_and_recorded(tmp_path: Path, name: Any, data: Any, encoder: str) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "cells": [cell(output(name, data, encoder))]}), encoding="utf-8")
    found, _ = scraps.read(path, {})
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()


def test_half_a_character_is_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    cells = [cell(output("value", "\ud800")), cell(output("bound", {"\ud800": ["\ud800"]}))]
    path.write_text(json.dumps({"nbformat": 4, "cells": cells}), encoding="utf-8")
    found, _ = scraps.read(path, {})
    assert all("fault" in scrap for scrap in found.values())
    json.dumps(found, ensure_ascii=False).encode()


# Stale: what an earlier run left is evidence only while it is what that run recorded.


def edit_output(run_dir: Path) -> None:
    (run_dir / "make" / "number.txt").write_text("9")


def add_output(run_dir: Path) -> None:
    (run_dir / "make" / "more.txt").write_text("")


def lose_output(run_dir: Path) -> None:
    (run_dir / "make" / "number.txt").unlink()


def edit_record(run_dir: Path, **changed: Any) -> None:
    path = run_dir / "run.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    found["phases"]["make"]["scraps"]["number"] |= {"value": 9} | changed
    path.write_text(json.dumps(found), encoding="utf-8")


def edit_type_in_record(run_dir: Path) -> None:
    edit_record(run_dir, value=False)  # equal to 0, and something else


def add_to_record(run_dir: Path) -> None:
    path = run_dir / "run.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    found["phases"]["make"]["scraps"]["champion"] = {"value": False, "cell": 3}
    path.write_text(json.dumps(found), encoding="utf-8")


def edit_notebook(run_dir: Path) -> None:
    path = run_dir / "notebooks" / "make.ipynb"
    document = json.loads(path.read_text(encoding="utf-8"))
    for made in scrap_payloads(document):
        made["data"] = 9
    path.write_text(json.dumps(document), encoding="utf-8")


def scrap_payloads(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for made in document["cells"]:
        for shown in made.get("outputs", []):
            yield from (part for kind, part in shown.get("data", {}).items() if kind.startswith(scraps.PREFIX))


def glue_twice_in_notebook(run_dir: Path) -> None:
    path = run_dir / "notebooks" / "make.ipynb"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["cells"].append(cell(output("number", 0)))
    path.write_text(json.dumps(document), encoding="utf-8")


def spoil_notebook(run_dir: Path) -> None:
    (run_dir / "notebooks" / "make.ipynb").write_text("[]")


def lose_notebook(run_dir: Path) -> None:
    (run_dir / "notebooks" / "make.ipynb").unlink()


STALE = [
    edit_output,
    add_output,
    lose_output,
    edit_record,
    edit_type_in_record,
    add_to_record,
    edit_notebook,
    glue_twice_in_notebook,
    spoil_notebook,
    lose_notebook,
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project with a run of one phase, whose only scrap misses the gate of the phase after it."""
    project = Project(tmp_path_factory.mktemp("stale"))
    glue = json.dumps(next(iter(output("number", 0)["data"].items())))
    project.notebook(
        "make",
        f"from pathlib import Path\nfrom IPython.display import display\nkind, scrap = {glue}",
        'Path(output_dir, "number.txt").write_text("0")\ndisplay({kind: scrap}, raw=True)',
        parameters='output_dir: str = "x"',
    )
    project.notebook("use", "1", parameters='make_dir: str = "x"\noutput_dir: str = "y"')
    project.pipeline(
        "phases: [make, use]\ngates: {use: [{scrap: make.number, min: 1}]}\nscraps: {make: {number: what was written}}"
    )
    project.run(run_id="first", last="make")
    return project


@pytest.fixture
def stale(finished: Project) -> Iterator[Project]:
    """Give that run to a test, and mend it afterwards."""
    kept = {path: path.read_bytes() for path in finished.run_dir.rglob("*") if path.is_file()}
    yield finished
    for path in finished.run_dir.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)


def test_an_earlier_run_that_was_left_alone_is_evidence(stale: Project) -> None:
    plan = stale.plan()
    assert (plan["make"].status, plan["use"].status) == ("cached", "skipped")
    assert plan["use"].gates[0]["reason"] == "0 < 1"


@pytest.mark.parametrize("spoil", STALE)
def test_evidence_that_was_touched_is_not_reused(stale: Project, spoil: Callable[[Path], None]) -> None:
    spoil(stale.run_dir)
    plan = stale.plan()
    assert plan["make"].status == "run"
    assert "verdict" not in plan["use"].gates[0]  # nothing is known of it before it has run


@pytest.mark.parametrize("spoil", STALE)
def test_evidence_that_was_touched_is_not_taken_with_from(stale: Project, spoil: Callable[[Path], None]) -> None:
    spoil(stale.run_dir)
    with pytest.raises(BadRequest, match=r"--from use: no run in .* has make as they were recorded; of "):
        stale.plan(first="use")


@pytest.mark.parametrize("spoil", STALE)
def test_evidence_that_was_touched_does_not_count_for_one_phase(
    stale: Project, spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    spoil(stale.run_dir)
    found = run_phase(stale, "use", str(tmp_path / "out"), f"make_dir={stale.run_dir}/make")
    assert found["phases"]["use"]["status"] == "skipped"
    assert found["gates"][0]["reason"] == "make.number is missing: nothing is known of make"


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "3", '{"phases": []}', '{"phases": {"make": 3}}', '{"phases": {"make": {}}}', "\ud800"],
)
def test_a_record_that_cannot_be_read_is_no_evidence(stale: Project, content: str, tmp_path: Path) -> None:
    (stale.run_dir / "run.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    found = run_phase(stale, "use", str(tmp_path / "out"), f"make_dir={stale.run_dir}/make")
    assert found["gates"][0]["reason"] == "make.number is missing: nothing is known of make"
