"""What git tracks is what people wrote: text that can be reviewed and pictures of the pages, but no output of a run."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PICTURES = (".png",)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a clone: without git, nobody knows what is tracked")
def test_what_is_tracked_is_text_or_a_picture_of_the_pages() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = [Path(name) for name in listed.split("\0") if name]
    assert len(tracked) > 100
    assert [str(path) for path in tracked if not is_text(ROOT / path) and not is_picture(path)] == []


def is_picture(path: Path) -> bool:
    return path.suffix in PICTURES and path.parts[0] == "docs"


def is_text(path: Path) -> bool:
    try:
        return "\0" not in path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
