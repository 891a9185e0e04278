"""The harder descriptions: challenge sets decide where the test split cannot."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.project import Project, copy_project

pytestmark = pytest.mark.nightly
SMALL = (
    ("prepare.rows", 12_000),
    ("train.epochs", 5),
    ("evaluate.challenge_rows", 1_200),
    ("evaluate.challenge_floor", 0.8),  # what so few rows can teach; the scenario itself asks for more
    ("evaluate.behaviour_limit", 0.2),
)
WORDS = (
    "run",
    "--params",
    "params/hard.yaml",
    *(word for name, value in SMALL for word in ("--set", f"{name}={value}")),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_project(tmp_path_factory.mktemp("hard"))
    project.trey(*WORDS)
    return project


def run_dir_of(project: Project) -> Path:
    return project.root / "runs" / str(project.last()["run_id"])


def gate(project: Project, scrap: str) -> dict[str, object]:
    [found] = [gate for gate in project.last()["gates"] if gate["scrap"] == f"evaluate.{scrap}"]
    return found


def test_the_worst_challenge_set_is_judged_and_the_rest_is_told(project: Project) -> None:
    assert project.last()["decision"]["verdict"] == "release"
    assert gate(project, "challenge_accuracy_low")["verdict"] == gate(project, "challenge_seen")["verdict"] == "pass"
    run_dir = run_dir_of(project)
    told = json.loads((run_dir / "evaluate" / "evaluation.json").read_text(encoding="utf-8"))["challenge"]
    assert {name: line["texts"] for name, line in told.items()} == dict.fromkeys(
        ("negation", "phrasing", "typos", "years"), 300
    )
    worst = min(line["accuracy"]["low"] for line in told.values())
    assert gate(project, "challenge_accuracy_low")["value"] == pytest.approx(worst)
    card = (run_dir / "evaluate" / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert all(f"| {name} | 300 |" in card for name in told)


def test_the_mistakes_are_left_as_text(project: Project) -> None:
    folder = run_dir_of(project) / "evaluate"
    told = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["challenge"]
    wrong = sum(round(line["texts"] * (1 - line["accuracy"]["value"])) for line in told.values())
    mistakes = pd.read_csv(folder / "challenge_errors.csv")
    assert len(mistakes) == wrong
    assert set(mistakes["set"]) <= set(told)


def test_a_network_that_learns_positions_is_stopped_by_the_challenge(project: Project) -> None:
    """The published lab's network cannot read what it has not met in the very same place."""
    project.trey(*WORDS, "--set", "train.architecture=lab-reference")
    assert project.last()["decision"]["verdict"] == "stopped"
    assert gate(project, "challenge_accuracy_low")["verdict"] == "fail"


def test_a_challenge_text_that_training_saw_is_stopped_by_name(project: Project, tmp_path: Path) -> None:
    seen = pd.read_parquet(run_dir_of(project) / "prepare" / "train.parquet").drop_duplicates("text").head(200)
    asked = tmp_path / "asked.csv"
    seen.assign(set="leaked")[["text", "label", "set"]].to_csv(asked, index=False)
    project.trey(*WORDS, "--set", f"evaluate.challenge_source={asked}")
    assert gate(project, "challenge_seen")["verdict"] == "fail"
    assert gate(project, "challenge_seen")["value"] == 200
    assert project.last()["decision"]["verdict"] == "stopped"
