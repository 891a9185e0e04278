"""Cells stay cells, whatever stands in them."""

from compliance.markdown import bullets, table


def test_a_table_holds_what_would_break_it() -> None:
    assert table(["a", "b"], [["x | y", "two\nlines"]]) == "| a | b |\n| --- | --- |\n| x \\| y | two lines |"


def test_a_list_has_a_line_for_each() -> None:
    assert bullets(["a", "b"]) == "- a\n- b"
