import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import constraints

NUMBERS = st.integers(-1_000, 1_000) | st.floats(-1_000, 1_000).map(lambda number: round(number, 3))


@pytest.mark.parametrize(
    ("comment", "words", "allowed", "refused"),
    [
        ("share kept, between 0 and 1", "share kept", [0, 0.5, 1], [-0.1, 1.1]),
        ("between -1.5 and 2e1", "", [-1.5, 20], [-1.6, 20.1]),
        ("rows, at least 1_000", "rows", [1_000, 10**9], [999]),
        ("rows, at most 3", "rows", [-4, 3], [3.5]),
        ("size, above 0", "size", [0.001], [0, -1]),
        ("size, of a step, below 1", "size, of a step", [0.999], [1]),
    ],
)
def test_the_last_clause_bounds(comment, words, allowed, refused):
    help_text, constraint = constraints.read(comment)
    assert help_text == words
    assert all(constraint.allows(number) for number in allowed)
    assert not any(constraint.allows(number) for number in refused)
    assert comment.endswith(constraint.text)


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "texts to compare at most, of the window",
        "between two corrections",
        "between 0 and 1 is the share",
        "somewhere between 0 and 1",  # no clause of its own
        "at least one",
        "key = at least, as it were",
    ],
)
def test_any_other_comment_is_help(comment):
    assert constraints.read(comment) == (comment, None)


@given(low=NUMBERS, high=NUMBERS, value=NUMBERS)
def test_between_means_what_it_says(low, high, value):
    if low > high:
        with pytest.raises(ValueError, match="leaves no number"):
            constraints.read(f"x, between {low} and {high}")
        return
    _, constraint = constraints.read(f"x, between {low} and {high}")
    assert list(constraint.breaches(value)) == ([] if low <= value <= high else [value])
    assert list(constraint.breaches([value, None, "text", True, [value]])) == [value, value] * (
        not low <= value <= high
    )


def test_items_of_mappings_are_bounded():
    _, constraint = constraints.read("weights, at least 0")
    assert list(constraint.breaches({"a": 1, "b": -1, "c": [-2, None], "d": "text"})) == [-1, -2]


def test_a_whole_bound_is_not_rounded():
    _, constraint = constraints.read("at least 9007199254740993")
    assert not constraint.allows(2**53)
    assert constraint.allows(2**53 + 1)


def test_a_bound_beyond_all_numbers_is_a_fault():
    with pytest.raises(ValueError, match="`1e999` is beyond the range of numbers"):
        constraints.read("x, at most 1e999")
