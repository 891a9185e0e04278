"""From a run to production and back to a refusal, with the project's own register and deploy notebooks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.delivery.lifecycle import PIPELINE
from tests.fixtures_model import TEXTS, write_model
from tests.project import Project, copy_project
from tests.runner.conftest import GLUE, write_notebook

PARAMS = """
all: {model_name: parts}
register: {registry_store: ../registry}
deploy: {registry_store: ../registry, endpoint_store: ../endpoints, environment: staging}
"""
EVALUATE = """
import json, shutil
from pathlib import Path
import pandas as pd
from compliance.scorer import Scorer
from delivery.files import model_manifest
output = Path(output_dir)
shutil.copytree(model_path, output / "model")
_, digest = model_manifest(output / "model")
texts = json.loads(Path(texts_path).read_text())
scored = Scorer.load(output / "model").score(texts)
pd.DataFrame({"normalized": texts, "probability": scored}).to_parquet(output / "predictions.parquet")
(output / "evaluation.json").write_text(json.dumps({"model_digest": digest}))
(output / "errors.csv").write_text("text\\n")
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a copy of the project whose evaluation is of a model small enough to read."""
    project = copy_project(tmp_path_factory.mktemp("release"))
    model = write_model(project.root / "given")
    manifest = json.loads((model / "model.json").read_text(encoding="utf-8"))
    figures = {"value": 0.97, "low": 0.95, "high": 0.99}
    names = ("accuracy", "missed_rate", "noncompliant_recall", "precision")
    manifest["metrics"] = {"estimates": dict.fromkeys(names, figures), "confusion": {"missed": 1}}
    manifest["provenance"] |= {"source_sha256": None, "counts": {"rows_kept": 5}}
    (model / "model.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    texts = [*TEXTS[:4], *(f"steel part {number}" for number in range(20))]
    (project.root / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    write_notebook(
        project.root / "notebooks" / "evaluate.ipynb",
        GLUE,
        EVALUATE,
        "glue('model_digest', digest)\nglue('recall', 0.97)\nglue('recall_low', 0.85)\nglue('texts', 40)",
        parameters=f'model_path: str = "{model}"\ntexts_path: str = "{project.root / "texts.json"}"\n'
        'output_dir: str = "x"',
    )
    (project.root / "params" / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    (project.root / "params" / "default.yaml").write_text(PARAMS, encoding="utf-8")
    return project


def answer(project: Project, environment: str, text: str) -> dict:
    """Serve an environment for one request, as a person does."""
    command = [sys.executable, "-m", "runner", "serve", "--env", environment, "--port", "0"]
    variables = os.environ | {"PYTHONPATH": str(project.root), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=project.root, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            urls = (line.split()[-1] for line in process.stdout if line.startswith("listening on "))
            answered = httpx.post(f"{next(urls)}/score", json=[text], trust_env=False, timeout=30)
            found: dict = answered.raise_for_status().json()
            return found
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


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
        answered = answer(project, environment, "poor condition iron component manufactured in 1971")
        assert answered["model"]["digest"] == digest
        assert answered["results"][0]["label"] == "non-compliant"
    [model] = json.loads(project.trey("models", "--json").stdout)
    assert model["champion_of"] == ["production", "staging"]

    project.trey("reject", "one", "--env", "production", "--comment", "misses 1996", "--as", "eve")
    assert "misses 1996" in project.trey("release", "one", "--to", "production", exit_code=2).stderr
