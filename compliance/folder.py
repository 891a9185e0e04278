"""The model folder: the exported file, the network, the card, and model.json, which names the sha256 of each.

The same contents give the same bytes, so that the model's digest (the sha256 of model.json) is its identity.
"""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compliance.scorer import INPUT, LABELS, MANIFEST, ONNX_FILE, OUTPUT, SCHEMA, model_digest, verify

if TYPE_CHECKING:
    import keras

KERAS_FILE = "model.keras"
CARD_FILE = "MODEL_CARD.md"
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold


def keras_archive(network: "keras.Model") -> bytes:
    """Give the .keras file of a network, to score with: its structure and weights, no optimizer, no times.

    The same network gives the same bytes.
    """
    import keras

    bare = keras.Model(network.inputs, network.outputs, name=network.name)  # not compiled: no optimizer is saved
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / KERAS_FILE
        bare.save(path)
        return _canonical_archive(path.read_bytes())


def write_model_folder(  # noqa: PLR0913  what a model consists of
    folder: Path,
    *,
    onnx: bytes,
    keras: bytes,
    card: str,
    name: str,
    threshold: float,
    maximum_length: int,
    provenance: Mapping[str, Any],
    metrics: Mapping[str, Any],
    datasheet: Mapping[str, Any],
) -> str:
    """Write a model folder, verify it, and give the model's digest.

    Args:
        folder: Where to write; created where it does not exist; files of an earlier model are replaced.
        onnx: The exported file, raw text in, probability out.
        keras: The network as `keras_archive` gives it.
        card: The model card.
        name: The model's name in the registry.
        threshold: Probability from which a text is non-compliant.
        maximum_length: Characters of a text that are read.
        provenance: Where the model comes from; no times and no folders, which would change the digest.
        metrics: What was measured on this very file.
        datasheet: What it is for, and made of; registration adds when and by whom.

    Raises:
        ModelCorrupt: The folder holds files of something else.
    """
    contents = {ONNX_FILE: onnx, KERAS_FILE: keras, CARD_FILE: card.encode()}
    manifest = {
        "schema": SCHEMA,
        "name": name,
        "labels": list(LABELS),
        "threshold": threshold,
        "input": INPUT,
        "output": OUTPUT,
        "maximum_length": maximum_length,
        "provenance": dict(provenance),
        "metrics": dict(metrics),
        "datasheet": dict(datasheet),
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    write_json(folder / MANIFEST, manifest)
    verify(folder)
    return model_digest(folder)


def provenance(data: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """Gather where a model comes from.

    Args:
        data: The data report of the prepare phase.
        training: The training report of the train phase.
    """
    from_data = {name: data[name] for name in ("source", "source_sha256", "data_digest", "split", "counts", "rejected")}
    names = ("architecture", "tokens", "seed", "hyperparameters", "vocabulary_size", "versions")
    return from_data | {name: training[name] for name in names}


def write_json(path: Path, content: Any) -> None:
    """Write JSON whose bytes follow from its values: keys sorted, two spaces, no NaN.

    Raises:
        ValueError: A number in it is not finite.
    """
    text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _canonical_archive(archive: bytes) -> bytes:
    """Write a .keras archive again without what differs from process to process: times, and addresses in memory."""
    rewrite = {"metadata.json": _without_moment, "config.json": _with_numbered_objects}
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(written, "w") as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name in rewrite:
                content = json.dumps(rewrite[name](json.loads(content)), sort_keys=True).encode()
            target.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    return written.getvalue()


def _without_moment(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != "date_saved"}


def _with_numbered_objects(config: Any) -> Any:
    """Number shared objects in the order in which they appear; Keras writes their addresses."""
    numbers: dict[int, int] = {}

    def renumber(part: Any) -> Any:
        if isinstance(part, list):
            return [renumber(value) for value in part]
        if not isinstance(part, dict):
            return part
        return {
            key: numbers.setdefault(value, len(numbers)) if key == "shared_object_id" else renumber(value)
            for key, value in part.items()
        }

    return renumber(config)
