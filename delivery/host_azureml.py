"""An endpoint as a managed online endpoint of Azure ML: its two slots are the deployments `blue` and `green`.

Azure is the truth: traffic and copies are the endpoint's own, what is live and what can be gone back to are its tags,
and what a slot holds are the tags of a deployment that Azure calls succeeded. One request replaces all of the first
three, so there is no moment in which they disagree. Two deployments are held apart by a lease on a blob of the
workspace. docs/ENDPOINT.md tells what each step leaves.
"""

import hashlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import UTC, datetime
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from cloud import storage, workspace
from cloud.client import answering, client, quietly
from cloud.errors import CloudError, NotFound
from cloud.identity import credential
from cloud.workspace import Workspace
from delivery import managed
from delivery.errors import BadPlan, EndpointError, ModelChanged, ScoringProcessFailed
from delivery.files import canonical, sha256
from delivery.hosts import Machines
from delivery.managed import COLLECTION, ENVIRONMENT, LIVE, MODEL, PREVIOUS, STEPPED_BACK
from delivery.mirroring import Mirroring
from delivery.state import SCHEMA, SLOTS, Held, State, fault

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import ManagedOnlineDeployment, OnlineEndpoint
    from azure.storage.blob import ContainerClient

    from delivery.lease import Leased
    from delivery.observations import Observations
    from delivery.target import Target

T = TypeVar("T")
MOST_MIRRORED = 50  # per cent; Azure mirrors no more
SUCCEEDED = "Succeeded"
CONFLICT = 409
PATIENCE = 1_800.0  # seconds to wait for an operation under way that a deployment before has left
PAUSE = 5.0  # seconds between two tries meanwhile
TRIES = 3  # looks until what seems contradictory is taken for it: endpoint and deployments are two answers
LOG_LINES = 40  # of a container that does not start
EARLY = 300.0  # seconds before a token ends in which a new one is asked for
SCOPE = "https://ml.azure.com/.default"
ROUTED_TO = "azureml-model-deployment"  # header: which deployment shall answer
DATASTORE = re.compile(r"azureml://datastores/(?P<name>\w+)")
LONGEST = 32  # characters of an endpoint's name
HASHED = 8  # of them, which make it unique in the region


