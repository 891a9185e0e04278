"""The deploy notebook as people run it: first a version that goes live, then one taken back, then one tried out."""

import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import onnxruntime
import pandas as pd
import papermill
import pytest

from delivery import registry
from delivery.endpoint import Endpoint
from delivery.external import endpoint_state, endpoint_uri

from ..fixtures_model import TEXTS, MakeModel, digest_of

SCRAP = "application/scrapbook.scrap."
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "deploy.ipynb"


class Deployments:
    """Registers models and deploys each as the phases before would hand it over."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.store = str(folder / "registry")
        self.endpoints: str | Path = folder / "endpoints"

    def deploy(self, model_dir: Path, name: str, **parameters: Any) -> dict[str, Any]:
        """Execute the notebook, and give what it glued."""
        new = registry.register(model_dir, name="parts", store=self.store, tags={}, metrics={})
        folders = {phase: self.folder / name / phase for phase in ("register", "evaluate", "deploy")}
        for path in folders.values():
            path.mkdir(parents=True)
        registration = {"model_name": "parts", "version": new.version, "digest": digest_of(model_dir)}
        (folders["register"] / "registration.json").write_text(json.dumps(registration), encoding="utf-8")
        probabilities = _probabilities(model_dir)
        pd.DataFrame({"normalized": TEXTS, "probability": probabilities}).to_parquet(
            folders["evaluate"] / "predictions.parquet"
        )
        given = {f"{phase}_dir": str(folders[phase]) for phase in ("register", "evaluate")}
        given |= {"model_name": "parts", "registry_store": self.store, "endpoint_store": str(self.endpoints)}
        executed = self.folder / name / "deploy.ipynb"
        papermill.execute_notebook(
            str(NOTEBOOK),
            str(executed),
            given | {"output_dir": str(folders["deploy"]), **parameters},
            kernel_name="python3",
            cwd=str(NOTEBOOK.parent),
            progress_bar=False,
        )
        return _glued(executed)

    def endpoint(self) -> Endpoint:
        return Endpoint(self.endpoints, "parts", "scratch")


def _probabilities(model_dir: Path) -> list[float]:
    session = onnxruntime.InferenceSession(str(model_dir / "model.onnx"))
    found: np.ndarray = session.run(None, {"text": np.array(TEXTS, dtype=object)})[0]
    return [float(probability) for probability in found[:, 0]]


def _glued(executed: Path) -> dict[str, Any]:
    cells = nbformat.read(executed, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    bundles = [output["data"] for output in outputs if "data" in output]
    scraps = [bundle[kind] for bundle in bundles for kind in bundle if kind.startswith(SCRAP)]
    return {scrap["name"]: scrap["data"] for scrap in scraps}


@pytest.fixture(scope="module")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> Deployments:
    return Deployments(tmp_path_factory.mktemp("deployments"))


def test_one_version_after_another(deployments: Deployments, model_dir: Path, make_model: MakeModel) -> None:
    first = deployments.deploy(model_dir, "first")
    assert (first["outcome"], first["rolled_back"], first["model_version"]) == ("live", "", 1)
    assert (first["canary_stages"], first["smoke_failures"]) == (0, 0)

    nobody = deployments.deploy(make_model(bias=2e-6), "nobody", traffic="wait", stage_seconds=1.0)
    assert (nobody["outcome"], nobody["model_version"], nobody["canary_requests"]) == ("rolled back", 1, 0)
    assert nobody["rolled_back"].startswith("mirror 100 %: too little data after 0 requests and ")
    written = {path.name for path in (deployments.folder / "nobody" / "deploy").iterdir()}
    assert written == {"deployment.json", "rolled-back.json", "external.json"}
    refused = json.loads((deployments.folder / "nobody" / "deploy" / "rolled-back.json").read_text())
    assert refused["model"]["version"] == 2
    assert registry.champion("parts", "scratch", deployments.store).version == 1  # type: ignore[union-attr]
    assert deployments.endpoint().standby() is None

    like = deployments.deploy(make_model(bias=1e-6), "like", shares=[50])
    assert (like["outcome"], like["rolled_back"], like["model_version"]) == ("live", "", 3)
    assert like["canary_stages"] == 2
    assert like["canary_requests"] > 500
    assert registry.champion("parts", "scratch", deployments.store).version == 3  # type: ignore[union-attr]
    previous = deployments.endpoint().previous()
    assert previous is not None
    assert previous.version == 1
    folder = deployments.folder / "like" / "deploy"
    assert json.loads((folder / "deployment.json").read_text())["canary"][0]["verdict"] == "proceed"
    (known,) = [
        place["sha256"]
        for place in json.loads((folder / "external.json").read_text())
        if place["uri"] == endpoint_uri(str(deployments.endpoints), "parts", "scratch")
    ]
    assert endpoint_state(endpoint_uri(str(deployments.endpoints), "parts", "scratch")) == known
