"""The networks before training, after it, and what training promises."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compliance import calibration, model
from compliance.calibration import Calibration, Decision
from compliance.errors import BadInput
from compliance.vocabulary import Vocabulary

from .conftest import Tiny, descriptions


@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
def test_an_architecture_gives_one_probability_per_text(architecture: str) -> None:
    vocabulary = Vocabulary(("iron", "steel"))
    network = model.build(model.TrainingPlan(architecture=architecture, tokens=5), vocabulary)
    assert [(part.name, part.dtype, part.shape) for part in network.inputs] == [("tokens", "int32", (None, 5))]
    assert network.layers[-1].name == "score"
    scores = model.probabilities(network, vocabulary, 5, ["iron", "", "steel brass"])
    assert scores.shape == (3,)
    assert ((scores > 0) & (scores < 1)).all()


def test_the_lab_s_vectors_are_frozen() -> None:
    network = model.build(model.TrainingPlan(architecture="lab-reference", tokens=5), Vocabulary(("iron",)))
    layers = model.layers(network).set_index("layer")
    assert layers.loc["embedding", ["trainable", "frozen"]].tolist() == [0, 300]
    assert layers["trainable"].sum() == model.trainable_weights(network)
    trained = model.build(model.TrainingPlan(architecture="lab-reference-trained", tokens=5), Vocabulary(("iron",)))
    assert model.trainable_weights(trained) == model.trainable_weights(network) + 300


def test_pre_trained_vectors_stand_where_their_words_are_and_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(f"steel{' 0.5' * 100}\n", encoding="utf-8")
    plan = model.TrainingPlan(architecture="lab-reference", tokens=16, epochs=1, vectors_path=str(path))
    rows = descriptions(200, seed=1)
    vocabulary = Vocabulary(("iron", "steel"))
    trained = model.train(plan, vocabulary, rows, rows[:50])
    [table] = trained.network.get_layer("embedding").get_weights()
    assert (table[vocabulary.numbers["steel"]] == 0.5).all()
    assert not np.delete(table, vocabulary.numbers["steel"], axis=0).any()


def test_a_report_names_pre_trained_vectors_by_their_content_not_by_their_place(tmp_path: Path, tiny: Tiny) -> None:
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"steel 1")
    decision = Decision(Calibration(), missed_cost=10, threshold=0.1)
    plan = model.TrainingPlan(architecture="lab-reference", vectors_path=str(path))
    told = model.training_report(plan, tiny.vocabulary, tiny.trained, decision, "d")
    assert told["hyperparameters"]["vectors_sha256"] == hashlib.sha256(b"steel 1").hexdigest()
    assert str(tmp_path) not in json.dumps(told)
    without = model.training_report(tiny.plan, tiny.vocabulary, tiny.trained, decision, "d")
    assert "vectors_sha256" not in without["hyperparameters"]


def test_vectors_for_a_network_that_learns_its_own_are_refused() -> None:
    with pytest.raises(BadInput) as refused:
        model.TrainingPlan(vectors_path="glove.txt")
    assert refused.value.faults == (
        "vectors_path is given, but context-cnn learns its own vectors; lab-reference takes them: "
        "--set train.architecture=lab-reference, or --set train.vectors_path=''",
    )


def test_first_weights_follow_from_the_seed() -> None:
    def first(seed: int) -> np.ndarray:
        return model.build(model.TrainingPlan(seed=seed, tokens=5), Vocabulary(("iron",))).get_weights()[0]

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_an_unknown_word_begins_as_a_forgotten_one() -> None:
    network = model.build(model.TrainingPlan(tokens=5), Vocabulary(("iron",)))
    [vectors] = network.get_layer("embedding").get_weights()
    assert not vectors[1].any() and vectors[0].any() and vectors[2].any()


def test_training_learns_the_rule(tiny: Tiny) -> None:
    unseen = descriptions(300, seed=9)
    flags = tiny.keras_probabilities(list(unseen["text"])) >= 0.5
    assert (flags == unseen["label"]).mean() > 0.9


def test_steel_to_plastic_flips_the_answer(tiny: Tiny) -> None:
    steel, plastic = tiny.keras_probabilities(
        [f"new condition {part} component manufactured in 2016" for part in ("steel", "plastic")]
    )
    assert steel < 0.5 < plastic


def test_weighing_non_compliant_rows_lets_fewer_of_them_pass() -> None:
    training, validation = descriptions(300, seed=1), descriptions(200, seed=2)
    vocabulary = Vocabulary.learn(training["normalized"], 1_000)
    numbers = vocabulary.encode(list(validation["text"]), 16)

    def odds(weight: float) -> np.ndarray:
        plan = model.TrainingPlan(tokens=16, epochs=2, noncompliant_weight=weight)
        return calibration.log_odds(model.train(plan, vocabulary, training, validation).network, numbers)

    assert odds(20).mean() > odds(1).mean() + 1


def test_the_best_epoch_is_kept(tiny: Tiny) -> None:
    history = tiny.trained.history
    assert list(history.columns) == ["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert tiny.trained.best["validation_loss"] == history["validation_loss"].min()
    rows = descriptions(200, seed=2)
    scores = np.clip(tiny.keras_probabilities(list(rows["text"])).astype(float), 1e-7, 1 - 1e-7)
    loss = -np.mean(np.where(rows["label"] == 1, np.log(scores), np.log(1 - scores)))
    assert loss == pytest.approx(tiny.trained.best["validation_loss"], rel=1e-3)


def test_training_stops_when_it_gets_no_better() -> None:
    rows = descriptions(100, seed=1)
    contradicting = rows.assign(label=1 - rows["label"])
    plan = model.TrainingPlan(tokens=12, epochs=30, batch_size=10, patience=1, learning_rate=0.01)
    trained = model.train(plan, Vocabulary.learn(rows["normalized"], 100), rows, contradicting)
    assert len(trained.history) < 30
    assert trained.best_epoch == len(trained.history) - 1


def test_a_falling_rate_ends_at_nothing() -> None:
    rows = descriptions(100, seed=1)
    vocabulary = Vocabulary.learn(rows["normalized"], 100)
    plan = model.TrainingPlan(tokens=12, epochs=3, batch_size=10, falling_rate=True)
    optimizer = model.train(plan, vocabulary, rows, rows).network.optimizer
    assert int(optimizer.iterations) == 30
    assert float(optimizer.learning_rate) == pytest.approx(0, abs=1e-9)
    constant = model.train(replace(plan, falling_rate=False), vocabulary, rows, rows).network.optimizer
    assert float(constant.learning_rate) == pytest.approx(plan.learning_rate)


def test_each_epoch_is_told_in_one_line() -> None:
    rows = descriptions(60, seed=1)
    lines: list[str] = []
    model.train(
        model.TrainingPlan(tokens=12, epochs=2), Vocabulary.learn(rows["normalized"], 50), rows, rows, lines.append
    )
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("\n" not in line and "validation loss 0." in line for line in lines)


def test_a_loss_that_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = descriptions(60, seed=1)
    broken = {"context-cnn": lambda words, tokens: _with_nan_weights(model.context_cnn(words, tokens))}
    monkeypatch.setattr(model, "ARCHITECTURES", broken)
    with pytest.raises(model.TrainingDiverged, match=r"--set train.learning_rate=0.0002"):
        model.train(model.TrainingPlan(tokens=12), Vocabulary.learn(rows["normalized"], 50), rows, rows)


def _with_nan_weights(network):  # type: ignore[no-untyped-def]
    network.set_weights([np.full_like(weight, np.nan) for weight in network.get_weights()])
    return network


def test_impossible_choices_are_told_all_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        model.TrainingPlan(architecture="word-cn", tokens=0, epochs=-1, learning_rate=0, noncompliant_weight=0)
    assert refused.value.faults == (
        "architecture is 'word-cn'; it may be bag-of-ngrams, context-cnn, lab-reference, lab-reference-trained, "
        "word-cnn: --set train.architecture=word-cnn",
        "tokens is 0; give a whole number above 0: --set train.tokens=32",
        "epochs is -1; give a whole number above 0: --set train.epochs=6",
        "learning_rate is 0; give one above 0, up to 1: --set train.learning_rate=0.002",
        "noncompliant_weight is 0; give one above 0, up to 1,000: --set train.noncompliant_weight=1",
    )


def test_the_report_tells_what_was_chosen_and_what_came_of_it(tiny: Tiny) -> None:
    decision = Decision(Calibration(0.5, 0.0, 54), missed_cost=10, threshold=0.08)
    report = model.training_report(tiny.plan, tiny.vocabulary, tiny.trained, decision, "abc")
    assert report["data_digest"] == "abc"
    assert report["architecture"] == "context-cnn"
    assert report["hyperparameters"] == {
        "epochs": 4,
        "batch_size": 32,
        "learning_rate": 0.01,
        "falling_rate": False,
        "patience": 3,
        "noncompliant_weight": 1.0,
        "maximum_words": 10_000,
        "nearest_year": True,
        "misspellings": False,
        "precision": "float32",
        "feed": "arrays",
    }
    assert (report["threshold"], report["missed_cost"]) == (0.08, 10)
    assert report["calibration"] == {"slope": 0.5, "intercept": 0.0, "texts": 54}
    assert report["validation_loss"] == tiny.trained.history["validation_loss"].min()
    assert set(report["versions"]) == {"keras", "onnx", "onnxmltools", "tensorflow"}


def test_a_missing_report_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run the train notebook first"):
        model.read_report(tmp_path)


def test_a_saved_network_scores_the_same(tiny: Tiny, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(tiny.keras)
    texts = list(descriptions(50, seed=4)["text"])
    again = model.probabilities(model.read_network(path), tiny.vocabulary, tiny.plan.tokens, texts)
    assert np.array_equal(again, tiny.keras_probabilities(texts))
