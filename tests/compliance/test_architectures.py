"""The networks to compare with: what they can tell apart, and that they can be exported and kept like the others."""

from pathlib import Path

import numpy as np
import pytest

from compliance import architectures, export, folder, model
from compliance.scorer import Scorer
from compliance.vocabulary import Vocabulary

from .conftest import descriptions

BAG = model.TrainingPlan(architecture="bag-of-ngrams", tokens=12, epochs=4, batch_size=32, learning_rate=0.01)
PAIRS = ("steel iron", "iron steel", "steel", "", "iron brass steel", "steel " * 40)


def test_a_bag_of_ngrams_learns_the_rule_and_its_file_says_the_same(tmp_path: Path) -> None:
    rows, unseen = descriptions(600, seed=1), descriptions(300, seed=9)
    vocabulary = model.learn_vocabulary(BAG, rows)
    network = model.train(BAG, vocabulary, rows, descriptions(200, seed=2)).network
    texts = [*unseen["text"], *PAIRS]
    given = model.probabilities(network, vocabulary, BAG.tokens, texts)
    assert ((given[: len(unseen)] >= 0.5) == unseen["label"]).mean() > 0.9

    exported = Scorer.from_onnx(export.to_onnx(network, vocabulary, BAG.tokens)).score(texts)
    assert np.abs(exported - given).max() <= 1e-5

    (tmp_path / "model.keras").write_bytes(folder.keras_archive(network))
    kept = model.read_network(tmp_path / "model.keras")
    assert np.array_equal(model.probabilities(kept, vocabulary, BAG.tokens, texts), given)


def test_a_bag_knows_which_words_are_neighbours_and_not_where_they_stand() -> None:
    vocabulary = Vocabulary(("steel", "iron", "a", "b"))
    network = model.build(BAG, vocabulary)

    def score(*texts: str) -> np.ndarray:
        return model.probabilities(network, vocabulary, BAG.tokens, list(texts))

    forwards, backwards = score("a steel iron b", "a iron steel b")
    assert forwards != backwards
    same = score("a b a", "b a a b")  # other counts of words
    assert same[0] != same[1]
    moved = score("steel iron a steel iron b", "steel iron b steel iron a")  # the last pair alone differs
    assert moved[0] != moved[1]


def test_the_length_of_the_padding_decides_nothing() -> None:
    vocabulary = Vocabulary(("steel", "iron"))
    short, long = (
        model.build(model.TrainingPlan(architecture="bag-of-ngrams", tokens=tokens), vocabulary) for tokens in (3, 30)
    )
    long.set_weights(short.get_weights())
    texts = ["", "steel", "iron steel"]
    scores = [model.probabilities(network, vocabulary, tokens, texts) for network, tokens in ((short, 3), (long, 30))]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


def test_pairs_of_a_large_vocabulary_stay_within_their_table() -> None:
    words = 200_000
    network = architectures.bag_of_ngrams(words, 4)
    numbers = np.array([[words - 1, words - 1, words - 1, words - 2], [2, words - 1, 0, 0]], dtype=np.int32)
    assert np.isfinite(network.predict(numbers, verbose=0)).all()
