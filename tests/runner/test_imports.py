from pathlib import Path

import pytest

from runner.imports import project_code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "pack/__init__.py": "from pack.base import VALUE",
        "pack/base.py": "VALUE = 1",
        "pack/a.py": "from . import b\nimport json",
        "pack/b.py": "def late():\n    from .deep.c import thing",
        "pack/deep/__init__.py": "",
        "pack/deep/c.py": "from ..rare import thing",
        "pack/rare.py": "thing = 1",
        "pack/unused.py": "",
        "alone.py": "import pack.a",
        "loop.py": "import loop",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def found(folder: Path, *sources: str, uses: tuple[str, ...] = ()) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in project_code(sources, [folder], uses)}


ALL = {
    *("pack/__init__.py", "pack/base.py", "pack/a.py", "pack/b.py"),
    *("pack/deep/__init__.py", "pack/deep/c.py", "pack/rare.py"),
}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("import json, os.path", set()),
        ("import pack", {"pack/__init__.py", "pack/base.py"}),
        ("from pack import VALUE", {"pack/__init__.py", "pack/base.py"}),
        ("from pack import base as other", {"pack/__init__.py", "pack/base.py"}),
        ("import pack.a", ALL),
        ("from pack import a", ALL),
        ("if True:\n    import alone", ALL | {"alone.py"}),
        ("import loop", {"loop.py"}),
        ("%matplotlib inline\nimport loop", {"loop.py"}),
        ("!ls\nimport importlib\nimportlib.import_module('loop')", {"loop.py"}),
        ("from pack.deep import nothing", {"pack/__init__.py", "pack/base.py", "pack/deep/__init__.py"}),
        ("this is no Python", set()),
    ],
)
def test_what_a_source_imports_counts_transitively(folder: Path, source: str, wanted: set[str]) -> None:
    assert found(folder, source) == wanted


def test_a_package_that_is_used_counts_as_a_whole(folder: Path) -> None:
    assert found(folder, "", uses=("pack",)) == ALL | {"pack/unused.py"}
    assert found(folder, "", uses=("loop",)) == {"loop.py"}


def test_modules_beside_the_notebook_come_first(folder: Path) -> None:
    beside = folder / "notebooks"
    beside.mkdir()
    (beside / "loop.py").write_text("")
    assert project_code(["import loop"], [beside, folder]) == {beside / "loop.py"}
