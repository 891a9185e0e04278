"""A model of MLflow's own form over the exported file: `python -m benchmarks.servers.mlflow_model FOLDER` writes it."""

import os
import sys
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime


class Parts(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(context.artifacts["onnx"], options)
        self.threshold = float(os.environ["BENCHMARK_THRESHOLD"])

    def predict(self, context, model_input, params=None):
        texts = np.array(list(model_input), dtype=object)
        found = self.session.run(None, {"text": texts})[0][:, 0].tolist()
        return [
            {"label": "non-compliant" if value >= self.threshold else "compliant", "probability": value}
            for value in found
        ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    mlflow.pyfunc.save_model(
        folder / "mlflow", python_model=Parts(), artifacts={"onnx": str(folder / "model.onnx")}, pip_requirements=[]
    )
