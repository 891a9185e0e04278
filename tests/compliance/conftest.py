"""A network trained on a handful of descriptions, once for all tests of this room that need one."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from compliance import export, folder, model
from compliance.generate import connected_car
from compliance.text import normalize
from compliance.vocabulary import Vocabulary

PLAN = model.TrainingPlan(tokens=16, epochs=4, batch_size=32, learning_rate=0.01)


def descriptions(rows: int, seed: int) -> pd.DataFrame:
    """Give prepared rows of generated descriptions."""
    made = connected_car(rows, seed)
    normalized = made["text"].map(normalize)
    return made.assign(normalized=normalized, label=made["label"].astype(np.int8)).reset_index(drop=True)


@dataclass(frozen=True)
class Tiny:
    """A trained network with what belongs to it."""

    plan: model.TrainingPlan
    vocabulary: Vocabulary
    trained: model.Trained
    onnx: bytes
    keras: bytes

    def keras_probabilities(self, texts: list[str]) -> np.ndarray:
        """Score raw texts with Keras, cut by Python."""
        return model.probabilities(self.trained.network, self.vocabulary, self.plan.tokens, texts)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """Give a network trained on 600 descriptions."""
    rows = descriptions(600, seed=1)
    vocabulary = Vocabulary.learn(rows["normalized"], 1_000)
    trained = model.train(PLAN, vocabulary, rows, descriptions(200, seed=2))
    onnx = export.to_onnx(trained.network, vocabulary, PLAN.tokens)
    return Tiny(PLAN, vocabulary, trained, onnx, folder.keras_archive(trained.network))
