"""Each gate stops its sabotage by name, and nothing else does.

All of them take ten minutes, so CI draws one a day; `python -m tests.end_to_end.sabotage_page` takes all and writes the
table.
"""

from pathlib import Path

import pytest

from tests.drawn import drawn
from tests.end_to_end.sabotage import SABOTAGES, Sabotage, crown, gates, run
from tests.project import ROOT, Project, copy_project

SAMPLE = 1  # sabotage a day


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project in which the sound model was released and runs in production."""
    project = copy_project(tmp_path_factory.mktemp("sabotage"))
    sound = run(project)
    assert (sound.verdict, sound.stopped_by, sound.registered) == ("release", {}, 1)
    crown(project)
    return project


@pytest.mark.parametrize("sabotage", drawn(SABOTAGES, SAMPLE), ids=lambda sabotage: sabotage.name)
def test_its_gate_stops_it_and_no_other(project: Project, sabotage: Sabotage) -> None:
    outcome = run(project, sabotage)
    assert outcome.verdict == "stopped"
    assert set(outcome.stopped_by) == set(sabotage.stopped_by)
    assert outcome.registered == int(sabotage.registers)
    for scrap in sabotage.stopped_by:
        measured = (
            scrap.partition(".")[2].removesuffix("_low").removesuffix("_high")
        )  # an end stands beside its estimate
        assert measured in outcome.report.replace("<wbr>", "")


def test_every_gate_has_its_sabotage() -> None:
    alone = {sabotage.stopped_by[0] for sabotage in SABOTAGES if len(sabotage.stopped_by) == 1}
    assert alone == set(gates())


def test_the_page_tells_every_sabotage_and_every_rule() -> None:
    page = (ROOT / "docs" / "GATES.md").read_text(encoding="utf-8")
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")}
    for sabotage in SABOTAGES:
        assert all(f"`{scrap}`" in rows[sabotage.name] for scrap in sabotage.stopped_by)
    told = "\n".join(rows)
    assert all(f"`{scrap.removeprefix('evaluate.')}`" in told for scrap in gates())


def test_what_a_sabotage_swaps_stands_in_the_notebooks() -> None:
    for sabotage in SABOTAGES:
        for phase, old, _ in sabotage.swaps:
            source = Path(ROOT / "notebooks" / f"{phase}.ipynb").read_text(encoding="utf-8")
            assert old.replace('"', '\\"') in source
