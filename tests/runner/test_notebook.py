from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import notebook
from runner.errors import BadRequest
from runner.notebook import REQUIRED, Parameter, declarations

from .conftest import write_notebook


def test_each_line_declares_a_parameter() -> None:
    found, faults = declarations(
        '"""What may be set."""\n'
        "# a comment of its own\n"
        "rows: int = 2_000  # how many # of them, with n = 3\n"
        "share = -0.5\n"
        "source: str  # must be given\n"
        "names: list[str] = [\n    'a',  # inside\n    'b',\n]  # several lines\n"
        "limit: float = 1\n"
        "nothing = None\n"
    )
    assert faults == []
    assert found == [
        Parameter("rows", "int", 2000, "how many # of them, with n = 3", 3),
        Parameter("share", "float", -0.5, "", 4),
        Parameter("source", "str", REQUIRED, "must be given", 5),
        Parameter("names", "list[str]", ["a", "b"], "several lines", 6),
        Parameter("limit", "float", 1.0, "", 10),
        Parameter("nothing", "Any", None, "", 11),
    ]
    assert type(found[4].default) is float


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import os", "line 1 of the `parameters` cell: `import os` is no `name: type = literal`"),
        ("a = b = 1", "line 1 of the `parameters` cell: `a = b = 1` is no `name: type = literal`"),
        ("home = os.environ['HOME']", "the default of home, `os.environ['HOME']`, is no literal"),
        ("rows: int = 'ten'", "line 1 of the `parameters` cell: the default of rows is 'ten' (str); allowed is int"),
        ("share: float = 2.0  # at most 1", "the default of share is 2.0; allowed is at most 1"),
        ("share: float = 2.0  # between 3 and 1", "`between 3 and 1` leaves no number"),
        ("name: str = 'a'  # of a part, at most 1", "`at most 1` bounds name, which is str and no number"),
        ("rows: Path = 'ten'", "the type `Path` is not known"),
        ("rows = 1\nrows = 2", "line 2 of the `parameters` cell declares rows a second time"),
        ("rows = (1, 2)", "(1, 2) (tuple) is neither number, bool, str, list, dict nor None"),
        ("rows = ", "line 1 of the `parameters` cell is no Python"),
        ("%matplotlib inline", "line 1 of the `parameters` cell is no Python"),
    ],
)
def test_what_declares_nothing_is_a_fault(source: str, fault: str) -> None:
    _, faults = declarations(source)
    assert len(faults) == 1
    assert fault in faults[0]


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(LITERALS, st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))))
def test_any_literal_and_any_comment_come_back(value: Any, comment: str) -> None:
    found, faults = declarations(f"value = {value!r}  # {comment}")
    assert faults == []
    assert [(parameter.name, parameter.default) for parameter in found] == [("value", value)]
    assert found[0].help == comment.lstrip("#").strip() or comment.strip().startswith("#")


def test_all_faults_of_a_cell_are_told_at_once(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "bad.ipynb", parameters="rows: int = 'ten'\nimport os\nfine = 1")
    with pytest.raises(BadRequest) as fault:
        _ = notebook.read(path).parameters
    assert len(fault.value.faults) == 2
    assert all(text.startswith("bad.ipynb: line ") for text in fault.value.faults)
    assert str(fault.value).splitlines()[-1] == f"next: open {path} and mend its `parameters` cell"


def test_a_notebook_without_the_cell_declares_nothing(tmp_path: Path) -> None:
    assert notebook.read(write_notebook(tmp_path / "plain.ipynb", "1")).parameters == {}


def test_two_parameters_cells_are_a_fault(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "two.ipynb", "b = 2", parameters="a = 1")
    document = nbformat.read(path, as_version=4)
    document.cells[1].metadata["tags"] = ["parameters"]
    nbformat.write(document, path)
    with pytest.raises(BadRequest, match="2 cells are tagged `parameters`; one was expected"):
        _ = notebook.read(path).parameters


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"nbformat": 3, "cells": []}', '{"nbformat": 4}'])
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "odd.ipynb").write_text(content)
    with pytest.raises(BadRequest, match="is no notebook of format 4"):
        notebook.read(tmp_path / "odd.ipynb")
