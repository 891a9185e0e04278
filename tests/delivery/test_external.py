"""The state of registry and endpoint as one digest each, read without anything slow."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from delivery import external, registry
from delivery.endpoint import Endpoint
from delivery.errors import RegistryError

from ..fixtures_model import MakeModel, digest_of


def test_importing_takes_no_library(tmp_path: Path) -> None:
    code = (
        "import sys; before = set(sys.modules); import delivery.external;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*new - set(sys.stdlib_module_names) - {'delivery'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if not name.startswith("__")] == []


def test_the_champion_follows_the_registry(registry_store: str, model_dir: Path, make_model: MakeModel) -> None:
    uri = external.champion_uri(registry_store, "followed", "staging")
    assert uri == f"registry:sqlite:///{registry_store}/mlflow.db#followed/champion/staging"
    states = [external.registry_state(uri)]
    for model in (model_dir, make_model(bias=1.0)):
        version = registry.register(model, name="followed", store=registry_store, tags={}, metrics={})
        assert external.registry_state(uri) == states[-1]
        registry.set_champion("followed", version.version, "staging", registry_store)
        states.append(external.registry_state(uri))
    registry.set_champion("followed", 1, "staging", registry_store)
    assert states[0] == external.ABSENT
    assert len(set(states)) == 3
    assert external.registry_state(uri) == states[1]
    assert external.registry_state(external.champion_uri(registry_store, "followed", "production")) == external.ABSENT


def test_a_version_gives_its_digest_until_it_is_deleted(registry_store: str, model_dir: Path) -> None:
    from mlflow.tracking import MlflowClient

    registry.register(model_dir, name="deleted", store=registry_store, tags={}, metrics={})
    uri = external.version_uri(registry_store, "deleted", 1)
    assert external.registry_state(uri) == digest_of(model_dir)
    assert external.registry_state(external.version_uri(registry_store, "deleted", 2)) == external.ABSENT
    tracking = registry.tracking_uri(registry_store)
    MlflowClient(tracking, tracking).delete_model_version("deleted", "1")
    assert external.registry_state(uri) == external.ABSENT
    assert registry.versions_of("deleted", registry_store) == []


def test_both_ways_to_ask_the_registry_agree(registry_store: str, model_dir: Path) -> None:
    registry.register(model_dir, name="agreed", store=registry_store, tags={}, metrics={})
    registry.set_champion("agreed", 1, "staging", registry_store)
    for kind, which in (("champion", "staging"), ("champion", "other"), ("version", "1"), ("version", "2")):
        store = registry.tracking_uri(registry_store)
        assert external._looked_up(store, "agreed", kind, which) == external._asked(store, "agreed", kind, which)
    tags = registry.version("agreed", 1, registry_store).tags
    assert external.version_tags(registry_store, "agreed", 1) == tags
    with pytest.raises(RegistryError, match=r"there is no version 2 of agreed in .*; versions there: 1"):
        external.version_tags(registry_store, "agreed", 2)


def test_a_registry_whose_file_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(RegistryError, match="cannot be read: file is not a database"):
        external.version_tags(str(tmp_path), "parts", 1)


def test_a_registry_that_is_absent_or_half_made_is_absent(tmp_path: Path) -> None:
    uri = external.champion_uri(str(tmp_path), "parts", "production")
    assert external.registry_state(uri) == external.ABSENT
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "mlflow.db").close()
    assert external.registry_state(uri) == external.ABSENT


def test_the_endpoint_changes_with_everything_that_lies_there(
    endpoint_store: Path, model_dir: Path, make_model: MakeModel
) -> None:
    uri = external.endpoint_uri(str(endpoint_store), "parts", "staging")
    assert uri == f"endpoint:{endpoint_store}#parts/staging"
    endpoint = Endpoint(endpoint_store, "parts", "staging")
    states = [external.endpoint_state(uri)]
    other = make_model(bias=1.0)
    for version, model in ((1, model_dir), (2, other)):
        slot = endpoint.place(model, version, digest_of(model))
        states.append(external.endpoint_state(uri))
        endpoint.finish(slot.name)
        states.append(external.endpoint_state(uri))
    (slot.folder / "model.json").unlink()
    states.append(external.endpoint_state(uri))
    assert states[0] == external.ABSENT
    assert len(set(states)) == len(states)
    (endpoint.folder / "state.json").unlink()
    assert external.endpoint_state(uri) == external.ABSENT


def test_what_is_written_is_what_is_there(registry_store: str, endpoint_store: Path, tmp_path: Path) -> None:
    uris = [
        external.endpoint_uri(str(endpoint_store), "parts", "staging"),
        external.champion_uri(registry_store, "never", "staging"),
    ]
    written = external.write_external(tmp_path, uris)
    assert json.loads((tmp_path / "external.json").read_text(encoding="utf-8")) == written
    assert written == [{"uri": uri, "sha256": external.ABSENT} for uri in uris]


@pytest.mark.parametrize(
    "uri", ["", "registry:", "registry:x#a/b", "registry:x#a/owner/b", "endpoint:/x#a/b", "x:y#a/champion/c"]
)
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"is no registry address|names neither"):
        external.registry_state(uri)


def test_a_folder_that_no_address_can_carry_is_refused() -> None:
    with pytest.raises(RegistryError, match="holds one of"):
        external.champion_uri("what?/registry", "parts", "staging")


@pytest.mark.parametrize("store", ["https://x/mlflow", "sqlite:////tmp/x.db", "azureml:workspace"])
def test_addresses_stay_as_they_are(store: str) -> None:
    assert registry.tracking_uri(store) == store
