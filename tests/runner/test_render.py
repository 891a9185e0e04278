"""What a notebook's page shows, and what it must never do."""

import base64
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from runner.render import notebook_html

PIXEL = base64.b64encode(b"not really a picture").decode()


def display(**data: Any) -> nbformat.NotebookNode:
    return new_output("display_data", data={kind.replace("_", "/"): value for kind, value in data.items()})


def page(folder: Path, *cells: nbformat.NotebookNode) -> str:
    path = folder / "notebook.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    notebook_html(path, path.with_suffix(".html"))
    return path.with_suffix(".html").read_text(encoding="utf-8")


def ran(cell: nbformat.NotebookNode, status: str) -> nbformat.NotebookNode:
    cell.metadata["papermill"] = {"status": status, "duration": 1.25}
    return cell


def test_every_cell_has_an_anchor_with_its_index(tmp_path: Path) -> None:
    html = page(tmp_path, new_markdown_cell("# A question"), new_code_cell("1 + 1"), new_markdown_cell("Seen."))
    assert [f'id="cell-{index}"' in html for index in range(4)] == [True, True, True, False]
    assert "<title>A question</title>" in html


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">x</a>',
        '<iframe src="https://example.test"></iframe>',
        '<svg><script href="https://example.test/x.js"></script></svg>',
        '<link rel="stylesheet" href="https://example.test/x.css">',
        '<table onclick="alert(1)" style="background:url(https://example.test)"><tr><td>kept</td></tr></table>',
        "[x](javascript:alert(1))",
        "![x](https://example.test/x.png)",
    ],
)
@pytest.mark.parametrize("place", ["markdown", "html", "plain", "stream", "error", "code"])
def test_nothing_in_a_notebook_runs_or_loads(tmp_path: Path, hostile: str, place: str) -> None:
    cells = {
        "markdown": new_markdown_cell(hostile),
        "html": new_code_cell("", outputs=[display(text_html=hostile)]),
        "plain": new_code_cell("", outputs=[display(text_plain=hostile)]),
        "stream": new_code_cell("", outputs=[new_output("stream", text=hostile)]),
        "error": new_code_cell("", outputs=[new_output("error", ename="E", evalue=hostile, traceback=[hostile])]),
        "code": new_code_cell(hostile),
    }
    html = page(tmp_path, cells[place])
    body = html.partition("<body>")[2]
    for tag in ("<script", "<iframe", "<link", "<svg", "<img"):
        assert tag not in body
    shown_as_text = body.replace("&lt;", "").replace("&#34;", "").replace("&quot;", "")
    assert 'href="javascript' not in body
    assert 'src="http' not in body
    assert "<table on" not in shown_as_text
    assert "<table style" not in shown_as_text


def test_the_page_forbids_scripts_and_requests(tmp_path: Path) -> None:
    html = page(tmp_path, new_code_cell("1"))
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html


def test_a_table_stays_a_table(tmp_path: Path) -> None:
    table = "<style>td {color: red}</style><table border='1'><tr><th scope='row'>a</th><td>1</td></tr></table>"
    html = page(tmp_path, new_code_cell("frame", outputs=[display(text_html=table, text_plain="a 1")]))
    body = html.partition("<body>")[2]
    assert '<table><tbody><tr><th scope="row">a</th><td>1</td></tr></tbody></table>' in body.replace("\n", "")
    assert "color: red" not in body


def test_a_picture_is_inside_and_named(tmp_path: Path) -> None:
    output = display(image_png=PIXEL, text_plain="<Figure>")
    output.metadata["scrapbook"] = {"name": "plot_learning_curves", "data": False, "display": True}
    html = page(tmp_path, new_code_cell("plot()", outputs=[output]))
    assert f'<img alt="learning curves" src="data:image/png;base64,{PIXEL}">' in html


def test_colours_go_and_carriage_returns_overwrite(tmp_path: Path) -> None:
    text = "\x1b[31mred\x1b[0m\n10 %\r50 %\r100 %\nend\r\n"
    html = page(tmp_path, new_code_cell("", outputs=[new_output("stream", text=text)]))
    assert '<pre class="stdout">red\n100 %\nend\n</pre>' in html


def test_recorded_results_are_a_table(tmp_path: Path) -> None:
    payload = {"name": "accuracy", "data": 0.5, "encoder": "json", "version": 1}
    output = new_output("display_data", data={"application/scrapbook.scrap.json+json": payload})
    html = page(tmp_path, new_code_cell("glue()", outputs=[output]))
    assert '<th scope="row">accuracy</th><td>0.5</td>' in html


def test_a_failed_notebook_says_where_and_what_never_ran(tmp_path: Path) -> None:
    html = page(
        tmp_path,
        ran(new_code_cell("1"), "completed"),
        ran(new_code_cell("1 / 0"), "failed"),
        ran(new_code_cell("2"), "pending"),
    )
    assert (
        '<strong>This notebook failed</strong> in <a href="#cell-1">cell 1</a>; 1 code cells after it never ran' in html
    )
    assert "never ran · " not in html.partition('id="cell-0"')[2].partition("</section>")[0]


def test_a_long_stream_is_cut_and_says_so(tmp_path: Path) -> None:
    html = page(tmp_path, new_code_cell("", outputs=[new_output("stream", text="x" * 150_000)]))
    assert "50,000 more characters in the notebook" in html
