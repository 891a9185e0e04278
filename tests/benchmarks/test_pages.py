"""Figures in pages that people wrote."""

from pathlib import Path

import pytest

from benchmarks import pages


def test_only_what_stands_between_the_marks_is_written_anew(tmp_path: Path) -> None:
    page = tmp_path / "PAGE.md"
    page.write_text("above\n<!-- a -->\nold\n<!-- /a -->\nbelow\n", encoding="utf-8")
    pages.write_measured(page, "<!-- a -->\n", "<!-- /a -->\n", "new\n")
    assert page.read_text(encoding="utf-8") == "above\n<!-- a -->\nnew\n<!-- /a -->\nbelow\n"


@pytest.mark.parametrize("page", ["", "<!-- a -->\n", "<!-- /a -->\n<!-- a -->\n"])
def test_a_page_without_its_marks_is_not_written(page: str) -> None:
    with pytest.raises(ValueError, match="lacks the lines <!-- a --> and <!-- /a -->: write them back"):
        pages.with_measured(page, "<!-- a -->\n", "<!-- /a -->\n", "new\n")


def test_figures_have_two_or_three_digits() -> None:
    assert [pages.figure(value) for value in (0.0234, 2.345, 23.45, 2_345.6)] == ["0.023", "2.3", "23.4", "2,346"]
