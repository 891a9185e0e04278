"""Markdown as cards and reports need it: lists and tables whose cells stay cells, whatever text is put into them."""

from collections.abc import Iterable, Sequence


def bullets(lines: Iterable[str]) -> str:
    """Give a list."""
    return "\n".join(f"- {line}" for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; a text with line ends or bars in it stays in its cell."""
    lines = [list(head), ["---"] * len(head), *([one_line(cell).replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def one_line(text: str) -> str:
    """Give a text without line ends and doubled spaces."""
    return " ".join(text.split())
