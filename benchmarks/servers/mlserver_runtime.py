"""A runtime of MLServer over the exported file.

`python -m benchmarks.servers.mlserver_runtime FOLDER` writes its settings.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.servers.onnx_file import load

NAME = "parts"


class Parts(MLModel):
    async def load(self) -> bool:
        self.session = load(Path(os.environ["BENCHMARK_FOLDER"]) / "model.onnx")
        self.threshold = float(os.environ["BENCHMARK_THRESHOLD"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        texts = StringCodec.decode_input(payload.inputs[0])
        found = self.session.run(None, {"text": np.array(texts, dtype=object)})[0][:, 0]
        labels = ["non-compliant" if value >= self.threshold else "compliant" for value in found.tolist()]
        outputs = [StringCodec.encode_output("label", labels), NumpyCodec.encode_output("probability", found)]
        return InferenceResponse(model_name=NAME, outputs=outputs)


def main() -> None:
    folder = Path(sys.argv[1]) / "mlserver"
    folder.mkdir()
    model = {"name": NAME, "implementation": f"benchmarks.servers.mlserver_runtime.{Parts.__name__}"}
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    # one process, as the others; only HTTP is asked
    settings = {"parallel_workers": 0, "host": "127.0.0.1", "grpc_port": 0, "metrics_endpoint": None}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


if __name__ == "__main__":
    main()
