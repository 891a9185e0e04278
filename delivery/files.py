"""Files that are whole or absent, whenever a process dies; and the identity of a model folder.

The digest of a model is the sha256 of its model.json, which holds the sha256 of every other file. The scorer verifies
the same before it answers; here it is checked again wherever a model changes hands.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from delivery.errors import ModelChanged

MANIFEST = "model.json"


def canonical(value: Any) -> bytes:
    """Give the one JSON form of this room's records: sorted keys, two spaces, a newline at the end."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, and a power cut leaves one of them."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def copy_folder(source: Path, destination: Path) -> None:
    """Copy a folder of plain files, whole and on the disk when this returns; `destination` must not exist."""
    shutil.copytree(source, destination)
    for path in sorted(destination.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(destination)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(content: bytes) -> str:
    """Give the sha256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def model_manifest(model_dir: Path, expected: str | None = None) -> tuple[dict[str, Any], str]:
    """Check every file of a model folder against its model.json; give what that says, and the model's digest.

    Args:
        model_dir: The folder.
        expected: The digest it must have, where the caller knows it.

    Raises:
        ModelChanged: A file is missing, added or changed, or the digest is another.
    """
    try:
        content = (model_dir / MANIFEST).read_bytes()
        manifest = json.loads(content)
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _changed(model_dir, f"{MANIFEST} cannot be read: {error!r}") from error
    digest = sha256(content)
    if expected is not None and digest != expected:
        raise _changed(model_dir, f"its digest is {digest}; {expected} was expected")
    if faults := list(_faults(model_dir, files)):
        raise _changed(model_dir, *faults)
    return manifest, digest


def _faults(model_dir: Path, files: dict[str, str]) -> Iterator[str]:
    present = {path.relative_to(model_dir).as_posix() for path in model_dir.rglob("*") if not path.is_dir()}
    for name in sorted(present ^ (files.keys() | {MANIFEST})):
        yield f"{name} is {'not named in ' + MANIFEST if name in present else 'missing'}"
    for name in sorted(present & files.keys()):
        if (found := sha256((model_dir / name).read_bytes())) != files[name]:
            yield f"{name} was changed: its sha256 is {found}, {MANIFEST} says {files[name]}"


def _changed(model_dir: Path, *faults: str) -> ModelChanged:
    lines = "\n".join(f"  {fault}" for fault in faults)
    return ModelChanged(f"{model_dir} is no intact model:\n{lines}\nEvaluate anew: trey run --from evaluate")
