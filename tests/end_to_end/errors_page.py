"""Writes docs/ERRORS.md from the table of bad input.

Example:
    python -m tests.end_to_end.errors_page
"""

from itertools import groupby

from tests.end_to_end.bad_input import CASES, Case
from tests.project import ROOT

HEAD = """# When something is wrong with the input

What arrives, what `trey` says, and what is left. The tests run each line (tests/end_to_end/bad_input.py), and this page
is written from it: `python -m tests.end_to_end.errors_page`.

Nothing starts while something is wrong with parameters, pipeline or notebooks, with behavioural tests, challenge sets
or the datasheet: all faults are listed at once. What is wrong with a source is found by the *prepare* notebook, which
ends with the cause `bad-input`: the run has a record and a report, and the next run goes on from what succeeded. The
last line printed is always the next thing to type.
"""
COLUMNS = ["what arrived", "exit code", "status, cause in run.json", "the message says", "kept", "last line"]


def page() -> str:
    """Give the page."""
    parts = [HEAD]
    for group, cases in groupby(CASES, key=lambda case: case.group):
        lines = [COLUMNS, ["---"] * len(COLUMNS), *map(_line, cases)]
        parts.append(f"## {group}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(parts)


def _line(case: Case) -> list[str]:
    ended = ", ".join(word for word in (case.status, case.cause) if word) or "no run"
    return [case.arrived, str(case.exit_code), ended, f"`{case.says}`", case.kept, f"`{case.last}`"]


if __name__ == "__main__":
    (ROOT / "docs" / "ERRORS.md").write_text(page(), encoding="utf-8")
