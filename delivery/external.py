"""The state of places outside a run, as one sha256 each: what a phase leaves in external.json and the runner compares.

Nothing slow is imported: a run in which nothing changed asks these functions and starts no kernel. A registry in a
folder is read with SQLite alone; one behind an address needs its client.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from delivery.endpoint import Endpoint
from delivery.errors import RegistryError
from delivery.files import canonical, sha256, write_atomic
from delivery.names import checked
from delivery.stores import DIGEST, SQLITE, champion_tag, mark_rank, tracking_uri

ABSENT = "absent"
FILE = "external.json"
_DELETED = "Deleted_Internal"  # the stage in which MLflow keeps the row of a version that was deleted
_TAGS = """
    SELECT version.version, tag.key, tag.value
    FROM model_versions AS version
    JOIN model_version_tags AS tag ON tag.name = version.name AND tag.version = version.version
    WHERE version.name = ? AND version.current_stage <> ?
"""


def champion_uri(registry_store: str, model_name: str, environment: str) -> str:
    """Name the place that says which version is an environment's champion."""
    checked("environment", environment)
    return f"registry:{tracking_uri(registry_store)}#{checked('model', model_name)}/champion/{environment}"


def version_uri(registry_store: str, model_name: str, version: int) -> str:
    """Name the place that says what a registered version holds."""
    return f"registry:{tracking_uri(registry_store)}#{checked('model', model_name)}/version/{version}"


def endpoint_uri(endpoint_store: str, model_name: str, environment: str) -> str:
    """Name the place that says what an endpoint's slots hold and which one is live."""
    store = endpoint_store if "://" in endpoint_store else Path(endpoint_store).resolve()
    return f"endpoint:{store}#{checked('model', model_name)}/{checked('environment', environment)}"


def registry_state(uri: str) -> str:
    """Give the state of a `champion_uri` (sha256 over version and digest) or a `version_uri` (its digest), or "absent".

    Raises:
        ValueError: It is neither.
        RegistryError: The registry cannot be read.
    """
    store, name, kind, which = _parts(uri, "registry", 3)
    if kind not in ("champion", "version"):
        raise ValueError(f"{uri!r} names neither a champion nor a version")
    look = _looked_up if store.startswith(SQLITE) else _asked
    found = look(store, name, kind, which)
    if found is None:
        return ABSENT
    version, digest = found
    return digest if kind == "version" else champion_state(version, digest)


def version_tags(registry_store: str, model_name: str, version: int) -> Mapping[str, str]:
    """Give the tags of a registered version.

    Raises:
        RegistryError: There is no such version, or the registry cannot be read.
    """
    store = tracking_uri(registry_store)
    try:
        found = _tags(store, checked("model", model_name)).get(version) if store.startswith(SQLITE) else None
    except sqlite3.Error as error:
        raise RegistryError(
            f"the registry {store} cannot be read: {error}. Type the same again, or: trey models"
        ) from error
    if found:
        return found
    from delivery import registry  # which also knows how to say what is there instead

    return registry.version(model_name, version, registry_store).tags


def champion_state(version: int, digest: str) -> str:
    """Give the state of a `champion_uri` while this version is champion."""
    return sha256(f"{version} {digest}".encode())


def endpoint_state(uri: str) -> str:
    """Give the sha256 over an endpoint's state and the models that lie in its slots, or "absent" where it has no state.

    Raises:
        ValueError: It is no `endpoint_uri`.
    """
    store, name, environment = _parts(uri, "endpoint", 2)
    endpoint = Endpoint(store, name, environment)
    return sha256(canonical(evidence)) if (evidence := endpoint.evidence()) else ABSENT


def state(uri: str) -> str:
    """Give the state of a place, whichever it is.

    Raises:
        ValueError: It is neither a registry's nor an endpoint.
        DeliveryError: It cannot be read.
    """
    readers = {"registry": registry_state, "endpoint": endpoint_state}
    if (scheme := uri.partition(":")[0]) not in readers:
        raise ValueError(f"{uri!r} is the address of no place; it begins with {' or '.join(readers)}")
    return readers[scheme](uri)


def write_external(output_dir: Path, uris: Iterable[str]) -> list[dict[str, str]]:
    """Write external.json: the state of each place as it is now, so call it after they were changed."""
    states = [{"uri": uri, "sha256": state(uri)} for uri in uris]
    write_atomic(output_dir / FILE, canonical(states))
    return states


def _parts(uri: str, scheme: str, words: int) -> list[str]:
    """Cut `scheme:place#a/b…` into the place and its words."""
    place, _, rest = uri.removeprefix(f"{scheme}:").rpartition("#")
    if not uri.startswith(f"{scheme}:") or not place or len(rest.split("/")) != words:
        raise ValueError(f"{uri!r} is no {scheme} address")
    return [place, *rest.split("/")]


def _looked_up(store: str, name: str, kind: str, which: str) -> tuple[int, str] | None:
    found = {number: tags for number, tags in _tags(store, name).items() if DIGEST in tags}
    if kind == "version":
        number = int(which)
    else:
        tag = champion_tag(which)
        marks = ((mark_rank(tags.get(tag, "")), number) for number, tags in found.items())
        _, number = max(((rank, number) for rank, number in marks if rank is not None), default=("", 0))
    return (number, found[number][DIGEST]) if number in found else None


def _tags(store: str, name: str) -> dict[int, dict[str, str]]:
    """Read the tags of each version of a model; none where there is no registry yet."""
    path = Path(store.removeprefix(SQLITE))
    if not path.is_file():
        return {}
    # Opened for writing and then told not to: only so can SQLite first undo what a killed writer left half-way.
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=30)) as database:
        database.execute("PRAGMA query_only = ON")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'model_version_tags'").fetchone():
            return {}  # a registry whose first use was cut short
        rows = database.execute(_TAGS, (name, _DELETED)).fetchall()
    found: dict[int, dict[str, str]] = {}
    for number, key, value in rows:
        found.setdefault(number, {})[key] = value
    return found


def _asked(store: str, name: str, kind: str, which: str) -> tuple[int, str] | None:
    from delivery import registry

    if kind == "champion":
        found = registry.champion(name, which, store)
    else:
        found = next((entry for entry in registry.versions_of(name, store) if entry.version == int(which)), None)
    return (found.version, found.digest) if found else None
