"""What this machine makes of training: backend, device, precision, throughput, peak memory.

Example:
    python -m benchmarks.device                            # the default network, 100,000 rows, all that is installed
    python -m benchmarks.device --rows 4000 --epochs 2     # small: does it work here?
    KERAS_BACKEND=jax python -m benchmarks.device --one mixed_bfloat16    # one line of it, as JSON

Each line is measured in a process of its own: Keras fixes its backend when it is imported, and the peak of a process
cannot be told apart. Parity is that of the exported file with Keras, on the validation texts.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from compliance import backend

SEED = 7
VALIDATION_SHARE = 0.15
SECONDS = 3_600  # that one line may take
COLUMNS = {
    "backend": "backend",
    "device": "device",
    "precision": "precision",
    "rows_per_second": "rows/s",
    "seconds": "training s",
    "peak_memory_mb": "peak MB",
    "validation_accuracy": "validation accuracy",
    "parity": "parity",
    "label_flips": "flips",
}


def measured(precision: str, rows: int, epochs: int) -> dict[str, Any]:
    """Train in this process and give what the table shows."""
    from compliance import export, generate, model
    from compliance.scorer import Scorer
    from compliance.text import normalize

    made = generate.connected_car(rows, SEED)
    made = made.assign(normalized=made["text"].map(normalize), label=made["label"].astype(np.int8))
    cut = int(rows * (1 - VALIDATION_SHARE))
    training, validation = made[:cut], made[cut:]
    plan = model.TrainingPlan(epochs=epochs, seed=SEED, precision=precision)
    vocabulary = model.learn_vocabulary(plan, training)
    start = time.perf_counter()
    trained = model.train(plan, vocabulary, training, validation)
    seconds, facts = time.perf_counter() - start, backend.facts()
    texts = list(validation["text"].unique())
    scores = Scorer.from_onnx(export.to_onnx(trained.network, vocabulary, plan.tokens)).score(texts)
    keras = model.probabilities(trained.network, vocabulary, plan.tokens, texts)
    return facts | {
        "precision": precision,
        "rows_per_second": trained.rows_per_second,
        "seconds": seconds,
        "validation_accuracy": float(trained.best["validation_accuracy"]),
        "parity": float(abs(scores - keras).max()),
        "label_flips": int(((scores >= 0.5) != (keras >= 0.5)).sum()),
    }


def elsewhere(name: str, precision: str, rows: int, epochs: int) -> dict[str, Any]:
    """Measure in a process with this backend."""
    command = [sys.executable, "-m", "benchmarks.device", "--one", precision]
    ended = subprocess.run(
        [*command, "--rows", str(rows), "--epochs", str(epochs)],
        env=os.environ | {backend.VARIABLE: name},
        stdout=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def line(found: dict[str, Any]) -> str:
    """Give a line of the table."""
    written = {"rows_per_second": ",.0f", "seconds": ".1f", "validation_accuracy": ".4f", "parity": ".1e"}
    memory = found["peak_memory_mb"]
    shown = {name: format(found[name], written.get(name, "")) for name in COLUMNS if name != "peak_memory_mb"}
    shown["peak_memory_mb"] = memory if isinstance(memory, str) else f"{memory:,.0f}"
    return f"| {' | '.join(shown[name] for name in COLUMNS)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--one", choices=backend.PRECISIONS, help="measure in this process and print JSON")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(asked.one, asked.rows, asked.epochs)))
        return
    print(f"{asked.rows:,} rows of connected-car, {asked.epochs} epochs, seed {SEED}\n")
    print(f"| {' | '.join(COLUMNS.values())} |\n|{'---|' * len(COLUMNS)}")
    for name in backend.BACKENDS:
        if not backend.installed(name):
            print(f"| {name} | not installed |{' |' * (len(COLUMNS) - 2)}")
            continue
        for precision in backend.PRECISIONS:
            print(line(elsewhere(name, precision, asked.rows, asked.epochs)), flush=True)


if __name__ == "__main__":
    main()
