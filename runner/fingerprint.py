"""Digests of what a phase depends on, the key made of them, and the words for what differs between two keys.

A phase whose key has been seen before has nothing new to compute. Each part is kept in the record, so that a reason
for running again can be named.
"""

import ast
import hashlib
import json
import platform
import re
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner import imports
from runner.errors import BadRequest
from runner.notebook import TAG, Notebook
from runner.parameters import is_address

ABSENT = "absent"
RESERVED_FOLDER = "_phase"
_SCHEMA = 1
_COUNTING_TAGS = ("raises-exception", "skip-execution")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIMEOUT = 20  # seconds to wait for an address


@dataclass(frozen=True)
class Inputs:
    """All that the outcome of a phase depends on.

    Attributes:
        notebook: Digest of its code.
        params: Values of the parameters that name no content.
        inputs: For each parameter that names content, the digest of it.
        code: Digests of the project's modules it uses, by path.
        lock: Digest of the lock file, if the pipeline names one.
        python: Version of the interpreter.
    """

    notebook: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: Mapping[str, str]
    lock: str | None
    python: str

    @property
    def key(self) -> str:
        """One digest over all of it."""
        return digest_of(asdict(self) | {"schema": _SCHEMA})


def digest_of(value: Any) -> str:
    """Give the sha256 of a plain value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def bytes_digest(content: bytes) -> str:
    """Give the sha256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """Give the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Give one sha256 over the names and bytes of all files in a folder, but for the reserved sub-folder."""
    lines = [f"{name}\0{_entry_digest(path)}\n" for name, path in sorted(_files(folder))]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def path_digest(path: Path) -> str:
    """Give the digest of a file or a folder, or "absent"."""
    if path.is_dir():
        return folder_digest(path)
    return file_digest(path) if path.is_file() else ABSENT


def input_digest(value: Any) -> str:
    """Give what an input's content counts by: bytes of a path, ETag or bytes of an address, otherwise the value itself.

    Raises:
        BadRequest: An address does not answer.
    """
    if not isinstance(value, str) or not value:
        return digest_of(value)
    if not is_address(value):
        return path_digest(Path(value))
    return _address_digest(value) if value.startswith(("http://", "https://")) else value


def notebook_digest(notebook: Notebook) -> str:
    """Give the sha256 of a notebook's code. Prose, outputs, comments, layout and the parameters cell do not count."""
    cells = [
        [_code(cell.source), [tag for tag in _COUNTING_TAGS if tag in cell.tags]]
        for cell in notebook.code
        if TAG not in cell.tags
    ]
    return digest_of([cell for cell in cells if cell[0]])


def code_digests(notebook: Notebook, root: Path, uses: tuple[str, ...]) -> dict[str, str]:
    """Give the digest of each of the project's files that a notebook uses, by its path in the project."""
    sources = [cell.source for cell in notebook.code]
    files = imports.project_code(sources, [notebook.path.parent, root], uses)
    names = {path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path): path for path in files}
    return {name: file_digest(names[name]) for name in sorted(names)}


def python_version() -> str:
    """Give the version of this interpreter, which is also the kernel's."""
    return platform.python_version()


def differences(phase: str, edges: Collection[str], old: Inputs, new: Inputs) -> list[str]:
    """Name what changed between two keys of a phase that reads the outputs of `edges`, most telling first."""
    reasons = []
    for name in sorted({*old.inputs, *new.inputs}):
        if old.inputs.get(name) != new.inputs.get(name):
            reasons.append(_input_reason(name, edges, old.inputs, new.inputs))
    for name in sorted({*old.params, *new.params}):
        before, after = old.params.get(name, ABSENT), new.params.get(name, ABSENT)
        if before != after or type(before) is not type(after):
            reasons.append(f"params {phase}.{name} {_shown(before)} → {_shown(after)}")
    if old.notebook != new.notebook:
        reasons.append("notebook code changed")
    for name in sorted({*old.code, *new.code}):
        if old.code.get(name) != new.code.get(name):
            change = "is new" if name not in old.code else "is no longer used" if name not in new.code else "changed"
            reasons.append(f"{name} {change}")
    if old.lock != new.lock:
        reasons.append("lock changed")
    if old.python != new.python:
        reasons.append(f"Python {old.python} → {new.python}")
    return reasons


def _input_reason(name: str, edges: Collection[str], old: Mapping[str, str], new: Mapping[str, str]) -> str:
    if name == "gates_path":
        return "gate evidence changed"
    if (upstream := name.removesuffix("_dir")) in edges:
        return f"{upstream}'s output changed"
    before, after = old.get(name, ABSENT), new.get(name, ABSENT)
    return f"{name} changed" if _DIGEST.fullmatch(after) else f"{name} {_named(before)} → {after}"


def _named(digest: str) -> str:
    return "a file" if _DIGEST.fullmatch(digest) else digest


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.strip() else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] != RESERVED_FOLDER and (path.is_file() or path.is_symlink()):
            yield name.as_posix(), path


def _entry_digest(path: Path) -> str:
    """Give the digest of a file; of a link, where it leads, and the file's that it leads to."""
    if not path.is_symlink():
        return file_digest(path)
    return f"{path.readlink()}\0{file_digest(path) if path.is_file() else ''}"


def _code(source: str) -> str:
    """Give a text that is equal for two sources that do the same; empty where there is nothing to do."""
    try:
        tree = ast.parse(source)
        return ast.dump(tree) if tree.body else ""
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a magic, or nested too deeply: its text counts
        return source.strip()


def _address_digest(url: str) -> str:
    try:
        head = urllib.request.Request(url, method="HEAD")  # noqa: S310  # http and https alone come here
        with urllib.request.urlopen(head, timeout=_TIMEOUT) as answer:  # noqa: S310
            if tag := answer.headers.get("ETag"):
                return f"etag:{tag}"
    except urllib.error.HTTPError:
        pass  # some servers answer no HEAD
    except OSError as error:
        raise BadRequest(f"{url} does not answer: {error}", next_step="trey plan, once it answers") from None
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310
            return hashlib.file_digest(answer, "sha256").hexdigest()
    except OSError as error:
        raise BadRequest(f"{url} cannot be read: {error}", next_step="trey plan, once it answers") from None
