"""The registry of models: MLflow, in a folder (SQLite and files), behind an address, or in a workspace of Azure ML.

Only what Azure ML's MLflow endpoint answers too is called: runs, their artifacts, model versions made from a run's
artifacts, and version tags. No logged models, no aliases. The champion of an environment is a version tag.

In a folder, one process at a time changes it. Behind an address there is no lock, and a call may be repeated because
its answer was lost, so what counts is defined such that nobody needs one:
- Of versions with one digest, the lowest counts. Whoever made another in the same call deletes it again.
- The champion tag holds the time at which it was set, later than any it meets; the latest mark counts. Older ones are
  taken away by whoever sets the next: a change that was killed half-way is complete for every reader, and healed then.
"""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import workspace
from cloud.client import answering
from cloud.client import client as workspace_client
from cloud.errors import CloudError
from delivery import locks
from delivery.errors import ModelChanged, RegistryError
from delivery.files import model_manifest
from delivery.names import checked
from delivery.stores import CHAMPION, DIGEST, champion_tag, folder_of, mark_rank, tracking_uri

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.tracking import MlflowClient

__all__ = [
    "ModelVersion",
    "champion",
    "fetch",
    "keep",
    "list_versions",
    "register",
    "set_champion",
    "tracking_uri",
    "version",
    "versions_of",
]

SOURCE_RUN = "source_run"  # tag: the run of the lifecycle that registered the version
BUILD_NUMBER = "build_number"  # tag: the build of a pipeline that did so
GIT_COMMIT = "git_commit"  # tag: the commit it was registered from
ARTIFACT = "model"  # folder of the model among an MLflow run's artifacts
EVIDENCE = "evidence"  # folder of other files there
CHAMPION_TRIES = 20  # looks at the champions of an environment until there is one
LOCK_WAIT = 300.0  # seconds to wait for another registration in the same folder
_LONGEST = 500  # characters of an error that are repeated
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_HTTP = {  # half a minute of repeated calls instead of MLflow's five, where nobody said otherwise
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}


@dataclass(frozen=True)
class ModelVersion:
    """A registered version of a model."""

    name: str
    version: int
    digest: str  # empty where somebody registered it without one
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    metrics: Mapping[str, float] = field(default_factory=dict, repr=False)
    mlflow_run: str = field(default="", repr=False)
    created_at: datetime | None = field(default=None, repr=False)

    @property
    def champion_of(self) -> tuple[str, ...]:
        """The environments whose champion it is."""
        marks = (tag for tag, value in self.tags.items() if tag.startswith(CHAMPION) and mark_rank(value) is not None)
        return tuple(sorted(tag.removeprefix(CHAMPION) for tag in marks))


def register(  # noqa: PLR0913 - all by name
    model_dir: Path,
    *,
    name: str,
    store: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    run_name: str = "",
    evidence: Iterable[Path] = (),
) -> ModelVersion:
    """Register a model folder, read back what was registered, and compare every byte with the digest.

    A digest that is registered already gives the version that exists. A process killed half-way leaves an MLflow run
    without a version, never a version without its files: the version is made last.

    Args:
        model_dir: The model folder; it is verified first.
        name: Name in the registry.
        store: Folder or MLflow address of the registry.
        tags: What to say about the version besides its digest; empty values are left out.
        metrics: Numbers to show beside it.
        run_name: Name of the MLflow run that carries the files.
        evidence: Other files to keep with that run.

    Raises:
        ModelChanged: The folder is not intact, or the registry gives other bytes back.
        RegistryError: The registry's path cannot be used, or it does not answer; the same call may be repeated.
    """
    _, digest = model_manifest(model_dir)
    checked("model", name)
    with _answering(store), _exclusive(store) as client:
        known = next((entry for entry in _versions(client, name) if entry.digest == digest), None)
        if known is None:
            said = {key: value for key, value in tags.items() if value} | {DIGEST: digest}
            with _mlflow_run(client, name, run_name, said) as run_id:
                _log(client, run_id, {ARTIFACT: sorted(model_dir.iterdir()), EVIDENCE: evidence}, metrics)
                _read_back(client, run_id, digest)
            _create(client.create_registered_model, name)
            client.create_model_version(name, f"runs:/{run_id}/{ARTIFACT}", run_id, tags=said)
            return _first_of(client, name, digest, run_id)
        _read_back(client, known.mlflow_run, digest)
        return known


