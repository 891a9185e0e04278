"""The local endpoint of an environment: two slots, traffic weights, and a small state file that is switched atomically.

It behaves as an Azure managed online endpoint with two deployments does. In `<store>/<model>/<environment>/` stand
`state.json` and the slots `blue/` and `green/`, each a complete copy of a model folder. What is live is what state.json
says and nothing else; a slot that is live, or that gets requests, is never written to. docs/ENDPOINT.md tells what
each step of a deployment leaves.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

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


class Held(TypedDict):
    """The model in a slot, as state.json has it."""

    version: int
    digest: str


class State(TypedDict):
    """What state.json says.

    Attributes:
        live: The slot that was confirmed last; None where nothing ever was.
        previous: The slot that was live before it and can be gone back to; None where there is none.
        traffic: Whole per cents of the requests that each slot answers; their sum is 100 where something is live.
        mirror: Whole per cents of the requests of which a slot gets copies; its answers are never sent.
    """

    schema: int
    live: str | None
    previous: str | None
    slots: dict[str, Held | None]
    traffic: dict[str, int]
    mirror: dict[str, int]


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
        self._undone = ""  # what `claim` undid and no `roll_back` has counted as its step yet

    def state(self) -> State:
        """Give what state.json says; an endpoint that nobody deployed to is empty.

        Raises:
            EndpointError: The file is not one that this module writes.
        """
        content = self._state_bytes()
        if content is None:
            return _settled(None, None, dict.fromkeys(SLOTS))
        return self._parsed(content)

    def live(self) -> Slot | None:
        """Give the slot that was confirmed last, or None. While a deployment is under way it shares the traffic."""
        state = self.state()
        return self._slot(state, state["live"])

    def standby(self) -> Slot | None:
        """Give the filled slot that is not live: the version before, or a candidate. None where there is none."""
        state = self.state()
        return next((self._slot(state, name) for name in SLOTS if name != state["live"] and state["slots"][name]), None)

    def previous(self) -> Slot | None:
        """Give the slot that `roll_back` would go back to, or None."""
        state = self.state()
        return self._slot(state, state["previous"])

    def claim(self) -> str:
        """Keep other deployments out until `release`, `discard` or the end of the process; waits for one under way.

        A deployment that was killed may have left the traffic shared: all of it goes back to the live slot.

        Returns:
            What was undone, in a sentence; empty where nothing was.

        Raises:
            EndpointBusy: Another deployment claims the endpoint.
            EndpointError: The state cannot be read; nothing is claimed.
        """
        if self.folder in self._claims:
            return ""
        try:
            self._claims[self.folder] = locks.acquire(self.folder / "deployment.lock", self.wait)
        except locks.Busy as error:
            raise EndpointBusy(
                f"process {error.holder} is deploying to {self.folder}; {self.wait:g} seconds passed. "
                "Wait until it ends, then: trey run --from deploy"
            ) from error
        try:
            for leftover in self.folder.glob(f"{PLACING}*"):  # of a process that was killed
                shutil.rmtree(leftover)
            self._undone = self._settle()
            return self._undone
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """End the claim, if there is one."""
        if self.folder in self._claims:
            locks.release(self._claims.pop(self.folder))

    def place(self, model_dir: Path, version: int, digest: str) -> Slot:
        """Copy a model into the slot that is not live, whole and verified, and claim the endpoint.

        Where the live slot holds this very model already, that slot is given and nothing is copied. What the slot held
        before is no longer there to go back to.

        Raises:
            EndpointBusy: Another deployment claims the endpoint.
            EndpointError: The slot gets requests.
            ModelChanged: The folder is not intact or has another digest.
        """
        model_manifest(model_dir, digest)
        self.claim()
        self._undone = ""  # this deployment begins after it
        try:
            state = self.state()
            live = self._slot(state, state["live"])
            if live and (live.version, live.digest) == (version, digest) and self._is_intact(live):
                return live
            name = SLOTS[1] if state["live"] == SLOTS[0] else SLOTS[0]
            if state["traffic"][name] or name in state["mirror"]:
                raise EndpointError(
                    f"slot {name} of {self.folder} gets requests, so nothing is placed in it; take them back first: "
                    "trey rollback"
                )
            self._fill(state, name, model_dir, version, digest)
        except BaseException:
            self.release()
            raise
        return Slot(name, version, digest, self.folder / name)

    def mirror(self, name: str, percent: int) -> Slot:
        """Let a slot that is not live get copies of a share of the requests; 0 ends that. The claim stays.

        Raises:
            EndpointError: The slot is empty or live, nothing is live, or the per cents are none.
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The slot does not hold what the state says.
        """
        state, slot = self._candidate(name, percent)
        self._write(state | {"mirror": {name: percent} if percent else {}})
        return slot

    def shift(self, name: str, percent: int) -> Slot:
        """Let a slot answer a share of the requests, and the live one the rest; ends mirroring. The claim stays.

        Raises:
            EndpointError: The slot is empty or live, nothing is live, or the per cents are none.
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The slot does not hold what the state says.
        """
        state, slot = self._candidate(name, percent)
        self._write(state | {"traffic": _shared(state["live"], name, percent), "mirror": {}})
        return slot

    def finish(self, name: str) -> Slot:
        """Give all traffic to a slot, which is live from now on; the one before stays for the way back.

        The claim stays, for what must follow before another deployment.

        Raises:
            EndpointError: The slot is empty.
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The slot does not hold what the state says.
        """
        self.claim()
        state = self.state()
        slot = self._intact(state, name)
        former = state["previous"] if name == state["live"] else state["live"]
        self._write(_settled(name, former, state["slots"]))
        self._undone = ""
        return slot

    switch = finish

    def roll_back(self) -> Slot:
        """Go one step back, and give the slot that has all traffic now. The claim stays.

        While a deployment is under way, or where one was killed, the step leads to the live slot; after one, to the
        slot that was live before. Both were confirmed, so a second step leads forth again.

        Raises:
            EndpointError: There is nothing to go back to.
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The slot does not hold what the state says; all stays as it is.
        """
        undone = self.claim() or self._settle() or self._undone
        self._undone = ""
        state = self.state()
        if undone and state["live"]:
            return self._intact(state, state["live"])
        if state["previous"] is None:
            raise EndpointError(f"{self.folder} has no earlier version to go back to")
        slot = self._intact(state, state["previous"])
        self._write(_settled(slot.name, state["live"], state["slots"]))
        return slot

    def discard(self, name: str) -> None:
        """Take all requests from a slot that is not live, empty it, and end the claim; the live one is left alone.

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

    def _slot(self, state: State, name: str | None) -> Slot | None:
        held = state["slots"][name] if name else None
        return Slot(name, held["version"], held["digest"], self.folder / name) if name and held else None

    def _intact(self, state: State, name: str) -> Slot:
        """Give a filled slot whose files are what the state says."""
        slot = self._slot(state, name)
        if slot is None:
            raise EndpointError(f"slot {name} of {self.folder} is empty; place a model first: trey run --from deploy")
        model_manifest(slot.folder, slot.digest)
        return slot

    def _candidate(self, name: str, percent: int) -> tuple[State, Slot]:
        """Claim the endpoint, and give its state and a slot that may get a share of the requests."""
        self.claim()
        self._undone = ""
        state = self.state()
        slot = self._intact(state, name)
        if state["live"] in (None, name):
            told = f"slot {name} is live" if state["live"] else "nothing is live"
            raise EndpointError(f"{told} in {self.folder}: requests are shared between a live slot and another one")
        if isinstance(percent, bool) or not isinstance(percent, int) or not NONE <= percent <= FULL:
            raise EndpointError(f"{percent!r} per cent of the requests; give a whole number from {NONE} to {FULL}")
        return state, slot

    def _settle(self) -> str:
        """Give all traffic to the live slot, and say so where it had not all of it."""
        state = self.state()
        settled = _settled(state["live"], state["previous"], state["slots"])
        if settled == state:
            return ""
        self._write(settled)
        live = self._slot(state, state["live"])
        where = f"{live.name}, version {live.version}" if live else "nothing"
        return f"a deployment was interrupted; traffic is back on {where}"

    def _is_intact(self, slot: Slot) -> bool:
        try:
            model_manifest(slot.folder, slot.digest)
        except ModelChanged:
            return False
        return True

    def _fill(self, state: State, name: str, model_dir: Path, version: int, digest: str) -> None:
        """Make a slot hold a model: the state speaks of it only while it is complete."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=PLACING) as temporary:
            copy = Path(temporary) / name
            copy_folder(model_dir, copy)
            model_manifest(copy, digest)
            state = self._empty(state, name)
            copy.rename(self.folder / name)
        sync_folder(self.folder)
        held: Held = {"version": version, "digest": digest}
        self._write(_settled(state["live"], state["previous"], state["slots"] | {name: held}))

    def _empty(self, state: State, name: str) -> State:
        """Empty a slot that is not live, and give the new state: first nothing speaks of the slot, then it is gone."""
        if state["slots"][name]:
            previous = None if state["previous"] == name else state["previous"]
            state = _settled(state["live"], previous, state["slots"] | {name: None})
            self._write(state)
        if (self.folder / name).exists():
            shutil.rmtree(self.folder / name)
        return state

    def _write(self, state: State) -> None:
        if fault := _fault(state):
            raise EndpointError(f"this state is not written to {self.folder / STATE}: {fault}")
        write_atomic(self.folder / STATE, canonical(state))

    def _state_bytes(self) -> bytes | None:
        try:
            return (self.folder / STATE).read_bytes()
        except FileNotFoundError:
            return None

    def _parsed(self, content: bytes) -> State:
        try:
            found = json.loads(content)
            state = State(
                schema=found["schema"],
                live=found["live"],
                previous=found.get("previous"),  # a state from before there was a way back has none
                slots={name: found["slots"][name] for name in SLOTS},
                traffic={name: found["traffic"][name] for name in SLOTS},
                mirror=dict(found["mirror"]),
            )
            fault = _fault(state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(repr(error)) from error
        if fault:
            raise self._unreadable(fault)
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


def _settled(live: str | None, previous: str | None, slots: dict[str, Held | None]) -> State:
    """Give the state in which the live slot has all traffic."""
    traffic = {name: FULL if name == live else NONE for name in SLOTS}
    return State(schema=SCHEMA, live=live, previous=previous, slots=slots, traffic=traffic, mirror={})


def _shared(live: str | None, name: str, percent: int) -> dict[str, int]:
    return {slot: percent if slot == name else FULL - percent if slot == live else NONE for slot in SLOTS}


def _fault(state: State) -> str:
    """Say what makes this no state of an endpoint; empty where all of it is sound."""
    live, previous, slots = state["live"], state["previous"], state["slots"]
    filled = [name for name in SLOTS if slots[name] is not None]
    faults = {
        f"schema {state['schema']!r} instead of {SCHEMA}": state["schema"] != SCHEMA,
        "a slot holds no version and digest": not all(_is_held(slots[name]) for name in filled),
        f"slot {live} is live and empty": live is not None and live not in filled,
        f"slot {previous} is to go back to, but empty or live": previous is not None
        and (previous not in filled or previous == live),
        "the per cents are no whole numbers from 0 to 100": not all(
            map(_is_percent, [*state["traffic"].values(), *state["mirror"].values()])
        ),
    }
    if found := [fault for fault, is_so in faults.items() if is_so]:
        return "; ".join(found)
    reached = {name for name, percent in state["traffic"].items() if percent}
    sum_due = FULL if live else NONE
    faults = {
        f"the traffic is {sum(state['traffic'].values())} % instead of {sum_due} %": sum(state["traffic"].values())
        != sum_due,
        "a slot without a model gets traffic": not reached <= set(filled),
        "a mirror leads to a slot that is live or empty": not state["mirror"].keys() <= set(filled) - {live},
        "requests are mirrored where nothing is live": bool(state["mirror"]) and live is None,
    }
    return "; ".join(fault for fault, is_so in faults.items() if is_so)


def _is_held(held: Held | None) -> bool:
    return (
        held is not None
        and isinstance(held["version"], int)
        and not isinstance(held["version"], bool)
        and isinstance(held["digest"], str)
    )


def _is_percent(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and NONE <= value <= FULL
