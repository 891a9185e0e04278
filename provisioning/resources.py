"""What a workspace has: how each part compares with what is wanted, and how it is made so.

They are clusters, environment, data and endpoints. Each looks first and writes only where something differs, so that a
second plan has nothing to do. Nothing made here has a key: clusters and endpoints have an identity of their own, nobody
signs in on a node, and who asks an endpoint signs in with Entra ID.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cloud import registered

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import AmlCompute, ManagedOnlineEndpoint

Action = Literal["create", "update", "unchanged", "blocked"]
_MINUTE = 60  # seconds


@dataclass(frozen=True)
class Step:
    """What is to be done for one resource.

    Attributes:
        kind: What it is: cluster, environment, data asset, endpoint.
        name: Its name, with its version where it has one.
        action: What is to be done; blocked where only a person can.
        why: What differs, or what it will be.
    """

    kind: str
    name: str
    action: Action
    why: str

    @property
    def changes(self) -> bool:
        """Whether something is written."""
        return self.action in {"create", "update"}


class Resource(Protocol):
    """Something that a workspace must have."""

    def look(self, ml: "MLClient") -> Step:
        """Compare what is there with what is wanted; reads only."""

    def make(self, ml: "MLClient") -> None:
        """Make it so, and wait until it is."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that scales to zero.

    Attributes:
        name: Its name.
        size: What its machines are, as Azure names them.
        most: How many there may be; there is none while nothing runs.
        idle_minutes: How long one waits for the next job.
    """

    name: str
    size: str
    most: int
    idle_minutes: int

    def look(self, ml: "MLClient") -> Step:
        """Compare; a cluster whose machines differ must be deleted by a person, with what runs on it."""
        found = registered.found(lambda: ml.compute.get(self.name))
        if found is None:
            said = f"{self.size}, 0 to {self.most} nodes, idle {self.idle_minutes} min, system-assigned identity"
            return Step("cluster", self.name, "create", said)
        if found.type != "amlcompute" or str(found.size).lower() != self.size.lower():
            said = f"it is {found.type} of {getattr(found, 'size', None)}, wanted is {self.size}: delete it first"
            return Step("cluster", self.name, "blocked", said)
        differing = self._differences(found)
        return Step("cluster", self.name, "update" if differing else "unchanged", "; ".join(differing) or "as wanted")

    def make(self, ml: "MLClient") -> None:
        """Create or update it."""
        ml.compute.begin_create_or_update(self._wanted()).result()

    def _differences(self, found: Any) -> list[str]:
        identity = found.identity.type if found.identity else "none"
        seen = {
            "least nodes": (found.min_instances, 0),
            "most nodes": (found.max_instances, self.most),
            "idle seconds": (int(found.idle_time_before_scale_down), self.idle_minutes * _MINUTE),
            "identity": (str(identity).lower().replace("_", ""), "systemassigned"),
            "SSH from outside": (bool(found.ssh_public_access_enabled), False),
        }
        return [f"{name} {there} → {wanted}" for name, (there, wanted) in seen.items() if there != wanted]

    def _wanted(self) -> "AmlCompute":
        from azure.ai.ml.entities import AmlCompute, IdentityConfiguration

        return AmlCompute(
            name=self.name,
            size=self.size,
            min_instances=0,
            max_instances=self.most,
            idle_time_before_scale_down=self.idle_minutes * _MINUTE,
            identity=IdentityConfiguration(type="system_assigned"),
            ssh_public_access_enabled=False,
        )


@dataclass(frozen=True)
class Image:
    """An environment: an image, and the packages of a conda file on it. Its version is a digest of both."""

    name: str
    version: str
    image: str
    conda: Path

    def look(self, ml: "MLClient") -> Step:
        """See whether this version is there; a version never changes."""
        found = registered.found(lambda: ml.environments.get(self.name, version=self.version))
        named = f"{self.name}:{self.version}"
        return Step("environment", named, "unchanged" if found else "create", f"{self.conda.name} on {self.image}")

    def make(self, ml: "MLClient") -> None:
        """Register it; its image is built when it is first used."""
        ml.environments.create_or_update(registered.environment(self.name, self.version, self.image, self.conda))


@dataclass(frozen=True)
class Dataset:
    """A data asset: a file or folder of this machine. Its version is a digest of its content."""

    name: str
    version: str
    path: Path

    def look(self, ml: "MLClient") -> Step:
        """See whether this version is there; a version never changes."""
        found = registered.found(lambda: ml.data.get(self.name, version=self.version))
        return Step("data asset", f"{self.name}:{self.version}", "unchanged" if found else "create", str(self.path))

    def make(self, ml: "MLClient") -> None:
        """Upload and register it."""
        ml.data.create_or_update(registered.data(self.name, self.version, self.path))


@dataclass(frozen=True)
class Endpoint:
    """A managed online endpoint, to which releases bring deployments.

    Attributes:
        name: Its name.
        wanted: Gives it as it is made: the SDK changes what it is given, so each attempt gets a new one.
    """

    name: str
    wanted: "Callable[[], ManagedOnlineEndpoint]"

    def look(self, ml: "MLClient") -> Step:
        """Compare; who may ask an endpoint that is there is a matter for a person, and what it serves for releases."""
        found = registered.found(lambda: ml.online_endpoints.get(self.name))
        if found is None:
            wanted = self.wanted()
            return Step("endpoint", self.name, "create", f"{wanted.description}: Entra ID, system-assigned identity")
        if found.auth_mode != self.wanted().auth_mode:
            return Step(
                "endpoint", self.name, "blocked", f"whoever has its {found.auth_mode} may ask it: delete it first"
            )
        return Step("endpoint", self.name, "unchanged", str(found.description or ""))

    def make(self, ml: "MLClient") -> None:
        """Create it, without deployments."""
        ml.online_endpoints.begin_create_or_update(self.wanted()).result()
