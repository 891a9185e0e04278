"""The registry of a workspace: Microsoft's MLflow plug-in writes to run history, storage and MLflow, as on Azure ML."""

import os
from pathlib import Path

import pytest

from delivery import registry
from delivery.errors import ModelChanged

from ..azure.server import Azure
from ..fixtures_model import MakeModel, digest_of

GIVEN = {"tags": {"made_by": "a test"}, "metrics": {"accuracy": 0.99}}


def test_a_model_is_registered_read_back_and_made_champion(
    azure: Azure, model_dir: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    name, store = f"parts-{os.getpid()}", azure.address
    first = registry.register(model_dir, name=name, store=store, **GIVEN)
    assert (first.version, first.digest) == (1, digest_of(model_dir))
    assert registry.register(model_dir, name=name, store=store, **GIVEN) == first
    second = registry.register(make_model(bias=2.0), name=name, store=store, **GIVEN)
    assert second.version == 2
    registry.set_champion(name, 2, "production", store)
    fetched = registry.fetch(name, 1, store, tmp_path / "model")
    assert digest_of(fetched) == first.digest


def test_what_is_said_of_a_version_is_kept_once(azure: Azure, model_dir: Path, tmp_path: Path) -> None:
    new = registry.register(model_dir, name=f"told-{os.getpid()}", store=azure.address, **GIVEN)
    said = tmp_path / "DATASHEET.md"
    said.write_text("what it is for")
    assert registry.keep(new, [said], azure.address) == ["DATASHEET.md"]
    assert registry.keep(new, [said], azure.address) == []
    assert azure.data.storage.blob(f"ExperimentRun/dcid.{new.mlflow_run}/evidence/DATASHEET.md") == said.read_bytes()


def test_files_that_come_back_otherwise_are_no_model(azure: Azure, model_dir: Path, tmp_path: Path) -> None:
    name = f"changed-{os.getpid()}"
    new = registry.register(model_dir, name=name, store=azure.address, **GIVEN)
    azure.data.storage.put(f"ExperimentRun/dcid.{new.mlflow_run}/model/model.onnx", b"other bytes")
    with pytest.raises(ModelChanged):
        registry.fetch(name, 1, azure.address, tmp_path / "model")
