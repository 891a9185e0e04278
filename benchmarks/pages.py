"""Measured figures as Markdown, and their place in a page that is otherwise written by people."""

import importlib.metadata
import os
import sys
from pathlib import Path

from packaging.utils import canonicalize_name


def figure(value: float) -> str:
    """Write a positive number with two or three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.2g}"


def sheet(*rows: list[str]) -> str:
    """Write rows as a Markdown table, the first being its head."""
    head, *others = rows
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *others])


def machine(*modules: str) -> str:
    """Say with what was measured: cores, Python, and the versions of the distributions that give some modules."""
    makers = importlib.metadata.packages_distributions()
    versions = ", ".join(
        f"{canonicalize_name(name)} {importlib.metadata.version(name)}"
        for module in modules
        for name in sorted(set(makers[module]))
    )
    return f"{len(os.sched_getaffinity(0))} cores, Python {sys.version.split()[0]}, {versions}"


def with_measured(page: str, begin: str, end: str, new: str, name: str = "the page") -> str:
    """Give a page with other figures between two marks, each a line of its own.

    Raises:
        ValueError: A mark is missing.
    """
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{name} lacks the lines {begin.strip()} and {end.strip()}: write them back")
    return f"{before}{begin}{new}{end}{after}"


def write_measured(page: Path, begin: str, end: str, new: str) -> None:
    """Write figures between two marks of a page."""
    changed = with_measured(page.read_text(encoding="utf-8"), begin, end, new, page.name)
    page.write_text(changed, encoding="utf-8")
