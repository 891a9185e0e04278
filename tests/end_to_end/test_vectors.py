"""Pre-trained word vectors reach the lab's reference network from the command line, and their content is an input."""

import json
from pathlib import Path

import pytest

from tests.project import copy_project

WORDS = ("run", "--to", "train", "--set", "prepare.rows=600", "--set", "train.epochs=1")
LAB = (*WORDS, "--set", "train.architecture=lab-reference", "--set", "train.vectors_path=vectors.txt")


@pytest.mark.nightly
def test_vectors_are_used_count_as_an_input_and_are_refused_where_they_are_unsound(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    vectors = tmp_path / "vectors.txt"

    vectors.write_text("steel 0.5 0.5\n", encoding="utf-8")
    said = project.trey(*LAB, exit_code=1).stderr
    assert "has vectors of 2 numbers; the network reads 100" in said
    assert project.last()["phases"]["train"]["cause"] == "bad-input"

    vectors.write_text(f"steel{' 0.5' * 100}\n", encoding="utf-8")
    project.trey(*LAB)
    run_dir = tmp_path / "runs" / project.last()["run_id"]
    told = json.loads((run_dir / "train" / "training.json").read_text(encoding="utf-8"))
    assert len(told["hyperparameters"]["vectors_sha256"]) == 64
    assert "1 of them have a pre-trained vector" in (run_dir / "notebooks" / "train.ipynb").read_text(encoding="utf-8")

    project.trey(*LAB)
    assert project.last()["phases"]["train"]["status"] == "cached"

    vectors.write_text(f"steel{' -0.5' * 100}\n", encoding="utf-8")
    planned = json.loads(project.trey("plan", *LAB[1:], "--json").stdout)["phases"]
    [again] = [phase for phase in planned if phase["name"] == "train"]
    assert again["runs"] and "vectors_path" in again["why"]
