"""Each line of the table of bad input, as a user meets it: a subprocess, its exit code, its last line, what is kept."""

import csv
import json
from pathlib import Path

import pytest

from tests.drawn import drawn
from tests.end_to_end import errors_page
from tests.end_to_end.bad_input import CASES, RUN, Case
from tests.project import ROOT, copy_project

SAMPLE = 12  # rows a day


@pytest.mark.parametrize("case", drawn(CASES, SAMPLE), ids=lambda case: case.arrived)
def test_bad_input(case: Case, tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    case.make(project)
    done = project.trey(*case.words, exit_code=case.exit_code)
    said = done.stderr + done.stdout
    assert "Traceback" not in said
    assert case.says in said

    runs = sorted((tmp_path / "runs").glob("*/run.json"))
    assert len(runs) == bool(case.status)
    run_id = runs[0].parent.name if runs else ""
    last = said.rstrip().splitlines()[-1]
    assert last.replace(run_id or RUN, RUN).replace(f"{tmp_path}/", "") == case.last
    if not runs:
        return

    record = json.loads(runs[0].read_text(encoding="utf-8"))
    assert (record["status"], record["phases"]["prepare"]["cause"] or "") == (case.status, case.cause)
    assert (runs[0].parent / "report.html").is_file()
    prepared = runs[0].parent / "prepare"
    assert tuple(sorted(path.name for path in prepared.iterdir())) == case.files
    if case.rejected is not None:
        csv.field_size_limit(1_000_000)
        with (prepared / "rejected.csv").open(encoding="utf-8", newline="") as file:
            rejected = list(csv.DictReader(file))
        assert len(rejected) == case.rejected
        assert all(row["line"] and row["reason"] for row in rejected)


def test_the_page_is_what_the_table_says() -> None:
    assert (ROOT / "docs" / "ERRORS.md").read_text(encoding="utf-8") == errors_page.page(), (
        "type: python -m tests.end_to_end.errors_page"
    )
