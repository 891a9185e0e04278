"""FastAPI and uvicorn, as their tutorials have it: `uvicorn benchmarks.servers.fastapi_app:app`."""

import os
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.servers.onnx_file import load

session = load(Path(os.environ["BENCHMARK_FOLDER"]) / "model.onnx")
threshold = float(os.environ["BENCHMARK_THRESHOLD"])
app = FastAPI()


class Result(BaseModel):
    label: str
    probability: float


@app.post("/score")
async def score(texts: list[str]) -> list[Result]:
    found = session.run(None, {"text": np.array(texts, dtype=object)})[0][:, 0].tolist()
    return [Result(label="non-compliant" if value >= threshold else "compliant", probability=value) for value in found]
