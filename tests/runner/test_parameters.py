from pathlib import Path
from typing import Any

import pytest

from runner import parameters
from runner.errors import BadRequest
from runner.pipeline import load_pipeline

from .conftest import Project


@pytest.fixture
def two(project: Project) -> Project:
    project.notebook(
        "prepare",
        parameters='source: str = "data.csv"\nrows: int = 10\nshare: float = 0.5\ncode: str = "1"\n'
        'output_dir: str = "x"',
    )
    project.notebook(
        "train",
        parameters='prepare_dir: str = "x"\nepochs: int = 6\nseed: int = 7\nrows: int = 1\nmodel_store: str = "store"\n'
        'key: str\nrun_id: str = ""\noutput_dir: str = "x"',
    )
    project.write("notebooks/data.csv", "")
    project.pipeline("phases: [prepare, train]")
    return project


def resolve(project: Project, *sets: str, files: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    found = load_pipeline(project.root / "params" / "pipeline.yaml")
    return parameters.resolve(found, [Path(file) for file in files], sets, project.root, found.order)


def faults(project: Project, *sets: str, files: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(BadRequest) as fault:
        resolve(project, *sets, files=files)
    assert fault.value.exit_code == 2
    return list(fault.value.faults)


def test_later_layers_win(two: Project) -> None:
    two.write("params/default.yaml", "all: {rows: 20}\ntrain: {epochs: 7, seed: 8, key: a}")
    two.write("more.yaml", "all: {rows: 30}\nprepare: {rows: 31}\ntrain: {epochs: 8}")
    found = resolve(two, "train.epochs=9", "all.rows=40", "train.epochs=10", files=("more.yaml",))
    assert found == {
        "prepare": {"source": f"{two.root}/notebooks/data.csv", "rows": 40, "share": 0.5, "code": "1"},
        "train": {"epochs": 10, "seed": 8, "rows": 40, "model_store": f"{two.root}/notebooks/store", "key": "a"},
    }


def test_all_reaches_the_phases_that_declare_the_name(two: Project) -> None:
    assert resolve(two, "all.seed=1", "train.key=a")["train"]["seed"] == 1


def test_paths_start_from_where_they_were_written(two: Project) -> None:
    two.write("params/more.yaml", "train: {model_store: ../models}")
    two.write("elsewhere/a.csv", "")
    found = resolve(two, "prepare.source=elsewhere/a.csv", "train.key=a", files=("params/more.yaml",))
    assert found["prepare"]["source"] == f"{two.root}/elsewhere/a.csv"
    assert found["train"]["model_store"] == f"{two.root}/models"


@pytest.mark.parametrize("name", ["source", "challenge_source", "model_path", "train_dir"])
def test_what_lies_behind_a_name_is_an_input(name: str) -> None:
    assert parameters.is_input(name)


@pytest.mark.parametrize("name", ["sources", "resource", "model_store", "path", "directory"])
def test_other_names_are_no_input(name: str) -> None:
    assert not parameters.is_input(name)


@pytest.mark.parametrize("value", ["https://host/a.csv", "generated:cars", "azureml:data:1", ""])
def test_what_is_no_path_here_stays(two: Project, value: str) -> None:
    assert resolve(two, f"prepare.source='{value}'", "train.key=a")["prepare"]["source"] == value


def test_a_whole_number_becomes_a_float(two: Project) -> None:
    share = resolve(two, "prepare.share=1", "train.key=a")["prepare"]["share"]
    assert (share, type(share)) == (1.0, float)


def test_every_fault_is_told_at_once(two: Project) -> None:
    two.write(
        "bad.yaml", "trian: {epochs: 3}\ntrain: {epocs: 3, prepare_dir: x}\nprepare: 3\nrows: 5\nall: {nothing: 1}"
    )
    two.write("twice.yaml", "train: {epochs: 3}\ntrain: {epochs: 4}")
    sets = ["rows=ten", "share=true", "source=gone.csv", "code=5"]
    found = faults(
        two, "epochs=3", "all.output_dir=x", *(f"prepare.{text}" for text in sets), files=("bad.yaml", "twice.yaml")
    )
    assert found == [
        "bad.yaml: prepare is 3 (int); it must be a mapping of parameters",
        "bad.yaml: rows is 5 (int); parameters stand below their phase: `prepare: {rows: 5}`",
        f"{two.root}/twice.yaml: line 2: 'train' is given twice",
        "--set epochs=3: it must be phase.name=value",
        "bad.yaml: there is no phase trian; did you mean train?",
        "bad.yaml: train does not declare epocs; did you mean epochs?",
        "bad.yaml: train.prepare_dir is filled by the runner and cannot be given",
        "bad.yaml: no phase declares nothing; allowed are source, rows, share, code, epochs, seed, model_store, key",
        "--set: all.output_dir is filled by the runner and cannot be given",
        "--set: prepare.rows is 'ten' (str); allowed is int",
        "--set: prepare.share is True (bool); allowed is float",
        "--set: prepare.code is 5 (int); allowed is str; as a text it is written --set 'prepare.code=\"5\"'",
        f"prepare.source is {two.root}/gone.csv, which does not exist; give --set prepare.source=PATH",
        "train.key has no value and no default; give --set train.key=VALUE",
    ]


def test_a_text_that_looks_like_a_number_can_be_given(two: Project) -> None:
    assert resolve(two, 'prepare.code="5"', "train.key=a")["prepare"]["code"] == "5"


def test_only_what_differs_is_injected(two: Project) -> None:
    found = load_pipeline(two.root / "params" / "pipeline.yaml")
    declared, folder = found.notebooks["prepare"].parameters, two.root / "notebooks"
    values = resolve(two, "prepare.rows=11", "train.key=a")["prepare"]
    assert parameters.overridden(declared, values, folder) == {"rows": 11}
