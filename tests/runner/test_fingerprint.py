import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runner import fingerprint, notebook
from runner.errors import BadRequest
from runner.fingerprint import Inputs

from .conftest import write_notebook

BASE = Inputs("code", {"epochs": 6}, {"make_dir": "a" * 64, "source": "b" * 64}, {"pack/a.py": "1"}, "lock", "3.11.9")


def changed(**parts: Any) -> Inputs:
    return Inputs(**{**BASE.__dict__, **parts})


@pytest.mark.parametrize(
    ("new", "reasons"),
    [
        (changed(notebook="other"), ["notebook code changed"]),
        (changed(params={"epochs": 8}), ["params use.epochs 6 → 8"]),
        (changed(params={"epochs": 6.0}), ["params use.epochs 6 → 6.0"]),
        (changed(params={"epochs": 6, "name": "x"}), ["params use.name absent → x"]),
        (changed(params={"epochs": "y" * 99}), [f"params use.epochs 6 → {'y' * 57}…"]),
        (changed(inputs=dict(BASE.inputs) | {"make_dir": "c" * 64}), ["make's output changed"]),
        (changed(inputs=dict(BASE.inputs) | {"source": "c" * 64}), ["source changed"]),
        (changed(inputs=dict(BASE.inputs) | {"source": "generated:x"}), ["source a file → generated:x"]),
        (changed(inputs=dict(BASE.inputs) | {"gates_path": "c" * 64}), ["gate evidence changed"]),
        (changed(code={"pack/a.py": "2"}), ["pack/a.py changed"]),
        (changed(code={"pack/b.py": "1"}), ["pack/a.py is no longer used", "pack/b.py is new"]),
        (changed(lock="other"), ["lock changed"]),
        (changed(python="3.12.1"), ["Python 3.11.9 → 3.12.1"]),
        (changed(params={"epochs": ""}), ['params use.epochs 6 → ""']),
        (changed(params={"epochs": 8}, lock=None), ["params use.epochs 6 → 8", "lock changed"]),
    ],
)
def test_every_part_changes_the_key_and_is_named(new: Inputs, reasons: list[str]) -> None:
    assert new.key != BASE.key
    assert fingerprint.differences("use", ["make"], BASE, new) == reasons


def test_equal_parts_have_an_equal_key() -> None:
    assert changed().key == BASE.key
    assert fingerprint.differences("use", ["make"], BASE, changed()) == []


def digest(tmp_path: Path, *cells: str, tags: tuple[str, ...] = ()) -> str:
    path = write_notebook(tmp_path / "a.ipynb", *cells, parameters="epochs = 6")
    document = nbformat.read(path, as_version=4)
    document.cells[-1].metadata["tags"] = list(tags)
    nbformat.write(document, path)
    return fingerprint.notebook_digest(notebook.read(path))


def test_only_code_counts(tmp_path: Path) -> None:
    before = digest(tmp_path, "#|prose", "x = 1\nprint(x)", "%matplotlib inline")
    assert digest(tmp_path, "#|other prose", "x = 1  # why\n\nprint( x )", "# a remark", "%matplotlib inline") == before
    assert digest(tmp_path, "x = 1\nprint(x)", "%matplotlib inline", tags=("hide",)) == before


@pytest.mark.parametrize(
    "cells",
    [
        ("x = 2\nprint(x)", "%matplotlib inline"),
        ("x = 1\nprint(x)", "%matplotlib qt"),
        ("%matplotlib inline", "x = 1\nprint(x)"),
        ("x = 1", "print(x)", "%matplotlib inline"),
        ("x = 1\nprint(x)",),
    ],
)
def test_any_change_of_code_counts(tmp_path: Path, cells: tuple[str, ...]) -> None:
    assert digest(tmp_path, *cells) != digest(tmp_path, "x = 1\nprint(x)", "%matplotlib inline")


def test_a_tag_that_changes_what_runs_counts(tmp_path: Path) -> None:
    assert digest(tmp_path, "x = 1", tags=("raises-exception",)) != digest(tmp_path, "x = 1")


def test_the_parameters_cell_counts_by_its_values_alone(tmp_path: Path) -> None:
    one, other = (write_notebook(tmp_path / f"{n}.ipynb", "1", parameters=f"epochs = {n}") for n in (6, 8))
    assert fingerprint.notebook_digest(notebook.read(one)) == fingerprint.notebook_digest(notebook.read(other))


def test_a_folder_counts_by_names_and_bytes(tmp_path: Path) -> None:
    def folder(name: str, **files: str) -> Path:
        for path, text in files.items():
            place = tmp_path / name / path.replace("__", "/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return tmp_path / name

    first = fingerprint.path_digest(folder("one", a="1", sub__b="2"))
    assert fingerprint.path_digest(folder("two", sub__b="2", a="1")) == first
    assert fingerprint.path_digest(folder("two", _phase__phase="3")) == first
    assert fingerprint.path_digest(folder("three", a="1", sub__b="3")) != first
    assert fingerprint.path_digest(folder("four", a="1", sub__c="2")) != first
    assert fingerprint.path_digest(folder("five", a="1", b="2")) != first
    assert fingerprint.path_digest(tmp_path / "nowhere") == "absent"


class Handler(BaseHTTPRequestHandler):
    etag: str | None = '"1"'
    body = b"data"

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path != "/no-head" else 405)
        if self.etag and self.path != "/no-head":
            self.send_header("ETag", self.etag)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_address_counts_by_its_etag_or_its_bytes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprint.input_digest(f"{url}/a.csv") == 'etag:"1"'
    by_bytes = fingerprint.bytes_digest(b"data")
    assert fingerprint.input_digest(f"{url}/no-head") == by_bytes
    monkeypatch.setattr(Handler, "etag", None)
    assert fingerprint.input_digest(f"{url}/a.csv") == by_bytes


def test_an_address_that_does_not_answer_is_a_fault() -> None:
    with pytest.raises(BadRequest, match="does not answer"):
        fingerprint.input_digest("http://127.0.0.1:9/a.csv")


def test_other_values_count_as_they_are() -> None:
    assert fingerprint.input_digest("generated:cars") == "generated:cars"
    assert fingerprint.input_digest("azureml:data:1") == "azureml:data:1"
    assert fingerprint.input_digest("") != fingerprint.input_digest(None)
