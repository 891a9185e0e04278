"""Takes secrets out of whatever is written: texts, values, streams that arrive in pieces, and files it looks through.

A secret is searched in the forms in which it commonly comes out: as it is, URL-encoded, escaped as in JSON, Python and
HTML, in hexadecimal, in base64 at any of its three alignments, and each longer line of a secret of several lines.
"""

import base64
import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from runner.terminal import plain

SHORTEST = 6  # characters; what is shorter stands in ordinary texts by chance
ORDINARY = """
cells cell_type code markdown raw source outputs output_type execution_count metadata attachments display_data
execute_result stream stdout stderr error ename evalue traceback text/plain text/html image/png application/json
nbformat nbformat_minor kernelspec language_info codemirror_mode file_extension mimetype nbconvert_exporter
pygments_lexer ipython python3 Python 3 (ipykernel) papermill parameters injected-parameters environment_variables
input_path output_path start_time end_time duration exception version default_parameters collapsed scrolled tags
completed running pending failed status scrapbook encoder schema run_id engine local created_at finished_at seconds
resumed_at command request pipeline runner commit lock_sha256 params_sha256 phases succeeded skipped cached stopped
interrupted detached release incomplete verdict reason decision gates cause message started_at cached_from notebook
source_sha256 code_sha256 code_cells params inputs external output_sha256 scraps displays attempts sign_offs value
description output_dir number generated authors by releases waived
"""  # words of which notebooks and records are made: with one of them redacted, neither could be read
_REQUESTS_SAFE = "!#$%&'()*+,/:;=?@[]~"  # what the library of this name leaves as it is
_BLOCK = 1 << 20  # bytes of a file that are looked at together
_V = TypeVar("_V")


class Redactor:
    """Knows secrets, in memory only, and what stands in their place.

    Args:
        secrets: Each by its name; a text of fewer than SHORTEST characters is refused elsewhere.
    """

    def __init__(self, secrets: Mapping[str, str]):
        forms = {form: name for name, secret in secrets.items() for form in _forms(secret)}
        self._marks = {form: f"[redacted: {forms[form]}]" for form in sorted(forms, key=len, reverse=True)}

    def __bool__(self) -> bool:
        """Tell whether there is anything to take out."""
        return bool(self._marks)

    def text(self, text: str) -> str:
        """Give a text without the secrets; where colours or ends of lines stand inside of one, the text loses them."""
        safe = self._replaced(text)
        if not self:
            return safe
        for bare in (plain(safe), safe.replace("\n", "")):
            if bare != safe and self._replaced(bare) != bare:
                return self._replaced(bare)
        return safe

    def value(self, value: _V) -> _V:
        """Give a plain value (JSON's kinds, nested) without the secrets; keys count, and numbers by their digits."""
        return self._value(value) if self else value

    def stream(self) -> "RedactedStream":
        """Give what takes the secrets out of a text that arrives in pieces."""
        return RedactedStream(self)

    def held_back(self, text: str) -> int:
        """Give how many characters at the end of a text may be the beginning of a secret."""
        longest = 0
        for form in self._marks:
            start = max(0, len(text) - len(form) + 1)
            while (start := text.find(form[0], start)) >= 0 and len(text) - start > longest:
                if form.startswith(text[start:]):
                    longest = len(text) - start
                start += 1
        return longest

    def find(self, folder: Path) -> list[tuple[Path, str]]:
        """Give what holds a secret in a folder, by its name or its content, each with what would stand in its place."""
        return [(path, mark) for path in sorted(folder.rglob("*")) if (mark := self._in_path(path))]

    def _replaced(self, text: str) -> str:
        for form, mark in self._marks.items():
            if form in text:
                text = text.replace(form, mark)
        return text

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return type(value)({self._value(key): self._value(item) for key, item in value.items()})
            case list():
                return [self._value(item) for item in value]
            case bool() | None:
                return value
            case int() | float():
                written = str(value)
                safe = self.text(written)
                return value if safe == written else safe
        return value

    def _in_path(self, path: Path) -> str | None:
        names = [path.name, str(path.readlink())] if path.is_symlink() else [path.name]
        for form, mark in self._marks.items():
            if any(form in name for name in names):
                return mark
        return self._in_file(path) if path.is_file() and not path.is_symlink() else None

    def _in_file(self, path: Path) -> str | None:
        forms = {form.encode("utf-8", "surrogatepass"): mark for form, mark in self._marks.items()}
        overlap = max(map(len, forms), default=1) - 1
        before = b""
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                for form, mark in forms.items():
                    if form in before + block:
                        return mark
                before = (before + block)[-overlap:]
        return None


class RedactedStream:
    """A text in pieces; what may be the beginning of a secret waits for the next piece."""

    def __init__(self, redactor: Redactor):
        self._redactor = redactor
        self._waiting = ""

    def add(self, piece: str) -> str:
        """Take a piece, and give what is safe to write now."""
        if not self._redactor:
            return piece
        text = self._redactor.text(self._waiting + piece)
        held = self._redactor.held_back(text)
        self._waiting = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """Give what still waits."""
        rest, self._waiting = self._waiting, ""
        return rest


def _forms(secret: str) -> Iterator[str]:
    """Give the texts in which a secret would be recognized."""
    lines = [line.strip() for line in secret.splitlines()]
    for text in (secret, *(line for line in lines if len(line) >= SHORTEST)):
        raw = text.encode("utf-8", "surrogatepass")
        yield text
        yield from (escaped(text) for escaped in (_json, _ascii_json, _twice, _repr))
        yield repr(raw)[2:-1]
        yield html.escape(text)
        yield html.escape(text, quote=False)
        yield html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
        for encoded in (quote(raw), quote(raw, safe=""), quote(raw, safe=_REQUESTS_SAFE), quote_plus(raw)):
            yield encoded
            yield _lower_escapes(encoded)
        yield raw.hex()
        yield raw.hex().upper()
        for offset in range(3):
            yield from _base64(raw, offset)


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _ascii_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _twice(text: str) -> str:
    return _ascii_json(_ascii_json(text))


def _repr(text: str) -> str:
    return repr(text)[1:-1]


def _lower_escapes(encoded: str) -> str:
    parts = encoded.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


def _base64(raw: bytes, offset: int) -> Iterator[str]:
    """Give the characters that these bytes alone decide where so many bytes stand before them, in both alphabets."""
    first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(bytes(offset) + raw).decode()[first:last]
