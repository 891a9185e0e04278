"""Kills a deployment before each of its steps on disk, and looks what is left: STORE OLD STANDBY NEW (model folders).

Prints how often it killed, and after how many of these the new model was live; fails where not one whole model was.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from delivery.endpoint import SLOTS, Endpoint
from delivery.files import model_manifest

STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "shutil.copyfile", "shutil.rmtree")


def killed_before(step: int, store: Path, new: Path) -> bool:
    """Deploy in a child that dies before the given step; tell whether it died."""
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
        deploy(store, new, 3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def deploy(store: Path, model_dir: Path, version: int) -> None:
    endpoint = Endpoint(store, "parts", "staging", wait=0)
    slot = endpoint.place(model_dir, version, model_manifest(model_dir)[1])
    endpoint.switch(slot.name)


def live_version(store: Path) -> int:
    """Give the one live version; everything that the state claims must be whole."""
    endpoint = Endpoint(store, "parts", "staging")
    state = endpoint.state()
    for name in SLOTS:
        if state["slots"][name]:
            model_manifest(endpoint.folder / name, state["slots"][name]["digest"])
    assert sorted(state["traffic"].values()) == [0, 100]
    live = endpoint.live()
    assert live is not None
    assert state["traffic"][live.name] == 100
    return live.version


def main(store: Path, old: Path, standby: Path, new: Path) -> None:
    kills = switched = 0
    template = store / "template"
    deploy(template, standby, 1)
    deploy(template, old, 2)
    while True:
        place = store / str(kills)
        shutil.copytree(template, place)
        if not killed_before(kills, place, new):
            break
        version = live_version(place)
        assert version in (2, 3)
        switched += version == 3
        deploy(place, new, 3)
        assert live_version(place) == 3
        assert sorted(path.name for path in (place / "parts" / "staging").iterdir() if path.is_dir()) == [*SLOTS]
        kills += 1
    print(kills, switched)  # noqa: T201


main(*map(Path, sys.argv[1:]))
