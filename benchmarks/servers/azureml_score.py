"""Azure ML's entry script, as its tutorials have it, over the exported file: `azmlinfsrv --entry_script …`."""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime

state = {}


def init():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    file = Path(os.environ["BENCHMARK_FOLDER"]) / "model.onnx"
    state["session"] = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    state["threshold"] = float(os.environ["BENCHMARK_THRESHOLD"])


def run(raw_data):
    found = state["session"].run(None, {"text": np.array(json.loads(raw_data), dtype=object)})[0][:, 0].tolist()
    return [
        {"label": "non-compliant" if value >= state["threshold"] else "compliant", "probability": value}
        for value in found
    ]
