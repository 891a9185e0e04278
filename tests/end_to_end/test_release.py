"""From a run to production and back to a refusal, with the project's own register and deploy notebooks."""

import json
from pathlib import Path

import pytest

from delivery.endpoint import Endpoint
from tests.delivery.lifecycle import PIPELINE
from tests.end_to_end.small import EVALUATED, write_judged_model
from tests.fixtures_model import TEXTS
from tests.project import Project, copy_project
from tests.runner.conftest import GLUE, write_notebook

pytestmark = pytest.mark.nightly

PARAMS = """
all: {model_name: parts}
register: {registry_store: ../registry}
deploy: {registry_store: ../registry, endpoint_store: ../endpoints, environment: staging}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a copy of the project whose evaluation is of a model small enough to read."""
    project = copy_project(tmp_path_factory.mktemp("release"))
    model = write_judged_model(project.root / "given")
    texts = [*TEXTS[:4], *(f"steel part {number}" for number in range(20))]
    (project.root / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    write_notebook(
        project.root / "notebooks" / "evaluate.ipynb",
        GLUE,
        f"import json\ntexts = json.loads(open(texts_path).read())\n{EVALUATED}",
        "glue('model_digest', digest)\nglue('recall', 0.97)\nglue('recall_low', 0.85)\nglue('texts', 40)",
        parameters=f'model_path: str = "{model}"\ntexts_path: str = "{project.root / "texts.json"}"\n'
        'output_dir: str = "x"',
    )
    (project.root / "params" / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    (project.root / "params" / "default.yaml").write_text(PARAMS, encoding="utf-8")
    return project


def test_a_run_goes_to_production_by_waiver_and_approval_and_no_other_way(project: Project) -> None:
    project.trey("run", "--run-id", "one")
    assert project.last()["decision"]["reason"].startswith("the gates of register stopped the run: evaluate.recall_low")
    project.trey("approve", "one", "--env", "production", "--comment", "w", "--as", "bob", exit_code=2)
    project.trey("waive", "one", "--gate", "evaluate.recall_low", "--reason", "checked by hand", "--as", "bob")
    assert project.trey("resume", "one").stdout.startswith(
        "release: 1 of 2 gates passed; 1 waived: evaluate.recall_low"
    )

    refused = project.trey("release", "one", "--to", "production", exit_code=2)
    assert refused.stderr.splitlines()[-1] == "next: trey approve one --env production --comment WHY"
    project.trey("approve", "one", "--env", "production", "--comment", "read the report", exit_code=2)
    project.trey("approve", "one", "--env", "production", "--comment", "read the report", "--as", "bob")
    assert not (project.root / "endpoints" / "parts" / "production").exists()

    service = project.root / "service" / "problems.py"
    before = service.read_text(encoding="utf-8")
    service.write_text(before + "# another byte of the release\n", encoding="utf-8")
    assert "is void" in project.trey("release", "one", "--to", "production", exit_code=2).stderr
    service.write_text(before, encoding="utf-8")
    released = project.trey("release", "one", "--to", "production").stdout
    assert released.splitlines()[-1] == "next: trey serve --env production"

    folder = project.root / "runs" / "one"
    manifest = json.loads((folder / "releases" / "production-1" / "release.json").read_bytes())
    digest = project.last()["phases"]["evaluate"]["scraps"]["model_digest"]["value"]
    assert manifest["model"] == {"name": "parts", "version": 1, "digest": digest}
    assert [entry["by"] for entry in manifest["approvals"]] == ["bob"]
    assert [entry["subject"] for entry in manifest["waivers"]] == ["evaluate.recall_low"]
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "<strong>Waived by bob:</strong>" in report
    assert Path(folder / "releases/production-1/_phase/notebook.html").is_file()

    for environment in ("staging", "production"):
        live = Endpoint(project.root / "endpoints", "parts", environment).live()
        assert live
        assert live.digest == digest
    [model] = json.loads(project.trey("models", "--json").stdout)
    assert model["champion_of"] == ["production", "staging"]

    project.trey("reject", "one", "--env", "production", "--comment", "misses 1996", "--as", "eve")
    assert "misses 1996" in project.trey("release", "one", "--to", "production", exit_code=2).stderr
