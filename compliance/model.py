"""The networks and how they learn: Keras models from word numbers to the probability of non-compliance.

An architecture is a function in `ARCHITECTURES` that builds a functional model with the input `tokens` (int32) and a
last layer `score` (sigmoid), which is what the exporter relies on.
"""

import difflib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from compliance import backend, vectors
from compliance.architectures import bag_of_ngrams
from compliance.calibration import Decision
from compliance.errors import BadInput, ComplianceError
from compliance.vocabulary import UNKNOWN, Vocabulary

if TYPE_CHECKING:
    import keras

EMBEDDING = 32  # numbers that stand for a word
FILTERS = 32  # patterns looked for, per width
WIDTHS = (1, 2, 3)  # words in a pattern
CONTEXT = 64  # numbers that stand for a word in its context
STEPS = (3, 3, 3)  # words that each step of a context looks at: seven in all
HEAVIEST = 1_000  # weight of a row
FORGOTTEN = 0.02  # share of words that training hides
LAB_EMBEDDING, LAB_UNITS = 100, 64  # as the published lab chose them
TAKES_VECTORS = ("lab-reference",)  # architectures whose words may be given vectors that were trained before
HYPERPARAMETERS = (
    "epochs", "batch_size", "learning_rate", "falling_rate", "patience", "noncompliant_weight", "maximum_words",
    "nearest_year", "misspellings", "precision", "feed",
)  # fmt: skip
STEPS_AT_ONCE = 16  # training steps between two visits to Python
SCORED_AT_ONCE = 1_024
REPORT_FILE = "training.json"
GIVEN_FILE = "given.parquet"


