"""Kills a deployment before each of its steps on disk, and looks what is left: STORE OLD STANDBY NEW (model folders).

Three courses of events are killed: a deployment through all stages, one whose candidate is taken back, and a way
back after a deployment. Prints for each how often it was killed and how often each version was live then; fails where
not one whole model was, or where what got requests was not whole.
"""

import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from delivery.endpoint import SLOTS, Endpoint
from delivery.files import model_manifest

STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.copyfile", "shutil.rmtree")
Course = Callable[[Endpoint, Path], None]


def go_live(endpoint: Endpoint, new: Path) -> None:
    slot = endpoint.place(new, 3, model_manifest(new)[1])
    if slot != endpoint.live():
        endpoint.mirror(slot.name, 100)
        endpoint.shift(slot.name, 10)
        endpoint.shift(slot.name, 50)
    endpoint.finish(slot.name)
    endpoint.release()


def take_back(endpoint: Endpoint, new: Path) -> None:
    slot = endpoint.place(new, 3, model_manifest(new)[1])
    endpoint.mirror(slot.name, 100)
    endpoint.shift(slot.name, 10)
    endpoint.roll_back()
    endpoint.discard(slot.name)


def go_back(endpoint: Endpoint, _: Path) -> None:
    endpoint.roll_back()
    endpoint.release()


COURSES = {"go live": (go_live, {2, 3}), "take back": (take_back, {2}), "go back": (go_back, {1, 2})}


def endpoint_in(store: Path) -> Endpoint:
    return Endpoint(store, "parts", "staging", wait=0)


def killed_before(step: int, store: Path, course: Course, new: Path) -> bool:
    """Go through a course in a child that dies before the given step; tell whether it died."""
    child = os.fork()
    if child == 0:
        left = step

        def watch(event: str, _: tuple) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        course(endpoint_in(store), new)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def live_version(store: Path) -> int:
    """Give the one live version; everything that the state claims must be whole."""
    endpoint = endpoint_in(store)
    state = endpoint.state()
    for name in SLOTS:
        if state["slots"][name]:
            model_manifest(endpoint.folder / name, state["slots"][name]["digest"])
    assert sum(state["traffic"].values()) == 100
    live = endpoint.live()
    assert live is not None
    return live.version


def is_settled(store: Path, version: int) -> bool:
    state = endpoint_in(store).state()
    traffic = state["traffic"][state["live"]]
    return (live_version(store), traffic, state["mirror"]) == (version, 100, {})


def kill_everywhere(store: Path, template: Path, course: Course, allowed: set[int], new: Path) -> Counter[int]:
    versions: Counter[int] = Counter()
    while True:
        place = store / f"{course.__name__}-{versions.total()}"
        shutil.copytree(template, place)
        if not killed_before(versions.total(), place, course, new):
            return versions
        version = live_version(place)
        assert version in allowed
        versions[version] += 1
        endpoint = endpoint_in(place)
        endpoint.claim()
        endpoint.release()
        assert is_settled(place, version)
        go_live(endpoint, new)
        assert is_settled(place, 3)
        assert sorted(path.name for path in endpoint.folder.iterdir() if path.is_dir()) == [*SLOTS]


def main(store: Path, old: Path, standby: Path, new: Path) -> None:
    os.fsync = lambda _: None  # a process that is killed loses nothing that the system holds
    template = store / "template"
    for version, model_dir in enumerate((standby, old), start=1):
        endpoint = endpoint_in(template)
        endpoint.finish(endpoint.place(model_dir, version, model_manifest(model_dir)[1]).name)
        endpoint.release()
    told = {
        name: dict(sorted(kill_everywhere(store, template, course, allowed, new).items()))
        for name, (course, allowed) in COURSES.items()
    }
    print(json.dumps(told))  # noqa: T201


main(*map(Path, sys.argv[1:]))
