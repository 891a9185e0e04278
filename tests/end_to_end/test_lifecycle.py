"""The whole lifecycle on generated descriptions: what runs, what is skipped, what is left on disk."""

import json
from pathlib import Path

import pytest

from tests.drawn import drawn
from tests.project import Project, copy_project

PHASES = ["prepare", "train", "evaluate", "register", "deploy"]
LINES = [  # of a helper: one that changes nothing it writes, and one that changes it
    ('    """Give the model card as Markdown;', '    """Write the model card as Markdown;', {"evaluate"}),
    ('"accuracy": "texts labelled rightly"', '"accuracy": "labelled rightly"', {"evaluate", "register", "deploy"}),
]


def digests(record: dict) -> dict[str, str]:
    return {phase: entry["output_sha256"] for phase, entry in record["phases"].items()}


def statuses(record: dict) -> dict[str, str]:
    return {phase: entry["status"] for phase, entry in record["phases"].items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project in which the small lifecycle ran once."""
    project = copy_project(tmp_path_factory.mktemp("lifecycle"))
    project.trey("run", "--params", "params/ci.yaml")
    return project


def test_the_first_run_releases(project: Project) -> None:
    record = project.records()[0]
    assert record["status"] == "succeeded"
    assert statuses(record) == dict.fromkeys(PHASES, "succeeded")
    assert record["decision"]["verdict"] == "release"
    assert {gate["verdict"] for gate in record["gates"]} == {"pass", "not-applicable"}
    run = project.root / "runs" / record["run_id"]
    for phase in PHASES:
        assert (run / phase).is_dir()
        assert (run / "notebooks" / f"{phase}.ipynb").is_file()
        assert (run / "notebooks" / f"{phase}.html").is_file()
    assert "connected-car" in (run / "report.html").read_text(encoding="utf-8")


def test_what_was_judged_is_what_is_live(project: Project) -> None:
    scraps = {phase: entry["scraps"] for phase, entry in project.records()[0]["phases"].items()}
    digest = scraps["evaluate"]["model_digest"]["value"]
    assert scraps["register"]["model_digest"]["value"] == digest
    state = json.loads((project.root / "endpoints/connected-car/staging/state.json").read_text(encoding="utf-8"))
    assert state["slots"][state["live"]]["digest"] == digest
    listed = json.loads(project.trey("models", "--json").stdout)
    assert digest in json.dumps(listed)


def test_the_datasheet_of_the_version_is_complete(project: Project) -> None:
    record = project.records()[0]
    run = project.root / "runs" / record["run_id"]
    described = json.loads((run / "register" / "datasheet.json").read_text(encoding="utf-8"))
    assert described["model"]["digest"] == record["phases"]["evaluate"]["scraps"]["model_digest"]["value"]
    assert described["fields"]["run_id"] == record["run_id"]
    assert described["not_stated"] == ["build_number"]
    report = (run / "report.html").read_text(encoding="utf-8")
    for text in (described["fields"]["title"], described["fields"]["date"], "What was asked, and what was shown"):
        assert text in report


def test_an_inventory_is_scored_with_what_is_live_and_monitored(project: Project, tmp_path: Path) -> None:
    record = project.records()[0]
    run = project.root / "runs" / record["run_id"]
    inventory = tmp_path / "parts.csv"
    metals = ["titanium", "brass", "zinc", "steel"]
    texts = [f"{metals[n % 4]} bracket number {n} in poor condition" for n in range(400)]
    inventory.write_text("\n".join(["part_no,text", *(f"P-{n},{text}" for n, text in enumerate(texts))]) + "\n")
    words = ["score", str(inventory), "--env", "staging", "--copy", "part_no", "--json"]
    summary = json.loads(project.trey(*words).stdout)
    assert summary["scored"] == summary["rows"] == 400
    assert summary["model"]["digest"] == record["phases"]["evaluate"]["scraps"]["model_digest"]["value"]

    folders = [f"--in={phase}_dir={run / phase}" for phase in ("prepare", "train", "evaluate")]
    given = ["--set", f"monitor.scored_path={tmp_path / 'parts.scored.csv'}"]
    found = {}
    for name, words in {"drifted": given, "like": []}.items():
        told = project.trey("phase", "monitor", *folders, *words, "--out", str(tmp_path / name), "--json").stdout
        scraps = json.loads(told)["phases"]["monitor"]["scraps"]
        found[name] = {scrap: entry["value"] for scrap, entry in scraps.items()}
    assert found["drifted"]["drift"] == "drift"
    assert found["drifted"]["unknown_words_difference"] > 0.9
    assert found["like"]["drift"] == "no difference seen"
    assert found["like"]["model_digest"] == summary["model"]["digest"]


def test_an_unchanged_run_starts_no_kernel(project: Project) -> None:
    started = project.watched_trey("run", "--params", "params/ci.yaml")
    assert {Path(program).name for program in started} <= {"git"}
    first, second = project.records()[0], project.last()
    assert statuses(second) == dict.fromkeys(PHASES, "cached")
    assert digests(second) == digests(first)


@pytest.mark.parametrize(("line", "changed", "ran"), drawn(LINES, 1))
def test_a_changed_line_of_a_helper_runs_what_depends_on_it(
    project: Project, line: str, changed: str, ran: set[str]
) -> None:
    helper = project.root / "compliance" / "card.py"
    original = helper.read_text(encoding="utf-8")
    assert original.count(line) == 1
    helper.write_text(original.replace(line, changed), encoding="utf-8")
    try:
        project.trey("run", "--params", "params/ci.yaml")
    finally:
        helper.write_text(original, encoding="utf-8")
    record = project.last()
    assert {phase for phase, status in statuses(record).items() if status != "cached"} == ran
    assert "compliance/card.py" in record["phases"]["evaluate"]["why"]


def test_a_deployment_taken_away_is_not_claimed(project: Project) -> None:
    (project.root / "endpoints/connected-car/staging/state.json").unlink()
    plan = json.loads(project.trey("plan", "--params", "params/ci.yaml", "--json").stdout)
    assert {phase["name"]: phase["runs"] for phase in plan["phases"]} == dict.fromkeys(PHASES, False) | {"deploy": True}


@pytest.fixture(scope="module")
def inventory(project: Project) -> Path:
    """Give a small inventory of our own, as a CSV."""
    path = project.root / "inventory.csv"
    rows = [
        f"{condition} condition {material} component manufactured in {year},{int(year < 1995 or condition == 'poor')}"
        for condition in ("good", "new", "poor")
        for material in ("steel", "iron", "carbon fiber", "plastic", "copper")
        for year in range(1960, 2020)
    ]
    path.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return path


def test_one_byte_of_a_csv_runs_everything_after_it(project: Project, inventory: Path) -> None:
    words = ["run", "--set", f"prepare.source={inventory}", "--set", "train.epochs=1", "--to", "train"]
    project.trey(*words)
    project.trey(*words)
    assert set(statuses(project.last()).values()) <= {"cached", "skipped"}
    text = inventory.read_text(encoding="utf-8")
    inventory.write_text(text.replace("manufactured in 1960", "manufactured in 1961", 1), encoding="utf-8")
    planned = json.loads(project.trey("plan", *words[1:], "--json").stdout)["phases"]
    assert {phase["name"]: phase["runs"] for phase in planned[:2]} == {"prepare": True, "train": True}
    assert "source" in planned[0]["why"]


@pytest.mark.nightly
def test_a_gate_stops_the_release(project: Project, inventory: Path) -> None:
    """An architecture and one epoch that cannot do it: nothing is registered, and that is a planned end."""
    before = json.loads(project.trey("models", "--json").stdout)
    words = ["run", "--set", f"prepare.source={inventory}", "--set", "train.epochs=1"]
    project.trey(*words, "--set", "train.architecture=lab-reference")
    record = project.last()
    assert record["status"] == "stopped"
    assert record["decision"]["verdict"] == "stopped"
    assert statuses(record)["register"] == statuses(record)["deploy"] == "skipped"
    assert json.loads(project.trey("models", "--json").stdout) == before
    project.trey(*words, "--set", "train.architecture=lab-reference", "--fail-on-stop", exit_code=3)
