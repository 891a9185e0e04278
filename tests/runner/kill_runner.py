"""Runs `trey` in this process and kills it with SIGKILL when it is about to change the run folder the n-th time.

    python kill_runner.py N RUNS ARGUMENTS...

N 0 kills never, and writes the number of changes to the file RUNS/../changes.
"""

import atexit
import os
import signal
import sys
from pathlib import Path

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")


def main() -> None:
    nth, runs = int(sys.argv[1]), sys.argv[2]
    changes = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal changes
        opened = event == "open" and isinstance(arguments[1], str) and arguments[1][:1] in "wax"
        if (opened or event in CHANGES) and str(arguments[0]).startswith(runs):
            changes += 1
            if changes == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    if nth == 0:
        atexit.register(lambda: Path(runs, "..", "changes").write_text(str(changes)))
    sys.argv = ["trey", *sys.argv[3:]]
    sys.addaudithook(watch)
    from runner.cli import main as trey

    trey()


main()
