"""A deployment to Azure that dies before any of its changes leaves one live, whole version, and the next one works."""

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobLeaseClient

from delivery import host_azureml
from delivery.endpoint import Endpoint

from ..azure.data_plane import CONTAINER
from ..azure.server import Azure
from ..drawn import drawn
from ..fixtures_model import digest_of, write_model
from ..project import ROOT

FIRST = {"go-live": 0, "take-back": 6, "go-back": 0}  # change to die before: until then taking back is going live
# What the live slot has where it dies before each change: nothing is spoken of, the slot is emptied, the collected data
# are named, the slot is filled, the other gets copies, a half, all of it.
SHARES = {"go-live": [100, 100, 100, 100, 100, 100, 50], "take-back": [50, 100], "go-back": [100]}
POINTS = [(course, FIRST[course] + number) for course, shares in SHARES.items() for number in range(len(shares))]
SAMPLE = 3  # of them a day


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_azureml, "PAUSE", 0.05)


def opened(azure: Azure) -> Endpoint:
    return Endpoint(azure.address, "parts", "staging", wait=0)


@contextmanager
def courses(azure: Azure, new: Path) -> Iterator[Callable[[str, int], int]]:
    """Give what goes through a course and may ask for so many changes."""
    command = [sys.executable, "-m", "tests.delivery.kill_on_azure", azure.address, str(new)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin
        assert process.stdout

        def go(course: str, changes: int) -> int:
            process.stdin.write(f"{course} {changes}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield go
        process.stdin.close()


def half_a_minute_passes(azure: Azure) -> None:
    """End the lease of whoever died, as time does."""
    name = opened(azure).host.name
    blob = azure.data.storage.container(CONTAINER).get_blob_client(f"trey/endpoints/{name}.lease")
    with suppress(HttpResponseError):
        BlobLeaseClient(blob).break_lease(lease_break_period=0)


def looked(azure: Azure) -> tuple[int, int, dict[str, int]]:
    """Give the one live version, its share and the copies; what gets requests must be whole."""
    endpoint = opened(azure)
    state = endpoint.state()
    live = state["live"]
    assert sum(state["traffic"].values()) == 100
    for name in {live, *(name for name, percent in state["traffic"].items() if percent), *state["mirror"]}:
        held = state["slots"][name]
        deployment = azure.manager.get(f"{azure.workspace}/onlineEndpoints/{endpoint.host.name}/deployments/{name}")
        assert deployment["properties"]["provisioningState"] == "Succeeded"
        assert deployment["properties"]["model"].endswith(f"/{held['digest'][:16]}")
        assert deployment["tags"]["trey-digest"] == held["digest"]
    return state["slots"][live]["version"], state["traffic"][live], state["mirror"]


def restored(azure: Azure, template: dict[str, Any]) -> None:
    where = f"/onlineendpoints/{opened(azure).host.name}"
    for key in [key for key in azure.manager.resources if where in key]:
        del azure.manager.resources[key]
    azure.manager.resources |= copy.deepcopy(template)
    half_a_minute_passes(azure)


def test_killed_anywhere_exactly_one_whole_version_is_live(azure: Azure, tmp_path: Path) -> None:
    azure.manager.steps = 0
    models = [write_model(tmp_path / f"model-{bias}", bias=bias) for bias in (0.0, 1.0, 2.0)]
    for version, model in enumerate(models[:2], start=1):
        endpoint = opened(azure)
        endpoint.finish(endpoint.place(model, version, digest_of(model)).name)
        endpoint.release()
    where = f"/onlineendpoints/{opened(azure).host.name}"
    template = {key: found for key, found in azure.manager.resources.items() if where in key}
    with courses(azure, models[2]) as go:
        for course, changes in drawn(POINTS, SAMPLE):
            restored(azure, template)
            assert go(course, changes) == -9
            version, share, _ = looked(azure)
            assert (version, share) == (2, SHARES[course][changes - FIRST[course]]), (course, changes)
            half_a_minute_passes(azure)
            if changes not in (2, 4):
                assert go("claim", 1) == 0  # it undoes what is left in one change
                assert looked(azure) == (2, 100, {})
            else:
                assert go("go-live", 99) == 0
                assert looked(azure) == (3, 100, {})
        for course, shares in SHARES.items():  # and there is no change after those
            restored(azure, template)
            assert go(course, FIRST[course] + len(shares)) == 0
