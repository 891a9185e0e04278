"""docs/SCENARIO.md does what it says: its files are written, its commands typed, and what they print is as it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT, Project, copy_project

PAGE = (ROOT / "docs" / "SCENARIO.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SKIPPED = "…"  # any text within a line; as a line of its own, any lines


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_project(tmp_path_factory.mktemp("scenario"))


def steps() -> list[tuple[str, list[str]]]:
    """Give each command with the lines it shows."""
    found: list[tuple[str, list[str]]] = []
    for kind, _, content in BLOCK.findall(PAGE):
        for line in content.splitlines() if kind == "console" else []:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shown(lines: list[str]) -> re.Pattern[str]:
    """Give what printed text must match to be what the page shows."""
    parts = [
        r"(?:.*\n)*?" if line == SKIPPED else re.escape(line).replace(re.escape(SKIPPED), ".*") + r"\n"
        for line in lines
    ]
    return re.compile("".join(parts))


def typed(project: Project, command: str) -> str:
    """Type a command as a person would who has activated the environment."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project.root),
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def test_the_page_does_what_it_says(project: Project) -> None:
    for _, name, content in BLOCK.findall(PAGE):
        if name:
            (project.root / name).write_text(content, encoding="utf-8")
    for command, lines in steps():
        printed = typed(project, command)
        assert shown(lines).fullmatch(printed), f"$ {command}\n{printed}"

    first, second, other = project.records()
    assert (first["status"], second["status"], other["status"]) == ("stopped", "succeeded", "succeeded")
    assert {gate["verdict"] for gate in first["gates"]} >= {"pass", "inconclusive"}
    assert second["phases"]["evaluate"]["scraps"]["noncompliant_recall"]["value"] > 0.98
    report = (project.root / "runs" / second["run_id"] / "report.html").read_text(encoding="utf-8")
    assert "Nord" in report
    assert "Süd" in report
    for words in ("quality@pumps.example", "not stated: give <code>motivation</code> in evaluate.datasheet"):
        assert words in report
    assert "vehicle" not in report  # no word of another scenario's datasheet
    kept = [record["phases"]["prepare"]["scraps"]["rows_kept"]["value"] for record in (first, second, other)]
    assert kept == [600, 4_000, 800]
    scored = (project.root / "rest.scored.csv").read_text(encoding="utf-8").splitlines()
    assert len(scored) == 1_501
    for number, line in enumerate(scored[1:]):
        assert line.startswith(f"{number + 1},{number + 2},P-{number:05},")
        assert "Ø" in line


def test_every_shown_line_can_fail() -> None:
    """The pattern of a block is no licence: it refuses other text."""
    pattern = shown(["a: …", SKIPPED, "end"])
    assert pattern.fullmatch("a: 7\nx\ny\nend\n")
    assert not pattern.fullmatch("b: 7\nend\n")
    assert not pattern.fullmatch("a: 7\nend\nmore\n")
