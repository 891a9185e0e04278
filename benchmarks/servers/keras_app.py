"""The network in Keras behind FastAPI, words turned into numbers in Python.

Started by `uvicorn benchmarks.servers.keras_app:app`.
"""

import json
import os
import re
from pathlib import Path

import keras
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

folder = Path(os.environ["BENCHMARK_FOLDER"])
network = keras.saving.load_model(folder / "model" / "model.keras", compile=False)
front = json.loads((folder / "front.json").read_text(encoding="utf-8"))
numbers, tokens, unknown = front["numbers"], front["tokens"], front["unknown"]
threshold = float(os.environ["BENCHMARK_THRESHOLD"])
words = re.compile("[A-Za-z0-9]+")
app = FastAPI()


class Result(BaseModel):
    label: str
    probability: float


@app.post("/score")
async def score(texts: list[str]) -> list[Result]:
    cut = np.zeros((len(texts), tokens), np.int32)
    for row, text in zip(cut, texts, strict=True):
        found = [numbers.get(word, unknown) for word in words.findall(text.lower())[:tokens]]
        row[: len(found)] = found
    probabilities = network.predict(cut, batch_size=1_024, verbose=0)[:, 0].tolist()
    return [
        Result(label="non-compliant" if value >= threshold else "compliant", probability=value)
        for value in probabilities
    ]
