"""Writes the table of gates and sabotages in docs/GATES.md, from the records that `trey run` leaves.

Example:
    python -m tests.end_to_end.sabotage_page             # all of them, some ten minutes; writes the page
    python -m tests.end_to_end.sabotage_page leaked NaN  # those whose name holds a word; prints what came of them
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.pages import write_measured
from tests.end_to_end.sabotage import SABOTAGES, Outcome, crown, run
from tests.project import ROOT, copy_project

PAGE = ROOT / "docs" / "GATES.md"
MARKS = "<!-- sabotage: python -m tests.end_to_end.sabotage_page -->\n", "<!-- /sabotage -->\n"


def table(outcomes: dict[str, Outcome]) -> str:
    """Give the table: what was done, which gate stopped it, and what the report says."""
    lines = ["| sabotage | stopped by | because |", "|---|---|---|"]
    for sabotage in SABOTAGES:
        found = outcomes[sabotage.name].stopped_by
        names = "<br>".join(f"`{name}`" for name in found)
        lines.append(f"| {sabotage.name} | {names} | {'<br>'.join(found.values())} |")
    return "\n".join(lines) + "\n"


def main(wanted: list[str]) -> None:
    """Run the sabotages that are wanted, or all, and print or write what came of them."""
    chosen = [entry for entry in SABOTAGES if not wanted or any(word in entry.name for word in wanted)]
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="trey-sabotage-") as place:
        project = copy_project(Path(place))
        _told("nothing", run(project), ())
        crown(project)
        for sabotage in chosen:
            outcomes[sabotage.name] = run(project, sabotage)
            _told(sabotage.name, outcomes[sabotage.name], sabotage.stopped_by)
    if not wanted:
        write_measured(PAGE, *MARKS, table(outcomes))


def _told(name: str, outcome: Outcome, expected: tuple[str, ...]) -> None:
    as_expected = set(outcome.stopped_by) == set(expected)
    print(f"{'ok ' if as_expected else 'NOT'} {name}: {outcome.verdict}; {outcome.stopped_by}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
