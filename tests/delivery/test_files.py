"""Files that are whole or absent, and folders that are what their model.json says."""

from pathlib import Path

import pytest

from delivery.errors import ModelChanged
from delivery.files import canonical, copy_folder, model_manifest, write_atomic

from ..fixtures_model import MakeModel, digest_of


def test_records_have_one_form() -> None:
    assert canonical({"b": [1], "a": "é"}) == '{\n  "a": "é",\n  "b": [\n    1\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(float("nan"))


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for content in (b"one", b"two"):
        write_atomic(path, content)
        assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomic(path, b"one")
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_copy_is_complete(model_dir: Path, tmp_path: Path) -> None:
    copy_folder(model_dir, tmp_path / "copy")
    manifest, digest = model_manifest(tmp_path / "copy")
    assert digest == digest_of(model_dir)
    assert manifest["name"] == "parts"


def test_every_difference_is_listed(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "MODEL_CARD.md").unlink()
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelChanged) as changed:
        model_manifest(folder)
    for fault in ("MODEL_CARD.md is missing", "notes/a.txt is not named in model.json", "model.onnx was changed"):
        assert fault in str(changed.value)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"files": 3}'])
def test_a_folder_without_a_sound_manifest_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelChanged, match=r"model\.json cannot be read"):
        model_manifest(tmp_path)


def test_the_scorer_sees_the_same_identity(model_dir: Path) -> None:
    from compliance.scorer import model_digest

    assert model_manifest(model_dir)[1] == model_digest(model_dir)
