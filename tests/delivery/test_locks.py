"""One holder at a time, in this process or another; the system frees what a dead one held."""

import subprocess
import sys
from pathlib import Path

import pytest

from delivery import locks

HOLD = """
import sys
from pathlib import Path
from delivery import locks
with locks.held(Path(sys.argv[1]), 0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_waits_and_then_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    with locks.held(path, 0), pytest.raises(locks.Busy), locks.held(path, 0.1):
        pass
    with locks.held(path, 0):
        pass


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(locks.Busy, match=f"process {other.pid}"), locks.held(tmp_path / "lock", 0):
            pass
        other.kill()
        other.wait()
        with locks.held(tmp_path / "lock", 5):
            pass
