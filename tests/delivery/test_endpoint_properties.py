"""Whatever is asked of an endpoint, in whatever order, and wherever a process dies: one live version, sound weights."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from delivery import host_folder as room
from delivery.endpoint import SLOTS, Endpoint, Slot
from delivery.errors import EndpointError
from delivery.files import model_manifest

from ..fixtures_model import digest_of, write_model

SLOT = st.sampled_from(SLOTS)
PERCENT = st.integers(-5, 105)
STEPS = ("write_atomic", "copy_folder", "sync_folder")  # what an endpoint does to the disk, besides the two below


class Crash(BaseException):
    """The process dies here: nothing after it is done, not even what a `finally` would do to the disk."""


class Deployments(RuleBasedStateMachine):
    """One endpoint, three models, and a reader who knows nothing of the deployments."""

    def __init__(self) -> None:
        super().__init__()
        self.fsync, os.fsync = os.fsync, lambda _: None  # a process that dies loses nothing that the system holds
        self.folder = Path(tempfile.mkdtemp(prefix="trey-endpoint-"))
        models = [write_model(self.folder / f"model-{number}", bias=float(number)) for number in range(3)]
        self.models = [(model, number + 1, digest_of(model)) for number, model in enumerate(models)]
        self.endpoint = self.opened()
        self.confirmed: set[int] = set()  # versions that were finished at some time

    def teardown(self) -> None:
        os.fsync = self.fsync
        self.endpoint.release()
        shutil.rmtree(self.folder)

    def opened(self) -> Endpoint:
        return Endpoint(self.folder / "store", "parts", "staging", wait=0)

    @initialize()
    def first_release(self) -> None:
        self.finish(self.endpoint.place(*self.models[0]).name)

    def refused(self, act: Callable[[], Any]) -> bool:
        """Tell whether the endpoint refused, and see that nothing changed then but what an interruption had left."""
        before, left = self.endpoint.evidence(), not self.is_claimed() and not self.is_settled()
        try:
            act()
        except EndpointError:
            assert self.endpoint.evidence() == before or (left and self.is_settled())
            return True
        return False

    @rule(which=st.integers(0, 2))
    def place(self, which: int) -> None:
        live, (_, version, digest) = self.endpoint.live(), self.models[which]
        is_live = live is not None and (live.version, live.digest) == (version, digest)
        in_use = self.is_claimed() and not self.is_settled()
        assert self.refused(lambda: self.endpoint.place(*self.models[which])) == (in_use and not is_live)
        assert self.endpoint.live() == live

    @rule(name=SLOT, percent=PERCENT)
    def mirror(self, name: str, percent: int) -> None:
        traffic = self.endpoint.state()["traffic"]
        settled = self.is_settled()
        if not self.refused(lambda: self.endpoint.mirror(name, percent)):
            assert self.endpoint.state()["traffic"] == traffic or not settled
            assert self.endpoint.state()["mirror"] == ({name: percent} if percent else {})

    @rule(name=SLOT, percent=PERCENT)
    def shift(self, name: str, percent: int) -> None:
        if not self.refused(lambda: self.endpoint.shift(name, percent)):
            assert self.endpoint.state()["traffic"][name] == percent

    @rule(name=SLOT)
    def finish(self, name: str) -> None:
        if not self.refused(lambda: self.endpoint.finish(name)):
            live = self.live()
            assert live.name == name
            self.confirmed.add(live.version)

    @rule()
    def roll_back(self) -> None:
        settled, live, previous = self.is_settled(), self.endpoint.live(), self.endpoint.previous()
        if self.refused(self.endpoint.roll_back):
            assert settled
            assert previous is None
        else:
            assert self.is_settled()
            assert self.endpoint.live() == (previous if settled else live)

    @rule(name=SLOT)
    def discard(self, name: str) -> None:
        live = self.endpoint.live()
        self.endpoint.discard(name)
        assert self.endpoint.live() == live
        assert name == self.live().name or self.endpoint.state()["slots"][name] is None

    @rule(
        step=st.integers(0, 6),
        act=st.sampled_from(["place", "mirror", "shift", "finish", "roll_back", "discard"]),
        name=SLOT,
        percent=st.integers(0, 100),
        which=st.integers(0, 2),
    )
    def crash(self, step: int, act: str, name: str, percent: int, which: int) -> None:
        """Do something, and abandon it before one of its steps on disk."""
        arguments = {"place": self.models[which], "roll_back": (), "finish": (name,), "discard": (name,)}
        given = arguments.get(act, (name, percent))
        live, version = self.live(), self.models[which][1]
        with abandoned_after(step), contextlib.suppress(Crash, EndpointError):
            getattr(self.endpoint, act)(*given)
        self.endpoint.release()  # the system does so
        self.endpoint = self.opened()
        if self.live() != live:
            assert act in ("finish", "roll_back")
            self.confirmed.add(self.live().version)
        assert act != "place" or self.live().version != version or self.live() == live

    @precondition(lambda self: not self.is_claimed())
    @rule()
    def next_deployment(self) -> None:
        settled, live = self.is_settled(), self.endpoint.live()
        assert bool(self.endpoint.claim()) != settled
        assert self.is_settled()
        assert self.endpoint.live() == live
        self.endpoint.release()

    def live(self) -> Slot:
        live = self.endpoint.live()
        assert live is not None
        return live

    def is_claimed(self) -> bool:
        return self.endpoint.host.where in Endpoint._claims

    def is_settled(self) -> bool:
        state = self.endpoint.state()
        return not state["live"] or (state["traffic"][state["live"]] == 100 and not state["mirror"])

    @invariant()
    def one_version_is_live_and_whole_and_nothing_else_gets_more_than_its_share(self) -> None:
        reader = self.opened()
        state = reader.state()
        live = reader.live()
        if live is None:
            assert not any(state["traffic"].values())
            return
        assert live.version in self.confirmed
        assert sum(state["traffic"].values()) == 100
        for name in SLOTS:
            held = state["slots"][name]
            if held:
                model_manifest(reader.folder / name, held["digest"])
            else:
                assert state["traffic"][name] == 0
                assert name not in state["mirror"]
        previous = reader.previous()
        assert previous is None or (previous.name != live.name and previous.version in self.confirmed)


class abandoned_after:
    """Let a number of steps on disk happen, and raise Crash instead of each later one."""

    def __init__(self, steps: int):
        self.left = steps
        self.real: list[tuple[object, str, Any]] = []

    def __enter__(self) -> None:
        for owner, name in [*((room, step) for step in STEPS), (room.shutil, "rmtree"), (Path, "rename")]:
            real = getattr(owner, name)
            self.real.append((owner, name, real))
            setattr(owner, name, self.counted(real))

    def counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **words: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Crash
            return real(*arguments, **words)

        return step

    def __exit__(self, *_: object) -> None:
        for owner, name, real in self.real:
            setattr(owner, name, real)


Deployments.TestCase.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestDeployments = Deployments.TestCase
