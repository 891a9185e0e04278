"""An endpoint in a folder of this machine: two slots, traffic weights, and a state file that is switched atomically.

In `<store>/<model>/<environment>/` stand `state.json` and the slots `blue/` and `green/`, each a complete copy of a
model folder. What is live is what state.json says and nothing else.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from delivery import locks
from delivery.errors import EndpointBusy, EndpointError
from delivery.files import MANIFEST, canonical, copy_folder, model_manifest, sha256, sync_folder, write_atomic
from delivery.hosts import Machines
from delivery.state import FULL, SLOTS, Held, State, fault

if TYPE_CHECKING:
    from delivery.observations import Observations
    from delivery.target import Target

STATE = "state.json"
LOCK = "deployment.lock"
PLACING = ".placing-"
COLLECT = "SCORING_COLLECT_DIR"  # of the service: where it collects


class Locked:
    """A claim by a lock on a file, which cannot be lost while the process lives."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def check(self) -> None:
        """Do nothing: the system keeps it."""

    def release(self) -> None:
        """Free the lock."""
        locks.release(self._descriptor)


class FolderHost:
    """The folder of one endpoint.

    Args:
        store: Folder that holds endpoints.
        model_name: Name of the model, which can be a folder.
        environment: Name of the environment, likewise.
        machines: Not used: this machine answers.
    """

    most_mirrored = FULL

    def __init__(self, store: str, model_name: str, environment: str, machines: Machines):
        self.folder: Path = Path(store).resolve() / model_name / environment
        self.where = str(self.folder)

    @classmethod
    def models(cls, store: str, environment: str) -> Sequence[str]:
        """Name the models that have a state file in an environment."""
        return sorted(path.parent.parent.name for path in Path(store).glob(f"*/{environment}/{STATE}"))

    def claim(self, wait: float) -> Locked:
        """Hold the lock of the folder."""
        try:
            return Locked(locks.acquire(self.folder / LOCK, wait))
        except locks.Busy as error:
            raise EndpointBusy(
                f"process {error.holder} is deploying to {self.folder}; {wait:g} seconds passed. "
                "Wait until it ends, and try again"
            ) from error

    def tidy(self) -> None:
        """Remove copies that were never finished."""
        for leftover in self.folder.glob(f"{PLACING}*"):
            shutil.rmtree(leftover)

    def read(self) -> State | None:
        """Give what state.json says."""
        content = self._state_bytes()
        return None if content is None else self._parsed(content)

    def write(self, state: State) -> None:
        """Replace state.json."""
        write_atomic(self.folder / STATE, canonical(state))

    def check(self, name: str, held: Held) -> None:
        """Compare every byte of a slot with the digest."""
        model_manifest(self.folder / name, held["digest"])

    @contextmanager
    def prepared(self, model_dir: Path, name: str, held: Held) -> Iterator[Callable[[], None]]:
        """Copy a model beside the slots; putting it into its slot is a rename."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=PLACING) as temporary:
            copy = Path(temporary) / name
            copy_folder(model_dir, copy)
            model_manifest(copy, held["digest"])

            def put() -> None:
                copy.rename(self.folder / name)

            yield put
        sync_folder(self.folder)

    def empty(self, name: str) -> None:
        """Remove a slot's folder."""
        if (self.folder / name).exists():
            shutil.rmtree(self.folder / name)

    def evidence(self) -> dict[str, str] | None:
        """Give the digests of state.json and of each slot's model.json."""
        content = self._state_bytes()
        if content is None:
            return None
        manifests = {name: self.folder / name / MANIFEST for name in SLOTS}
        slots = {name: sha256(path.read_bytes()) for name, path in manifests.items() if path.is_file()}
        return {STATE: sha256(content)} | slots

    @contextmanager
    def alone(self, name: str) -> "Iterator[Target]":
        """Start a scoring process from a slot."""
        from delivery.process import scoring_process
        from delivery.target import Target

        with scoring_process(self.folder / name) as url:
            yield Target(url)

    @contextmanager
    def answering(self) -> "Iterator[tuple[Target, Observations]]":
        """Start a service that follows the state, and read what it collects."""
        from delivery.observations import Reader
        from delivery.process import scoring_process
        from delivery.target import Target

        with tempfile.TemporaryDirectory(prefix="trey-replay-") as folder:
            service = scoring_process(self.folder, follow=True, settings={COLLECT: folder})
            with service as url:
                yield Target(url), Reader(self._lines_in(folder), datetime.now(UTC))

    def observed(self, collected: str, since: datetime) -> "Observations":
        """Read what a service collects in a folder."""
        from delivery.observations import Reader

        return Reader(self._lines_in(collected), since)

    def _lines_in(self, collected: str) -> Path:
        return Path(collected).joinpath(*self.folder.parts[-2:])

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
                stepped_back=found.get("stepped_back", False),
                slots={name: found["slots"][name] for name in SLOTS},
                traffic={name: found["traffic"][name] for name in SLOTS},
                mirror=dict(found["mirror"]),
            )
            why = fault(state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._unreadable(repr(error)) from error
        if why:
            raise self._unreadable(why)
        return state

    def _unreadable(self, why: str) -> EndpointError:
        return EndpointError(
            f"{self.folder / STATE} is no state of an endpoint: {why}\n"
            "Move it away; the next deployment writes a new one: trey run --from deploy"
        )
