import json
from pathlib import Path
from typing import Any

import pytest

from runner import scraps
from runner.execute import execute

from .conftest import GLUE, write_notebook


def glued(name: str, data: Any, encoder: str = "json") -> dict[str, Any]:
    payload = {"name": name, "data": data, "encoder": encoder, "version": 1}
    return {
        "output_type": "display_data",
        "data": {f"application/scrapbook.scrap.{encoder}+json": payload},
        "metadata": {},
    }


def notebook(tmp_path: Path, *cells: list[dict[str, Any]]) -> Path:
    path = tmp_path / "executed.ipynb"
    prose = {"cell_type": "markdown", "source": "", "metadata": {}}
    code = [{"cell_type": "code", "source": "", "metadata": {}, "outputs": outputs} for outputs in cells]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [prose, *code]}))
    return path


@pytest.mark.parametrize("value", [0, 1.5, True, None, [1, "a"], {"a": [1]}])
def test_plain_values_come_with_their_cell_and_meaning(tmp_path: Path, value: Any) -> None:
    path = notebook(tmp_path, [], [glued("x", value), glued("name", "text", "text")])
    found, displays = scraps.read(path, {"x": "what it is"})
    assert found == {
        "x": {"value": value, "cell": 2, "description": "what it is"},
        "name": {"value": "text", "cell": 2},
    }
    assert displays == []


def test_a_scrap_glued_twice_is_at_fault(tmp_path: Path) -> None:
    found, _ = scraps.read(notebook(tmp_path, [glued("x", 1)], [], [glued("x", 1)]), {})
    assert found["x"] == {"value": 1, "cell": 3, "fault": "it was glued 2 times, in cell 1 and 3"}
    found, _ = scraps.read(notebook(tmp_path, [glued("x", 1), glued("x", 2)]), {})
    assert found["x"]["fault"] == "it was glued 2 times, in cell 1"


@pytest.mark.parametrize("value", [float("nan"), [1, float("inf")], {"a": {"b": float("-inf")}}])
def test_a_number_that_is_not_finite_is_at_fault(tmp_path: Path, value: Any) -> None:
    found, _ = scraps.read(notebook(tmp_path, [glued("x", value)]), {})
    assert "which is not finite" in found["x"]["fault"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("encoder", ["pandas", "arrow", ""])
def test_what_is_no_plain_value_is_at_fault(tmp_path: Path, encoder: str) -> None:
    found, _ = scraps.read(notebook(tmp_path, [glued("x", "UEFSMQ", encoder)]), {})
    assert found["x"]["value"] is None
    assert "which is no plain value" in found["x"]["fault"]


def test_what_scrapbook_glues_is_read(tmp_path: Path) -> None:
    """The package itself, in a real kernel, against what we take for its form."""
    source = write_notebook(
        tmp_path / "glue.ipynb",
        "import scrapbook as sb\nfrom IPython.display import HTML",
        'sb.glue("number", 0.5)\nsb.glue("flag", True)\nsb.glue("name", "x")\nsb.glue("many", {"a": [1]})',
        'sb.glue("nan", float("nan"))',
        'sb.glue("plot_a", HTML("<b>a</b>"), "display", True)\nsb.glue("table_b", HTML("b"), "display", True)',
        'sb.glue("document_c", HTML("c"), "display", True)',
        'sb.glue("other", HTML("b"), "display", True)',
        f'{GLUE}\nglue("ours", 1)',
    )
    assert execute(source, tmp_path / "out.ipynb", {}).cause is None
    found, displays = scraps.read(tmp_path / "out.ipynb", {})
    assert {name: (scrap["value"], scrap["cell"]) for name, scrap in found.items()} == {
        "number": (0.5, 1),
        "flag": (True, 1),
        "name": ("x", 1),
        "many": ({"a": [1]}, 1),
        "nan": (None, 2),
        "ours": (1, 6),
    }
    assert displays == [
        {"name": "plot_a", "cell": 3},
        {"name": "table_b", "cell": 3},
        {"name": "document_c", "cell": 4},
    ]
