"""docs/API.md, taken apart: its commands, its programs, its tables; and the table of settings, written from the code.

`python -m tests.service.api_page` writes the table into the page.
"""

import re
from collections.abc import Iterator
from dataclasses import fields
from inspect import getsource

from service.collection_settings import PREFIX as COLLECT
from service.collection_settings import CollectionSettings
from service.settings import PREFIX, Settings

from ..project import ROOT

PAGE = ROOT / "docs" / "API.md"
HEAD = "| variable | default | says |\n|---|---|---|\n"


def commands(page: str) -> Iterator[tuple[str, str]]:
    """Give each command of the page, and what it shows as its output."""
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines()
            last = next(place for place, line in enumerate(lines) if not line.endswith("\\"))
            yield "\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :])


def programs(page: str) -> list[str]:
    """Give the programs of the page, in their order."""
    return re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def table(page: str, first: str) -> list[list[str]]:
    """Give the cells of the table whose head begins with `first`."""
    found = re.search(rf"^\| {re.escape(first)} .*\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert found, first
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in found[1].splitlines()]


def variables() -> Iterator[str]:
    """Give the rows of the table of settings: names, defaults and the comments beside them in the code."""
    for prefix, settings in ((PREFIX, Settings), (COLLECT, CollectionSettings)):
        says = dict(re.findall(r"^    (\w+): .* = .*?  # (.+)$", getsource(settings), re.MULTILINE))
        for field in fields(settings):
            yield f"| `{prefix}{field.name.upper()}` | {_default(field.default)} | {says[field.name]} |\n"


def _default(value: object) -> str:
    if value in ("", ()):
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def main() -> None:
    """Write the table of settings into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(HEAD)
    after = after.lstrip("\n") if after.startswith("\n") else re.sub(r"\A(\|.*\n)+\n", "", after)
    PAGE.write_text(f"{before}{HEAD}{''.join(variables())}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
