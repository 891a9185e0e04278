"""The models that are compared, each measured the same way: its answers, and what it costs to have them."""

import pickle
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import cooccurrence
from benchmarks.datasets import TEST, DataSet
from compliance import baseline, budget, export, model
from compliance.scorer import Scorer
from compliance.text import normalize

THRESHOLD = 0.5  # even odds: what a miss costs is no property of an architecture
TUNED_ON = 10_000  # texts on which the settings of the simple model are chosen, at most
LAB, LAB_WITH_VECTORS = "lab reference", "lab reference, given vectors"
DEFAULT = "context CNN, the default"
PLAIN, PLAIN_WITH_LOOKUP = f"{baseline.NAME}, tuned", f"{baseline.NAME}, tuned, same lookup"

LAB_TRAINED = "lab reference, vectors trained"
AS_PUBLISHED = {"architecture": "lab-reference", "nearest_year": False, "misspellings": False}
NETWORKS: dict[str, dict[str, Any]] = {  # what they change in the plan
    DEFAULT: {},
    LAB: AS_PUBLISHED,
    LAB_WITH_VECTORS: AS_PUBLISHED,
    LAB_TRAINED: AS_PUBLISHED | {"architecture": "lab-reference-trained"},
    "word CNN": {"architecture": "word-cnn", "nearest_year": False},
    "word CNN, numeric bins": {"architecture": "word-cnn", "nearest_year": True},
    "bag of n-grams": {"architecture": "bag-of-ngrams", "nearest_year": True},
}


@dataclass(frozen=True)
class Measured:
    """How a model did.

    Attributes:
        flags: Its answers, by set: bool[texts], True is non-compliant.
        seconds: To train it, libraries loaded and words numbered; of the simple model also to choose its settings.
        megabytes: Size of the exported file; of the simple model pickled.
        milliseconds: Median time of an answer to one text.
        told: What was chosen on the way, if anything.
    """

    flags: dict[str, np.ndarray]
    seconds: float
    megabytes: float
    milliseconds: float
    told: str = ""


def measure(data: DataSet, place: Path) -> dict[str, Measured]:
    """Train and measure every contender.

    Args:
        data: What they learn from and are asked.
        place: An empty folder to write in.
    """
    vectors_path = place / "vectors.txt"
    cooccurrence.write(vectors_path, data.training["normalized"], model.LAB_EMBEDDING)
    found = {}
    for name, changed in NETWORKS.items():
        given = {"vectors_path": str(vectors_path)} if name == LAB_WITH_VECTORS else {}
        found[name] = _noted(name, data, lambda change=changed | given: network(data, replace(data.plan, **change)))
    found[PLAIN] = _noted(PLAIN, data, lambda: plain(data, lambda text: text))
    found[PLAIN_WITH_LOOKUP] = _noted(PLAIN_WITH_LOOKUP, data, lambda: plain(data, reader(data)))
    return found


def network(data: DataSet, plan: model.TrainingPlan) -> Measured:
    """Train a network and measure its exported file."""
    import keras

    keras.backend.clear_session()
    vocabulary = model.learn_vocabulary(plan, data.training)
    start = time.perf_counter()
    trained = model.train(plan, vocabulary, data.training, data.validation)
    seconds = time.perf_counter() - start
    onnx = export.to_onnx(trained.network, vocabulary, plan.tokens)
    scorer = Scorer.from_onnx(onnx)
    flags = {name: scorer.score(list(asked["text"])) >= THRESHOLD for name, asked in data.asked.items()}
    waited = budget.latency(scorer, list(data.asked[TEST]["text"]))
    return Measured(flags, seconds, budget.megabytes(onnx), waited)


def plain(data: DataSet, read: Callable[[str], str]) -> Measured:
    """Choose settings for TF-IDF and logistic regression within the learned texts, fit it on all, and measure it.

    Args:
        data: What it learns from and is asked.
        read: From a normalized text to the words that it stands for.
    """
    learned = _read(data.learned, read)
    start = time.perf_counter()
    settings = baseline.tuned(learned, data.plan.seed, TUNED_ON)
    fitted = baseline.fit(learned, settings)
    seconds = time.perf_counter() - start
    flags = {name: baseline.answers(fitted, _read(asked, read)) for name, asked in data.asked.items()}

    class Asked:
        def score(self, texts: Sequence[str]) -> np.ndarray:
            return fitted.predict_proba([read(normalize(text)) for text in texts])[:, 1]

    waited = budget.latency(Asked(), list(data.asked[TEST]["text"]))  # type: ignore[arg-type]
    said = f"words in a row {settings.longest}, C {settings.strength:g}, sublinear {settings.sublinear}"
    return Measured(flags, seconds, budget.megabytes(pickle.dumps(fitted)), waited, said)


def reader(data: DataSet) -> Callable[[str], str]:
    """Give what reads other years, and misspelt words where the plan says so, as the default's vocabulary does."""
    vocabulary = model.learn_vocabulary(data.plan, data.training)
    known = {number: word for word, number in vocabulary.numbers.items()}
    read_as = {word: known[number] for word, number in vocabulary.lookup.items()}
    return lambda text: " ".join(read_as.get(word, word) for word in text.split())


def _read(texts: pd.DataFrame, read: Callable[[str], str]) -> pd.DataFrame:
    return texts.assign(normalized=texts["normalized"].map(read))


def _noted(name: str, data: DataSet, measured: Callable[[], Measured]) -> Measured:
    found = measured()
    accuracies = ", ".join(
        f"{asked} {(found.flags[asked] == (texts['label'] == 1)).mean():.4f}" for asked, texts in data.asked.items()
    )
    print(f"  {name}: trained in {found.seconds:.1f} s, accuracy on {accuracies}", file=sys.stderr)
    return found
