"""The model folder names every file, and the same model has the same digest."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from compliance import folder
from compliance.scorer import ModelCorrupt, Scorer, model_digest, verify

from .conftest import Tiny


def write(place: Path, tiny: Tiny, **changes: Any) -> str:
    settings: dict[str, Any] = {
        "onnx": tiny.onnx,
        "keras": tiny.keras,
        "card": "# A card, déjà vu\n",
        "name": "parts",
        "threshold": 0.5,
        "maximum_length": 10_000,
        "provenance": {"data_digest": "d", "seed": 7},
        "metrics": {"accuracy": 0.9},
        "datasheet": {"contact": "quality@plant-7.example"},
    }
    return folder.write_model_folder(place, **(settings | changes))


def test_a_model_folder_is_complete_and_loads(tiny: Tiny, tmp_path: Path) -> None:
    digest = write(tmp_path / "model", tiny)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "MODEL_CARD.md",
        "model.json",
        "model.keras",
        "model.onnx",
    ]
    manifest = verify(tmp_path / "model", expected=digest)
    assert manifest["name"] == "parts"
    assert manifest["files"]["model.onnx"] == hashlib.sha256(tiny.onnx).hexdigest()
    assert Scorer.load(tmp_path / "model").digest == digest


def test_the_same_model_has_the_same_digest_wherever_it_lies(tiny: Tiny, tmp_path: Path) -> None:
    assert write(tmp_path / "here", tiny) == write(tmp_path / "there" / "deep", tiny)


@pytest.mark.parametrize(
    "change", [{"card": "other"}, {"threshold": 0.4}, {"provenance": {}}, {"name": "b"}, {"datasheet": {}}]
)
def test_another_model_has_another_digest(tiny: Tiny, tmp_path: Path, change: dict[str, Any]) -> None:
    assert write(tmp_path / "one", tiny) != write(tmp_path / "other", tiny, **change)


def test_an_earlier_model_is_replaced(tiny: Tiny, tmp_path: Path) -> None:
    write(tmp_path, tiny, threshold=0.4)
    digest = write(tmp_path, tiny)
    assert model_digest(tmp_path) == digest


def test_a_folder_that_holds_something_else_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelCorrupt, match=r"notes\.txt is not named in model\.json"):
        write(tmp_path, tiny)


def test_json_is_canonical_and_holds_no_nan(tmp_path: Path) -> None:
    folder.write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "a": "é",\n  "b": 1\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.write_json(tmp_path / "a.json", {"a": float("nan")})


def test_an_archive_holds_neither_times_nor_an_optimizer(tiny: Tiny) -> None:
    with zipfile.ZipFile(io.BytesIO(tiny.keras)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert list(json.loads(archive.read("metadata.json"))) == ["keras_version"]
        assert json.loads(archive.read("config.json"))["compile_config"] == {}


def test_provenance_is_taken_from_both_reports() -> None:
    data = {"source": "parts.csv", "source_sha256": "s", "data_digest": "d", "split": {"by": "text"}}
    data |= {"counts": {"rows_read": 3}, "rejected": {"the text is empty": 1}, "columns": {"text": "text"}}
    names = ("architecture", "tokens", "seed", "hyperparameters", "vocabulary_size", "versions")
    training = {name: name for name in names} | {"validation_loss": 0.1}
    assert folder.provenance(data, training) == {
        "source": "parts.csv",
        "source_sha256": "s",
        "data_digest": "d",
        "split": {"by": "text"},
        "counts": {"rows_read": 3},
        "rejected": {"the text is empty": 1},
        **{name: name for name in names},
    }
