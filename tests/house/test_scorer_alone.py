"""What the scoring service ships of the project is one module: the scorer imports none of the others."""

import ast

from tests.project import ROOMS, ROOT


def test_the_scorer_imports_no_other_module_of_the_project() -> None:
    tree = ast.parse((ROOT / "compliance" / "scorer.py").read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name.partition(".")[0] for name in named} & {*ROOMS, ""}
