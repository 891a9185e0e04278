"""BentoML, as its tutorials have it: `bentoml serve benchmarks.servers.bentoml_service:Parts`."""

import os
from pathlib import Path

import bentoml
import numpy as np

from benchmarks.servers.onnx_file import load


@bentoml.service
class Parts:
    def __init__(self):
        self.session = load(Path(os.environ["BENCHMARK_FOLDER"]) / "model.onnx")
        self.threshold = float(os.environ["BENCHMARK_THRESHOLD"])

    @bentoml.api
    async def score(self, texts: list[str]) -> list[dict]:
        found = self.session.run(None, {"text": np.array(texts, dtype=object)})[0][:, 0].tolist()
        return [
            {"label": "non-compliant" if value >= self.threshold else "compliant", "probability": value}
            for value in found
        ]
