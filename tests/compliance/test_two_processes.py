"""What two processes make of the same rows is the same to the byte, whatever order their sets have."""

import json
import os
import subprocess
import sys

# Trains on a few rows and tells digests of what comes of it.
MAKE = """
import hashlib, json, numpy as np
from compliance import export, folder, model
from compliance.generate import connected_car
from compliance.text import normalize
from compliance.vocabulary import Vocabulary
rows = connected_car(200, 3)
rows = rows.assign(normalized=rows["text"].map(normalize), label=rows["label"].astype(np.int8))
vocabulary = Vocabulary.learn(rows["normalized"], 100)
network = model.train(model.TrainingPlan(tokens=12, epochs=2, seed=5), vocabulary, rows, rows[:50]).network
made = {
    "weights": b"".join(weight.tobytes() for weight in network.get_weights()),
    "onnx": export.to_onnx(network, vocabulary, 12),
    "keras": folder.keras_archive(network),
}
print(json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in made.items()}))
"""


def test_two_processes_train_the_same_weights_and_write_the_same_files() -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE], env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE
        )
        for seed in ("1", "2")
    ]
    answers = [process.communicate(timeout=180)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    first, second = map(json.loads, answers)
    assert set(first) == {"weights", "onnx", "keras"}
    assert first == second
