"""What a network computes on, and how precisely, changes neither what is exported nor anything outside of it."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from compliance import backend, export, model
from compliance.errors import BadInput
from compliance.scorer import Scorer
from compliance.vocabulary import Vocabulary

from ..drawn import drawn
from .conftest import descriptions

PARITY = 1e-5
MIXED = [precision for precision in backend.PRECISIONS if precision != backend.FLOAT32]

# Trains with the backend that KERAS_BACKEND names, exports, and tells what came of it.
LEARN = """
import json, sys, tempfile
import numpy as np
from pathlib import Path
from compliance import backend, export, folder, model
from compliance.errors import BadInput
from compliance.generate import connected_car
from compliance.scorer import Scorer
from compliance.text import normalize
from compliance.vocabulary import Vocabulary
rows = connected_car(400, 3)
rows = rows.assign(normalized=rows["text"].map(normalize), label=rows["label"].astype(np.int8))
vocabulary = Vocabulary.learn(rows["normalized"], 1_000)
plan = model.TrainingPlan(tokens=16, epochs=4, batch_size=32, learning_rate=0.01, precision=sys.argv[1])
first, second = (model.train(plan, vocabulary, rows[:300], rows[300:]) for _ in range(2))
onnx = export.to_onnx(first.network, vocabulary, 16)
texts = list(rows["text"])
with tempfile.TemporaryDirectory() as temporary:
    path = Path(temporary) / "model.keras"
    path.write_bytes(folder.keras_archive(first.network))
    keras = model.probabilities(model.read_network(path), vocabulary, 16, texts)
try:
    model.TrainingPlan(feed="tf.data")
    refused = ""
except BadInput as error:
    refused = str(error)
