"""One way to score raw texts, measured in a process of its own: what `python -m benchmarks.onnx` starts in turns.

Example:
    python -m benchmarks.variant "Keras call" FOLDER 2      # two seconds for each size of batch

FOLDER holds model.keras, vocabulary.json, model.onnx, model.int8.onnx and texts.json. Prints `ready` after the first
answer, then one line of JSON; writes the probabilities of all texts into FOLDER. A variant imports what it needs and no
more, since the time of a first answer and the memory are its own.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Score = Callable[[list[str]], np.ndarray]  # texts -> float32[texts]

FIRST = "good condition steel component manufactured in 2012"
BATCHES = (1, 32, 1_000)
WARM_UP = 3  # calls of each size that do not count
FEWEST = 20  # calls of each size that count


def keras_predict(folder: Path) -> Score:
    network, encode = _network(folder)
    return lambda texts: network.predict(encode(texts), batch_size=max(BATCHES), verbose=0).reshape(-1)


def keras_call(folder: Path) -> Score:
    network, encode = _network(folder)
    return lambda texts: network(encode(texts), training=False).numpy().reshape(-1)


def tf_function(folder: Path) -> Score:
    import tensorflow as tf

    network, encode = _network(folder)
    takes = tf.TensorSpec([None, network.input_shape[1]], tf.int32)  # traced once for all sizes of batch
    compiled = tf.function(lambda numbers: network(numbers, training=False), input_signature=[takes])
    return lambda texts: compiled(encode(texts)).numpy().reshape(-1)


def onnx_runtime(folder: Path) -> Score:
    from compliance.scorer import Scorer

    return Scorer.from_onnx(folder / "model.onnx").score


def onnx_int8(folder: Path) -> Score:
    from compliance.scorer import Scorer

    return Scorer.from_onnx(folder / "model.int8.onnx").score


def _network(folder: Path) -> tuple["keras.Model", Callable[[list[str]], np.ndarray]]:
    """Load the network, and what cuts and numbers the words in Python."""
    import keras

    from compliance.vocabulary import Vocabulary

    network = keras.saving.load_model(folder / "model.keras", compile=False)
    vocabulary = Vocabulary.read(folder / "vocabulary.json")
    tokens = network.input_shape[1]
    return network, lambda texts: vocabulary.encode(texts, tokens)


VARIANTS: dict[str, Callable[[Path], Score]] = {
    "Keras `predict`": keras_predict,
    "Keras call": keras_call,
    "`tf.function`": tf_function,
    "ONNX Runtime": onnx_runtime,
    "ONNX int8": onnx_int8,
}


def batches(texts: list[str], size: int) -> Iterator[list[str]]:
    """Give batches of texts without end, going round and round."""
    start = 0
    while True:
        taken = [texts[(start + place) % len(texts)] for place in range(size)]
        yield taken
        start += size


def timed(score: Score, texts: list[str], size: int, seconds: float) -> dict[str, Any]:
    """Score batches for some time; give the milliseconds of each call by the clock, and of processors on average."""
    asked = batches(texts, size)
    for _ in range(WARM_UP):
        score(next(asked))
    calls: list[float] = []
    used = 0.0  # seconds of processors
    while len(calls) < FEWEST or sum(calls) < seconds * 1_000:
        batch = next(asked)
        busy, began = time.process_time(), time.perf_counter()
        score(batch)
        calls.append((time.perf_counter() - began) * 1_000)
        used += time.process_time() - busy
    return {"calls": calls, "processor": used * 1_000 / len(calls)}


def peak() -> float:
    """Give the most memory that this process held at once, in MiB; unlike ru_maxrss, nothing of its parent's."""
    [kibibytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(kibibytes) / 1_024


def main(name: str, place: str, seconds: str) -> None:
    """Answer once, measure, and answer all texts."""
    folder = Path(place)
    score = VARIANTS[name](folder)
    score([FIRST])
    print("ready", flush=True)
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    largest = max(BATCHES)
    answers = np.concatenate([score(texts[start : start + largest]) for start in range(0, len(texts), largest)])
    np.save(folder / f"{list(VARIANTS).index(name)}.npy", answers)
    found = {str(size): timed(score, texts, size, float(seconds)) for size in BATCHES}
    print(json.dumps(found | {"peak": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