def keep(registered: ModelVersion, files: Iterable[Path], store: str) -> list[str]:
    """Keep files with the MLflow run of a version that exists, and give the names of those that are new there.

    What was kept under a name stays: a version is told of once, and a file store may refuse to replace a file.

    Args:
        registered: The version.
        files: What to keep among its evidence.
        store: Folder or MLflow address of the registry.

    Raises:
        RegistryError: The registry does not answer; the same call may be repeated.
    """
    from mlflow.artifacts import list_artifacts

    with _answering(store), _exclusive(store) as client:
        place = _address(client, registered.mlflow_run, EVIDENCE)
        listed = list_artifacts(artifact_uri=place, tracking_uri=client.tracking_uri)
        there = {Path(entry.path).name for entry in listed}
        new = [path for path in files if path.name not in there]
        for path in new:
            client.log_artifact(registered.mlflow_run, str(path), EVIDENCE)
    return [path.name for path in new]


def fetch(name: str, version: int, store: str, destination: Path) -> Path:
    """Bring a registered version into a folder, verified against its digest, and give that folder.

    Args:
        name: Name in the registry.
        version: Its version.
        store: Folder or MLflow address of the registry.
        destination: Folder to create; one that holds this very model already is left as it is.

    Raises:
        RegistryError: There is no such version, or something else lies at `destination`.
        ModelChanged: The registry's files are not those that were registered.
    """
    with _answering(store):
        return _fetch(_known(name, version, store), store, destination)


def _fetch(entry: ModelVersion, store: str, destination: Path) -> Path:
    if destination.exists():
        try:
            model_manifest(destination, entry.digest)
        except ModelChanged as error:
            raise RegistryError(f"{destination} holds something else; give a folder that does not exist") from error
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".fetch-") as temporary:
        folder = _download(_client(tracking_uri(store)), entry.mlflow_run, Path(temporary))
        _compare(folder, entry.digest, f"version {entry.version} of {entry.name}")
        folder.rename(destination)
    return destination


def list_versions(store: str) -> list[ModelVersion]:
    """Give every version of every model: by name, the newest version first. An absent folder holds none."""
    if _is_absent(store):
        return []
    with _answering(store):
        client = _client(tracking_uri(store))
        names = sorted(model.name for model in _all_pages(client.search_registered_models))
        return [entry for name in names for entry in reversed(_counting(_versions(client, name)))]


def versions_of(name: str, store: str) -> list[ModelVersion]:
    """Give the versions of one model, the oldest first. An absent folder holds none."""
    checked("model", name)
    if _is_absent(store):
        return []
    with _answering(store):
        return _counting(_versions(_client(tracking_uri(store)), name))


def version(name: str, number: int, store: str) -> ModelVersion:
    """Give one registered version.

    Raises:
        RegistryError: There is none.
    """
    return _known(name, number, store)


def champion(name: str, environment: str, store: str) -> ModelVersion | None:
    """Give the version that bears the champion tag of an environment, or None.

    Where a change of champion is under way or was killed half-way, two versions bear it: the mark set last counts.
    """
    return _marked_last(versions_of(name, store), champion_tag(environment))


def set_champion(name: str, version: int, environment: str, store: str) -> ModelVersion:
    """Make a version the only champion of an environment.

    The tag is set before it is taken from others, so that at no moment an environment seems to have no champion. Behind
    an address nothing locks the registry: each of several calls at once looks until it sees one champion, so that the
    last of them leaves one.

    Raises:
        RegistryError: There is no such version.
    """
    _known(name, version, store)
    tag = champion_tag(environment)
    with _answering(store), _exclusive(store) as client:
        _mark(client, name, version, tag)
        for _ in range(CHAMPION_TRIES):
            found = _versions(client, name)
            if stale := _outranked(found, tag):
                for number in stale:
                    _remove_tag(client, name, number, tag)
            elif _marked_last(found, tag):
                break
            else:  # somebody took this mark away for an older one of the same version
                _mark(client, name, version, tag)
    return _known(name, version, store)


