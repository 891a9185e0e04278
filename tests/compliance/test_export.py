"""The exported file takes raw text and decides as Keras does, whatever the text and wherever it runs."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compliance import export, model
from compliance.scorer import Scorer
from compliance.vocabulary import Vocabulary

from .conftest import Tiny, descriptions

PARITY = 1e-5
WORDS = [
    "iron",
    "STEEL",
    "Plastic",
    "1995",
    "new",
    "brass",
    "İron",
    "stee\u212a",
    "ſteel",
    "e\u0301",
    "½",
    "一",
    "\u00a0",
    "\t",
]
# raw text of any kind, but lone surrogates, which no file can hold
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
worded = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
long_text = st.builds(lambda part, times: (part * times)[:10_000], any_text, st.sampled_from([1, 100, 10_000]))


@pytest.fixture(scope="module")
def scorer(tiny: Tiny) -> Scorer:
    return Scorer.from_onnx(tiny.onnx)


def assert_parity(tiny: Tiny, scorer: Scorer, texts: list[str]) -> None:
    exported, trained = scorer.score(texts), tiny.keras_probabilities(texts)
    assert np.abs(exported - trained).max() <= PARITY
    assert np.array_equal(exported >= 0.5, trained >= 0.5)


def test_parity_on_descriptions(tiny: Tiny, scorer: Scorer) -> None:
    assert_parity(tiny, scorer, list(descriptions(2_400, seed=6)["text"].unique()))


@settings(max_examples=60, deadline=None)
@given(st.lists(any_text | worded | long_text, min_size=1, max_size=12))
@example([""])
@example([" \t\r\n\u2003"])
@example(["steel\0plastic", "\0"])
@example(["", "iron", "plastic " * 1_250, "İSTANBUL \u212aelvin"])
@example(["x" * 10_000, "new condition steel component manufactured in 2012"])
def test_parity_on_any_text(tiny: Tiny, scorer: Scorer, texts: list[str]) -> None:
    assert_parity(tiny, scorer, texts)


@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
def test_parity_of_every_architecture(architecture: str) -> None:
    vocabulary = Vocabulary(("iron", "steel", "new"))
    network = model.build(model.TrainingPlan(architecture=architecture, tokens=4), vocabulary)
    texts = ["", "iron", "new STEEL", "steel steel iron new brass", "?"]
    exported = Scorer.from_onnx(export.to_onnx(network, vocabulary, 4)).score(texts)
    assert np.abs(exported - model.probabilities(network, vocabulary, 4, texts)).max() <= PARITY


def test_the_file_reads_other_years_and_misspelt_words_as_python_does() -> None:
    years = tuple(str(year) for year in range(1980, 1992))
    vocabulary = Vocabulary(("plastic", "steel", *years), nearest_year=True, misspellings=True)
    network = model.build(model.TrainingPlan(tokens=6), vocabulary)
    texts = ["plsatic 1999", "PLASTTIC of 1901", "stel steel", "1985", "2077 lastic"]
    exported = Scorer.from_onnx(export.to_onnx(network, vocabulary, 6)).score(texts)
    assert np.abs(exported - model.probabilities(network, vocabulary, 6, texts)).max() <= PARITY
    known, misspelt = Scorer.from_onnx(export.to_onnx(network, vocabulary, 6)).score(["plastic 1991", "plsatic 1999"])
    assert known == misspelt


def test_a_longer_neighbour_does_not_change_an_answer(tiny: Tiny) -> None:
    session = onnxruntime.InferenceSession(tiny.onnx)
    texts = ["new condition steel component manufactured in 2012", "plastic " * 3_000]

    def run(batch: list[str]) -> np.ndarray:
        return session.run(None, {"text": np.array(batch, dtype=object)})[0]

    assert np.abs(run(texts) - np.concatenate([run([text]) for text in texts])).max() <= PARITY


def test_the_file_says_what_it_takes_and_gives(tiny: Tiny) -> None:
    loaded = onnx.load_from_string(tiny.onnx)
    assert loaded.ir_version == 8
    assert {entry.domain: entry.version for entry in loaded.opset_import} == {
        "": 17,
        "ai.onnx.ml": 2,
        "com.microsoft": 1,
    }
    session = onnxruntime.InferenceSession(tiny.onnx)
    assert [(part.name, part.type, part.shape) for part in session.get_inputs()] == [("text", "tensor(string)", ["N"])]
    gives = [(part.name, part.type, part.shape) for part in session.get_outputs()]
    assert gives == [("probability", "tensor(float)", ["N", 1])]
    onnx.checker.check_model(loaded, full_check=True)


def test_nothing_of_the_machine_is_in_the_file(tiny: Tiny) -> None:
    assert str(Path.cwd()).encode() not in tiny.onnx
    assert str(Path.home()).encode() not in tiny.onnx or Path.home() == Path("/")


def test_the_same_network_gives_the_same_bytes(tiny: Tiny) -> None:
    again = export.to_onnx(tiny.trained.network, tiny.vocabulary, tiny.plan.tokens)
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(tiny.onnx).hexdigest()


def test_two_processes_export_the_same_bytes(two_processes: list[dict[str, str]]) -> None:
    assert len({digests["onnx"] for digests in two_processes}) == 1


SCORED = ["Poor IRON part", "", "İ new steel 2012"]
SCORE = """
import sys
from compliance.scorer import Scorer
print(*(float(value).hex() for value in Scorer.from_onnx(sys.argv[1]).score(sys.argv[2:])))
"""


def test_it_runs_where_no_locale_is_installed(tiny: Tiny, scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny.onnx)
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", SCORE, str(path), *SCORED],
        env=bare | {"LC_ALL": "C", "LOCPATH": str(tmp_path)},  # no locale is found there, en_US.UTF-8 neither
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert [float.fromhex(value) for value in done.stdout.split()] == [float(value) for value in scorer.score(SCORED)]
