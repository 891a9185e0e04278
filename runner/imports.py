"""Finds the project's own code that a notebook imports, transitively, by reading it. Nothing is imported.

Installed packages do not count: the lock stands for them.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path


def project_code(sources: Iterable[str], folders: Sequence[Path], uses: Iterable[str] = ()) -> set[Path]:
    """Give the files that these sources import from these folders, directly or through one another.

    An `__init__.py` on the way counts, and so does an import inside a function. Imports by a computed name are not
    seen: pipeline.yaml's `uses` names such modules.

    Args:
        sources: Python, or IPython: a source with magics is read without those lines.
        folders: Where modules are looked for, in this order: the notebook's folder, the project's.
        uses: Modules that count besides; of a package, all of it.
    """
    found: set[Path] = set()
    waiting = [path for source in sources for name in _imports(source, "") for path in _files(name, folders)]
    waiting += [path for name in uses for path in _whole(name, folders)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        names = _imports_of(path.read_text(encoding="utf-8"), _package(path))
        waiting += [imported for name in names for imported in _files(name, folders)]
    return found


@lru_cache(maxsize=4096)
def _imports_of(source: str, package: str) -> tuple[str, ...]:
    return tuple(_imports(source, package))


def parse(source: str) -> ast.Module | None:
    """Parse a cell's source; None where it is no Python even without its magics."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    plain = "\n".join("pass" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
    try:
        return ast.parse(plain)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imports(source: str, package: str) -> Iterator[str]:
    """Give the dotted names that a source imports; `from a import b` gives a and a.b, whichever of them is a module."""
    tree = parse(source)
    for node in ast.walk(tree) if tree else ():
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _absolute(module or "", level, package)
                yield base
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str() as name), *_]):
                yield name


def _absolute(module: str, level: int, package: str) -> str:
    if level == 0:
        return module
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


def _files(name: str, folders: Sequence[Path]) -> list[Path]:
    """Give the files that importing this dotted name runs; none where the project has no such module."""
    parts = name.split(".")
    for folder in folders:
        files = []
        for depth in range(1, len(parts) + 1):
            place = folder.joinpath(*parts[:depth])
            if (init := place / "__init__.py").is_file():
                files.append(init)
            elif (module := place.with_name(f"{place.name}.py")).is_file():
                files.append(module)
                break
            elif not place.is_dir() or not name:
                break
        if files:
            return files
    return []


def _whole(name: str, folders: Sequence[Path]) -> list[Path]:
    parts = name.split(".")
    for folder in folders:
        if (package := folder.joinpath(*parts)).is_dir():
            return [*_files(name, folders), *package.rglob("*.py")]
    return _files(name, folders)


def _package(path: Path) -> str:
    """Give the dotted name of the package that a file belongs to; empty for a module beside none."""
    parts: list[str] = []
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)
