"""Whatever people do with releases and wherever a process dies: one live version, and none that was not let in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

from delivery.endpoint import Endpoint
from delivery.state import Held, State, settled
from tests.end_to_end.release_machine import PRODUCTION, STAGING, Releases

Releases.TestCase.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestReleases = Releases.TestCase


@dataclass
class Chosen:
    """Stands where Hypothesis draws a run."""

    run: str

    def draw(self, *_: object) -> str:
        return self.run


def without_approval(machine: Releases) -> None:
    machine.resume(Chosen("few"), by="bob", good=True, waives=True)
    machine.release(Chosen("few"), PRODUCTION, approves=False, good=True)


def long_after_it(machine: Releases) -> None:
    machine.time_passes(8, 0)
    machine.release(Chosen("one"), PRODUCTION, approves=False, good=True)


def with_another_service(machine: Releases) -> None:
    machine.time_passes(0, 1)
    machine.release(Chosen("one"), PRODUCTION, approves=False, good=True)


def after_a_rejection(machine: Releases) -> None:
    machine.reject(Chosen("one"), PRODUCTION, by="eve", again=None)
    machine.release(Chosen("one"), PRODUCTION, approves=False, good=True)


def against_an_earlier_champion(machine: Releases) -> None:
    machine.run("sound", model=2, good=True)
    machine.roll_back(PRODUCTION, step=None)
    machine.release(Chosen("more-5"), PRODUCTION, approves=True, good=True)


def with_a_waived_failure(machine: Releases) -> None:
    machine.resume(Chosen("bad"), by="bob", good=True, waives=True)


def back_from_an_interruption(machine: Releases) -> None:
    machine.a_release_dies(Chosen("one"), PRODUCTION, good=True, step=("state", 4))
    assert machine.is_shared(PRODUCTION)
    machine.roll_back(PRODUCTION, step=None)


def to_staging(machine: Releases) -> None:
    machine.release(Chosen("one"), STAGING, approves=False, good=True)


def back(machine: Releases) -> None:
    machine.roll_back(PRODUCTION, step=None)


def named_before_it_is_whole(endpoint: Endpoint, state: State, name: str, model_dir: Path, held: Held) -> None:
    """Fill a slot in the wrong order."""
    state = endpoint._empty(state, name)
    endpoint._write(settled(state["live"], state["previous"], state["slots"] | {name: held}))
    model_dir.rename(endpoint.folder / name)


@pytest.mark.parametrize(
    ("story", "guard", "instead"),
    [
        (without_approval, "delivery.release._approvals", lambda *_: []),
        (long_after_it, "delivery.approvals._void", lambda *_: ""),
        (with_another_service, "delivery.approvals._void", lambda *_: ""),
        (after_a_rejection, "delivery.approvals._lifted", lambda *_: True),
        (against_an_earlier_champion, "runner.cli.candidate.was_live", lambda *_: True),
        (with_a_waived_failure, "runner.cli.sign_off._waivable", lambda _, found, __: found["gates"][:1]),
        (back_from_an_interruption, "delivery.endpoint.Endpoint._settle", lambda _: ""),
        (to_staging, "delivery.endpoint.Endpoint._fill", named_before_it_is_whole),
        (back, "delivery.registry.set_champion", lambda *_: None),
    ],
)
def test_the_machine_misses_a_guard_that_is_gone(
    story: Callable[[Releases], None], guard: str, instead: Callable[..., Any]
) -> None:
    told(story)
    with mock.patch(guard, instead), pytest.raises(AssertionError):
        told(story)


def told(story: Callable[[Releases], None]) -> None:
    """Go through a story as Hypothesis would, and look at what must hold."""
    machine = Releases()
    try:
        story(machine)
        machine.one_whole_version_is_live_and_nothing_unapproved_gets_requests()
    finally:
        machine.teardown()
