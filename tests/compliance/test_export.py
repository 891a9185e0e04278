"""The exported file takes raw text and decides as Keras does, whatever the text and wherever it runs."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
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
blank = st.text(" \t\r\n\v\f\0\x1c\x85\u00a0\u200b\u2003\u2028\u3000\ufeff", max_size=20)
worded = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
long_text = st.builds(lambda part, times: (part * times)[:10_000], any_text, st.sampled_from([1, 100, 10_000]))
batch = st.lists(any_text | blank | worded | long_text, min_size=1, max_size=12)


@pytest.fixture(scope="module")
def scorer(tiny: Tiny) -> Scorer:
    return Scorer.from_onnx(tiny.onnx)


def assert_parity(tiny: Tiny, scorer: "Scorer | Elsewhere", texts: list[str]) -> None:
    exported, trained = scorer.score(texts), tiny.keras_probabilities(texts)
    assert np.abs(exported - trained).max() <= PARITY
    assert np.array_equal(exported >= 0.5, trained >= 0.5)


def test_parity_on_descriptions(tiny: Tiny, scorer: Scorer) -> None:
    assert_parity(tiny, scorer, list(descriptions(2_400, seed=6)["text"].unique()))


@settings(max_examples=60, deadline=None)
@given(batch)
@example([""])
@example([" \t\r\n\u2003"])
@example(["steel\0plastic", "\0"])
@example(["", "iron", "plastic " * 1_250, "İSTANBUL \u212aelvin"])
@example(["x" * 10_000, "new condition steel component manufactured in 2012"])
@example(["", "x" * 10_000, "new iron", " ", "plastic " * 1_250] * 60)  # more than the scorer takes at once
def test_parity_on_any_text(tiny: Tiny, scorer: Scorer, texts: list[str]) -> None:
    assert_parity(tiny, scorer, texts)


@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
def test_parity_of_every_architecture(architecture: str) -> None:
    vocabulary = Vocabulary(("iron", "steel", "new"))
    network = model.build(model.TrainingPlan(architecture=architecture, tokens=4), vocabulary)
    texts = ["", "iron", "new STEEL", "steel steel iron new brass", "?"]
    exported = Scorer.from_onnx(export.to_onnx(network, vocabulary, 4)).score(texts)
    assert np.abs(exported - model.probabilities(network, vocabulary, 4, texts)).max() <= PARITY


PADDING = {"context-cnn": 7, "word-cnn": 5, "lab-reference": 24, "lab-reference-trained": 24, "bag-of-ngrams": 24}


@pytest.mark.parametrize("architecture", model.ARCHITECTURES)
def test_little_padding_gives_the_answer_that_all_of_it_gives(architecture: str) -> None:
    vocabulary = Vocabulary(("iron", "steel", "new"))
    network = model.build(model.TrainingPlan(architecture=architecture, tokens=24), vocabulary)
    random = np.random.default_rng(7)
    network.set_weights([random.normal(0, 0.3, weight.shape) for weight in network.get_weights()])
    texts = [" ".join(random.choice([*vocabulary.words, "brass"], count)) for count in range(30)]
    assert export.padding(network, 24) == PADDING[architecture]
    scorer = Scorer.from_onnx(export.to_onnx(network, vocabulary, 24))
    trained = model.probabilities(network, vocabulary, 24, texts)
    alone = np.concatenate([scorer.score([text]) for text in texts])
    assert np.ptp(trained) > 0.1
    assert np.abs(alone - trained).max() <= PARITY
    assert np.abs(scorer.score(texts) - trained).max() <= PARITY


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


# Says what became of the locale it was given, then answers a line of texts with a line of probabilities.
ELSEWHERE = """
import json, locale, sys
from compliance.scorer import Scorer
try:
    print(locale.setlocale(locale.LC_ALL, ""), flush=True)
except locale.Error:
    print("absent", flush=True)
scorer = Scorer.from_onnx(sys.argv[1])
for line in sys.stdin:
    print(json.dumps(scorer.score(json.loads(line)).tolist()), flush=True)
"""


class Elsewhere:
    """The exported file in a process of its own, which finds no locale on its machine but C."""

    def __init__(self, onnx: bytes, locale: str, folder: Path):
        path = folder / "model.onnx"
        path.write_bytes(onnx)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
        # no locale is found in LOCPATH, en_US.UTF-8 neither; Python takes C.UTF-8 for C unless it is told not to
        set_here = {"LC_ALL": locale, "LOCPATH": str(folder), "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, str(path)],
            env=kept | set_here,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.found = self._line().strip()

    def score(self, texts: list[str]) -> np.ndarray:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(texts) + "\n")
        self.process.stdin.flush()
        return np.array(json.loads(self._line()), dtype=np.float32)

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()


@pytest.fixture(scope="module", params=["C", "xx_XX.UTF-8"])
def elsewhere(
    request: pytest.FixtureRequest, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Elsewhere]:
    started = Elsewhere(tiny.onnx, request.param, tmp_path_factory.mktemp("elsewhere"))
    with started.process:
        assert started.found == {"C": "C", "xx_XX.UTF-8": "absent"}[request.param]
        yield started
    assert started.process.returncode == 0


@settings(max_examples=30, deadline=None)
@given(batch)
@example(["Poor IRON part", "", "\u0130 new steel 2012", "\u212aelvin ſteel", " \t\u2003", "plastic " * 1_250])
def test_parity_on_any_text_whatever_the_locale(
    tiny: Tiny, scorer: Scorer, elsewhere: Elsewhere, texts: list[str]
) -> None:
    assert_parity(tiny, elsewhere, texts)
    assert np.array_equal(elsewhere.score(texts), scorer.score(texts))
