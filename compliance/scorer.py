"""Loads a model folder, verifies it and scores raw texts: NumPy and ONNX Runtime, nothing else.

The evaluate notebook judges the exported file with it and the scoring service answers with it, so what was judged is
what is served. The graph holds lower-casing, words, lookup and network; only an explanation looks for the words of a
text, to ask the graph about it without each of them.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime

MANIFEST = "model.json"
ONNX_FILE = "model.onnx"
SCHEMA = 1
ROUNDING = 1e-6  # by which a probability may exceed 1 in the runtime's arithmetic
LABELS = ("compliant", "non-compliant")
MAXIMUM_LENGTH = 10_000  # characters
INPUT, OUTPUT = "text", "probability"
_OUTPUTS = [OUTPUT]
WORD = "[A-Za-z0-9]+"  # what the graph takes for a word
EXPLAINED_WORDS = 200  # of a text; each costs two scored texts
DECISIVE_WORDS = 20  # more of them together explain nothing
CHUNK_TEXTS = 256
FEW = 64  # texts that are not worth sorting
CHUNK_CHARACTERS = 500_000  # texts in a chunk times its longest text: what bounds memory


@dataclass(frozen=True)
class Contribution:
    """What one word of a text did to the answer.

    Neither kind of log-odds sums up to the answer: what words do together is in none of them, or in several.

    Attributes:
        word: As it stands in the text.
        start: Its first character, from 0.
        end: The character behind its last.
        without: Probability of non-compliance of the text without this word.
        log_odds: By how much the word raised the log-odds of non-compliance; below 0, it spoke for compliance. Unlike a
            difference of probabilities, it still tells words apart where two of them suffice for the verdict, but not
            where the answer is saturated: there it is 0, or too small, for any word.
        alone: Probability of non-compliance of this word without any other.
        log_odds_alone: By how much it raises the log-odds of a text without words. It tells words apart in a saturated
            answer, but knows nothing of the words beside it.
        decisive: It is one of a few words without which, all left out together, the label is the other one, and none of
            which can be put back. No word is where no such set was found.
    """

    word: str
    start: int
    end: int
    without: float
    log_odds: float
    alone: float
    log_odds_alone: float
    decisive: bool


class ModelCorrupt(Exception):
    """A model folder or file is not what it says it is; the message lists every fault and the next step."""

    def __init__(self, where: Path | str, *faults: str):
        self.faults = faults
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{where} is no intact model:\n{lines}\nFetch it from the registry again, or evaluate anew.")


def model_digest(model_dir: Path | str) -> str:
    """Give the model's identity: the sha256 of model.json, which holds that of every other file.

    Raises:
        ModelCorrupt: There is no model.json.
    """
    return _sha256(_manifest_bytes(Path(model_dir)))


def verify(model_dir: Path | str, expected: str | None = None) -> dict[str, Any]:
    """Check every file of a model folder against model.json and give what model.json says.

    Args:
        model_dir: The folder.
        expected: The digest that the model must have, where the caller knows it.

    Raises:
        ModelCorrupt: A file is missing, changed or not named, model.json is malformed, or the digest is another.
    """
    return _verified(Path(model_dir), expected)[0]


@dataclass(frozen=True)
class Scorer:
    """A loaded model. Safe to share between threads.

    `name` and `digest` are empty where only the ONNX file is known.
    """

    session: onnxruntime.InferenceSession = field(repr=False)
    name: str = ""
    digest: str = ""
    labels: tuple[str, str] = LABELS
    threshold: float = 0.5  # a probability this high or higher is non-compliant
    maximum_length: int = MAXIMUM_LENGTH  # characters of a text that are read

    @classmethod
    def load(cls, model_dir: Path | str, expected: str | None = None) -> Self:
        """Verify a model folder and load it.

        Raises:
            ModelCorrupt: As `verify` says, or the file cannot be run.
        """
        folder = Path(model_dir)
        manifest, digest = _verified(folder, expected)
        onnx = (folder / ONNX_FILE).read_bytes()
        if _sha256(onnx) != manifest["files"][ONNX_FILE]:
            raise ModelCorrupt(folder, f"{ONNX_FILE} changed while it was read")
        return cls(
            session=_session(onnx, folder / ONNX_FILE),
            name=manifest["name"],
            digest=digest,
            labels=tuple(manifest["labels"]),
            threshold=float(manifest["threshold"]),
            maximum_length=manifest["maximum_length"],
        )

    @classmethod
    def from_onnx(
        cls, onnx: Path | str | bytes, *, threshold: float = 0.5, maximum_length: int = MAXIMUM_LENGTH
    ) -> Self:
        """Load an exported file alone, before it has a model folder.

        Args:
            onnx: The file's path or its bytes.
            threshold: Probability from which a text is non-compliant.
            maximum_length: Characters of a text that are read.

        Raises:
            ModelCorrupt: The file cannot be run, or is not one that takes texts and gives a probability.
        """
        if isinstance(onnx, bytes):
            return cls(_session(onnx, "the exported model"), threshold=threshold, maximum_length=maximum_length)
        return cls(_session(Path(onnx).read_bytes(), onnx), threshold=threshold, maximum_length=maximum_length)

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Give the probability of non-compliance of each text.

        Texts are scored in chunks of like length, so that a long one costs no memory beside short ones. What a text
        holds beyond `maximum_length` characters is not read. An empty text is scored like any other.

        Returns:
            float32[N], in the order of `texts`; NaN where the network gives NaN.

        Raises:
            TypeError: `texts` is itself a text, or one of them is not a `str`.
            ValueError: One of them holds a lone surrogate, which no encoding can carry.
        """
        readable = self._readable(texts)
        if 0 < len(readable) <= FEW and len(readable) * max(map(len, readable)) <= CHUNK_CHARACTERS:
            probabilities = self._run(readable)  # one chunk: there is nothing to sort
        else:
            lengths = np.fromiter(map(len, readable), dtype=np.int64, count=len(readable))
            order = np.argsort(lengths, kind="stable")
            probabilities = np.empty(len(readable), dtype=np.float32)
            for places in _chunks(order, lengths):
                probabilities[places] = self._run([readable[place] for place in places])
        # the runtime rounds a sigmoid to 1.0000001 where it is sure; what lies further off is left to be refused
        over = probabilities > 1
        if over.any():
            probabilities[over & (probabilities <= 1 + ROUNDING)] = 1
        return probabilities

    def explain(self, text: str) -> list[Contribution]:
        """Say which words carried the answer: the graph scores parts of the text.

        - Each word is left out (Li, Monroe, Jurafsky 2016, arXiv:1612.08220), which shows what the model made of it
          beside the others. Of a word that only counts together with another, both show it; of two that suffice each,
          none does once the answer is saturated.
        - Each word stands alone, so that what suffices is seen (Carter, Mueller, Jain, Gifford 2019, arXiv:1810.03805,
          look for the smallest part that suffices; this is its first step).
        - Words are left out together, the strongest first, until the label changes, and put back one by one while it
          stays changed: a set as Martens and Provost explain documents by (MIS Quarterly 38, 2014). The search is
          greedy and gives one set: there may be others, and smaller ones.

        Returns:
            The words in the order of the text, up to EXPLAINED_WORDS of those that are read.

        Raises:
            TypeError, ValueError: As `score` says.
        """
        [read] = self._readable([text])
        words = _explained(read)
        left_out = [_without(read, [found]) for found in words]
        scores = self.score([read, *left_out, "", *(found[0] for found in words)]).astype(np.float64)
        odds, empty = _log_odds(scores), len(words) + 1
        log_odds, log_odds_alone = odds[0] - odds[1:empty], odds[empty + 1 :] - odds[empty]
        decisive = self._decisive(read, words, float(scores[0]), log_odds + log_odds_alone)
        return [
            Contribution(
                found[0],
                *found.span(),
                without=float(scores[1 + place]),
                log_odds=float(log_odds[place]),
                alone=float(scores[empty + 1 + place]),
                log_odds_alone=float(log_odds_alone[place]),
                decisive=place in decisive,
            )
            for place, found in enumerate(words)
        ]

    def _decisive(self, text: str, words: Sequence[re.Match[str]], answer: float, evidence: np.ndarray) -> set[int]:
        """Give the places of words without which the label is the other one; none where no set is found.

        Args:
            text: As it is read.
            words: Those that may be left out.
            answer: Probability of the whole text.
            evidence: Of each word, how strongly it speaks for non-compliance.
        """
        is_noncompliant = answer >= self.threshold
        for_label = evidence if is_noncompliant else -evidence
        strongest = np.argsort(-for_label, kind="stable")[:DECISIVE_WORDS]
        ranked = [int(place) for place in strongest if for_label[place] > 0]

        def changed(*sets: Sequence[int]) -> np.ndarray:
            scores = self.score([_without(text, [words[place] for place in places]) for places in sets])
            changes: np.ndarray = (scores < self.threshold) if is_noncompliant else (scores >= self.threshold)
            return changes  # what is no number changes nothing

        changes = changed(*(ranked[: count + 1] for count in range(len(ranked))))
        if not changes.any():
            return set()
        found = ranked[: int(changes.argmax()) + 1]
        while len(found) > 1:
            fewer = [[other for other in found if other != place] for place in found]
            if not (changes := changed(*fewer)).any():
                break
            found = fewer[int(np.flatnonzero(changes)[-1])]  # the weakest of those that can be put back
        return set(found)

    def label(self, probability: float) -> str:
        """Give the label of a probability of non-compliance.

        Raises:
            ValueError: It is not a number between 0 and 1, which no sound model gives.
        """
        if not 0 <= probability <= 1:
            raise ValueError(f"{probability} is no probability: the model is broken, do not use its answer")
        return self.labels[int(probability >= self.threshold)]

    def _run(self, texts: list[str]) -> np.ndarray:
        probabilities: np.ndarray = self.session.run(_OUTPUTS, {INPUT: np.array(texts, dtype=object)})[0].reshape(-1)
        return probabilities

    def _readable(self, texts: Sequence[str]) -> list[str]:
        if isinstance(texts, str):
            raise TypeError("one text arrived where a list of texts is expected: give [text]")
        return [_checked(index, text)[: self.maximum_length] for index, text in enumerate(texts)]


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Give the log-odds of probabilities, which a float32 near 0 or 1 cannot carry further than 16."""
    near = np.clip(probabilities, 1e-7, 1 - 1e-7)
    odds: np.ndarray = np.log(near / (1 - near))
    return odds


def explanation_cost(text: str) -> int:
    """Give how many texts `Scorer.explain` scores at least: a word stands alone, and is left out."""
    return 2 + 2 * len(_explained(text))


def _explained(text: str) -> list[re.Match[str]]:
    """Find the words of a text that are explained."""
    return list(islice(re.finditer(WORD, text), EXPLAINED_WORDS))


def _without(text: str, words: Iterable[re.Match[str]]) -> str:
    """Leave words out; a gap stays for each."""
    for found in sorted(words, key=lambda found: found.start(), reverse=True):
        text = f"{text[: found.start()]} {text[found.end() :]}"
    return text


def _checked(index: int, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"text {index} is of type {type(text).__name__}; give a str")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            fault = f"text {index} holds a lone surrogate at character {error.start}: remove it"
            raise ValueError(fault) from error
    return text.replace("\0", " ")  # the runtime ends a string at NUL, the graph reads both as a gap between words


def _chunks(order: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Cut places, sorted by length of text, into chunks that keep both limits; a chunk holds at least one text."""
    start = 0
    while start < len(order):
        stop = min(start + CHUNK_TEXTS, len(order))
        while stop > start + 1 and (stop - start) * lengths[order[stop - 1]] > CHUNK_CHARACTERS:
            stop = start + (stop - start) // 2
        yield order[start:stop]
        start = stop


