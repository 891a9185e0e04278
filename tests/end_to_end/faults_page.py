"""Writes the table of faults in docs/RUNNER.md, from the files that papermill and `trey` leave.

Example:
    python -m tests.end_to_end.faults_page
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.pages import write_measured
from tests.end_to_end.faults import FAULTS, Fault, Left, with_papermill, with_trey
from tests.project import ROOT

PAGE = ROOT / "docs" / "RUNNER.md"
BEGIN, END = "<!-- faults: python -m tests.end_to_end.faults_page -->\n", "<!-- /faults -->\n"
AT_ONCE = 3  # runs; they wait more than they work


def left_by_all(folder: Path, faults: Sequence[Fault] = FAULTS) -> dict[str, dict[str, Left]]:
    """Let each fault happen to papermill, to trey, and to trey without its guard; give what is left, by runner."""
    runners = {
        "papermill": with_papermill,
        "trey": with_trey,
        "unguarded": lambda fault, place: with_trey(fault, place, guarded=False),
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {
            name: {
                fault.name: pool.submit(runner, fault, folder / name / str(number))
                for number, fault in enumerate(faults)
            }
            for name, runner in runners.items()
        }
        return {name: {fault: left.result() for fault, left in lefts.items()} for name, lefts in begun.items()}


def row(fault: Fault, left: dict[str, dict[str, Left]]) -> str:
    """Give a line of the table; what is untrue stands in bold."""
    return line(fault.name, *(left[name][fault.name].told(fault) for name in ("papermill", "trey")))


def line(*cells: str) -> str:
    """Write the cells of a line of a table."""
    return f"| {' | '.join(cells)} |\n"


def table(left: dict[str, dict[str, Left]]) -> str:
    """Give the table."""
    head = line("fault", "papermill leaves", "`trey` leaves") + line(*["---"] * 3)
    return head + "".join(row(fault, left) for fault in FAULTS)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        made = table(left_by_all(Path(place)))
    write_measured(PAGE, BEGIN, END, made)