class ManagedHost:
    """One managed online endpoint.

    Args:
        store: Address of the workspace.
        model_name: Name of the model.
        environment: Name of the environment.
        machines: What each deployment runs on.

    Raises:
        EndpointError: The address is none of a workspace.
    """

    folder = None
    most_mirrored = MOST_MIRRORED

    def __init__(self, store: str, model_name: str, environment: str, machines: Machines):
        self.workspace = _workspace(store)
        self.model_name = model_name
        self.environment = environment
        self.machines = machines
        self.name = endpoint_name(self.workspace, model_name, environment)
        self.where = f"endpoint {self.name} of {self.workspace}"
        self._mirroring = Mirroring()

    @classmethod
    def models(cls, store: str, environment: str) -> Sequence[str]:
        """Name the models that have an endpoint in an environment, by the endpoints' tags."""
        place = _workspace(store)
        with _asking(place, "list the endpoints"):
            tags = [one.tags or {} for one in _client(place).online_endpoints.list()]
        return sorted(found[MODEL] for found in tags if found.get(ENVIRONMENT) == environment and MODEL in found)

    @property
    def client(self) -> "MLClient":
        """The client of the workspace."""
        return _client(self.workspace)

    def claim(self, wait: float) -> "Leased":
        """Lease a blob of the workspace's storage that bears the endpoint's name."""
        from delivery import lease

        container = self._container()
        with _asking(self.workspace, "keep other deployments out"):
            blob = container.get_blob_client(f"trey/endpoints/{self.name}.lease")
            return lease.acquire(blob, wait, self.where)

    def tidy(self) -> None:
        """Do nothing: a deployment that was left half-made is taken away by whoever fills its slot."""

    def read(self) -> State | None:
        """Give the state as Azure has it; what seems to contradict itself is read again."""
        why, live = "", None
        for _ in range(TRIES):
            state = self._seen()
            if state is None or not (why := fault(state)):
                return state
            live = state["live"]
        raise EndpointError(
            f"{self.where} has no sound state: {why}\n"
            "Set its traffic right, then try again: "
            f"az ml online-endpoint update --name {self.name} --traffic '{live or SLOTS[0]}=100' {self.workspace.az}"
        )

    def write(self, state: State) -> None:
        """Set traffic, copies and tags in one request; nothing is sent where they are so already."""
        endpoint = self._endpoint()
        if endpoint is None:
            raise EndpointError(f"{self.where} is gone; release again: trey run --from deploy")
        tags = {**(endpoint.tags or {}), **_tags(state)}
        traffic = {name: percent for name, percent in state["traffic"].items() if percent}
        wanted = (tags, traffic, dict(state["mirror"]))
        if (endpoint.tags or {}, _shares(endpoint.traffic), _shares(endpoint.mirror_traffic)) == wanted:
            return
        endpoint.tags, endpoint.traffic, endpoint.mirror_traffic = wanted
        with self._mirroring.changing(state["mirror"]):
            self._begun("set the traffic", lambda: self.client.online_endpoints.begin_create_or_update(endpoint))

    def check(self, name: str, held: Held) -> None:
        """Compare the model that a deployment was given with the digest."""
        deployment = self._deployment(name)
        found = str(deployment.model).rpartition("/")[2].rpartition(":")[2] if deployment else "nothing"
        if found != managed.model_version(held["digest"]):
            raise ModelChanged(
                f"slot {name} of {self.where} serves model {found}; the model with digest {held['digest']} was "
                "expected\nRelease it again: trey run --from deploy"
            )

    @contextmanager
    def prepared(self, model_dir: Path, name: str, held: Held) -> Iterator[Callable[[], None]]:
        """Register the model and the image of the service, where they are not there; then a deployment can be made."""
        model = self._model(model_dir, held)
        image = self._image()
        if self._endpoint() is None:
            new = managed.endpoint(self.name, self.model_name, self.environment)
            self._begun("create the endpoint", lambda: self.client.online_endpoints.begin_create_or_update(new))

        def begin() -> Any:  # the SDK changes what it is given, so each attempt gets a new one
            made = managed.deployment(self.name, name, held, model=model, image=image, machines=self.machines)
            return self.client.online_deployments.begin_create_or_update(made)

        def put() -> None:
            try:
                self._begun(f"deploy to slot {name}", begin)
            except EndpointError as error:
                raise EndpointError(f"{error}\n{self._log(name)}") from error

        yield put

    def empty(self, name: str) -> None:
        """Delete a deployment."""
        if self._deployment(name) is not None:
            self._begun(f"empty slot {name}", lambda: self.client.online_deployments.begin_delete(name, self.name))

    def evidence(self) -> dict[str, str] | None:
        """Give the digests of the state and of each slot's model."""
        state = self._seen()
        if state is None:
            return None
        held = {name: slot["digest"] for name in SLOTS if (slot := state["slots"][name])}
        return {"state": sha256(canonical(state))} | held

    @contextmanager
    def alone(self, name: str) -> "Iterator[Target]":
        """Give the endpoint's address, with the header that names a deployment."""
        yield self._target({ROUTED_TO: name})

    @contextmanager
    def answering(self) -> "Iterator[tuple[Target, Observations]]":
        """Give the endpoint's address, and what the data collector writes into the workspace's own storage."""
        yield self._target({}), self._reader(self._container(), datetime.now(UTC))

    def observed(self, collected: str, since: datetime) -> "Observations":
        """Read what the data collector writes."""
        found = DATASTORE.fullmatch(collected)
        if not found:
            raise BadPlan(
                f"collected_store is {collected!r}; what the deployments of {self.where} collect lies in a datastore: "
                "give azureml://datastores/workspaceblobstore"
            )
        return self._reader(self._container(found["name"]), since)

    def _seen(self) -> State | None:
        endpoint = self._endpoint()
        if endpoint is None:
            return None
        with _asking(self.workspace, f"list the deployments of {self.name}"):
            deployments = {one.name: one for one in self.client.online_deployments.list(self.name)}
        tags = endpoint.tags or {}
        live = tags.get(LIVE) or None
        slots = {name: _held(deployments.get(name), is_live=name == live) for name in SLOTS}
        previous = tags.get(PREVIOUS) or None
        is_there = previous is not None and bool(slots.get(previous))  # somebody may have deleted it by hand
        shares = _shares(endpoint.traffic)
        return State(
            schema=SCHEMA,
            live=live,
            previous=previous if is_there else None,
            stepped_back=is_there and bool(tags.get(STEPPED_BACK)),
            slots=slots,
            traffic={name: shares.get(name, 0) for name in {*SLOTS, *shares}},
            mirror=_shares(endpoint.mirror_traffic),
        )

    def _endpoint(self) -> "OnlineEndpoint | None":
        return self._found(f"look at {self.name}", lambda: self.client.online_endpoints.get(self.name))

    def _deployment(self, name: str) -> "ManagedOnlineDeployment | None":
        return self._found(f"look at slot {name}", lambda: self.client.online_deployments.get(name, self.name))

    def _found(self, doing: str, ask: Callable[[], T]) -> T | None:
        """Give what is asked for, or None where it does not exist."""
        try:
            with answering(self.workspace, doing):
                return ask()
        except NotFound:
            return None
        except CloudError as error:
            raise _translated(error) from error

    def _begun(self, doing: str, begin: Callable[[], Any]) -> None:
        """Begin an operation and see it through; one that is under way already is waited for."""
        from azure.core.exceptions import HttpResponseError

        deadline = time.monotonic() + PATIENCE
        with _asking(self.workspace, doing):
            while True:
                try:
                    with redirect_stdout(StringIO()):  # the SDK prints a dot for each look
                        begin().result()
                except HttpResponseError as error:
                    if error.status_code != CONFLICT or time.monotonic() >= deadline:
                        raise
                    time.sleep(PAUSE)
                else:
                    return

    def _model(self, model_dir: Path, held: Held) -> str:
        """Register a model folder under its digest, unless it is there, and give its address."""
        name, version = managed.model_asset(self.model_name), managed.model_version(held["digest"])
        if self._found("look for the model", lambda: self.client.models.get(name, version)) is None:
            with _asking(self.workspace, "register the model for serving"), quietly():
                self.client.models.create_or_update(managed.model(name, version, model_dir, held))
        return f"azureml:{name}:{version}"

    def _image(self) -> str:
        """Register what the image of the service is built from, unless it is there, and give its address."""
        with tempfile.TemporaryDirectory(prefix="trey-image-") as temporary:
            folder = Path(temporary)
            version = managed.write_context(folder)
            address = f"azureml:{managed.IMAGE}:{version}"
            if self._found("look for the image", lambda: self.client.environments.get(managed.IMAGE, version)) is None:
                with _asking(self.workspace, "register the image of the service"), quietly():
                    self.client.environments.create_or_update(managed.image(version, folder))
        return address

    def _log(self, name: str) -> str:
        """Give the end of what the container of a slot said, where there is any."""
        with suppress(EndpointError), _asking(self.workspace, "read the log"):
            said = self.client.online_deployments.get_logs(name, self.name, lines=LOG_LINES).strip()
            return f"its container said:\n{said}" if said else "its container said nothing"
        command = f"az ml online-deployment get-logs --name {name} --endpoint-name {self.name}"
        return f"see: {command} {self.workspace.az}"

    def _target(self, headers: Mapping[str, str]) -> "Target":
        from azure.core.credentials import AccessToken

        from delivery.target import Target

        endpoint = self._endpoint()
        if endpoint is None or not endpoint.scoring_uri:
            raise ScoringProcessFailed(f"{self.where} has no address")
        parts = urlsplit(endpoint.scoring_uri)
        base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/score"), "", ""))
        identity, held = credential(), list[AccessToken]()

        def with_token() -> Mapping[str, str]:
            if not held or held[0].expires_on < time.time() + EARLY:  # `az` would take a second for each request
                with _asking(self.workspace, "get a token"):
                    held[:] = [identity.get_token(SCOPE)]
            return {"authorization": f"Bearer {held[0].token}", **headers}

        return Target(base, with_token)

    def _reader(self, container: "ContainerClient", since: datetime) -> "Observations":
        from delivery.blob_observations import BlobReader

        return BlobReader(
            container,
            endpoint=self.name,
            slots=SLOTS,
            collection=COLLECTION,
            since=since,
            mirrored=self._mirroring.at,
        )

    def _container(self, datastore: str | None = None) -> "ContainerClient":
        """Give the container of a datastore, or of the workspace's own; the identity opens it, and no key."""
        with _asking(self.workspace, "find the storage"):
            name = datastore or self.client.datastores.get_default().name
            found: ContainerClient = storage.container(self.client, credential(), name)
            return found


