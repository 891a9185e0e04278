import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import annotations
from runner.annotations import Mismatch, coerce

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("annotation", "value", "wanted"),
    [
        ("int", 3, 3),
        ("float", 3, 3.0),
        ("float", 0.5, 0.5),
        ("bool", True, True),
        ("str", "", ""),
        ("list", [1, "a"], [1, "a"]),
        ("list[float]", [1, 2.5], [1.0, 2.5]),
        ("dict", {"a": 1}, {"a": 1}),
        ("dict[str, list[int]]", {"a": [1]}, {"a": [1]}),
        ("Literal['a', 1]", 1, 1),
        ("Optional[int]", None, None),
        ("typing.Optional[int]", 3, 3),
        ("int | None", None, None),
        ("float | int", 3, 3),
        ("Union[str, float]", 3, 3.0),
        ("'int'", 3, 3),
        ("Any", {"a": None}, {"a": None}),
    ],
)
def test_a_value_of_its_type_is_taken(annotation: str, value: Any, wanted: Any) -> None:
    result = coerce(annotation, value)
    assert result == wanted
    assert type(result) is type(wanted)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        ("int", "ten", "'ten' (str); allowed is int"),
        ("int", True, "True (bool); allowed is int"),
        ("int", 1.0, "1.0 (float); allowed is int"),
        ("float", True, "True (bool); allowed is float"),
        ("bool", 1, "1 (int); allowed is bool"),
        ("str", 1, "1 (int); allowed is str"),
        ("list[int]", [1, "a"], "a list whose item 1 is 'a' (str); allowed is list[int]"),
        ("dict[str, int]", {"a": "b"}, "a mapping whose a is 'b' (str); allowed is dict[str, int]"),
        ("Literal['a', 1]", True, "True (bool); allowed is Literal['a', 1]"),
        ("int | None", "x", "'x' (str); allowed is int | None"),
    ],
)
def test_a_value_of_another_type_is_refused(annotation: str, value: Any, message: str) -> None:
    with pytest.raises(Mismatch) as refused:
        coerce(annotation, value)
    assert str(refused.value) == message


@pytest.mark.parametrize("annotation", ["Path", "set[int]", "list[int, str]", "x.y", "1", "dict[str]", "Literal[x]"])
def test_a_type_that_is_not_known_is_refused(annotation: str) -> None:
    with pytest.raises(ValueError, match=r"not known|no literal"):
        annotations.check_known(annotation)


@given(PLAIN)
def test_only_values_that_a_record_can_hold_pass(value: Any) -> None:
    def finite(part: Any) -> bool:
        if isinstance(part, dict):
            return all(map(finite, part.values()))
        return all(map(finite, part)) if isinstance(part, list) else not isinstance(part, float) or math.isfinite(part)

    if finite(value):
        assert coerce("Any", value) == value
    else:
        with pytest.raises(Mismatch):
            coerce("Any", value)


@given(st.sampled_from(["float", "int", "bool", "str", "list", "dict"]), PLAIN)
def test_nothing_but_whole_numbers_is_converted(annotation: str, value: Any) -> None:
    try:
        result = coerce(annotation, value)
    except Mismatch:
        return
    assert type(result).__name__ == annotation
    assert type(value) is type(result) or (annotation == "float" and type(value) is int)
