"""The limit: ONNX Runtime in a loop, with no server around it.

Asked as `python -m benchmarks.servers.bare FOLDER SECONDS`; prints the milliseconds of its calls, for each batch.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.servers.onnx_file import load

BATCHES = (1, 32, 1_000)


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    session = load(folder / "model.onnx")
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    session.run(None, {"text": np.array(texts[:1], dtype=object)})
    print(json.dumps({size: calls(session, texts, size, seconds) for size in BATCHES}))


def calls(session, texts: list[str], size: int, seconds: float) -> list[float]:
    took, place, end = [], 0, time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        place = (place + size) % (len(texts) - size)
        session.run(None, {"text": np.array(texts[place : place + size], dtype=object)})[0].tolist()
        took.append((time.perf_counter() - began) * 1_000)
    return took


if __name__ == "__main__":
    main()
