"""What pages show: their blocks, the commands in them as a person types them, and what these shall print."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.project import Project

BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SKIPPED = "…"  # any text within a line; as a line of its own, any lines
SECONDS = 300  # for a command


@dataclass(frozen=True)
class Step:
    """A command and the lines that it prints. One with a terminal of its own goes on while the others are typed."""

    terminal: str
    command: str
    lines: list[str] = field(default_factory=list)


def section(page: str, title: str) -> str:
    """Give a section of a page, from below its heading to the next one of the same level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title}"
    return found[1]


def files(page: str) -> dict[str, str]:
    """Give the contents of the files that a page tells to write, by their paths."""
    return {name: content for kind, name, content in BLOCK.findall(page) if name and kind != "console"}


def steps(page: str) -> list[Step]:
    """Give the commands of a page, in order."""
    found: list[Step] = []
    for kind, name, content in BLOCK.findall(page):
        for line in content.splitlines() if kind == "console" else []:
            if line.startswith("$ "):
                found.append(Step(name, line[2:]))
            else:
                found[-1].lines.append(line)
    return found


def shown(lines: list[str]) -> re.Pattern[str]:
    """Give what printed text must match to be what the page shows."""
    parts = [
        r"(?:.*\n)*?" if line == SKIPPED else re.escape(line).replace(re.escape(SKIPPED), ".*") + r"\n"
        for line in lines
    ]
    return re.compile("".join(parts))


def variables(project: Project) -> Mapping[str, str]:
    """Give the environment of a person who has activated the project's."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project.root),
        "NO_PROXY": "127.0.0.1",
    }


def typed(project: Project, command: str) -> str:
    """Type a command as that person, and give what it prints; a last line that was not ended is."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project.root,
        env=variables(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout if done.stdout.endswith("\n") or not done.stdout else f"{done.stdout}\n"


def check(step: Step, printed: str) -> None:
    """Hold what a command printed to what the page shows."""
    assert shown(step.lines).fullmatch(printed), f"$ {step.command}\n{printed}"
