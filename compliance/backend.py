"""What the networks compute on: Keras's backend and its device, how precisely, and what that cost.

Keras fixes its backend when it is imported, by the variable KERAS_BACKEND. All that differs between backends is in this
module; the networks themselves keep to Keras's own interface.
"""

import importlib.util
import os
import time
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from compliance.errors import BadInput

if TYPE_CHECKING:
    import keras

VARIABLE = "KERAS_BACKEND"
TENSORFLOW, JAX = "tensorflow", "jax"
BACKENDS = (TENSORFLOW, JAX)
FLOAT32 = "float32"
PRECISIONS = (FLOAT32, "mixed_float16", "mixed_bfloat16")
ARRAYS, TF_DATA = "arrays", "tf.data"
FEEDS = (ARRAYS, TF_DATA)
EXACT = "score"  # the layer whose probabilities are never rounded
NOT_MEASURED = "not measured"
BYTES_IN_MB = 1_000_000
JAX_REPEATS = "--xla_gpu_deterministic_ops=true"


def settle() -> None:
    """Choose what the backend reads from the environment when it is first imported, unless somebody chose already.

    Raises:
        BadInput: KERAS_BACKEND names a backend that nothing here was tried with, or one that is not installed.
    """
    chosen = os.environ.setdefault(VARIABLE, TENSORFLOW)  # Keras would look into a file in the home folder next
    if chosen not in BACKENDS:
        raise BadInput(f"{VARIABLE} is {chosen!r}; it may be {' or '.join(BACKENDS)}: export {VARIABLE}={TENSORFLOW}")
    if not installed(chosen):
        raise BadInput(f"{VARIABLE} is {chosen!r}, which is not installed: pip install {chosen}, or unset {VARIABLE}")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it sums in an order that differs from machine to machine
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors reach us as exceptions, the rest is noise in a notebook
    if chosen == JAX and JAX_REPEATS not in (flags := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{flags} {JAX_REPEATS}".strip()


def installed(backend: str) -> bool:
    """Tell whether a backend can be imported; it is not imported."""
    return importlib.util.find_spec(backend) is not None


def name() -> str:
    """Give the backend that computes in this process: tensorflow or jax."""
    settle()
    import keras

    return str(keras.backend.backend())


def repeatable(seed: int) -> None:
    """Make all that is drawn or added up from here on repeatable in this process, and float32 mean float32."""
    full_precision()
    import keras

    keras.utils.set_random_seed(seed)
    if name() == TENSORFLOW:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()  # JAX was told by `settle`


def full_precision() -> None:
    """Multiply float32 numbers as such. GPUs round them to 10 bits (TF32) unless told, and parity would be lost."""
    if name() == TENSORFLOW:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    else:
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")


def compiles() -> bool:
    """Tell whether a network is to be compiled: JAX is slow without; TensorFlow takes longer than it saves here."""
    return name() == JAX


def device() -> str:
    """Give the device that computes, as the backend tells it: a GPU's name, or "CPU"."""
    if name() == TENSORFLOW:
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        return str(tf.config.experimental.get_device_details(found[0]).get("device_name", "GPU")) if found else "CPU"
    import jax

    first = jax.devices()[0]
    return "CPU" if first.platform == "cpu" else str(first.device_kind)


def peak_memory_mb() -> float | str:
    """Give the most device memory that this process held at once, in millions of bytes; on a CPU, "not measured"."""
    peak = _peak_bytes()
    return NOT_MEASURED if peak is None else peak / BYTES_IN_MB


def facts() -> dict[str, Any]:
    """Give `backend`, `device` and `peak_memory_mb`: facts of this machine, which belong in no file of a model."""
    return {"backend": name(), "device": device(), "peak_memory_mb": peak_memory_mb()}


def versions() -> dict[str, str]:
    """Give the versions of Keras and of what computes for it. TensorFlow exports, whatever computes."""
    of = {"keras": metadata.version("keras"), TENSORFLOW: _version_of_tensorflow()}
    return of | {JAX: metadata.version("jax")} if name() == JAX else of


def faults(precision: str, feed: str) -> list[str]:
    """Say what is wrong with a choice of precision and feed."""
    found = []
    if precision not in PRECISIONS:
        told = f"precision is {precision!r}; it may be {', '.join(PRECISIONS)}"
        found.append(f"{told}: --set train.precision={FLOAT32}")
    if feed not in FEEDS:
        found.append(f"feed is {feed!r}; it may be {' or '.join(FEEDS)}: --set train.feed={ARRAYS}")
    elif feed == TF_DATA and (backend := name()) != TENSORFLOW:
        told = f"feed is {feed!r}, which the backend tensorflow alone can read; the backend is {backend}"
        found.append(f"{told}: --set train.feed={ARRAYS}")
    return found


def at_precision(network: "keras.Model", precision: str) -> "keras.Model":
    """Give a network that computes at a precision, with the same weights; the one given for float32, else a copy.

    Each layer of the copy has its own dtype policy, so that nothing outside of it changes. Its variables stay float32,
    and so does all of the layer `score` (P. Micikevicius et al. 2018, arXiv:1710.03740, keep both likewise).
    """
    if precision == FLOAT32:
        return network
    import keras

    def copied(layer: "keras.Layer") -> "keras.Layer":
        policy = FLOAT32 if layer.name == EXACT else precision
        return type(layer).from_config(layer.get_config() | {"dtype": policy})

    copy = keras.models.clone_model(network, clone_function=copied)
    copy.set_weights(network.get_weights())
    return copy


def optimizer(learning_rate: Any, precision: str) -> "keras.optimizers.Optimizer":
    """Give the optimizer for a learning rate or a schedule of it; with float16, one that scales the loss, since small
    gradients would become 0.
    """
    import keras

    adam = keras.optimizers.Adam(learning_rate)
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "mixed_float16" else adam


def fed(numbers: np.ndarray, labels: np.ndarray, plan_feed: str, batch_size: int, seed: int) -> dict[str, Any]:
    """Give what `fit` takes to learn from these rows, shuffled anew in each epoch."""
    if plan_feed == ARRAYS:
        return {"x": numbers, "y": labels, "batch_size": batch_size}
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices((numbers, labels)).shuffle(len(numbers), seed=seed)
    return {"x": rows.batch(batch_size).prefetch(tf.data.AUTOTUNE), "shuffle": False}  # it is shuffled already


class Clock:
    """Times epochs, without their validation.

    Attributes:
        epochs: Seconds of each epoch; the first one holds what is compiled or traced.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self.epochs: list[float] = []
        self._now = now
        self._epoch = self._test = self._tested = 0.0

    def callback(self) -> "keras.callbacks.Callback":
        """Give what Keras tells of beginnings and ends."""
        import keras

        clock = self

        class Told(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
                clock._epoch, clock._tested = clock._now(), 0.0

            def on_test_begin(self, logs: Any = None) -> None:
                clock._test = clock._now()

            def on_test_end(self, logs: Any = None) -> None:
                clock._tested += clock._now() - clock._test

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                clock.epochs.append(clock._now() - clock._epoch - clock._tested)

        return Told()

    def rows_per_second(self, rows: int) -> float:
        """Give the throughput of the median epoch, the first one left out where there are others."""
        return float(rows / np.median(self.epochs[1:] or self.epochs))


def _peak_bytes() -> int | None:
    if name() == TENSORFLOW:
        import tensorflow as tf

        if not tf.config.list_logical_devices("GPU"):
            return None
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    import jax

    statistics = jax.devices()[0].memory_stats()  # None on a CPU
    return int(statistics["peak_bytes_in_use"]) if statistics and "peak_bytes_in_use" in statistics else None


def _version_of_tensorflow() -> str:
    """Read it from the package's metadata: importing TensorFlow to ask it takes seconds."""
    for package in ("tensorflow", "tensorflow-cpu"):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"