scores = Scorer.from_onnx(onnx).score(texts)
versions = sorted(model.versions())
print(json.dumps({
    "facts": backend.facts(),
    "speed": first.rows_per_second,
    "accuracy": float(((scores >= 0.5) == rows["label"]).mean()),
    "difference": float(abs(scores - keras).max()),
    "flips": int(((scores >= 0.5) != (keras >= 0.5)).sum()),
    "same": all(np.array_equal(*pair) for pair in zip(first.network.get_weights(), second.network.get_weights())),
    "refused": refused,
    "versions": versions,
}))
"""


@pytest.fixture
def network():  # type: ignore[no-untyped-def]
    return model.build(model.TrainingPlan(tokens=5), Vocabulary(("iron", "steel")))


def test_at_float32_the_network_itself_learns(network) -> None:  # type: ignore[no-untyped-def]
    assert backend.at_precision(network, "float32") is network


@pytest.mark.parametrize("precision", MIXED)
def test_a_mixed_copy_rounds_sums_and_neither_weights_nor_probabilities(network, precision: str) -> None:  # type: ignore[no-untyped-def]
    import keras

    policy = keras.config.dtype_policy().name
    copy = backend.at_precision(network, precision)
    assert {layer.compute_dtype for layer in copy.layers[1:-1]} == {precision.removeprefix("mixed_")}
    assert (copy.layers[-1].name, copy.layers[-1].compute_dtype) == ("score", "float32")
    assert {weight.dtype for weight in copy.weights} == {"float32"}
    assert all(np.array_equal(*pair) for pair in zip(copy.get_weights(), network.get_weights(), strict=True))
    assert {layer.compute_dtype for layer in network.layers[1:]} == {"float32"}
    assert keras.config.dtype_policy().name == policy == "float32"


@pytest.mark.parametrize("precision", drawn(MIXED, 1))
def test_what_learned_at_a_mixed_precision_is_exported_at_float32(precision: str) -> None:
    rows = descriptions(600, seed=1)
    vocabulary = Vocabulary.learn(rows["normalized"], 1_000)
    plan = model.TrainingPlan(tokens=16, epochs=4, batch_size=32, learning_rate=0.01, precision=precision)
    trained = model.train(plan, vocabulary, rows, descriptions(200, seed=2))
    texts = list(descriptions(300, seed=9)["text"])
    keras = model.probabilities(trained.network, vocabulary, 16, texts)
    scores = Scorer.from_onnx(export.to_onnx(trained.network, vocabulary, 16)).score(texts)
    assert {layer.compute_dtype for layer in trained.network.layers[1:]} == {"float32"}
    assert ((scores >= 0.5) == descriptions(300, seed=9)["label"]).mean() > 0.9
    assert abs(scores - keras).max() <= PARITY
    assert ((scores >= 0.5) == (keras >= 0.5)).all()


def test_tf_data_trains_repeatably() -> None:
    rows = descriptions(200, seed=1)
    vocabulary = Vocabulary.learn(rows["normalized"], 1_000)
    plan = model.TrainingPlan(tokens=16, epochs=2, feed="tf.data", noncompliant_weight=2)
    first, second = (model.train(plan, vocabulary, rows, rows).network.get_weights() for _ in range(2))
    assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_an_unknown_precision_and_feed_are_told_with_what_is_allowed() -> None:
    with pytest.raises(BadInput) as refused:
        model.TrainingPlan(precision="float16", feed="files")
    assert refused.value.faults == (
        "precision is 'float16'; it may be float32, mixed_float16, mixed_bfloat16: --set train.precision=float32",
        "feed is 'files'; it may be arrays or tf.data: --set train.feed=arrays",
    )


def test_an_unknown_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(BadInput, match="KERAS_BACKEND is 'torch'; it may be tensorflow or jax: export KERAS_BACKEND="):
        backend.settle()


def test_a_backend_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(backend, "installed", lambda name: name != "jax")
    with pytest.raises(BadInput, match="which is not installed: pip install jax, or unset KERAS_BACKEND"):
        backend.settle()


def test_flags_of_somebody_else_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    monkeypatch.setattr(backend, "installed", lambda name: True)
    backend.settle()
    backend.settle()
    assert os.environ["XLA_FLAGS"] == f"--xla_dump_to=x {backend.JAX_REPEATS}"


def test_facts_name_the_device_and_claim_no_memory_of_a_cpu() -> None:
    import tensorflow as tf

    found = backend.facts()
    assert found["backend"] == "tensorflow"
    if tf.config.list_physical_devices("GPU"):
        assert found["device"] != "CPU" and found["peak_memory_mb"] > 0
    else:
        assert (found["device"], found["peak_memory_mb"]) == ("CPU", "not measured")


def test_the_clock_leaves_out_validation_and_the_first_epoch() -> None:
    times = iter([0, 10, 14, 15, 20, 22, 26, 27])
    clock = backend.Clock(lambda: next(times))
    told = clock.callback()
    for epoch in range(2):
        told.on_epoch_begin(epoch)
        told.on_test_begin()
        told.on_test_end()
        told.on_epoch_end(epoch)
    assert clock.epochs == [11, 3]
    assert clock.rows_per_second(300) == 100


def learned(backend_name: str, precision: str) -> dict:
    ended = subprocess.run(
        [sys.executable, "-c", LEARN, precision],
        env=os.environ | {"KERAS_BACKEND": backend_name},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.nightly
def test_jax_trains_and_the_exported_file_decides_alike() -> None:
    if importlib.util.find_spec("jax") is None:
        if os.environ.get("TREY_REQUIRE_JAX") == "1":
            pytest.fail('TREY_REQUIRE_JAX is 1, but jax is not installed: pip install -e ".[jax]"')
        pytest.skip("needs jax: make jax")
    found = learned("jax", "mixed_bfloat16")
    assert found["facts"]["backend"] == "jax"
    assert found["accuracy"] > 0.9
    assert found["difference"] <= PARITY and found["flips"] == 0
    assert found["same"]
    assert found["speed"] > 0
    assert "which the backend tensorflow alone can read; the backend is jax" in found["refused"]
    assert found["versions"] == ["jax", "keras", "onnx", "onnxmltools", "tensorflow"]


def test_a_network_that_tensorflow_cannot_convert_is_told(monkeypatch: pytest.MonkeyPatch, network) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(backend, "name", lambda: "jax")
    monkeypatch.setattr(export.folder, "keras_archive", lambda network: b"no network")
    with pytest.raises(export.ExportFailed, match=r"TensorFlow could not convert the network \(exit 1\)"):
        export.to_onnx(network, Vocabulary(("iron", "steel")), 5)