def endpoint_name(place: Workspace, model_name: str, environment: str) -> str:
    """Name the endpoint of a model in an environment, as Azure allows it: 3 to 32 letters, digits and hyphens.

    It begins with a letter and is unique in its region: a hash of workspace, model and environment ends it.
    """
    said = re.sub(r"[^a-z0-9]+", "-", f"{model_name}-{environment}".lower()).strip("-")
    said = said if said[:1].isalpha() else f"m-{said}"
    hashed = hashlib.sha256(f"{place.address.lower()}#{model_name}/{environment}".encode()).hexdigest()[:HASHED]
    return f"{said[: LONGEST - HASHED - 1].rstrip('-')}-{hashed}"


def _workspace(store: str) -> Workspace:
    try:
        return workspace.parse(store)
    except CloudError as error:
        raise _translated(error) from error


@cache
def _client(place: Workspace) -> "MLClient":
    """Give the client of a workspace, which takes a while to make and is the same for all of its endpoints."""
    with _asking(place, "begin"):
        return client(place)


@contextmanager
def _asking(place: Workspace, doing: str) -> Iterator[None]:
    """Turn what Azure has to complain of into this room's error."""
    try:
        with answering(place, doing):
            yield
    except CloudError as error:
        raise _translated(error) from error


def _translated(error: CloudError) -> EndpointError:
    return EndpointError(f"{error.message}\nWhat is live stays live. Next: {error.next_step}")


def _tags(state: State) -> dict[str, str]:
    stepped_back = "true" if state["stepped_back"] else ""
    return {LIVE: state["live"] or "", PREVIOUS: state["previous"] or "", STEPPED_BACK: stepped_back}


def _shares(found: Mapping[str, int] | None) -> dict[str, int]:
    return {name: int(percent) for name, percent in (found or {}).items() if percent}


def _held(deployment: "ManagedOnlineDeployment | None", *, is_live: bool) -> Held | None:
    """Tell what a deployment holds. Only the live one, which nobody fills, may be in the middle of an operation."""
    if deployment is None or not (is_live or deployment.provisioning_state == SUCCEEDED):
        return None
    tags = deployment.tags or {}
    version, digest = tags.get(managed.VERSION, ""), tags.get(managed.DIGEST, "")
    return {"version": int(version), "digest": digest} if version.isdecimal() and digest else None
