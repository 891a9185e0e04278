"""The table of faults is true, and each of its rows could have been false."""

import pytest

from tests.drawn import drawn
from tests.end_to_end import faults_page
from tests.end_to_end.faults import FAULTS, Fault, Left
from tests.end_to_end.unguarded import GUARDS

SAMPLE = drawn(FAULTS, 7)  # a day, of fourteen


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Left]]:
    return faults_page.left_by_all(tmp_path_factory.mktemp("faults"), SAMPLE)


@pytest.mark.parametrize("fault", SAMPLE, ids=lambda fault: fault.name)
def test_what_trey_leaves_is_true(left: dict[str, dict[str, Left]], fault: Fault) -> None:
    found = left["trey"][fault.name]
    assert found.untrue(fault) == [], found


@pytest.mark.parametrize("fault", SAMPLE, ids=lambda fault: fault.name)
def test_without_its_guard_it_is_not(left: dict[str, dict[str, Left]], fault: Fault) -> None:
    found = left["unguarded"][fault.name]
    assert found.untrue(fault) != [], found


def test_no_guard_is_without_a_fault() -> None:
    assert set(GUARDS) == {fault.guard for fault in FAULTS}


def test_the_page_holds_what_was_left(left: dict[str, dict[str, Left]]) -> None:
    page = faults_page.PAGE.read_text(encoding="utf-8")
    told = page.partition(faults_page.BEGIN)[2].partition(faults_page.END)[0].splitlines(keepends=True)
    assert len(told) == 2 + len(FAULTS)
    assert [row for fault in SAMPLE if (row := faults_page.row(fault, left)) not in told] == []