def _mark(client: "MlflowClient", name: str, version: int, tag: str) -> None:
    last = _marked_last(_versions(client, name), tag)
    client.set_model_version_tag(name, str(version), tag, _mark_after(last.tags[tag] if last else ""))


def _marked_last(versions: Sequence[ModelVersion], tag: str) -> ModelVersion | None:
    ranked = [
        (rank, entry.version, entry) for entry in versions if (rank := mark_rank(entry.tags.get(tag, ""))) is not None
    ]
    return max(ranked, key=lambda one: one[:2])[2] if ranked else None


def _outranked(versions: Sequence[ModelVersion], tag: str) -> list[int]:
    """Give the versions that bear a champion tag and are not champion."""
    last = _marked_last(versions, tag)
    return [entry.version for entry in versions if tag in entry.tags and last and entry.version != last.version]


def _counting(versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """Leave out the champion tags that do not count."""
    tags = {tag for entry in versions for tag in entry.tags if tag.startswith(CHAMPION)}
    stale = {(number, tag) for tag in tags for number in _outranked(versions, tag)}
    return [
        replace(entry, tags={tag: value for tag, value in entry.tags.items() if (entry.version, tag) not in stale})
        for entry in versions
    ]


def _mark_after(last: str) -> str:
    """Give the time as a mark: later than the last one, also where that was set by a clock ahead of this one."""
    now = datetime.now(UTC)
    with suppress(ValueError):  # it is the mark of an earlier release of this module
        now = max(now, datetime.fromisoformat(last) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _remove_tag(client: "MlflowClient", name: str, number: int, tag: str) -> None:
    """Take a tag away that somebody else may take away in the same moment."""
    from mlflow.exceptions import MlflowException

    try:
        client.delete_model_version_tag(name, str(number), tag)
    except MlflowException:
        if tag in client.get_model_version(name, str(number)).tags:
            raise


def _first_of(client: "MlflowClient", name: str, digest: str, run_id: str) -> ModelVersion:
    """Give the lowest version with this digest, and delete what else this very registration made.

    Two at once, or a call repeated because its answer was lost, make two.
    """
    first, *others = [entry for entry in _versions(client, name) if entry.digest == digest]
    for entry in others:
        if entry.mlflow_run == run_id:
            client.delete_model_version(name, str(entry.version))
    return first


def _known(name: str, number: int, store: str) -> ModelVersion:
    found = versions_of(name, store)
    for entry in found:
        if entry.version == number:
            return entry
    there = ", ".join(str(entry.version) for entry in found) or "none"
    raise RegistryError(f"there is no version {number} of {name} in {store}; versions there: {there}. See: trey models")


def _is_absent(store: str) -> bool:
    folder = folder_of(tracking_uri(store))
    return folder is not None and not folder.is_dir()


def _client(uri: str) -> "MlflowClient":
    """Open the registry; the first use of a folder creates its tables, one process at a time."""
    folder = folder_of(uri)
    for name, value in _HTTP.items():
        os.environ.setdefault(name, value)
    with _quiet(), locks.held(folder / "tables.lock", LOCK_WAIT) if folder else nullcontext():
        from mlflow.tracking import MlflowClient, set_tracking_uri

        for chatter in ("mlflow.store.db.utils", "mlflow.store.model_registry.abstract_store", "alembic"):
            logging.getLogger(chatter).setLevel(logging.WARNING)
        address = _mlflow_address(uri)
        if address != uri:
            set_tracking_uri(address)  # azureml-mlflow asks this one, not the client, whose files it moves
        return MlflowClient(tracking_uri=address, registry_uri=address)


@cache
def _mlflow_address(uri: str) -> str:
    """Give MLflow's address behind that of a registry: a workspace of Azure ML tells its own.

    Raises:
        RegistryError: It does not.
    """
    if not workspace.is_workspace(uri):
        return uri
    try:
        place = workspace.parse(uri)
        with answering(place, "find the registry"):
            return str(workspace_client(place).workspaces.get(place.name).mlflow_tracking_uri)
    except CloudError as error:
        raise RegistryError(f"{error.message}\nNext: {error.next_step}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Let MLflow start without telemetry and chatter; what it has to say about errors is still heard."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="mlflow")
        yield


@contextmanager
def _answering(store: str) -> Iterator[None]:
    """Turn what MLflow or the network has to complain of into this room's error."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        yield
    except (MlflowException, RequestException) as error:
        raise RegistryError(
            f"the registry {tracking_uri(store)} does not answer as it should: {_said(error)}\n"
            "Nothing is half registered; type the same again, or look: trey models --registry-store DIR|URI"
        ) from error


def _said(error: Exception) -> str:
    """Give the first line of an error; of a long one both ends, since an address may stand before the reason."""
    line = str(error).strip().partition("\n")[0]
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} … {line[-half:]}"


@contextmanager
def _exclusive(store: str) -> Iterator["MlflowClient"]:
    """Open the registry for a change: in a folder, one process at a time; behind an address, the service sees to it."""
    uri = tracking_uri(store)
    folder = folder_of(uri)
    with locks.held(folder / "registry.lock", LOCK_WAIT) if folder else nullcontext():
        yield _client(uri)


@contextmanager
def _mlflow_run(client: "MlflowClient", name: str, run_name: str, tags: dict[str, str]) -> Iterator[str]:
    """Start an MLflow run that ends with the block, and give its id."""
    run_id = client.create_run(_experiment(client, name), tags=dict(tags), run_name=run_name or None).info.run_id
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _log(
    client: "MlflowClient", run_id: str, folders: Mapping[str, Iterable[Path]], metrics: Mapping[str, float]
) -> None:
    from mlflow.entities import Metric

    now = int(datetime.now(UTC).timestamp() * 1000)
    client.log_batch(run_id, metrics=[Metric(key, value, now, 0) for key, value in metrics.items()])
    for folder, paths in folders.items():
        for path in paths:
            client.log_artifact(run_id, str(path), folder)


def _experiment(client: "MlflowClient", name: str) -> str:
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    folder = folder_of(client.tracking_uri)
    _create(client.create_experiment, name, (folder / "artifacts" / name).as_uri() if folder else None)
    return _experiment(client, name)


def _create(create: Any, *arguments: Any) -> None:
    """Create something that may exist."""
    from mlflow.exceptions import MlflowException

    try:
        create(*arguments)
    except MlflowException as error:
        if error.error_code != _EXISTS:
            raise


def _read_back(client: "MlflowClient", run_id: str, digest: str) -> None:
    with tempfile.TemporaryDirectory(prefix="trey-registry-") as temporary:
        _compare(_download(client, run_id, Path(temporary)), digest, f"MLflow run {run_id}")


def _compare(folder: Path, digest: str, what: str) -> None:
    try:
        model_manifest(folder, digest)
    except ModelChanged as error:
        raise ModelChanged(
            f"{what} does not hold the model with digest {digest}, as read back from the registry:\n{error}"
        ) from error


def _download(client: "MlflowClient", run_id: str, destination: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    place = _address(client, run_id, ARTIFACT)
    return Path(download_artifacts(artifact_uri=place, dst_path=str(destination), tracking_uri=client.tracking_uri))


def _address(client: "MlflowClient", run_id: str, folder: str) -> str:
    """Give a run's own address of a folder: by its id, MLflow asks for logged models too, which Azure ML lacks."""
    root = client.get_run(run_id).info.artifact_uri.rstrip("/")
    return f"{root}/{folder}"


def _versions(client: "MlflowClient", name: str) -> list[ModelVersion]:
    found = _all_pages(client.search_model_versions, filter_string=f"name='{name}'")
    return sorted((_model_version(client, entry) for entry in found), key=lambda entry: entry.version)


def _all_pages(search: Any, **arguments: Any) -> Iterator[Any]:
    page = search(**arguments)
    yield from page
    while page.token:
        page = search(**arguments, page_token=page.token)
        yield from page


def _model_version(client: "MlflowClient", entry: "MlflowVersion") -> ModelVersion:
    return ModelVersion(
        name=entry.name,
        version=int(entry.version),
        digest=entry.tags.get(DIGEST, ""),
        tags=dict(entry.tags),
        metrics=dict(client.get_run(entry.run_id).data.metrics) if entry.run_id else {},
        mlflow_run=entry.run_id or "",
        created_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC),
    )
