"""Models small enough to read, with all that the project's own register and deploy notebooks ask of an evaluation."""

import json
from pathlib import Path

from tests.fixtures_model import write_model

# What an evaluation leaves for the phases after it; `model_path` and `texts` are given.
EVALUATED = """
import json, shutil
from pathlib import Path
import pandas as pd
from compliance.scorer import Scorer
from delivery.files import model_manifest
output = Path(output_dir)
shutil.copytree(model_path, output / "model")
_, digest = model_manifest(output / "model")
scored = Scorer.load(output / "model").score(texts)
pd.DataFrame({"normalized": texts, "probability": scored}).to_parquet(output / "predictions.parquet")
(output / "evaluation.json").write_text(json.dumps({"model_digest": digest}))
(output / "errors.csv").write_text("text\\n")
"""


def write_judged_model(folder: Path, *, name: str = "parts", bias: float = 0.0) -> Path:
    """Write a model folder whose manifest holds figures, as an evaluation writes them, and give it."""
    model = write_model(folder, name=name, bias=bias)
    manifest = json.loads((model / "model.json").read_text(encoding="utf-8"))
    figures = {"value": 0.97, "low": 0.95, "high": 0.99}
    names = ("accuracy", "missed_rate", "noncompliant_recall", "precision")
    manifest["metrics"] = {"estimates": dict.fromkeys(names, figures), "confusion": {"missed": 1}}
    manifest["provenance"] |= {"source_sha256": None, "counts": {"rows_kept": 5}}
    (model / "model.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return model
