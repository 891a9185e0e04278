"""What an endpoint stands on: folders of this machine, or a managed online endpoint of Azure ML.

The rules of a deployment are the endpoint's (`delivery.endpoint`); a host keeps its state and fills its slots. Which
one it is, the endpoint store says: a folder, or an address whose scheme names it. Its class is imported when it is
asked for.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from delivery.errors import EndpointError
from delivery.state import Held, State

if TYPE_CHECKING:
    from delivery.observations import Observations
    from delivery.target import Target

FOLDER = "folder"
HOSTS = {FOLDER: "delivery.host_folder:FolderHost", "azureml": "delivery.host_azureml:ManagedHost"}


@dataclass(frozen=True)
class Machines:
    """The machines that answer, where the endpoint has some of its own.

    Attributes:
        kind: Their size, as the cloud names it.
        count: How many each slot has.
    """

    kind: str = "Standard_DS3_v2"
    count: int = 1


class Claim(Protocol):
    """What keeps other deployments out; it is lost with the process."""

    def check(self) -> None:
        """Make sure of it.

        Raises:
            EndpointBusy: It was lost.
        """

    def release(self) -> None:
        """Let others in."""


class Host(Protocol):
    """Keeps the state of one model's endpoint in one environment, and fills and asks its slots.

    Attributes:
        where: Names it in messages, and tells it from every other.
        folder: Holds the slots, where they are folders of this machine.
        most_mirrored: Per cents of the requests of which a slot may get copies, at most.
    """

    where: str
    folder: Path | None
    most_mirrored: int

    def __init__(self, store: str, model_name: str, environment: str, machines: Machines): ...

    @classmethod
    def models(cls, store: str, environment: str) -> Sequence[str]:
        """Name the models that have an endpoint in an environment."""

    def claim(self, wait: float) -> Claim:
        """Keep other deployments out.

        Raises:
            EndpointBusy: Another one kept it for longer than the seconds to wait.
        """

    def tidy(self) -> None:
        """Remove what a deployment that was killed left half-made; called under a claim."""

    def read(self) -> State | None:
        """Give the state, or None where there is none.

        Raises:
            EndpointError: It is none that was written here.
        """

    def write(self, state: State) -> None:
        """Replace the state in one step. The slots that it speaks of are filled."""

    def check(self, name: str, held: Held) -> None:
        """Make sure that a slot holds what the state says.

        Raises:
            ModelChanged: It does not.
        """

    def prepared(self, model_dir: Path, name: str, held: Held) -> AbstractContextManager[Callable[[], None]]:
        """Make a verified model ready for a slot, and give what puts it there once the slot is empty."""

    def empty(self, name: str) -> None:
        """Empty a slot of which the state does not speak."""

    def evidence(self) -> dict[str, str] | None:
        """Give the digests of what lies there, or None without a state."""

    def alone(self, name: str) -> "AbstractContextManager[Target]":
        """Give where a slot alone answers, for the length of a block.

        Raises:
            ScoringProcessFailed: It does not answer.
        """

    def answering(self) -> "AbstractContextManager[tuple[Target, Observations]]":
        """Give where requests are answered as the state says, and what is observed of them, for the length of a block.

        Raises:
            ScoringProcessFailed: Nothing answers.
        """

    def observed(self, collected: str, since: datetime) -> "Observations":
        """Give what is observed of the requests that people send.

        Args:
            collected: Where a running service keeps what people send.
            since: Earlier ones are passed over.

        Raises:
            BadPlan: Nothing of this endpoint can be kept there.
        """


HostClass: TypeAlias = type[Host]


def host_class(store: str) -> HostClass:
    """Give the class of the host that an endpoint store asks for.

    Raises:
        EndpointError: There is none for such an address.
    """
    scheme = store.partition("://")[0] if "://" in store else FOLDER
    if scheme not in HOSTS:
        raise EndpointError(
            f"the endpoint store is {store!r}; give a folder, or a workspace of Azure ML: "
            "azureml://subscriptions/ID/resourceGroups/NAME/workspaces/NAME"
        )
    module, _, attribute = HOSTS[scheme].partition(":")
    found: HostClass = getattr(import_module(module), attribute)
    return found
