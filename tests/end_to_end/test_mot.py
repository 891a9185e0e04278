"""The lifecycle on real wording: judged within the rules before 2018, measured on those of 2018."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, copy_project

pytestmark = pytest.mark.needs_shared


@pytest.fixture(scope="module")
def source(shared_dir: Path) -> Path:
    return shared_dir / "data" / "mot_rfr_compliance.csv"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Project:
    """Give a project in which the scenario ran once."""
    project = copy_project(tmp_path_factory.mktemp("mot"))
    project.trey("run", "--params", "params/mot.yaml", "--set", f"prepare.source={source}")
    return project


@pytest.fixture(scope="module")
def scraps(project: Project) -> dict[str, dict[str, Any]]:
    phases = project.last()["phases"]
    return {name: {key: one["value"] for key, one in entry["scraps"].items()} for name, entry in phases.items()}


def test_it_is_released_by_the_rules_before_2018(project: Project, scraps: dict[str, dict[str, Any]]) -> None:
    record = project.last()
    assert record["decision"]["verdict"] == "release"
    assert {gate["scrap"] for gate in record["gates"] if "future" in gate["scrap"]} == set()
    assert scraps["evaluate"]["test_texts"] == 633
    assert scraps["evaluate"]["missed_rate_high"] <= 0.05


def test_the_rows_of_2018_are_measured_beside_the_test(project: Project, scraps: dict[str, dict[str, Any]]) -> None:
    found = scraps["evaluate"]
    counted = {name: found[f"future_{name}"] for name in ("texts", "unseen_texts", "changed_labels")}
    assert counted == {"texts": 2_092, "unseen_texts": 2_092 - 611, "changed_labels": 59}
    assert found["future_accuracy_high"] < found["accuracy_low"]  # the model is worse under rules it was not made for

    run = project.root / "runs" / project.last()["run_id"]
    report = (run / "report.html").read_text(encoding="utf-8")
    for name in ("accuracy", "future_accuracy", "future_unseen_accuracy"):
        value, low, high = (found[f"{name}{end}"] for end in ("", "_low", "_high"))
        assert f"{value:.4f} ({low:.4f} to {high:.4f})" in report
    assert "future, unseen texts" in report
    assert "Lamps, Reflectors and Electrical Equipment" in report  # a slice by system
    with (run / "evaluate" / "changed_labels.csv").open(encoding="utf-8", newline="") as stream:
        changed = list(csv.DictReader(stream))
    assert len(changed) == 59
    assert all(line["text"] and line["label_before"] != line["label"] for line in changed)


def test_where_the_data_come_from_is_told_wherever_the_model_goes(
    project: Project, scraps: dict[str, dict[str, Any]], source: Path
) -> None:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    counts = {"rows_read": 6_317, "rows_rejected": 0, "rows_set_aside": 8, "rows_kept": 4_217, "future_rows": 2_092}
    prepared = scraps["prepare"]
    assert {name: prepared[name] for name in counts} == counts
    assert (prepared["source"], prepared["source_sha256"]) == (source.name, digest)

    [version] = json.loads(project.trey("models", "--json").stdout)
    tags = version["tags"]
    assert {name: tags[name] for name in counts} == {name: str(count) for name, count in counts.items()}
    assert (tags["source"], tags["source_sha256"]) == (source.name, digest)
    assert tags["data_digest"] == prepared["data_digest"]

    run = project.root / "runs" / project.last()["run_id"]
    card = (run / "evaluate" / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "6,317 rows read, 0 rejected, 8 set aside, 2,092 in the future set, 4,217 kept" in card
    assert f"`{source.name}`" in card
    assert prepared["data_digest"] in card
    report = (run / "report.html").read_text(encoding="utf-8")
    assert all(word in report for word in (source.name, digest[:12], "2,092", "6,317"))
