"""Reads a notebook as it stands on disk, and the parameters its `parameters` cell declares. Nothing is executed.

    test_share: float = 0.15  # share kept for the final judgement, between 0 and 1

declares one. Only such lines may stand in the cell: a name, a type (or none: then the default decides), a literal, and
a comment, whose last clause may bound the number (`runner.constraints`).
"""

import ast
import io
import json
import math
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from runner import annotations, constraints
from runner.constraints import Constraint
from runner.errors import BadRequest

TAG = "parameters"
INJECTED_TAG = "injected-parameters"  # of the cell with the values of a run
TIMEOUT_TAG = "timeout"
BANNER_TAG = "papermill-error-cell-tag"  # of a cell that says, on top of a notebook, why it failed
REQUIRED: Any = type("Required", (), {"__repr__": lambda _: "REQUIRED"})()


@dataclass(frozen=True)
class Parameter:
    """One declared parameter.

    Attributes:
        type: The annotation as written, or the type of the default.
        default: The literal, or REQUIRED where there is none.
        help: The trailing comment, without the constraint.
        line: Its line in the cell, from 1.
        constraint: What its numbers must keep, as the comment states it.
    """

    name: str
    type: str
    default: Any
    help: str
    line: int
    constraint: Constraint | None = None

    def coerce(self, value: Any) -> Any:
        """Give a value as the declaration wants it.

        Raises:
            Mismatch: It is of another type, or breaks the constraint; the message says what arrived and was allowed.
        """
        value = annotations.coerce(self.type, value)
        if self.constraint:
            for number in self.constraint.breaches(value):
                raise annotations.Mismatch(f"{number}; allowed is {self.constraint.text}")
        return value


@dataclass(frozen=True)
class Cell:
    """One cell: "code", "markdown" or "raw"."""

    kind: str
    source: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notebook:
    """A notebook and what it declares."""

    path: Path
    content: bytes = field(repr=False)
    cells: tuple[Cell, ...] = field(repr=False)

    @property
    def phase(self) -> str:
        """The phase is named after the file."""
        return self.path.stem

    @property
    def code(self) -> tuple[Cell, ...]:
        """The code cells, in order."""
        return tuple(cell for cell in self.cells if cell.kind == "code")

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """What the `parameters` cell declares, by name and in order. Without such a cell: nothing.

        Raises:
            BadRequest: The cell holds something else than declarations; every fault is listed.
        """
        tagged = [cell for cell in self.code if TAG in cell.tags]
        if len(tagged) > 1:
            raise self._fault(f"{len(tagged)} cells are tagged `{TAG}`; one was expected")
        if not tagged:
            return {}
        declared, faults = declarations(tagged[0].source)
        if faults:
            raise self._fault(*faults)
        return {parameter.name: parameter for parameter in declared}

    def check_tags(self) -> None:
        """Check the tags that mean something to the runner.

        Raises:
            BadRequest: One is malformed; every fault is listed.
        """
        faults = []
        for index, cell in enumerate(self.cells):
            try:
                time_limit(cell.tags)
            except ValueError as error:
                faults.append(f"cell {index}: {error}")
        if faults:
            raise self._fault(*faults, mend="the tags of that cell")

    def _fault(self, *faults: str, mend: str = f"its `{TAG}` cell") -> BadRequest:
        step = f"open {self.path} and mend {mend}"
        return BadRequest(*(f"{self.path.name}: {fault}" for fault in faults), next_step=step)


def read(path: Path) -> Notebook:
    """Read a notebook of format 4.

    Raises:
        BadRequest: The file is absent or no such notebook.
    """
    try:
        content = path.read_bytes()
        document = json.loads(content)
        if document["nbformat"] != 4:  # noqa: PLR2004
            raise ValueError(f"its format is {document['nbformat']}")
        cells = tuple(_cell(cell) for cell in document["cells"])
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror}", next_step="trey plan") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        step = f"open {path} in JupyterLab and save it again"
        raise BadRequest(f"{path} is no notebook of format 4: {error!r}", next_step=step) from None
    return Notebook(path, content, cells)


def time_limit(tags: Iterable[str]) -> float | None:
    """Give the seconds that a cell's tag `timeout=SECONDS` allows it; None without one.

    Raises:
        ValueError: What stands there is no number of seconds above 0.
    """
    for tag in tags:
        name, equals, text = tag.partition("=")
        if name == TIMEOUT_TAG and equals:
            try:
                seconds = float(text)
            except ValueError:
                seconds = math.nan
            if not 0 < seconds < math.inf:
                raise ValueError(f"the tag `{tag}` gives no number of seconds above 0, such as `{TIMEOUT_TAG}=60`")
            return seconds
    return None


