"""Turns an executed notebook into one page that needs no network and runs nothing.

Whatever a notebook shows is taken as hostile: text is escaped, HTML reduced to tables and simple formatting, links to
other pages and pictures, and the page forbids scripts and every request by its Content-Security-Policy.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from runner import templates
from runner.notebook import INJECTED_TAG, own_cells
from runner.record import write_atomic
from runner.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = ("image/png", "image/jpeg", "image/gif")
SVG = "image/svg+xml"
SCRAP = "application/scrapbook.scrap."
LONGEST_STREAM = 100_000  # characters of a stream that a page shows
_TAGS = set(
    [
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "caption",
        "p",
        "br",
        "b",
        "strong",
        "i",
        "em",
        "code",
        "pre",
        "ul",
        "ol",
        "li",
        "span",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "sup",
        "sub",
    ]
)
_ATTRIBUTES = {"th": ["colspan", "rowspan", "scope"], "td": ["colspan", "rowspan"]}
_DROPPED = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)


@dataclass
class Cell:
    """A cell as the page shows it."""

    index: int
    kind: str  # markdown, code or raw
    body: Markup
    status: str = ""  # papermill's word for a code cell
    seconds: float | None = None
    label: str = ""  # parameters, or injected parameters
    outputs: list[Markup] = field(default_factory=list)
    scraps: list[tuple[str, str]] = field(default_factory=list)


def notebook_html(notebook_path: Path, html_path: Path, *, report: bool = True) -> None:
    """Write the page of an executed notebook; cell n has the anchor `cell-n`, counted from 0.

    Args:
        notebook_path: The executed notebook.
        html_path: The page to write.
        report: Whether the report of a run lies above it, to link to.
    """
    own = own_cells(json.loads(notebook_path.read_text(encoding="utf-8")))
    cells = [_cell(index, cell) for index, cell in enumerate(own)]
    title = _title(own) or notebook_path.stem
    failed = next((cell for cell in cells if cell.status in ("failed", "running")), None)
    ran = any(cell.status for cell in cells)
    not_run = [cell for cell in cells if cell.kind == "code" and ran and cell.status == "pending"]
    shown = {"title": title, "cells": cells, "failed": failed, "not_run": not_run, "report": report}
    page = templates.render("notebook.html", **shown)
    write_atomic(html_path, page.encode(), durable=False)


def display(output: dict[str, Any]) -> Markup:
    """Give what an output shows: a picture with its bytes inside, a table, or text; empty where it shows nothing."""
    data = output.get("data", {})
    for image in _images(output):
        return image
    if "text/html" in data:
        return Markup('<div class="html">{}</div>').format(_sanitized(_joined(data["text/html"])))
    if "text/markdown" in data:
        return Markup('<div class="text">{}</div>').format(_markdown(_joined(data["text/markdown"])))
    if "text/plain" in data:
        return Markup('<pre class="stdout">{}</pre>').format(_plain(_joined(data["text/plain"])))
    return Markup("")


def _images(output: dict[str, Any]) -> Iterator[Markup]:
    data = output.get("data", {})
    name = output.get("metadata", {}).get("scrapbook", {}).get("name", "")
    words = name.removeprefix("plot_").replace("_", " ") or _joined(data.get("text/plain", "picture"))
    for kind in IMAGES:
        if kind in data:
            yield _image(kind, "".join(_joined(data[kind]).split()), words)
            return
    if SVG in data:  # inside <img>, an SVG neither runs scripts nor loads anything
        yield _image(SVG, base64.b64encode(_joined(data[SVG]).encode()).decode(), words)


def _cell(index: int, cell: dict[str, Any]) -> Cell:
    if cell["cell_type"] == "markdown":
        return Cell(index, "markdown", _markdown(_source(cell)))
    if cell["cell_type"] != "code":
        return Cell(index, "raw", _preformatted(_source(cell)))
    run = cell.get("metadata", {}).get("papermill", {})
    shown = Cell(index, "code", _highlighted(_source(cell)), run.get("status") or "", run.get("duration"), _label(cell))
    for output in cell.get("outputs", []):
        if payload := _scrap(output):
            shown.scraps.append(payload)
        elif html := _output(output):
            shown.outputs.append(html)
    return shown


def _label(cell: dict[str, Any]) -> str:
    found = cell.get("metadata", {}).get("tags", [])
    if INJECTED_TAG in found:
        return "parameters of this run"
    return "parameters" if "parameters" in found else ""


def _scrap(output: dict[str, Any]) -> tuple[str, str] | None:
    for kind, payload in output.get("data", {}).items():
        if kind.startswith(SCRAP) and isinstance(payload, dict):
            return str(payload.get("name")), json.dumps(payload.get("data"), ensure_ascii=False)
    return None


def _output(output: dict[str, Any]) -> Markup:
    kind = output.get("output_type")
    if kind == "stream":
        text = _joined(output.get("text", ""))
        cut = (
            "" if len(text) <= LONGEST_STREAM else f"\n… {len(text) - LONGEST_STREAM:,} more characters in the notebook"
        )
        return Markup('<pre class="{}">{}</pre>').format(
            "stderr" if output.get("name") == "stderr" else "stdout", _plain(text[:LONGEST_STREAM]) + cut
        )
    if kind == "error":
        trace = _plain("\n".join(output.get("traceback", []))) or f"{output.get('ename')}: {output.get('evalue')}"
        return Markup('<pre class="error">{}</pre>').format(trace)
    return display(output)


def _image(kind: str, content: str, words: str) -> Markup:
    return Markup('<img alt="{}" src="data:{};base64,{}">').format(words, kind, content)


def _markdown(text: str) -> Markup:
    return Markup(_markdown_converter()(text))  # noqa: S704  the converter escapes HTML and refuses script links


@cache
def _markdown_converter() -> "Callable[[str], str]":
    import mistune

    class Renderer(mistune.HTMLRenderer):
        """Leaves pictures out, which a page without network cannot show."""

        def image(self, text: str, url: str, title: str | None = None) -> str:
            return f"<em>{escape(text)}</em>"

    return mistune.create_markdown(escape=True, renderer=Renderer(escape=True), plugins=["table", "strikethrough"])  # type: ignore[return-value]


@cache
def _highlighter() -> "Callable[[str], str]":
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    lexer, formatter = PythonLexer(), HtmlFormatter(nowrap=True)
    return lambda code: highlight(code, lexer, formatter)


def _highlighted(code: str) -> Markup:
    return Markup('<pre class="code">{}</pre>').format(Markup(_highlighter()(code)))  # noqa: S704  pygments escapes


def _sanitized(html: str) -> Markup:
    import bleach  # type: ignore[import-untyped]

    kept = bleach.clean(_DROPPED.sub("", html), tags=_TAGS, attributes=_ATTRIBUTES, strip=True)
    return Markup(kept)  # noqa: S704  just cleaned


def _preformatted(text: str) -> Markup:
    return Markup("<pre>{}</pre>").format(text)


def _plain(text: str) -> str:
    """Drop colours; a carriage return writes over its line, as in a terminal."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in plain(text).split("\n"))
    return "\n".join(lines)


def _source(cell: dict[str, Any]) -> str:
    return _joined(cell["source"])


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _title(cells: list[dict[str, Any]]) -> str:
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for line in _source(cell).splitlines():
                if line.startswith("# "):
                    return line.removeprefix("# ").strip()
    return ""
