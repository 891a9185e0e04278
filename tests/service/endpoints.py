"""Endpoint folders that the tests of this room write as a deployment does."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from ..fixtures_model import digest_of

SLOTS = ("blue", "green")


def write_state(
    folder: Path,
    versions: Mapping[str, int],
    traffic: Mapping[str, int],
    *,
    live: str | None = None,
    mirror: Mapping[str, int] | None = None,
) -> None:
    """Replace state.json, atomically, by one that says what the slots hold now."""
    held = {name: {"version": version, "digest": digest_of(folder / name)} for name, version in versions.items()}
    state = {
        "schema": 1,
        "live": live or max(traffic, key=lambda name: traffic[name]),
        "slots": dict.fromkeys(SLOTS) | held,
        "traffic": dict.fromkeys(SLOTS, 0) | dict(traffic),
        "mirror": dict(mirror or {}),
    }
    write_raw(folder, json.dumps(state))


def write_raw(folder: Path, content: str) -> None:
    temporary = folder / "state.new"
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(folder / "state.json")


def place(folder: Path, slot: str, model_dir: Path) -> None:
    """Put a model folder into a slot."""
    shutil.rmtree(folder / slot, ignore_errors=True)
    shutil.copytree(model_dir, folder / slot)


def readiness(url: str) -> dict[str, Any]:
    return httpx.get(f"{url}/health/ready", trust_env=False, timeout=30).json()


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something holds; fail where it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
