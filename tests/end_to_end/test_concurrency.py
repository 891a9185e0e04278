"""Short runs at the same time. Five times over, with a table: `python -m benchmarks.concurrency`."""

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.drawn import WHOLE
from tests.end_to_end import crowd
from tests.project import Project

LIMIT = 240  # seconds for the last run to end


@pytest.fixture
def shared(tmp_path: Path) -> list[crowd.Run]:
    """Give eight runs of one project, each with a number of its own."""
    project = crowd.make_project(tmp_path / "project", 0, "none")
    runs = []
    for number in range(8):
        mark = crowd.new_mark(number)
        words = ("--fresh", "--set", f"work.mark={mark}", "--set", f"work.number={number}")
        own = tmp_path / mark
        own.mkdir()
        runs.append(crowd.Run(project, own, mark, number, mark, words))
    return runs


def test_runs_in_separate_folders_neither_hang_nor_mix(tmp_path: Path) -> None:
    count = 40 if WHOLE and psutil.virtual_memory().available > 8 * 2**30 else 12  # 40 take about 5 GiB
    outcome = crowd.at_once(crowd.separate(tmp_path, count), LIMIT)
    assert outcome.faults == []


def test_runs_may_share_a_folder_of_runs(shared: list[crowd.Run]) -> None:
    assert crowd.at_once(shared, LIMIT).faults == []
    listed = json.loads(Project(shared[0].project).trey("runs", "--json").stdout)
    assert sorted(entry["run_id"] for entry in listed) == sorted(run.run_id for run in shared)
    assert {entry["status"] for entry in listed} == {"succeeded"}


def test_runs_of_the_same_may_take_from_each_other(shared: list[crowd.Run]) -> None:
    """None is told to be fresh: what a run that has ended left may be taken, never half of one."""
    first = shared[0]
    words = ("--set", f"work.mark={first.mark}", "--set", f"work.number={first.number}")
    same = [
        replace(run, run_id=f"same-{run.number}", mark=first.mark, number=first.number, words=words) for run in shared
    ]
    assert crowd.at_once(same, LIMIT).faults == []


def test_what_hangs_mixes_or_stays_behind_is_noticed(tmp_path: Path) -> None:
    slow, mixed = crowd.separate(tmp_path, 2)
    crowd.write_notebook(slow.project / "notebooks" / "work.ipynb", "import time; time.sleep(600)")
    crowd.write_notebook(mixed.project / "notebooks" / "work.ipynb", f"print('{slow.mark}')")
    (mixed.project / "socket").touch()
    outcome = crowd.at_once([slow, mixed], limit=20)
    assert outcome.hung == [f"{slow.run_id} did not end within 20 s"]
    assert [fault.split(": ")[0] for fault in outcome.mixed][:1] == [mixed.run_id]
    assert f"{mixed.run_id}: socket is left" in outcome.left
