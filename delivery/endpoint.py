"""The endpoint of an environment: two slots, traffic weights, and the rules by which a version takes over or goes back.

What is live is what its state says and nothing else; a slot that is live, or that gets requests, is never written to.
The rules are the same wherever it stands (`delivery.hosts`). docs/ENDPOINT.md tells what each step of a deployment
leaves.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.errors import EndpointError, ModelChanged
from delivery.files import model_manifest
from delivery.hosts import Claim, Machines, host_class
from delivery.names import checked
from delivery.state import FULL, NONE, SLOTS, Held, State, empty, fault, is_percent, settled, shared

if TYPE_CHECKING:
    from delivery.observations import Observations
    from delivery.target import Target

__all__ = ["SLOTS", "Endpoint", "Machines", "Slot", "live_models"]


@dataclass(frozen=True)
class Slot:
    """A slot that holds a model.

    Attributes:
        folder: Holds the model's files, where they are on this machine.
    """

    name: str
    version: int
    digest: str
    folder: Path | None


class Endpoint:
    """The endpoint of one model in one environment.

    `claim`, or at the latest `place`, keeps the endpoint for this process until `release`, `discard` or the end of the
    process, so that two deployments never overlap. Reading needs no claim.

    Args:
        store: Folder that holds endpoints, or the address of a workspace of Azure ML.
        model_name: Name of the model.
        environment: Name of the environment.
        machines: What answers, where the endpoint has machines of its own.
        wait: Seconds to wait for another deployment.

    Raises:
        BadName: A name cannot be a folder.
        EndpointError: The store is an address that no endpoint stands at.
    """

    _claims: dict[str, Claim] = {}  # noqa: RUF012 - one table for the process: a notebook may make the object twice

    def __init__(
        self,
        store: str | Path,
        model_name: str,
        environment: str,
        *,
        machines: Machines | None = None,
        wait: float = 60.0,
    ):
        names = checked("model", model_name), checked("environment", environment)
        self.model_name = names[0]
        self.host = host_class(str(store))(str(store), *names, machines or Machines())
        self.wait = wait
        self._undone = ""  # what `claim` undid and no `roll_back` has counted as its step yet

    @property
    def folder(self) -> Path:
        """The folder of an endpoint on this machine.

        Raises:
            EndpointError: It stands elsewhere.
        """
        if self.host.folder is None:
            raise EndpointError(f"{self.host.where} has no folder on this machine; ask it over HTTP")
        return self.host.folder

    @property
    def most_mirrored(self) -> int:
        """The per cents of the requests of which a slot may get copies, at most."""
        return self.host.most_mirrored

    def state(self) -> State:
        """Give what the endpoint's slots are for; one that nobody deployed to is empty.

        Raises:
            EndpointError: The state is not one that was written here.
        """
        return self.host.read() or empty()

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
        if self.host.where in self._claims:
            return ""
        self._claims[self.host.where] = self.host.claim(self.wait)
        try:
            self.host.tidy()
            self._undone = self._settle()
            return self._undone
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """End the claim, if there is one."""
        if self.host.where in self._claims:
            self._claims.pop(self.host.where).release()

    def place(self, model_dir: Path, version: int, digest: str) -> Slot:
        """Put a model into the slot that is not live, whole and verified, and claim the endpoint.

        Where the live slot holds this very model already, that slot is given and nothing is done. What the slot held
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
                    f"slot {name} of {self.host.where} gets requests, so nothing is placed in it; "
                    "take them back first: trey rollback"
                )
            held: Held = {"version": version, "digest": digest}
            self._fill(state, name, model_dir, held)
        except BaseException:
            self.release()
            raise
        return self._slot_of(name, held)

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
        self._write(state | {"traffic": shared(state["live"], name, percent), "mirror": {}})
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
        if name == state["live"]:
            self._write(_all_to_live(state))
        else:
            self._write(settled(name, state["live"], state["slots"]))
        self._undone = ""
        return slot

    switch = finish

    def roll_back(self, *, further: bool = False) -> Slot:
        """Go one step back, and give the slot that has all traffic now. The claim stays.

        While a deployment is under way, or where one was killed, the step leads to the live slot; after one, to the
        slot that was live before. Both were confirmed, so a second step leads forth again.

        Args:
            further: Go to the slot that was live before also where a killed deployment had to be undone first.

        Raises:
            EndpointError: There is nothing to go back to.
            EndpointBusy: Another deployment claims the endpoint.
            ModelChanged: The slot does not hold what the state says; all stays as it is.
        """
        undone = self.claim() or self._settle() or self._undone
        self._undone = ""
        state = self.state()
        if undone and state["live"] and not further:
            return self._intact(state, state["live"])
        if state["previous"] is None:
            raise EndpointError(f"{self.host.where} has no earlier version to go back to")
        slot = self._intact(state, state["previous"])
        self._write(settled(slot.name, state["live"], state["slots"], stepped_back=not state["stepped_back"]))
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
        """Give the digests of what lies here (state and the model in each slot), or None without a state."""
        return self.host.evidence()

    def alone(self, slot: Slot) -> "AbstractContextManager[Target]":
        """Give where a slot alone answers, whatever its share of the traffic, for the length of a block.

        Raises:
            ScoringProcessFailed: It does not answer.
        """
        return self.host.alone(slot.name)

    def answering(self) -> "AbstractContextManager[tuple[Target, Observations]]":
        """Give where requests are answered as the state says, and what is observed of them, for the length of a block.

        Raises:
            ScoringProcessFailed: The endpoint cannot be served.
        """
        return self.host.answering()

    def observed(self, collected: str, since: datetime) -> "Observations":
        """Give what is observed of the requests that people send, from a moment on.

        Args:
            collected: Where a running service keeps what people send.
            since: The moment.

        Raises:
            BadPlan: Nothing of this endpoint can be kept there.
        """
        return self.host.observed(collected, since)

    def _slot(self, state: State, name: str | None) -> Slot | None:
        held = state["slots"][name] if name else None
        return self._slot_of(name, held) if name and held else None

    def _slot_of(self, name: str, held: Held) -> Slot:
        folder = self.host.folder / name if self.host.folder else None
        return Slot(name, held["version"], held["digest"], folder)

    def _intact(self, state: State, name: str) -> Slot:
        """Give a filled slot that holds what the state says."""
        held = state["slots"][name]
        if held is None:
            raise EndpointError(
                f"slot {name} of {self.host.where} is empty; place a model first: trey run --from deploy"
            )
        self.host.check(name, held)
        return self._slot_of(name, held)

    def _candidate(self, name: str, percent: int) -> tuple[State, Slot]:
        """Claim the endpoint, and give its state and a slot that may get a share of the requests."""
        self.claim()
        self._undone = ""
        state = self.state()
        slot = self._intact(state, name)
        if state["live"] in (None, name):
            told = f"slot {name} is live" if state["live"] else "nothing is live"
            raise EndpointError(f"{told} in {self.host.where}: requests are shared between a live slot and another one")
        if not is_percent(percent):
            raise EndpointError(f"{percent!r} per cent of the requests; give a whole number from {NONE} to {FULL}")
        return state, slot

    def _settle(self) -> str:
        """Give all traffic to the live slot, and say so where it had not all of it."""
        state = self.state()
        all_to_live = _all_to_live(state)
        if all_to_live == state:
            return ""
        self._write(all_to_live)
        live = self._slot(state, state["live"])
        where = f"{live.name}, version {live.version}" if live else "nothing"
        return f"a deployment was interrupted; traffic is back on {where}"

    def _is_intact(self, slot: Slot) -> bool:
        try:
            self.host.check(slot.name, {"version": slot.version, "digest": slot.digest})
        except ModelChanged:
            return False
        return True

    def _fill(self, state: State, name: str, model_dir: Path, held: Held) -> None:
        """Make a slot hold a model: the state speaks of it only while it is complete."""
        with self.host.prepared(model_dir, name, held) as put:
            state = self._empty(state, name)
            put()
        self._write(_all_to_live(state | {"slots": state["slots"] | {name: held}}))

    def _empty(self, state: State, name: str) -> State:
        """Empty a slot that is not live, and give the new state: first nothing speaks of the slot, then it is gone."""
        if state["slots"][name]:
            previous = None if state["previous"] == name else state["previous"]
            state = _all_to_live(state | {"previous": previous, "slots": state["slots"] | {name: None}})
            self._write(state)
        self.host.empty(name)
        return state

    def _write(self, state: State) -> None:
        if why := fault(state):
            raise EndpointError(f"this state is not written to {self.host.where}: {why}")
        self._claims[self.host.where].check()
        self.host.write(state)


def _all_to_live(state: State) -> State:
    """Give a state in which the live slot has all traffic, and that is otherwise the same."""
    return settled(state["live"], state["previous"], state["slots"], stepped_back=state["stepped_back"])


def live_models(store: str | Path, environment: str) -> list[str]:
    """Give the names of the models that are live in an environment.

    Args:
        store: Folder that holds endpoints, or the address of a workspace of Azure ML.
        environment: Name of the environment.

    Raises:
        EndpointError: The state of one of them cannot be read.
    """
    checked("environment", environment)
    names = host_class(str(store)).models(str(store), environment)
    return [name for name in names if Endpoint(store, name, environment).live()]