def own_cells(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the cells of an executed notebook as they were executed and as the record counts them: without its banner.

    That is the prose on top of it. A cell with the same tag anywhere else was executed, and what it glued counts.
    """
    cells: list[dict[str, Any]] = document["cells"]
    first = cells[0] if cells else {}
    tagged = BANNER_TAG in first.get("metadata", {}).get("tags", [])
    return cells[1:] if tagged and first["cell_type"] == "markdown" else cells


def banner(document: Mapping[str, Any], cause: str, message: str) -> dict[str, Any]:
    """Make the cell that stands on top of a notebook that did not succeed; papermill takes it away on a next run.

    Args:
        document: The executed notebook, whose cells have papermill's marks.
        cause: The cause, as the record has it.
        message: What it says.
    """
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    left = sum(cell["metadata"]["papermill"]["status"] == "pending" for cell in code)
    after = f" {left} of {len(code)} code cells never ran." if left else ""
    said = message.replace("~~~", "")
    text = f"**This notebook did not succeed** ({cause}).{after}\n\n~~~\n{said}\n~~~"
    cell = {"cell_type": "markdown", "metadata": {"tags": [BANNER_TAG]}, "source": text}
    has_ids = document["nbformat_minor"] >= 5  # noqa: PLR2004  cells have ids since 4.5
    return {"id": "banner", **cell} if has_ids else cell


def declarations(source: str) -> tuple[list[Parameter], list[str]]:
    """Parse the source of a `parameters` cell.

    Returns:
        The parameters in order, and a sentence for each line that declares none.
    """
    try:
        tree = ast.parse(source)
        helps = _comments(source)
    except SyntaxError as error:
        where = f"line {error.lineno} of the" if error.lineno else "the"
        return [], [f"{where} `{TAG}` cell is no Python: {error.msg}"]
    except (ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:  # half a character, too deep
        return [], [f"the `{TAG}` cell is no Python: {error}"]
    found: dict[str, Parameter] = {}
    faults = []
    for statement in tree.body:
        try:
            parameter = _declaration(statement, helps.get(statement.end_lineno or statement.lineno, ""))
        except ValueError as error:
            faults.append(f"line {statement.lineno} of the `{TAG}` cell: {error}")
            continue
        except RecursionError:
            faults.append(f"line {statement.lineno} of the `{TAG}` cell is nested too deeply")
            continue
        if parameter and parameter.name in found:
            faults.append(f"line {statement.lineno} of the `{TAG}` cell declares {parameter.name} a second time")
        elif parameter:
            found[parameter.name] = parameter
    return list(found.values()), faults


def _cell(cell: dict[str, Any]) -> Cell:
    source = cell["source"]
    tags = cell.get("metadata", {}).get("tags", [])
    return Cell(cell["cell_type"], source if isinstance(source, str) else "".join(source), tuple(map(str, tags)))


def _declaration(statement: ast.stmt, comment: str) -> Parameter | None:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):  # a docstring says something and declares nothing
            return None
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
            text = ast.unparse(annotation)
            annotations.check_known(text)
            default = REQUIRED if value is None else _literal(name, value)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            default = _literal(name, value)
            text = annotations.inferred(default)
        case _:
            raise ValueError(f"`{ast.unparse(statement).splitlines()[0][:60]}` is no `name: type = literal`")
    words, constraint = constraints.read(comment)
    if constraint and not annotations.wants_number(text):
        raise ValueError(f"`{constraint.text}` bounds {name}, which is {text} and no number")
    parameter = Parameter(name, text, default, words, statement.lineno, constraint)
    if default is REQUIRED:
        return parameter
    try:
        return replace(parameter, default=parameter.coerce(default))
    except annotations.Mismatch as error:
        raise ValueError(f"the default of {name} is {error}") from None


def _literal(name: str, node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ValueError(f"the default of {name}, `{ast.unparse(node)[:60]}`, is no literal") from None
    annotations.check_plain(value)
    return value


def _comments(source: str) -> dict[int, str]:
    """Give the comment that ends each line, by line number from 1."""
    tokens = tokenize.generate_tokens(io.StringIO(source, newline=None).readline)  # lines end as ast sees them
    return {token.start[0]: token.string.lstrip("#").strip() for token in tokens if token.type == tokenize.COMMENT}
