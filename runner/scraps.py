"""Reads what an executed notebook glued with scrapbook: the one place that knows how scrapbook writes it.

The package itself is not imported: it takes seconds, lets a second glue under a name win in silence, and decodes more
than plain values. What is read here is its documented form, an output of the type
`application/scrapbook.scrap.<encoder>+json`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.notebook import own_cells
from runner.record import DisplayEntry, ScrapEntry

PREFIX = "application/scrapbook.scrap."
DISPLAYS = ("plot_", "table_", "document_")  # names of what the report shows
_PLAIN = ("json", "text")


def read(notebook: Path, descriptions: Mapping[str, str]) -> tuple[dict[str, ScrapEntry], list[DisplayEntry]]:
    """Give the scraps and the displays (pictures and tables) of an executed notebook.

    A scrap that was glued more than once, or is no plain value, is given with a `fault`: it can be shown, not
    relied on.

    Args:
        notebook: The executed notebook.
        descriptions: What the documented scraps mean.
    """
    cells = own_cells(json.loads(notebook.read_text(encoding="utf-8")))
    scraps: dict[str, ScrapEntry] = {}
    glued: dict[str, list[int]] = {}
    for cell, encoder, payload in _payloads(cells):
        name = _writable(payload.get("name"))
        glued.setdefault(name, []).append(cell)
        scraps[name] = _scrap(cell, encoder, payload)
        if name in descriptions:
            scraps[name]["description"] = descriptions[name]
    for name, places in glued.items():
        if len(places) > 1:
            cells_named = " and ".join(str(place) for place in dict.fromkeys(places))
            scraps[name]["fault"] = f"it was glued {len(places)} times, in cell {cells_named}"
    return scraps, list(_displays(cells))


def agree(notebook: Path, recorded: Mapping[str, ScrapEntry]) -> bool:
    """Tell whether an executed notebook still holds what a record says it glued. Otherwise one of them was edited."""
    try:
        return _bare(read(notebook, {})[0]) == _bare(recorded)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):  # gone, or no notebook
        return False


def _outputs(cells: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the outputs of code cells: whatever other cells carry was not made by this execution."""
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", []) if cell["cell_type"] == "code" else ():
            yield index, output


def _payloads(cells: list[dict[str, Any]]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for index, output in _outputs(cells):
        for kind, payload in output.get("data", {}).items():
            if kind.startswith(PREFIX) and isinstance(payload, dict):
                yield index, kind.removeprefix(PREFIX).removesuffix("+json"), payload


def _displays(cells: list[dict[str, Any]]) -> Iterator[DisplayEntry]:
    for index, output in _outputs(cells):
        glue = output.get("metadata", {}).get("scrapbook", {})
        if glue.get("display") and str(glue.get("name", "")).startswith(DISPLAYS):
            yield {"name": glue["name"], "cell": index}


def _scrap(cell: int, encoder: str, payload: dict[str, Any]) -> ScrapEntry:
    name, value = payload.get("name"), payload.get("data")
    if encoder not in _PLAIN or payload.get("encoder") != encoder:
        fault = f"it was glued as {_writable(encoder)}, which is no plain value"
        return {"value": None, "cell": cell, "fault": fault}
    try:
        if not isinstance(name, str):
            raise ValueError(f"its name is {name!r}, which is no text")
        if encoder == "text" and not isinstance(value, str):
            raise ValueError(f"it was glued as text and is {type(value).__name__}")
        _check(name)
        _check(value)
    except ValueError as error:
        return {"value": _writable(value), "cell": cell, "fault": str(error)}
    return {"value": value, "cell": cell}


def _check(value: Any) -> None:
    """Refuse what the record cannot hold, also inside of lists and mappings."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it holds {value}, which is not finite")
    if isinstance(value, str) and _writable(value) != value:
        raise ValueError("it holds half a character, which no file can hold")
    for item in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check(item)


def _writable(value: Any) -> str:
    """Give a value as a text that can be written to a file."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _bare(scraps: Mapping[str, ScrapEntry]) -> str:
    """Give a text that is equal for the same scraps, whatever is said of their meaning."""
    kept = {name: [scrap["value"], scrap["cell"], scrap.get("fault")] for name, scrap in scraps.items()}
    return json.dumps(kept, sort_keys=True)
