"""Every notebook has a cell whose output nbval compares; spoiling what it says fails."""

from pathlib import Path

import nbformat
import pytest

from tests.drawn import drawn
from tests.project import Project, copy_project

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PHASES = ["prepare", "train", "evaluate", "register", "deploy", "monitor"]
COMPARED = "nbval-check-output"


def compared(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if COMPARED in cell.metadata.get("tags", [])]


def nbval(project: Project, exit_code: int, *paths: str) -> str:
    words = ["-m", "pytest", "--nbval-lax", *paths, "-p", "no:cacheprovider", "-q"]
    return project.python(*words, exit_code=exit_code).stdout


def test_every_phase_is_a_notebook() -> None:
    assert sorted(path.stem for path in NOTEBOOKS) == sorted(PHASES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_notebook_has_a_compared_cell_and_no_other_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert compared(notebook)
    assert all(cell.outputs for cell in compared(notebook))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    others = [cell for cell in code if COMPARED not in cell.metadata.get("tags", [])]
    assert [cell.id for cell in others if cell.outputs or cell.execution_count] == []


def test_a_fresh_copy_passes_in_the_order_of_the_graph_and_a_spoiled_result_fails(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "fresh")
    nbval(project, 0, "notebooks")

    spoiled = {}
    for phase in drawn(PHASES, 2):  # each finds what those before it left
        path = project.root / "notebooks" / f"{phase}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        cell = compared(notebook)[0]
        cell.outputs[0]["text"] = "spoiled\n" + cell.outputs[0]["text"]
        spoiled[phase] = sum(c.cell_type == "code" for c in notebook.cells[: notebook.cells.index(cell)])
        nbformat.write(notebook, path)

    said = nbval(project, 1, *(f"notebooks/{phase}.ipynb" for phase in spoiled))
    failed = {line.split(" - ")[0] for line in said.splitlines() if line.startswith("FAILED ")}
    assert failed == {f"FAILED notebooks/{phase}.ipynb::Cell {number}" for phase, number in spoiled.items()}, said
