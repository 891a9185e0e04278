"""examples/: notebooks that know nothing of this project, and its page, whose commands are typed."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from runner.notebook import Notebook
from runner.pipeline import load_pipeline
from tests.project import ROOT

EXAMPLES = ROOT / "examples"
PHASES = ["collect", "clean", "summarize"]
BLOCK = re.compile(r"^```console\n\$ (.*)\n((?:.*\n)*?)```$", re.MULTILINE)
BESIDES = re.compile(r"next: |\w+: cell \d+ of \d+: ")  # the next step, and cells that take their time
VARYING = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}|\d+\.\d s$", re.MULTILINE)  # a run's id, seconds


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a copy of examples/ in it, without what runs left behind."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("runs", ".ipynb_checkpoints"))
    return folder


@pytest.fixture(scope="module")
def notebooks() -> dict[str, Notebook]:
    return dict(load_pipeline(EXAMPLES / "params" / "pipeline.yaml").notebooks)


def typed(folder: Path, command: str) -> str:
    """Type a command as a person would who has activated the environment; give what it prints, without BESIDES."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": search, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}"
    return "".join(line for line in done.stdout.splitlines(keepends=True) if not BESIDES.match(line))


def last(folder: Path) -> dict[str, Any]:
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("examples/runs/*/run.json")]
    return max(runs, key=lambda run: run["created_at"])


def statuses(record: dict[str, Any]) -> list[str]:
    return [record["phases"][phase]["status"] for phase in PHASES]


def scraps(record: dict[str, Any]) -> dict[str, Any]:
    entries = {phase: record["phases"][phase]["scraps"] for phase in PHASES}
    return {f"{phase}.{name}": scrap["value"] for phase, named in entries.items() for name, scrap in named.items()}


def test_the_page_does_what_it_says(folder: Path) -> None:
    """One road from the first run to a stopped one: what is printed, recorded, and not done twice."""
    release, stop = BLOCK.findall((EXAMPLES / "README.md").read_text(encoding="utf-8"))

    command, printed = release
    assert VARYING.sub("…", typed(folder, command)) == VARYING.sub("…", printed)
    first = last(folder)
    assert statuses(first) == ["succeeded"] * 3
    assert first["decision"] == {"verdict": "release", "reason": "2 of 2 gates passed"}
    found = scraps(first)
    assert set(found) == {f"{phase}.{name}" for phase, named in first["pipeline"]["scraps"].items() for name in named}
    assert (found["collect.hours"], found["collect.readings"]) == (672, 674)
    assert found["clean.counts"] + found["clean.refused"] == found["collect.readings"]
    assert found["clean.believed_share"] == pytest.approx(660 / 672)
    assert (found["summarize.busiest_hour"], found["summarize.close_from"]) == (8, 23)
    assert [[display["name"] for display in first["phases"][phase]["displays"]] for phase in PHASES] == [
        ["plot_readings"],
        ["plot_lost"],
        ["plot_profile"],
    ]
    assert (folder / "examples" / "runs" / first["run_id"] / "report.html").is_file()

    typed(folder, "cd examples && trey run")
    second = last(folder)
    assert statuses(second) == ["cached"] * 3
    assert scraps(second) == found

    command, printed = stop
    assert VARYING.sub("…", typed(folder, command)) == VARYING.sub("…", printed)
    third = last(folder)
    assert (third["status"], third["decision"]["verdict"]) == ("stopped", "stopped")
    assert statuses(third) == ["succeeded", "succeeded", "skipped"]
    assert [gate["verdict"] for gate in third["gates"]] == ["fail", "pass"]


def test_three_notebooks_and_a_pipeline_are_all_there_is(folder: Path) -> None:
    copied = [path.relative_to(folder / "examples") for path in folder.rglob("*") if path.is_file()]
    kept = sorted(str(path) for path in copied if path.parts[0] != "runs")
    assert kept == [
        "README.md",
        "notebooks/clean.ipynb",
        "notebooks/collect.ipynb",
        "notebooks/summarize.ipynb",
        "params/pipeline.yaml",
    ]


@pytest.mark.parametrize("phase", PHASES)
def test_a_notebook_imports_nothing_of_this_project(notebooks: dict[str, Notebook], phase: str) -> None:
    tree = ast.parse("\n".join(cell.source for cell in notebooks[phase].code))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    outside = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert outside == {"matplotlib", "scrapbook"}


@pytest.mark.parametrize("phase", PHASES)
def test_a_notebook_by_itself_reads_what_the_one_before_it_writes(notebooks: dict[str, Notebook], phase: str) -> None:
    declared = notebooks[phase].parameters
    assert declared["output_dir"].default == f"../runs/interactive/{phase}"
    for name, parameter in declared.items():
        if name.endswith("_dir") and name != "output_dir":
            assert parameter.default == notebooks[name.removesuffix("_dir")].parameters["output_dir"].default


@pytest.mark.parametrize("phase", PHASES)
def test_a_notebook_reads_as_ours_do(notebooks: dict[str, Notebook], phase: str) -> None:
    """A question first, a sentence before each code cell, parameters with help; no outputs."""
    cells = notebooks[phase].cells
    assert re.match(r"# \w+: .*\?$", cells[0].source.splitlines()[0])
    kinds = [cell.kind for cell in cells]
    assert kinds[0] == kinds[-1] == "markdown"
    assert ("code", "code") not in pairwise(kinds)
    assert all(parameter.help for parameter in notebooks[phase].parameters.values())
    raw = [cell for cell in json.loads(notebooks[phase].content)["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in raw if cell["outputs"] or cell["execution_count"]] == []
