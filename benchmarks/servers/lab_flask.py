"""The lab's way: Flask, words turned into numbers in Python, the network in ONNX.

Started by `gunicorn benchmarks.servers.lab_flask:app`.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
from flask import Flask, jsonify, request

from benchmarks.servers.onnx_file import load

folder = Path(os.environ["BENCHMARK_FOLDER"])
session = load(folder / "network.onnx")
front = json.loads((folder / "front.json").read_text(encoding="utf-8"))
numbers, tokens, unknown = front["numbers"], front["tokens"], front["unknown"]
threshold = float(os.environ["BENCHMARK_THRESHOLD"])
words = re.compile("[A-Za-z0-9]+")
app = Flask(__name__)


@app.post("/score")
def score():
    texts = request.get_json()
    cut = np.zeros((len(texts), tokens), np.int32)
    for row, text in zip(cut, texts, strict=True):
        found = [numbers.get(word, unknown) for word in words.findall(text.lower())[:tokens]]
        row[: len(found)] = found
    probabilities = session.run(None, {"numbers": cut})[0][:, 0].tolist()
    return jsonify(
        [
            {"label": "non-compliant" if value >= threshold else "compliant", "probability": value}
            for value in probabilities
        ]
    )
