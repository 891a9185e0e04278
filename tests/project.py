"""A copy of the project that a test may change, and programs run inside it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ["runner", "compliance", "delivery", "service", "notebooks", "params", "requirements"]

# Prints every process that `trey` starts, as Python's own audit events tell it.
WATCHED = """
import sys
def watch(event, arguments):
    if event == "subprocess.Popen":
        sys.stderr.write(f"started: {arguments[0]}\\n")
    elif event in ("os.fork", "os.forkpty", "os.posix_spawn", "os.exec"):
        sys.stderr.write(f"started: {event}\\n")
sys.addaudithook(watch)
from runner.cli import main
main()
"""


@dataclass
class Project:
    """A copy of the project in a folder of its own."""

    root: Path

    def trey(self, *words: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `trey` here; fail where it ends otherwise than said."""
        return self.python("-m", "runner", *words, exit_code=exit_code)

    def watched_trey(self, *words: str) -> list[str]:
        """Run `trey` here and give the programs it started."""
        done = self.python("-c", WATCHED, *words)
        lines = [line for line in done.stderr.splitlines() if line.startswith("started: ")]
        return [line.removeprefix("started: ") for line in lines]

    def records(self) -> list[dict[str, Any]]:
        """Give the records of all runs, oldest first."""
        found = [json.loads(path.read_text(encoding="utf-8")) for path in self.root.glob("runs/*/run.json")]
        return sorted(found, key=lambda record: record["created_at"])

    def last(self) -> dict[str, Any]:
        """Give the record of the newest run."""
        return self.records()[-1]

    def python(self, *words: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run Python here, with the modules of the copy; fail where it ends otherwise than said."""
        environment = os.environ | {"PYTHONPATH": str(self.root)}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == exit_code, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done


def copy_project(folder: Path) -> Project:
    """Copy the project's rooms into a folder, without what runs left behind."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return Project(folder)