class TrainingDiverged(ComplianceError):
    """The loss is no number any more; nothing that was learned can be used."""


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained and how."""

    architecture: str = "context-cnn"
    tokens: int = 32  # words of a text that are read
    maximum_words: int = 10_000  # words in the vocabulary at most
    nearest_year: bool = True  # read a year that training never named as the nearest it named
    misspellings: bool = False  # read a misspelt word as the word it was meant to be
    vectors_path: str = ""  # file of pre-trained word vectors, in GloVe's format; none if empty
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 0.002
    falling_rate: bool = False  # let the learning rate fall to nothing over the epochs
    patience: int = 3  # epochs without a better validation loss before training stops
    noncompliant_weight: float = 1.0  # how much a non-compliant row counts, where a compliant one counts 1
    seed: int = 7
    precision: str = backend.FLOAT32  # of the sums while training; what is kept is float32
    feed: str = backend.ARRAYS  # how rows reach the network

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, all at once."""
        if faults := list(self._faults()):
            raise BadInput(*faults)

    def _faults(self) -> Iterator[str]:
        if self.architecture not in ARCHITECTURES:
            near = difflib.get_close_matches(self.architecture, ARCHITECTURES, n=1)
            meant = near[0] if near else "context-cnn"
            known = ", ".join(sorted(ARCHITECTURES))
            yield f"architecture is {self.architecture!r}; it may be {known}: --set train.architecture={meant}"
        for name in ("tokens", "maximum_words", "epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value < 1:
                default = type(self).__dataclass_fields__[name].default
                yield f"{name} is {value}; give a whole number above 0: --set train.{name}={default}"
        if not 0 < self.learning_rate <= 1:
            yield f"learning_rate is {self.learning_rate}; give one above 0, up to 1: --set train.learning_rate=0.002"
        if not 0 < self.noncompliant_weight <= HEAVIEST:
            told = f"noncompliant_weight is {self.noncompliant_weight}; give one above 0, up to {HEAVIEST:,}"
            yield f"{told}: --set train.noncompliant_weight=1"
        if self.vectors_path and self.architecture in set(ARCHITECTURES) - set(TAKES_VECTORS):
            taking = " or ".join(TAKES_VECTORS)
            told = f"vectors_path is given, but {self.architecture} learns its own vectors; {taking} takes them"
            yield f"{told}: --set train.architecture={TAKES_VECTORS[0]}, or --set train.vectors_path=''"
        yield from backend.faults(self.precision, self.feed)

    @property
    def hyperparameters(self) -> dict[str, int | float | str]:
        """Give what decides how the network learns, apart from the seed."""
        return {name: getattr(self, name) for name in HYPERPARAMETERS}


@dataclass(frozen=True)
class Trained:
    """A trained network with the weights of its best epoch, and how it got there."""

    network: "keras.Model"
    history: pd.DataFrame  # epoch (from 1), loss, accuracy, validation_loss, validation_accuracy
    best_epoch: int
    given: pd.Series  # every distinct normalized text it was given, to learn from or to choose by, in order
    rows_per_second: float  # in the median epoch, without validation; depends on the machine

    @property
    def best(self) -> pd.Series:
        """Give the line of the history whose weights were kept."""
        return self.history.loc[self.history["epoch"] == self.best_epoch].iloc[0]


def word_cnn(words: int, tokens: int) -> "keras.Model":
    """Build a network that looks for patterns of one to three words, wherever they stand in the text."""
    import keras
    from keras import layers

    numbers = keras.Input((tokens,), dtype="int32", name="tokens")
    vectors = layers.Embedding(words, EMBEDDING, name="embedding")(numbers)
    found = [
        layers.GlobalMaxPooling1D(name=f"strongest_{width}")(
            layers.Conv1D(FILTERS, width, padding="same", activation="relu", name=f"patterns_{width}")(vectors)
        )
        for width in WIDTHS
    ]
    kept = layers.Dropout(0.5, name="dropout")(layers.Concatenate(name="patterns")(found))
    score = layers.Dense(1, activation="sigmoid", name="score")(kept)
    return keras.Model(numbers, score, name="word_cnn")


def context_cnn(words: int, tokens: int) -> "keras.Model":
    """Build a network that reads each word with the three before and behind it, and keeps the strongest of each sign.

    The steps add to what they read (He et al. 2016, arXiv:1512.03385), so that a word keeps its own meaning beside its
    context's: in "not made of plastic" the first decides about the last. Training hides whole words at random (Iyyer et
    al. 2015, word dropout), so that no verdict hangs on one turn of phrase.
    """
    import keras
    from keras import layers

    numbers = keras.Input((tokens,), dtype="int32", name="tokens")
    vectors = layers.Embedding(words, EMBEDDING, name="embedding")(numbers)
    kept = layers.Dropout(FORGOTTEN, noise_shape=(None, tokens, 1), name="forgotten_words")(vectors)
    meaning = layers.Conv1D(CONTEXT, 1, name="meaning")(kept)
    for place, width in enumerate(STEPS, start=1):
        step = layers.Conv1D(CONTEXT, width, padding="same", activation="relu", name=f"context_{place}")(meaning)
        meaning = layers.Add(name=f"meaning_{place}")([meaning, step])
    signs = layers.Conv1D(CONTEXT, 1, activation="relu", name="signs")(meaning)
    strongest = layers.GlobalMaxPooling1D(name="strongest")(signs)
    score = layers.Dense(1, activation="sigmoid", name="score")(layers.Dropout(0.5, name="dropout")(strongest))
    return keras.Model(numbers, score, name="context_cnn")


def lab_reference(words: int, tokens: int) -> "keras.Model":
    """Build the published lab's network; its frozen vectors are random, unless a plan names pre-trained ones."""
    import keras
    from keras import layers

    numbers = keras.Input((tokens,), dtype="int32", name="tokens")
    frozen = layers.Embedding(words, LAB_EMBEDDING, trainable=False, name="embedding")(numbers)
    flat = layers.Flatten(name="flatten")(frozen)
    hidden = layers.Dense(LAB_UNITS, activation="relu", name="hidden")(flat)
    score = layers.Dense(1, activation="sigmoid", name="score")(hidden)
    return keras.Model(numbers, score, name="lab_reference")


def lab_reference_trained(words: int, tokens: int) -> "keras.Model":
    """Build the published lab's network with vectors that learn, to tell what freezing them costs."""
    network = lab_reference(words, tokens)
    network.get_layer("embedding").trainable = True
    return network


ARCHITECTURES: dict[str, Callable[[int, int], "keras.Model"]] = {
    "context-cnn": context_cnn,
    "word-cnn": word_cnn,
    "lab-reference": lab_reference,
    "lab-reference-trained": lab_reference_trained,
    "bag-of-ngrams": bag_of_ngrams,
}


def set_seed(seed: int) -> None:
    """Make everything that Keras and its backend draw or add up from here on repeatable, in this process."""
    backend.repeatable(seed)


def build(plan: TrainingPlan, vocabulary: Vocabulary) -> "keras.Model":
    """Build the network of a plan, its first weights drawn from the plan's seed.

    Raises:
        BadInput: The vectors that the plan names cannot be used.
    """
    set_seed(plan.seed)
    network = ARCHITECTURES[plan.architecture](vocabulary.size, plan.tokens)
    if plan.architecture == "context-cnn":
        _forget_unknown(network)
    if plan.vectors_path:
        vectors.place(network, given_vectors(plan, vocabulary))
    return network


def given_vectors(plan: TrainingPlan, vocabulary: Vocabulary) -> vectors.Vectors:
    """Read the pre-trained vectors that a plan names for the words of a vocabulary.

    Raises:
        BadInput: They cannot be used.
    """
    return vectors.read(plan.vectors_path, vocabulary.words, LAB_EMBEDDING)


def _forget_unknown(network: "keras.Model") -> None:
    """Let an unknown word begin as a forgotten one: where training knows all its words, it would stay as drawn."""
    embedding = network.get_layer("embedding")
    [drawn] = embedding.get_weights()
    drawn[UNKNOWN] = 0
    embedding.set_weights([drawn])


def train(
    plan: TrainingPlan,
    vocabulary: Vocabulary,
    training: pd.DataFrame,
    validation: pd.DataFrame,
    report: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train a network and keep the weights of the epoch with the lowest validation loss.

    The same arguments give the same weights on the same kind of machine. At a mixed precision a copy of the network
    learns, and its weights are put into the float32 network that is given back: that one is calibrated, exported and
    judged. The history tells of the copy.

    Args:
        plan: What to train and how.
        vocabulary: Of the training split.
        training: Rows with `normalized` and `label` (1 is non-compliant) to learn from.
        validation: Rows to choose the epoch by.
        report: Called with one line per epoch.

    Raises:
        TrainingDiverged: The validation loss became something that is no number.
    """
    network = build(plan, vocabulary)  # before Keras is imported here: it settles the backend
    import keras

    learner = backend.at_precision(network, plan.precision)
    learner.compile(
        optimizer=backend.optimizer(_learning_rate(plan, len(training)), plan.precision),
        loss="binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=backend.compiles(),
        steps_per_execution=STEPS_AT_ONCE,
    )
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=plan.patience, restore_best_weights=True)
    lines = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: report(_line(plan, epoch, logs)))
    clock = backend.Clock()
    fitted = learner.fit(
        **backend.fed(*arrays(training, vocabulary, plan.tokens), plan.feed, plan.batch_size, plan.seed),
        validation_data=arrays(validation, vocabulary, plan.tokens),
        validation_batch_size=plan.batch_size,
        epochs=plan.epochs,
        class_weight=None if plan.noncompliant_weight == 1 else {0: 1.0, 1: plan.noncompliant_weight},
        callbacks=[keras.callbacks.TerminateOnNaN(), clock.callback(), stopping, lines],
        verbose=0,
    )
    history = _history(fitted.history)
    if not np.isfinite(history[["loss", "validation_loss"]].to_numpy()).all():
        raise TrainingDiverged(
            f"the loss is no number after {len(history)} epochs at learning_rate {plan.learning_rate}: "
            f"--set train.learning_rate={plan.learning_rate / 10:g}"
        )
    if learner is not network:
        network.set_weights(learner.get_weights())
    given = pd.concat([training["normalized"], validation["normalized"]]).drop_duplicates()
    speed = clock.rows_per_second(len(training))
    return Trained(network, history, stopping.best_epoch + 1, given.sort_values(ignore_index=True), speed)


def _learning_rate(plan: TrainingPlan, rows: int) -> Any:
    """Give the size of a correction, or how it falls to nothing (after I. Loshchilov, F. Hutter, arXiv:1608.03983)."""
    import keras

    if not plan.falling_rate:
        return plan.learning_rate
    steps = math.ceil(rows / plan.batch_size) * plan.epochs
    return keras.optimizers.schedules.CosineDecay(plan.learning_rate, steps)


def arrays(rows: pd.DataFrame, vocabulary: Vocabulary, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Give word numbers, int32[rows, tokens], and labels, float32[rows, 1]; each distinct text is encoded once."""
    places, texts = pd.factorize(rows["normalized"])
    return vocabulary.encode(list(texts), tokens)[places], rows[["label"]].to_numpy(dtype=np.float32)


def probabilities(network: "keras.Model", vocabulary: Vocabulary, tokens: int, texts: list[str]) -> np.ndarray:
    """Score raw texts the way training saw them: words cut by Python, then the Keras network. float32[texts]."""
    encoded = vocabulary.encode(texts, tokens)
    return np.asarray(network.predict(encoded, batch_size=SCORED_AT_ONCE, verbose=0)).reshape(-1)


def learn_vocabulary(plan: TrainingPlan, training: pd.DataFrame) -> Vocabulary:
    """Learn the words of the training split, as the plan wants them.

    Raises:
        BadInput: There is no word in them.
    """
    return Vocabulary.learn(
        training["normalized"], plan.maximum_words, nearest_year=plan.nearest_year, misspellings=plan.misspellings
    )


def layers(network: "keras.Model") -> pd.DataFrame:
    """List the layers of a network: `layer`, `kind`, `shape` of what it gives, `trainable` and `frozen` weights."""
    lines = [
        {
            "layer": layer.name,
            "kind": type(layer).__name__,
            "shape": " × ".join("N" if size is None else str(size) for size in layer.output.shape),
            "trainable": sum(math.prod(weight.shape) for weight in layer.trainable_weights),
            "frozen": sum(math.prod(weight.shape) for weight in layer.non_trainable_weights),
        }
        for layer in network.layers
    ]
    return pd.DataFrame(lines)


def trainable_weights(network: "keras.Model") -> int:
    """Count the numbers that training may change."""
    return sum(math.prod(weight.shape) for weight in network.trainable_weights)


def training_report(
    plan: TrainingPlan, vocabulary: Vocabulary, trained: Trained, decision: Decision, data_digest: str
) -> dict[str, Any]:
    """Gather what the evaluation, the model card and the registry say about the training.

    Args:
        plan: What was trained and how.
        vocabulary: Of the training split.
        trained: What came of it.
        decision: How its answers were calibrated, and from where on a text is flagged.
        data_digest: Of the prepared splits.
    """
    return {
        "schema": 1,
        "architecture": plan.architecture,
        "tokens": plan.tokens,
        "seed": plan.seed,
        "hyperparameters": plan.hyperparameters | _vectors_given(plan),
        "data_digest": data_digest,
        "vocabulary_size": len(vocabulary.words),
        "weights": trainable_weights(trained.network),
        "epochs_run": len(trained.history),
        "best_epoch": trained.best_epoch,
        "validation_loss": float(trained.best["validation_loss"]),
        "validation_accuracy": float(trained.best["validation_accuracy"]),
        "backend": backend.name(),
        **decision.as_dict(),
        "versions": versions(),
    }


def _vectors_given(plan: TrainingPlan) -> dict[str, str]:
    """Name pre-trained vectors by their content, where there are any: where the file lies does not matter."""
    return {"vectors_sha256": vectors.digest(plan.vectors_path)} if plan.vectors_path else {}


def read_report(train_dir: Path | str) -> dict[str, Any]:
    """Read the training report.

    Raises:
        BadInput: There is none.
    """
    path = Path(train_dir) / REPORT_FILE
    if not path.is_file():
        raise BadInput(f"{path} does not exist: run the train notebook first, or set train_dir to its output_dir")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def write_given(train_dir: Path | str, trained: Trained) -> None:
    """Write down every text that a network was given: what the splits promise is one thing, what arrived another."""
    trained.given.to_frame().to_parquet(Path(train_dir) / GIVEN_FILE, index=False)


def read_given(train_dir: Path | str) -> pd.DataFrame:
    """Read the texts that a network was given: `normalized`.

    Raises:
        BadInput: Nobody wrote them down.
    """
    path = Path(train_dir) / GIVEN_FILE
    if not path.is_file():
        raise BadInput(f"{path} does not exist: run the train notebook again, or set train_dir to its output_dir")
    return pd.read_parquet(path)


def read_network(path: Path | str) -> "keras.Model":
    """Load a network from its .keras file, to score with."""
    backend.full_precision()
    import keras

    return keras.saving.load_model(path, compile=False)


def versions() -> dict[str, str]:
    """Give the versions of the libraries that made a model."""
    return backend.versions() | {name: metadata.version(name) for name in ("onnx", "onnxmltools")}


def _line(plan: TrainingPlan, epoch: int, logs: dict[str, float]) -> str:
    return (
        f"epoch {epoch + 1}/{plan.epochs}  loss {logs['loss']:.4f}  validation loss {logs['val_loss']:.4f}  "
        f"validation accuracy {logs['val_accuracy']:.4f}"
    )


def _history(history: dict[str, list[float]]) -> pd.DataFrame:
    names = {
        "loss": "loss",
        "accuracy": "accuracy",
        "val_loss": "validation_loss",
        "val_accuracy": "validation_accuracy",
    }
    lines = pd.DataFrame({name: history[key] for key, name in names.items()})
    lines.insert(0, "epoch", range(1, len(lines) + 1))
    return lines
