"""The scorer: what it accepts, what it refuses, and that it needs nothing but NumPy and ONNX Runtime."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance import scorer
from compliance.scorer import ModelCorrupt, Scorer, model_digest, verify

from ..fixtures_model import TEXTS, onnx_bytes, write_model


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def change(model_dir: Path, **values: Any) -> None:
    """Change model.json; None takes a key away."""
    path = model_dir / "model.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}), encoding="utf-8")


def test_it_scores_in_the_order_of_the_texts(model_dir: Path) -> None:
    scores = Scorer.load(model_dir).score(TEXTS)
    assert scores.dtype == np.float32
    assert scores.shape == (len(TEXTS),)
    alone = [Scorer.from_onnx(onnx_bytes()).score([text])[0] for text in TEXTS]
    assert scores.tolist() == alone
    assert scores[0] < 0.5 < scores[1]


def test_no_text_gives_no_probability(model_dir: Path) -> None:
    scores = Scorer.load(model_dir).score([])
    assert (scores.shape, scores.dtype) == ((0,), np.float32)


def test_many_texts_of_mixed_lengths_keep_their_places() -> None:
    texts = [("iron " if number % 3 else "steel ") * (1 + number * 37 % 400) for number in range(700)]
    scores = Scorer.from_onnx(onnx_bytes()).score(texts)
    assert np.array_equal(scores > 0.5, [number % 3 != 0 for number in range(700)])


def test_chunks_hold_texts_of_like_length_and_bound_their_characters() -> None:
    lengths = np.array([10_000] * 120 + [5] * 600)
    order = np.argsort(lengths, kind="stable")
    chunks = list(scorer._chunks(order, lengths))
    assert np.array_equal(np.concatenate(chunks), order)
    assert max(map(len, chunks)) <= scorer.CHUNK_TEXTS
    assert max(len(chunk) * lengths[chunk].max() for chunk in chunks) <= scorer.CHUNK_CHARACTERS


def test_a_single_text_above_the_limit_is_a_chunk_of_its_own() -> None:
    lengths = np.array([scorer.CHUNK_CHARACTERS * 2] * 3)
    assert [chunk.tolist() for chunk in scorer._chunks(np.arange(3), lengths)] == [[0], [1], [2]]


def test_what_lies_beyond_the_maximum_length_is_not_read(tmp_path: Path) -> None:
    short = Scorer.load(write_model(tmp_path / "model", maximum_length=10))
    read, cut = short.score(["new       ", "new       iron"])
    assert read == cut


@pytest.mark.parametrize("wrong", [None, 1, b"iron", ["iron"], np.nan])
def test_what_is_no_text_is_refused_by_its_place(model_dir: Path, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"text 1 is of type .*; give a str"):
        Scorer.load(model_dir).score(["iron", wrong])


def test_a_text_instead_of_a_list_is_refused(model_dir: Path) -> None:
    with pytest.raises(TypeError, match=r"give \[text\]"):
        Scorer.load(model_dir).score("iron")


def test_a_lone_surrogate_is_refused_by_its_place(model_dir: Path) -> None:
    with pytest.raises(ValueError, match="text 2 holds a lone surrogate at character 4"):
        Scorer.load(model_dir).score(["iron", "", "iron\ud800"])


def test_words_behind_a_nul_are_read(model_dir: Path) -> None:
    hidden, open_ = Scorer.load(model_dir).score(["new\0iron", "new iron"])
    assert hidden == open_


def test_a_label_follows_from_the_threshold() -> None:
    judge = Scorer.from_onnx(onnx_bytes(), threshold=0.25)
    assert [judge.label(value) for value in (0.0, 0.2499, 0.25, 1.0)] == ["compliant"] * 2 + ["non-compliant"] * 2


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.1, float("inf")])
def test_what_is_no_probability_gets_no_label(value: float) -> None:
    with pytest.raises(ValueError, match="is no probability"):
        Scorer.from_onnx(onnx_bytes()).label(value)


def test_a_loaded_model_knows_what_it_is(model_dir: Path) -> None:
    loaded = Scorer.load(model_dir)
    assert (loaded.name, loaded.threshold, loaded.maximum_length) == ("parts", 0.5, 10_000)
    assert loaded.labels == ("compliant", "non-compliant")
    assert (
        loaded.digest == model_digest(model_dir) == hashlib.sha256((model_dir / "model.json").read_bytes()).hexdigest()
    )


def test_an_intact_folder_is_what_model_json_says(model_dir: Path) -> None:
    assert verify(model_dir) == json.loads((model_dir / "model.json").read_text(encoding="utf-8"))
    assert verify(model_dir, expected=model_digest(model_dir))["name"] == "parts"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def nested(place: Path) -> None:
    (place / "more").mkdir()
    (place / "more" / "extra.py").touch()


SPOILS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed file": (lambda place: (place / "MODEL_CARD.md").write_bytes(b"better"), r"MODEL_CARD\.md was changed"),
    "one flipped bit": (lambda place: flip(place / "model.onnx"), r"model\.onnx was changed"),
    "a missing file": (lambda place: (place / "MODEL_CARD.md").unlink(), r"MODEL_CARD\.md is missing"),
    "a file too many": (lambda place: (place / "extra.py").touch(), r"extra\.py is not named in model\.json"),
    "a file in a folder": (nested, r"more/extra\.py is not named"),
    "no model.json": (lambda place: (place / "model.json").unlink(), r"model\.json cannot be read"),
    "no JSON": (lambda place: (place / "model.json").write_text("{", encoding="utf-8"), "is no JSON"),
    "no object": (lambda place: (place / "model.json").write_text("[]", encoding="utf-8"), "not an object"),
    "another schema": (lambda place: change(place, schema=2), "schema is 2"),
    "no name": (lambda place: change(place, name=""), "name is ''"),
    "one label": (lambda place: change(place, labels=["compliant"]), "labels is"),
    "no threshold": (lambda place: change(place, threshold=None), "threshold is None"),
    "a threshold above 1": (lambda place: change(place, threshold=1.5), r"threshold is 1\.5"),
    "no length": (lambda place: change(place, maximum_length=0), "maximum_length is 0"),
    "no files": (lambda place: change(place, files={}), "files is {}"),
}


@pytest.mark.parametrize(("spoil", "fault"), SPOILS.values(), ids=SPOILS.keys())
def test_a_spoiled_folder_is_refused(model_dir: Path, spoil: Callable[[Path], object], fault: str) -> None:
    spoil(model_dir)
    with pytest.raises(ModelCorrupt, match=fault):
        verify(model_dir)
    with pytest.raises(ModelCorrupt, match="Fetch it from the registry again"):
        Scorer.load(model_dir)


def test_every_fault_is_told(model_dir: Path) -> None:
    (model_dir / "MODEL_CARD.md").unlink()
    (model_dir / "extra.py").touch()
    with pytest.raises(ModelCorrupt) as refused:
        verify(model_dir)
    assert refused.value.faults == ("MODEL_CARD.md is missing", "extra.py is not named in model.json")


def test_another_digest_than_expected_is_refused(model_dir: Path) -> None:
    with pytest.raises(ModelCorrupt, match=r"f{64} was expected"):
        Scorer.load(model_dir, expected="f" * 64)


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_what_the_runtime_cannot_load_is_refused(content: bytes) -> None:
    with pytest.raises(ModelCorrupt, match="ONNX Runtime cannot load it"):
        Scorer.from_onnx(content)


def test_a_model_of_another_kind_is_refused() -> None:
    from onnx import TensorProto, helper

    value = {way: helper.make_tensor_value_info(way, TensorProto.FLOAT, ["N"]) for way in ("x", "y")}
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "other", [value["x"]], [value["y"]])
    other = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelCorrupt, match="not a probability for each text"):
        Scorer.from_onnx(other.SerializeToString())


def test_it_imports_nothing_but_numpy_and_the_runtime() -> None:
    code = (
        "import sys, compliance.scorer\n"
        "heavy = {'tensorflow', 'keras', 'onnx', 'pandas', 'scipy', 'sklearn', 'mlflow', 'pandera', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(m for m in sys.modules if m.startswith('compliance')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[] ['compliance', 'compliance.scorer']"


def test_an_explanation_names_the_words_and_what_each_did() -> None:
    text = "Good steel, fitted to an IRON part"
    found = Scorer.from_onnx(onnx_bytes()).explain(text)
    assert [(one.word, text[one.start : one.end]) for one in found] == [
        (word, word) for word in ("Good", "steel", "fitted", "to", "an", "IRON", "part")
    ]
    assert [round(one.log_odds, 3) for one in found] == [-2.0, -2.0, 0.0, 0.0, 0.0, 4.0, 0.0]
    scores = Scorer.from_onnx(onnx_bytes()).score([text.replace("IRON", " ")])
    assert found[5].without == scores[0]


def test_two_words_that_suffice_each_are_both_named() -> None:
    [plastic, iron] = Scorer.from_onnx(onnx_bytes(-1)).explain("plastic iron")
    assert (plastic.log_odds, iron.log_odds) == (pytest.approx(4, abs=0.01), pytest.approx(4, abs=0.01))
    assert (plastic.decisive, iron.decisive) == (True, True)


def test_a_saturated_answer_is_explained_too() -> None:
    saturated = Scorer.from_onnx(onnx_bytes(-1, scale=10))
    found = {one.word: one for one in saturated.explain("a poor plastic part of iron, new")}
    assert {one.without for one in found.values()} == {1.0}
    assert {one.log_odds for one in found.values()} == {0.0}  # leaving one out says nothing
    assert {word for word, one in found.items() if one.decisive} == {"poor", "plastic", "iron"}
    assert [round(found[word].log_odds_alone) for word in ("plastic", "part", "new")] == [17, 0, -15]
    assert found["iron"].alone == saturated.score(["iron"])[0]
    left = "a   part of  , new"
    assert saturated.score([left])[0] < 0.5 < saturated.score([f"{left} poor"])[0]


def test_decisive_words_cannot_be_put_back_and_no_more_are_named() -> None:
    model = Scorer.from_onnx(onnx_bytes(-1))

    def decisive(text: str) -> list[str]:
        return [one.word for one in model.explain(text) if one.decisive]

    assert decisive("new steel, but iron and poor") == ["iron"]  # "poor" alone is outweighed
    assert decisive("good steel") == []  # compliant without any word, too
    assert decisive("iron iron iron") == ["iron"] * 3
    assert decisive("iron " * (scorer.DECISIVE_WORDS + 1)) == []
    model = Scorer.from_onnx(onnx_bytes(1))
    assert decisive("good part of steel") == ["good", "steel"]  # without both it is non-compliant


@given(st.lists(st.sampled_from(["iron", "poor", "new", "steel", "part", "good"]), max_size=8), st.floats(-3, 3))
def test_without_the_decisive_words_the_label_is_the_other_one(words: list[str], bias: float) -> None:
    model, text = Scorer.from_onnx(onnx_bytes(bias)), " ".join(words)
    label = model.label(model.score([text])[0])
    found = model.explain(text)
    kept = [one.word for one in found if not one.decisive]
    if len(kept) < len(words):
        assert model.label(model.score([" ".join(kept)])[0]) != label
        for one in found:
            if one.decisive:
                assert model.label(model.score([" ".join([*kept, one.word])])[0]) == label


class Counted(Scorer):
    """A scorer that counts the texts it is asked for."""

    asked: ClassVar[list[int]] = []

    def score(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(len(texts))
        return super().score(texts)


def test_an_explanation_costs_a_bounded_number_of_texts() -> None:
    counted = Counted(Scorer.from_onnx(onnx_bytes(-1)).session)
    counted.explain("iron plastic poor fair " * 5 + "part " * 300)
    most = scorer.DECISIVE_WORDS
    assert counted.asked[0] == scorer.explanation_cost("iron plastic poor fair " * 5 + "part " * 300)
    assert sum(counted.asked) <= 2 * (scorer.EXPLAINED_WORDS + 1) + most + most * (most + 1) // 2
    assert max(counted.asked) == 2 * (scorer.EXPLAINED_WORDS + 1)


def test_a_text_without_words_needs_no_explanation() -> None:
    model = Scorer.from_onnx(onnx_bytes())
    assert model.explain("") == model.explain("–, !") == []
    assert len(model.explain("iron " * 1000)) == scorer.EXPLAINED_WORDS
    assert [one.end for one in Scorer.from_onnx(onnx_bytes(), maximum_length=7).explain("iron steel")] == [4, 7]
    with pytest.raises(TypeError):
        model.explain(None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def loaded() -> Scorer:
    return Scorer.from_onnx(onnx_bytes())


@given(text=st.text(max_size=80))
def test_any_text_can_be_explained(loaded: Scorer, text: str) -> None:
    for one in loaded.explain(text.encode("utf-8", "replace").decode()):
        assert re.fullmatch(scorer.WORD, one.word)
        assert np.isfinite([one.without, one.log_odds, one.alone, one.log_odds_alone]).all()


class Answers:
    """A session that answers what it is told."""

    def __init__(self, *probabilities: float):
        self.probabilities = np.array(probabilities, np.float32)

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [self.probabilities[:, None]]


def test_what_the_runtime_rounds_above_1_is_1_and_nothing_else_is_mended() -> None:
    scorer = Scorer(Answers(1.0000001, 1.0, 0.5, 1.5, np.nan))  # type: ignore[arg-type]
    scores = scorer.score(["a", "b", "c", "d", "e"])
    assert scores.dtype == np.float32
    assert scores[:4].tolist() == [1.0, 1.0, 0.5, 1.5]
    assert np.isnan(scores[4])
    assert scorer.label(scores[0]) == "non-compliant"
    with pytest.raises(ValueError, match="the model is broken"):
        scorer.label(scores[3])
