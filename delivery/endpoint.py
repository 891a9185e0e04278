"""The local endpoint of an environment: two slots, traffic weights, and a small state file that is switched atomically.

It behaves as an Azure managed online endpoint with two deployments does. In `<store>/<model>/<environment>/` stand
`state.json` and the slots `blue/` and `green/`, each a complete copy of a model folder. What is live is what state.json
says and nothing else; a slot that is live is never written to.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery import locks
from delivery.errors import EndpointBusy, EndpointError, ModelChanged
from delivery.files import MANIFEST, canonical, copy_folder, model_manifest, sha256, sync_folder, write_atomic
from delivery.names import checked

SLOTS = ("blue", "green")
STATE = "state.json"
SCHEMA = 1
PLACING = ".placing-"
FULL, NONE = 100, 0  # per cent of the traffic


@dataclass(frozen=True)
class Slot:
    """A slot that holds a model."""

    name: str
    version: int
    digest: str
    folder: Path


class Endpoint:
    """The endpoint of one model in one environment.

    `claim`, or at the latest `place`, keeps the endpoint for this process until `release`, `discard` or the end of the
    process, so that two deployments never overlap. Reading needs no claim.

    Args:
        store: Folder that holds endpoints.
        model_name: Name of the model.
        environment: Name of the environment.
        wait: Seconds to wait for another deployment.

    Raises:
        BadName: A name cannot be a folder.
    """

    _claims: dict[Path, int] = {}  # noqa: RUF012 - one table for the process: a notebook may make the object twice

    def __init__(self, store: str | Path, model_name: str, environment: str, *, wait: float = 60.0):
        self.folder = Path(store).resolve() / checked("model", model_name) / checked("environment", environment)
        self.wait = wait

    def state(self) -> dict[str, Any]:
        """Give what state.json says; an endpoint that nobody deployed to is empty.

        Raises:
            EndpointError: The file is not one that this module writes.
        """
        content = self._state_bytes()
        if content is None:
            return _state(None, dict.fromkeys(SLOTS))
        return self._parsed(content)

    def live(self) -> Slot | None:
        """Give the slot that answers, or None."""
        state = self.state()
        return self._slot(state, state["live"]) if state["live"] else None

    def standby(self) -> Slot | None:
        """Give the filled slot that does not answer: after a switch, what was live before. None where there is none."""
        state = self.state()
        return next((self._slot(state, name) for name in SLOTS if name != state["live"] and state["slots"][name]), None)

    def claim(self) -> None:
        """Keep other deployments out until `release`, `discard` or the end of the process; waits for one under way.

        Raises:
            EndpointBusy: Another deployment claims the endpoint.
        """
        if self.folder in self._claims:
            return
        try:
            self._claims[self.folder] = locks.acquire(self.folder / "deployment.lock", self.wait)
        except locks.Busy as error:
            raise EndpointBusy(
                f"process {error.holder} is deploying to {self.folder}; {self.wait:g} seconds passed. "
                "Wait until it ends, then: trey run --from deploy"
            ) from error
        for leftover in self.folder.glob(f"{PLACING}*"):  # of a process that was killed
            shutil.rmtree(leftover)

    def release(self) -> None:
        """End the claim, if there is one."""
        if self.folder in self._claims:
            locks.release(self._claims.pop(self.folder))

    def place(self, model_dir: Path, version: int, digest: str) -> Slot:
        """Copy a model into the slot that is not live, whole and verified, and claim the endpoint.

        Where the live slot holds this very model already, that slot is given and nothing is copied.

        Raises:
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The folder is not intact or has another digest.
        """
        model_manifest(model_dir, digest)
        self.claim()
        try:
            state = self.state()
            live = self._slot(state, state["live"]) if state["live"] else None
            if live and (live.version, live.digest) == (version, digest) and self._is_intact(live):
                return live
            name = SLOTS[1] if state["live"] == SLOTS[0] else SLOTS[0]
            self._fill(state, name, model_dir, version, digest)
        except BaseException:
            self.release()
            raise
        return Slot(name, version, digest, self.folder / name)

    def switch(self, name: str) -> Slot:
        """Give all traffic to a slot, atomically. The claim stays, for what must follow before another deployment.

        Raises:
            EndpointError: The slot is empty.
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The slot does not hold what the state says.
        """
        self.claim()
        state = self.state()
        slot = self._slot(state, name)
        if slot is None:
            raise EndpointError(f"slot {name} of {self.folder} is empty; place a model first: trey run --from deploy")
        model_manifest(slot.folder, slot.digest)
        self._write(_state(name, state["slots"]))
        return slot

    def roll_back(self) -> Slot:
        """Give all traffic back to the slot that was live before, in one step, and give it; the claim ends.

        Raises:
            EndpointError: There is nothing to go back to.
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The slot does not hold what the state says.
        """
        self.claim()
        try:
            before = self.standby()
            if before is None or self.live() is None:
                raise EndpointError(f"{self.folder} has nothing to go back to; release a model first: trey release")
            return self.switch(before.name)
        finally:
            self.release()

    def discard(self, name: str) -> None:
        """Empty a slot that is not live and end the claim; the live slot is left alone, whatever happened.

        Raises:
            EndpointBusy: Another deployment claims the endpoint.
        """
        self.claim()
        try:
            state = self.state()
            if name != state["live"]:
                self._empty(state, name)
        finally:
            self.release()

    def evidence(self) -> dict[str, str] | None:
        """Give the digests of what lies here (state and the model.json of each slot), or None without a state."""
        content = self._state_bytes()
        if content is None:
            return None
        manifests = {name: self.folder / name / MANIFEST for name in SLOTS}
        slots = {name: sha256(path.read_bytes()) for name, path in manifests.items() if path.is_file()}
        return {STATE: sha256(content)} | slots

    def _slot(self, state: dict[str, Any], name: str) -> Slot | None:
        held = state["slots"][name]
        return Slot(name, held["version"], held["digest"], self.folder / name) if held else None

    def _is_intact(self, slot: Slot) -> bool:
        try:
            model_manifest(slot.folder, slot.digest)
        except ModelChanged:
            return False
        return True

    def _fill(self, state: dict[str, Any], name: str, model_dir: Path, version: int, digest: str) -> None:
        """Make a slot hold a model: the state speaks of it only while it is complete."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=PLACING) as temporary:
            copy = Path(temporary) / name
            copy_folder(model_dir, copy)
            model_manifest(copy, digest)
            self._empty(state, name)
            copy.rename(self.folder / name)
        sync_folder(self.folder)
        self._write(_state(state["live"], state["slots"] | {name: {"version": version, "digest": digest}}))

    def _empty(self, state: dict[str, Any], name: str) -> None:
        if state["slots"][name]:
            self._write(_state(state["live"], state["slots"] | {name: None}))
        if (self.folder / name).exists():
            shutil.rmtree(self.folder / name)

    def _write(self, state: dict[str, Any]) -> None:
        write_atomic(self.folder / STATE, canonical(state))

    def _state_bytes(self) -> bytes | None:
        try:
            return (self.folder / STATE).read_bytes()
        except FileNotFoundError:
            return None

    def _parsed(self, content: bytes) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads(content)
            slots = state["slots"]
            sound = (
                state["schema"] == SCHEMA
                and (state["live"] is None or slots[state["live"]] is not None)
                and all(held is None or (int(held["version"]), str(held["digest"])) for held in map(slots.get, SLOTS))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(repr(error)) from error
        if not sound:
            raise self._unreadable(content.decode())
        return state

    def _unreadable(self, why: str) -> EndpointError:
        return EndpointError(
            f"{self.folder / STATE} is no state of an endpoint: {why}\n"
            "Move it away; the next deployment writes a new one: trey run --from deploy"
        )


def live_models(store: str | Path, environment: str) -> list[str]:
    """Give the names of the models that are live in an environment.

    Raises:
        EndpointError: The state of one of them cannot be read.
    """
    checked("environment", environment)
    names = sorted(path.parent.parent.name for path in Path(store).glob(f"*/{environment}/{STATE}"))
    return [name for name in names if Endpoint(store, name, environment).live()]


def _state(live: str | None, slots: dict[str, Any]) -> dict[str, Any]:
    traffic = {name: FULL if name == live else NONE for name in SLOTS}
    return {"schema": SCHEMA, "live": live, "slots": slots, "traffic": traffic, "mirror": {}}
