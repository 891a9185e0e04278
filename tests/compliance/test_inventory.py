import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from compliance.errors import BadInput
from compliance.inventory import Columns, Files, OtherJob, score, unfinished
from compliance.scorer import Scorer
from tests.fixtures_model import write_model
from tests.project import ROOT

TEXTS = ("poor iron", "good steel", 'Iron,\n"plastic"', "", "—", "tin\0box", "x" * 101, "new part", "fair plastic é")


class Stop(BaseException):
    """Stands for whatever ends a process in the middle."""


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return Scorer.load(write_model(tmp_path_factory.mktemp("model") / "model", maximum_length=100))


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Write an inventory of 90 rows, some of which cannot be scored."""
    path = tmp_path / "parts.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["part_no", "text", "label"])
        writer.writerows([f"P-{n}", f"{TEXTS[n % len(TEXTS)]}", n % 2] for n in range(89))
        stream.write("P-89,too,many,fields\n")
    return path


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def stopped_after(rows: int):
    def report(done: int) -> None:
        if done >= rows:
            raise Stop

    return report


def results(output: Path) -> tuple[bytes, bytes]:
    return Files(output).scored.read_bytes(), Files(output).rejected.read_bytes()


def test_every_row_is_scored_or_listed_with_its_line_and_reason(inventory, scorer, tmp_path):
    output = tmp_path / "scored.csv"
    summary = score(str(inventory), Columns(copy=("part_no", "label")), scorer, output, version=3, size=7)
    scored, rejected = lines(output), lines(tmp_path / "scored.rejected.csv")
    assert list(scored[0]) == ["row", "line", "part_no", "source_label", "text", "probability", "label"]
    assert sorted(int(line["row"]) for line in scored + rejected) == list(range(1, 91))
    assert [line["part_no"] for line in scored] == [f"P-{int(line['row']) - 1}" for line in scored]

    expected = scorer.score([line["text"] for line in scored])
    assert np.allclose([float(line["probability"]) for line in scored], expected, atol=1e-6)
    assert [line["label"] for line in scored] == [scorer.label(probability) for probability in expected]

    source = inventory.read_text(encoding="utf-8").split("\n")
    assert all(line["part_no"] in source[int(line["line"]) - 1] for line in scored)
    assert summary["reasons"] == {
        "the text is empty": 10,
        "the text holds no word of letters a to z or digits": 10,
        "the text holds a NUL character": 10,
        "the text is longer than 100 characters": 10,
        "it has 4 fields where the header has 3": 1,
    }
    assert (summary["rows"], summary["scored"], summary["rejected"]) == (90, len(scored), len(rejected))
    assert sum(summary["labels"].values()) == summary["scored"]
    assert summary["model"] == {"name": "parts", "version": 3, "digest": scorer.digest, "threshold": 0.5}
    assert json.loads((tmp_path / "scored.json").read_text(encoding="utf-8")) == summary
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "parts.csv",
        "scored.csv",
        "scored.json",
        "scored.rejected.csv",
    ]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_size_of_a_chunk_changes_no_answer(inventory, scorer, tmp_path, size):
    score(str(inventory), Columns(), scorer, tmp_path / "one.csv")
    score(str(inventory), Columns(), scorer, tmp_path / "two.csv", size=size)
    assert results(tmp_path / "one.csv") == results(tmp_path / "two.csv")


@pytest.mark.parametrize("rows", range(7, 91, 7))
@pytest.mark.parametrize("torn", [False, True], ids=["whole", "with half a chunk behind it"])
def test_a_stopped_job_goes_on_and_comes_out_the_same(inventory, scorer, tmp_path, rows, torn):
    score(str(inventory), Columns(), scorer, tmp_path / "whole.csv", size=7)
    output = tmp_path / "scored.csv"
    with pytest.raises(Stop):
        score(str(inventory), Columns(), scorer, output, size=7, report=stopped_after(rows))
    assert not output.exists()
    assert unfinished(output) == rows
    if torn:  # a chunk that was being written when the process died
        for path in (Files(output).scored, Files(output).rejected):
            with Files.part(path).open("ab") as stream:
                stream.write(b'8,9,"half a ro')
    done: list[int] = []
    score(str(inventory), Columns(), scorer, output, size=7, report=done.append)
    assert done == [*range(rows + 7, 91, 7), *([90] if rows < 90 else [])]
    assert results(output) == results(tmp_path / "whole.csv")
    assert unfinished(output) == 0


def test_a_job_stopped_while_its_files_get_their_names_is_finished(inventory, scorer, tmp_path, monkeypatch):
    output = tmp_path / "scored.csv"
    replace = Path.replace

    def stopping(path: Path, target: Path) -> Path:
        if target == output:
            raise Stop
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", stopping)
    with pytest.raises(Stop):
        score(str(inventory), Columns(), scorer, output)
    monkeypatch.undo()
    assert score(str(inventory), Columns(), scorer, output)["rows"] == 90
    assert len(lines(output)) + len(lines(tmp_path / "scored.rejected.csv")) == 90


PROGRAM = """
import sys, time
from pathlib import Path
from compliance.inventory import Columns, score
from compliance.scorer import Scorer
source, model, output = sys.argv[1:]
score(source, Columns(), Scorer.load(model), Path(output), size=7, report=lambda rows: time.sleep(0.05))
"""


def test_a_killed_process_loses_nothing(inventory, tmp_path):
    model = write_model(tmp_path / "model", maximum_length=100)
    output = tmp_path / "scored.csv"
    score(str(inventory), Columns(), Scorer.load(model), tmp_path / "whole.csv", size=7)
    call = [sys.executable, "-c", PROGRAM, str(inventory), str(model), str(output)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(call, env=environment) as process:
        while unfinished(output) < 28 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert 28 <= unfinished(output) < 90
    subprocess.run(call, env=environment, check=True)
    assert results(output) == results(tmp_path / "whole.csv")


def test_an_unfinished_job_of_another_model_source_or_layout_is_not_continued(inventory, scorer, tmp_path):
    output = tmp_path / "scored.csv"
    with pytest.raises(Stop):
        score(str(inventory), Columns(), scorer, output, size=7, report=stopped_after(28))
    other = Scorer.load(write_model(tmp_path / "other", bias=1.0, maximum_length=100))
    for columns, by, named in ((Columns(), other, "model"), (Columns(copy=("part_no",)), scorer, "columns")):
        with pytest.raises(OtherJob, match=f"unfinished job whose {named} differ"):
            score(str(inventory), columns, by, output, size=7)
    inventory.write_text(inventory.read_text(encoding="utf-8") + "P-90,more,1\n", encoding="utf-8")
    with pytest.raises(OtherJob, match="source_sha256 differ"):
        score(str(inventory), Columns(), scorer, output, size=7)
    assert unfinished(output) == 28
    assert score(str(inventory), Columns(), scorer, output, size=7, overwrite=True)["rows"] == 91


def test_what_lies_there_is_replaced_only_where_that_is_asked_for(inventory, scorer, tmp_path):
    output = tmp_path / "scored.csv"
    output.write_text("mine", encoding="utf-8")
    with pytest.raises(OtherJob, match="exists: name another --output, or replace it with --overwrite"):
        score(str(inventory), Columns(), scorer, output)
    with pytest.raises(OtherJob, match="is the inventory itself"):
        score(str(inventory), Columns(), scorer, inventory, overwrite=True)
    assert output.read_text(encoding="utf-8") == "mine"
    score(str(inventory), Columns(), scorer, output, overwrite=True)
    assert len(lines(output)) > 1


@pytest.mark.parametrize("content", ["words\nab\n", 'text\nab\n"never closed\n', "text\n", ""])
def test_an_inventory_that_cannot_be_read_leaves_no_file(tmp_path, scorer, content):
    path = tmp_path / "parts.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput):
        score(str(path), Columns(), scorer, tmp_path / "scored.csv", size=1)
    assert [path.name for path in tmp_path.iterdir()] == ["parts.csv"]


def test_a_broken_model_is_told(inventory, tmp_path):
    broken = Scorer.load(write_model(tmp_path / "model", bias=float("nan"), maximum_length=100))
    with pytest.raises(ValueError, match="the model is broken"):
        score(str(inventory), Columns(), broken, tmp_path / "scored.csv")
    assert not (tmp_path / "scored.csv").exists()


def test_columns_are_named_once():
    with pytest.raises(BadInput, match="name each once"):
        Columns(copy=("part_no", "part_no"))
