"""The code that travels: what git tracks of the project, without what .amlignore names, and the run's parameters."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cloud.workspace import VARIABLE
from runner import fingerprint, yaml_file
from runner.errors import BadRequest
from runner.pipeline import Pipeline

PARAMS = "_trey"  # folder in the snapshot: one params file for each phase
IGNORE = ".amlignore"
_ROOMS = ("runner/", "cloud/")  # what `python -m runner` needs on the compute
_BEGINNING = "runner/__main__.py"
_COMMIT = "TREY_COMMIT"  # a snapshot is no checkout: what git would tell, delivery.release reads here
# What a project grows that is no code, where nothing tells what is tracked. What begins with a full stop stays, too.
_GROWN = {"runs", "registry", "endpoints", "collected", "build", "node_modules", "__pycache__"}


def told(workspace: str, commit: str | None) -> dict[str, str]:
    """Give the variables that tell a phase which workspace it is in, and which commit its snapshot is of, if any."""
    return {VARIABLE: workspace} | ({_COMMIT: commit} if commit else {})


def check(pipeline: Pipeline, code: Iterable[str], conda: Path) -> None:
    """Look whether all that a run needs would travel: its phases' code, and what its environment is built from.

    Raises:
        BadRequest: Something would stay behind; every fault is listed.
    """
    own = [conda.relative_to(pipeline.root).as_posix()] if conda.is_relative_to(pipeline.root) else []
    names(pipeline, [*own, *code])


def names(pipeline: Pipeline, needed: Iterable[str] = ()) -> list[str]:
    """Name the files that travel; the runner is among them, or no phase could begin.

    Args:
        pipeline: Whose code.
        needed: Files of the project that a phase uses, by their names in it.

    Raises:
        BadRequest: A file that a phase needs would stay behind; every fault is listed.
    """
    root = pipeline.root
    tracked = [name for name in _tracked(root) if (root / name).is_file()]
    # The SDK would read a second time what such files leave out, and of .gitignore what git tracks all the same.
    tracked = [name for name in tracked if Path(name).name not in {IGNORE, ".gitignore"}]
    ignored = _ignored(root, tracked)
    kept = [name for name in tracked if name not in ignored]
    paths = [pipeline.path, *(pipeline.notebooks[phase].path for phase in pipeline.every)]
    own = (path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths)
    rooms = (name for name in tracked if name.startswith(_ROOMS) and name.endswith(".py"))
    lacking = sorted({*own, _BEGINNING, *rooms, *needed} - set(kept))
    faults = [
        f"{name} would stay behind: {f'{IGNORE} leaves it out' if name in ignored else 'git does not track it'}"
        for name in lacking
    ]
    if faults:
        step = f"git add what is missing, or mend {IGNORE}, and type the same command"
        raise BadRequest(*faults, next_step=step)
    return kept


def write(
    pipeline: Pipeline, folder: Path, params: Mapping[str, Mapping[str, Any]], needed: Iterable[str] = ()
) -> None:
    """Copy the code into a folder, which is made, with a params file for each phase beside it.

    Raises:
        BadRequest: A file that a phase needs would stay behind.
    """
    for name in names(pipeline, needed):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pipeline.root / name, target)
    (folder / PARAMS).mkdir(parents=True)
    for phase, values in params.items():
        text = yaml_file.dump({phase: values}).encode("utf-8", "surrogatepass")
        (folder / PARAMS / f"{phase}.yaml").write_bytes(text)


def digests(folder: Path) -> dict[str, str]:
    """Give the digest of each file of a snapshot but for the parameters, by its name in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: fingerprint.file_digest(path) for name, path in found.items() if not name.startswith(f"{PARAMS}/")}


def _tracked(root: Path) -> list[str]:
    """Name the files that git tracks below a folder; without git, all but what is no code."""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--", "."]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    except OSError:
        done = None
    if done and done.returncode == 0 and done.stdout:
        return sorted(set(os.fsdecode(done.stdout).split("\0")) - {""})
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not any(part in _GROWN or part.startswith(".") for part in path.relative_to(root).parts)
    )


def _ignored(root: Path, names: list[str]) -> set[str]:
    """Name the files that .amlignore leaves out, by the rules of .gitignore, as Azure ML reads it."""
    path = root / IGNORE
    if not path.is_file():
        return set()
    import pathspec

    spec = pathspec.PathSpec.from_lines("gitwildmatch", path.read_text(encoding="utf-8").splitlines())
    return {name for name in names if spec.match_file(name)}
