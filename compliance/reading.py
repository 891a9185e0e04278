"""Reads a table of descriptions in chunks: a CSV file, a CSV behind a URL, or generated rows.

Nothing is judged here but whether the source can be read at all. A record that cannot be read stays in the table,
with its `fault`, so that it is counted and listed as the other refused rows are.
"""

import codecs
import csv
import difflib
import hashlib
import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pandas as pd

from compliance.errors import BadInput
from compliance.generators import GENERATED, GENERATORS

CHUNK = 50_000  # rows held at once
SLICE = "slice_"  # beginning of the names under which slice columns are taken
DOWNLOAD_TIMEOUT = 30.0  # seconds without an answer
LONGEST_FIELD = 64 * 1024 * 1024  # characters; past this a quote was left open
OTHER_DELIMITERS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}  # character -> how to type it
PACKED = {b"PK": "an Excel workbook or a zip", b"\xd0\xcf": "an old Excel workbook", b"\x1f\x8b": "packed with gzip"}
BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Layout:
    """Where a source holds what, and which values it uses.

    Rows whose `keep_column` holds none of `keep_values` are set aside unjudged; an empty `keep_column` keeps all rows.
    Rows whose `future_column` holds one of `future_values` are the future set: judged, and in no split. `slice_columns`
    are taken along.
    """

    text_column: str = "text"
    label_column: str = "label"
    noncompliant_value: str = "1"
    compliant_value: str = "0"
    keep_column: str = ""
    keep_values: Sequence[str] = ()
    future_column: str = ""
    future_values: Sequence[str] = ()
    slice_columns: Sequence[str] = ()
    delimiter: str = ","
    encoding: str = "utf-8"
    maximum_length: int = 10_000  # characters of a text

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, all at once."""
        if faults := list(self._faults()):
            raise BadInput(*faults)

    def _faults(self) -> Iterator[str]:
        if self.noncompliant_value == self.compliant_value:
            yield (
                f"noncompliant_value and compliant_value are both {self.compliant_value!r}; they must differ: "
                "--set prepare.noncompliant_value=VALUE"
            )
        if self.text_column == self.label_column:
            yield (
                f"text_column and label_column are both {self.text_column!r}; give two columns: "
                "--set prepare.label_column=NAME"
            )
        for part in ("keep", "future"):
            column, values = getattr(self, f"{part}_column"), list(getattr(self, f"{part}_values"))
            if bool(column) != bool(values):
                yield (
                    f"{part}_column is {column!r} and {part}_values is {values!r}; "
                    f'give both or neither: --set prepare.{part}_column=NAME --set "prepare.{part}_values=[VALUE]"'
                )
        both = set(self.keep_values) & set(self.future_values) if self.keep_column == self.future_column else set()
        if both:
            yield (
                f"{sorted(both)} of {self.keep_column} stand in keep_values and in future_values; "
                "a row is in one of them: "
                '--set "prepare.future_values=[VALUE]"'
            )
        if len(set(self.slice_columns)) < len(self.slice_columns):
            yield (
                f"slice_columns is {list(self.slice_columns)!r}; name each column once: "
                '--set "prepare.slice_columns=[NAME]"'
            )
        if len(self.separator) != 1 or self.separator in '"\r\n':
            yield f"delimiter is {self.delimiter!r}; give one character, such as ; or \\t: --set prepare.delimiter=';'"
        if not _is_text_encoding(self.encoding):
            yield f"encoding is {self.encoding!r}, which is none; for instance: --set prepare.encoding=cp1252"
        if self.maximum_length < 1:
            yield (
                f"maximum_length is {self.maximum_length}; give a number of characters above 0: "
                "--set prepare.maximum_length=10000"
            )

    @property
    def separator(self) -> str:
        """The delimiter itself, also where it was typed as backslash and t."""
        return "\t" if self.delimiter == "\\t" else self.delimiter


@dataclass(frozen=True)
class Advice:
    """What a fault tells to do about it: where the layout is that of prepare's parameters, which of them to set.

    Attributes:
        source: To read something else.
        rows: To generate other rows.
        column: About a column that is not there; `parameter` and `wanted` name it, `near` is one that is.
        delimiter: About fields that are delimited by something else, which is `typed` so.
        encoding: About bytes in another encoding, which is `named`.
        undecodable: About bytes in an encoding that is not known.
    """

    source: str = "--set prepare.source=PATH.csv"
    rows: str = "--set prepare.rows=2000"
    column: str = "--set prepare.{parameter}={near}"
    delimiter: str = "--set prepare.delimiter='{typed}'"
    encoding: str = "--set prepare.encoding={named}"
    undecodable: str = "say what it is, for instance: --set prepare.encoding=cp1252"


OF_PREPARE = Advice()


class Source:
    """A source that is read in chunks, as often as is wanted.

    Attributes:
        name: The source without folders, user names or query, which may name people or hold secrets.
        sha256: Digest of the file's bytes; None for generated rows.
    """

    def __init__(self, name: str, sha256: str | None, rows: "_Rows"):
        self.name = name
        self.sha256 = sha256
        self._rows = rows

    def chunks(self, size: int = CHUNK) -> Iterator[pd.DataFrame]:
        """Give its rows, `size` at a time.

        Yields:
            `row` (1-based data row), `line` (of the file, where the record starts), as text each column that was asked
            for, and `fault` ("" where the record is readable).

        Raises:
            BadInput: The source cannot be decoded, holds no rows, lacks a column, or ends inside of a quote.
        """
        return self._rows.chunks(size)

    def head(self, rows: int = 5) -> pd.DataFrame:
        """Give its first rows.

        Raises:
            BadInput: They cannot be read.
        """
        return next(self.chunks(rows))


class _Rows(Protocol):
    def chunks(self, size: int) -> Iterator[pd.DataFrame]: ...


def columns(layout: Layout, by: str = "") -> dict[str, tuple[str, str]]:
    """Give which columns are taken: name here -> (parameter that names it, name in the source).

    Args:
        layout: Where the source holds what.
        by: One more column, which the split goes by; "" for none.
    """
    wanted = {
        "text": ("text_column", layout.text_column),
        "label": ("label_column", layout.label_column),
        "keep": ("keep_column", layout.keep_column),
        "future": ("future_column", layout.future_column),
        "by": ("split_column", by),
        **{SLICE + name: ("slice_columns", name) for name in layout.slice_columns},
    }
    return {column: (parameter, name) for column, (parameter, name) in wanted.items() if name}


def open_source(  # noqa: PLR0913 - most by name
    source: str,
    layout: Layout,
    wanted: Mapping[str, tuple[str, str]],
    *,
    rows: int = 2_000,
    seed: int = 7,
    advice: Advice = OF_PREPARE,
) -> Source:
    """Open a source; an address is fetched.

    Args:
        source: Path of a CSV file, http(s) address of one, or `generated:NAME`.
        layout: How the file is written.
        wanted: Which columns to take, as `columns` gives them.
        rows: How many rows to generate; no other source heeds it.
        seed: Seed of the generator.
        advice: What faults tell to do.

    Raises:
        BadInput: It is not there or cannot be fetched.
    """
    if source.startswith(GENERATED):
        return Source(source, None, _Generated(source, wanted, rows, seed, advice))
    if source.lower().startswith(("http://", "https://")):
        folder = tempfile.TemporaryDirectory()  # goes with the object that holds it
        path = Path(folder.name) / "download"
        _download(source, path, advice)
        return Source(_public(source), _digest(path), _Csv(path, _public(source), layout, wanted, advice, folder))
    path = Path(source)
    _check_path(path, advice)
    return Source(path.name, _digest(path), _Csv(path, source, layout, wanted, advice))


@lru_cache(maxsize=1)  # a source is read several times; nobody changes what it gives
def _made(name: str, rows: int, seed: int) -> pd.DataFrame:
    return GENERATORS[name](rows, seed)


@dataclass(frozen=True)
class _Generated:
    """Rows that are made up."""

    source: str
    wanted: Mapping[str, tuple[str, str]]
    rows: int
    seed: int
    advice: Advice

    def __post_init__(self) -> None:
        name = self.source.removeprefix(GENERATED)
        if name not in GENERATORS:
            allowed = ", ".join(GENERATED + known for known in GENERATORS)
            raise BadInput(
                f"source is {self.source!r}; generated sources are: {allowed}. {self.advice.source} takes a file"
            )
        if self.rows < 1:
            raise BadInput(f"rows is {self.rows}; give a number above 0: {self.advice.rows}")

    def chunks(self, size: int) -> Iterator[pd.DataFrame]:
        made = _made(self.source.removeprefix(GENERATED), self.rows, self.seed)
        _check_header(list(made.columns), self.wanted, self.source, ",", self.advice)
        numbers = np.arange(1, self.rows + 1)  # the lines are those it would have in a CSV, below a header
        taken = {column: made[name] for column, (_, name) in self.wanted.items()}
        frame = pd.DataFrame({"row": numbers, "line": numbers + 1, **taken, "fault": ""})
        for first in range(0, self.rows, size):
            yield frame.iloc[first : first + size]


@dataclass(frozen=True)
class _Csv:
    """The records of a file."""

    path: Path
    name: str
    layout: Layout
    wanted: Mapping[str, tuple[str, str]]
    advice: Advice
    folder: "tempfile.TemporaryDirectory[str] | None" = None  # of a downloaded file

    def chunks(self, size: int) -> Iterator[pd.DataFrame]:
        # utf-8-sig drops a byte-order mark, which would otherwise become part of the first column's name
        encoding = "utf-8-sig" if codecs.lookup(self.layout.encoding).name == "utf-8" else self.layout.encoding
        try:
            with self.path.open(encoding=encoding, newline="") as stream, _longest_field(LONGEST_FIELD):
                records = _records(stream, self.layout.separator, self.name)
                yield from _frames(records, self, size)
        except UnicodeError as error:
            raise BadInput(_undecodable(self.path, self.name, self.layout.encoding, error, self.advice)) from error
        except OSError as error:
            raise BadInput(f"{self.name} cannot be read: {error.strerror}; check its permissions") from error


def _records(stream: Iterator[str], delimiter: str, name: str) -> Iterator[tuple[int, list[str] | str]]:
    """Give the first line of each record and its fields, or the reason why it has none."""
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error) or "field limit" in str(error):
                raise BadInput(
                    f'{name}, line {line}: a quote (") opened in this record is never closed; '
                    'close it, or double it ("") where it belongs to the text'
                ) from error
            yield line, f"its quotes do not match (lines {line} to {reader.line_num}): {error}"


def _frames(records: Iterator[tuple[int, list[str] | str]], table: _Csv, size: int) -> Iterator[pd.DataFrame]:
    wanted, name, delimiter = table.wanted, table.name, table.layout.separator
    header = next((fields for _, fields in records if fields), None)
    if header is None:
        raise BadInput(f"{name} is empty; a CSV with a header and rows was expected")
    if isinstance(header, str):
        raise BadInput(f"{name}: the header cannot be read, {header}; mend the first line")
    header = [column.strip() for column in header]
    _check_header(header, wanted, name, delimiter, table.advice)

    places = [header.index(column) for _, column in wanted.values()]
    first = 1
    held = (_taken(line, fields, places, len(header), delimiter) for line, fields in records if fields)
    while read := list(islice(held, size)):
        frame = pd.DataFrame(read, columns=["line", *wanted, "fault"])
        frame.insert(0, "row", np.arange(first, first + len(read)))
        first += len(read)
        yield frame
    if first == 1:
        raise BadInput(f"{name} has a header and no rows; labelled rows were expected below it")


def _taken(line: int, fields: list[str] | str, places: list[int], width: int, delimiter: str) -> tuple[int | str, ...]:
    """Give line, the fields that are wanted, and the fault; of a record that cannot be read, what there is as text."""
    if isinstance(fields, str):
        return line, *[""] * len(places), fields
    if len(fields) == width:
        return line, *(fields[place] for place in places), ""
    rest = [""] * (len(places) - 1)
    return line, delimiter.join(fields), *rest, f"it has {len(fields)} fields where the header has {width}"


def _check_header(
    header: list[str], wanted: Mapping[str, tuple[str, str]], name: str, delimiter: str, advice: Advice
) -> None:
    if len(header) == 1 and any(column not in header for _, column in wanted.values()):
        _check_delimiter(header[0], delimiter, advice)
    faults = []
    for parameter, column in wanted.values():
        called = f"{column!r} ({parameter})" if parameter else repr(column)
        if column not in header:
            near = difflib.get_close_matches(column, header, n=1, cutoff=0.5)
            told = advice.column.format(parameter=parameter, wanted=column, near=near[0]) if near else ""
            hint = f"; did you mean {near[0]!r}? {told}" if near else ""
            faults.append(f"{name} has no column {called}; its columns are {_list(header)}{hint}")
        elif header.count(column) > 1:
            faults.append(f"{name} has {header.count(column)} columns {called}; rename all but one")
    if faults:
        raise BadInput(*faults)


def _check_delimiter(header: str, delimiter: str, advice: Advice) -> None:
    """Refuse a header of one column that lacks what is wanted and holds what else may delimit: it tells the cause."""
    others = {other: typed for other, typed in OTHER_DELIMITERS.items() if other != delimiter and other in header}
    if others:
        told = (f"is it delimited by {typed}? {advice.delimiter.format(typed=typed)}" for typed in others.values())
        raise BadInput(*(f"the header is one column, {header!r}: {question}" for question in told))


def _check_path(path: Path, advice: Advice) -> None:
    if path.is_dir():
        tables = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in {".csv", ".tsv", ".txt"})
        held = f"it holds {_list(tables)}" if tables else "it holds no CSV"
        raise BadInput(f"{path} is a folder, and {held}; give a file: {advice.source}")
    if not path.exists():
        allowed = f"a CSV path, an http(s) address, or {', '.join(GENERATED + known for known in GENERATORS)}"
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, beside, n=1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else f"; source may be {allowed}:"
        raise BadInput(f"{path} does not exist{hint} {advice.source}")


def _download(address: str, path: Path, advice: Advice) -> None:
    try:
        # open_source() lets only http and https come here, and so does urllib where it follows a redirection
        with urllib.request.urlopen(address, timeout=DOWNLOAD_TIMEOUT) as answer, path.open("wb") as copy:  # noqa: S310
            shutil.copyfileobj(answer, copy)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise BadInput(
            f"{_public(address)} cannot be fetched: {_why(error)}; "
            f"check the address, or download it and {advice.source}"
        ) from error


def _why(error: Exception) -> str:
    """Say what went wrong without the address, which some of these messages repeat with its keys."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return type(error).__name__