def _session(onnx: bytes, where: Path | str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # fastest for a small network, and processes do not fight over cores
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no other base
        raise ModelCorrupt(where, f"ONNX Runtime cannot load it: {error}") from error
    takes = [(part.name, part.type, len(part.shape)) for part in session.get_inputs()]
    gives = [(part.name, part.type) for part in session.get_outputs()]
    if takes != [(INPUT, "tensor(string)", 1)] or gives != [(OUTPUT, "tensor(float)")]:
        raise ModelCorrupt(where, f"it takes {takes} and gives {gives}, not a {OUTPUT} for each {INPUT}")
    return session


def _verified(folder: Path, expected: str | None) -> tuple[dict[str, Any], str]:
    """Give model.json and its digest, after every file was checked."""
    content = _manifest_bytes(folder)
    digest = _sha256(content)
    if expected is not None and digest != expected:
        raise ModelCorrupt(folder, f"its digest is {digest}; {expected} was expected")
    manifest = _manifest(folder, content)
    if faults := list(_file_faults(folder, manifest["files"])):
        raise ModelCorrupt(folder, *faults)
    return manifest, digest


def _manifest_bytes(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise ModelCorrupt(folder, f"{MANIFEST} cannot be read: {error.strerror}") from error


def _manifest(folder: Path, content: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise ModelCorrupt(folder, f"{MANIFEST} is no JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise ModelCorrupt(folder, f"{MANIFEST} holds a {type(manifest).__name__}, not an object")
    if faults := list(_manifest_faults(manifest)):
        raise ModelCorrupt(folder, *faults)
    return manifest


def _manifest_faults(manifest: dict[str, Any]) -> Iterator[str]:
    rules: dict[str, Callable[[Any], bool]] = {
        "schema": lambda value: value == SCHEMA,
        "name": lambda value: isinstance(value, str) and value != "",
        "labels": lambda value: isinstance(value, list) and len(value) == len(LABELS) and _all_texts(value),
        "threshold": lambda value: type(value) in (int, float) and 0 <= value <= 1,
        "input": lambda value: value == INPUT,
        "output": lambda value: value == OUTPUT,
        "maximum_length": lambda value: type(value) is int and value > 0,
        "files": lambda value: isinstance(value, dict) and ONNX_FILE in value and _all_texts(value.values()),
    }
    for key, holds in rules.items():
        if not holds(manifest.get(key)):
            yield f"{MANIFEST}: {key} is {manifest.get(key)!r}, which is not allowed"


def _all_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _file_faults(folder: Path, files: dict[str, str]) -> Iterator[str]:
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    present.pop(MANIFEST, None)
    for name in sorted(files.keys() - present.keys()):
        yield f"{name} is missing"
    for name in sorted(present.keys() - files.keys()):
        yield f"{name} is not named in {MANIFEST}"
    for name in sorted(files.keys() & present.keys()):
        digest = _sha256(present[name].read_bytes())
        if digest != files[name]:
            yield f"{name} was changed: its sha256 is {digest}, {MANIFEST} says {files[name]}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
