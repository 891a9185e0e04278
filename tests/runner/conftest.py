"""Small projects of tiny notebooks, each with the one trait or defect that its test is about."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runner import lifecycle, planning
from runner.planning import PlannedPhase, Request
from runner.record import PhaseEntry, Record

# What scrapbook's glue displays, without the seconds that importing it takes; test_scraps.py compares the two.
GLUE = """
from IPython.display import display
def glue(name, data, encoder="json"):
    payload = {"name": name, "data": data, "encoder": encoder, "version": 1}
    display({f"application/scrapbook.scrap.{encoder}+json": payload}, metadata={"scrapbook": {"name": name}}, raw=True)
"""


def write_notebook(path: Path, *cells: str, parameters: str | None = None) -> Path:
    """Write a notebook of code cells; a cell that begins with "#|" is prose."""
    notebook = nbformat.v4.new_notebook()
    if parameters is not None:
        notebook.cells.append(nbformat.v4.new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}))
    for number, source in enumerate(cells):
        new = nbformat.v4.new_markdown_cell if source.startswith("#|") else nbformat.v4.new_code_cell
        notebook.cells.append(new(source.removeprefix("#|"), id=f"cell-{number}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@dataclass
class Watcher:
    """Keeps what it is told."""

    on_cell: Callable[..., None]
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def cell(self, *words: Any) -> None:
        self.told.append(("cell", *words))
        self.on_cell(*words)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *words: self.told.append((name, *words))


@dataclass
class Project:
    """A folder with notebooks/ and params/pipeline.yaml."""

    root: Path

    def notebook(self, name: str, *cells: str, parameters: str | None = None) -> Path:
        return write_notebook(self.root / "notebooks" / f"{name}.ipynb", *cells, parameters=parameters)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pipeline(self, text: str) -> Path:
        return self.write("params/pipeline.yaml", text)

    def request(self, **asked: Any) -> Request:
        return Request(pipeline=self.root / "params" / "pipeline.yaml", cwd=self.root, **asked)

    def run(self, on_cell: Callable[..., None] = lambda *_: None, **asked: Any) -> Record:
        self.watcher = Watcher(on_cell)
        self.run_dir, record = lifecycle.run(self.request(**asked), self.watcher)  # type: ignore[arg-type]
        return record

    def plan(self, **asked: Any) -> dict[str, PlannedPhase]:
        return {phase.name: phase for phase in planning.plan(self.request(**asked)).phases}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def chain(project: Project) -> Project:
    """Give a project of two phases: `make` writes a number, `use` doubles it and is guarded by it."""
    project.notebook(
        "make",
        f"import helper\nfrom pathlib import Path\n{GLUE}",
        'Path(output_dir, "number.txt").write_text(str(helper.scale(number)))\nglue("number", number)',
        parameters='number: int = 2  # what to write\nsource: str = ""  # a file\noutput_dir: str = "../out/make"',
    )
    project.notebook(
        "use",
        f"from pathlib import Path\n{GLUE}",
        'twice = 2 * float(Path(make_dir, "number.txt").read_text())',
        'Path(output_dir, "twice.txt").write_text(str(twice))\nglue("twice", twice)',
        parameters='make_dir: str = "../out/make"\ngates_path: str = ""\noutput_dir: str = "../out/use"',
    )
    project.write("notebooks/helper.py", "def scale(number):\n    return number\n")
    project.pipeline(
        "phases: [make, use]\n"
        "gates: {use: [{scrap: make.number, min: 1, why: a number below 1 is no number}]}\n"
        "scraps: {make: {number: what was written}, use: {twice: its double}}\n"
    )
    return project


def entry(status: str = "succeeded", **scraps: Any) -> PhaseEntry:
    """Make the entry of a phase that glued these values."""
    named = {
        name: value if isinstance(value, dict) and "value" in value else {"value": value, "cell": 1}
        for name, value in scraps.items()
    }
    return {"status": status, "scraps": named, "output_sha256": "0" * 64}  # type: ignore[typeddict-item, return-value]