@contextmanager
def _longest_field(characters: int) -> Iterator[None]:
    before = csv.field_size_limit(characters)  # one setting for the whole process
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _undecodable(path: Path, name: str, encoding: str, error: UnicodeError, advice: Advice) -> str:
    with path.open("rb") as stream:
        start = stream.read(2)
    if start in PACKED:
        return f"{name} is {PACKED[start]}, not a CSV; save it as CSV first"
    if start in BYTE_ORDER_MARKS:
        return f"{name} is UTF-16, encoding is {encoding!r}: {advice.encoding.format(named=BYTE_ORDER_MARKS[start])}"
    where = _first_undecodable_line(path, encoding)
    place = f", line {where}" if where else ""
    why = error.reason if isinstance(error, UnicodeDecodeError) else str(error)  # its position is that of a buffer
    return f"{name}{place} is not {encoding} ({why}); {advice.undecodable}"


def _first_undecodable_line(path: Path, encoding: str) -> int | None:
    """Find the line where there are lines to find: in UTF-16 and UTF-32 a line's end is no byte of its own."""
    if "\n".encode(encoding) != b"\n":
        return None
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode(encoding)
            except UnicodeError:
                return number
    return None


def _is_text_encoding(encoding: str) -> bool:
    try:
        "".encode(encoding)
    except LookupError:
        return False
    return True


def _public(address: str) -> str:
    """Give an address without user name, password, query and fragment: they hold access keys."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _list(names: Sequence[str], longest: int = 12) -> str:
    more = f" and {len(names) - longest} more" if len(names) > longest else ""
    return ", ".join(repr(name) for name in names[:longest]) + more
