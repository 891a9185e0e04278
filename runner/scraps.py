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
DISPLAYS = ("plot_", "table_")  # names of what the report shows
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
        name = str(payload.get("name"))
        glued.setdefault(name, []).append(cell)
        scraps[name] = _scrap(cell, encoder, payload)
        if name in descriptions:
            scraps[name]["description"] = descriptions[name]
    for name, places in glued.items():
        if len(places) > 1:
            cells_named = " and ".join(str(place) for place in dict.fromkeys(places))
            scraps[name]["fault"] = f"it was glued {len(places)} times, in cell {cells_named}"
    return scraps, list(_displays(cells))


def _outputs(cells: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, cell in enumerate(cells):
        for output in cell.get("outputs", []):
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
    value = payload.get("data")
    if encoder not in _PLAIN or payload.get("encoder") != encoder:
        return {"value": None, "cell": cell, "fault": f"it was glued as {encoder}, which is no plain value"}
    try:
        return {"value": _finite(value), "cell": cell}
    except ValueError as error:
        return {"value": str(value), "cell": cell, "fault": str(error)}


def _finite(value: Any) -> Any:
    """Refuse numbers that JSON does not have, also inside of lists and mappings."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it holds {value}, which is not finite")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _finite(item)
    return value
