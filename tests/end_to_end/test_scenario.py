"""docs/SCENARIO.md does what it says: its files are written, its commands typed, and what they print is as it shows."""

import pytest

from tests.end_to_end import pages
from tests.project import ROOT, Project, copy_project

PAGE = (ROOT / "docs" / "SCENARIO.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_project(tmp_path_factory.mktemp("scenario"))


@pytest.mark.nightly
def test_the_page_does_what_it_says(project: Project) -> None:
    for name, content in pages.files(PAGE).items():
        (project.root / name).write_text(content, encoding="utf-8")
    for step in pages.steps(PAGE):
        pages.check(step, pages.typed(project, step.command))

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
    pattern = pages.shown(["a: …", pages.SKIPPED, "end"])
    assert pattern.fullmatch("a: 7\nx\ny\nend\n")
    assert not pattern.fullmatch("b: 7\nend\n")
    assert not pattern.fullmatch("a: 7\nend\nmore\n")
