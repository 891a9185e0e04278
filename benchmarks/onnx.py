"""What the exported file gives beside the network it comes from: size, start, latency, throughput, memory, parity.

Example:
    python -m benchmarks.onnx                                 # about six minutes; writes the tables of docs/ONNX.md
    python -m benchmarks.onnx --turns 1 --seconds 0.2 --dry   # a quick look; writes nothing
    python -m benchmarks.onnx --source parts.csv --dry        # texts of one's own: columns text and label, 0 or 1

A network is trained on generated descriptions with the default plan. Each variant (benchmarks/variant.py) takes raw
texts and gives probabilities, in a fresh process for each turn; the variants take turns, each turn beginning with
another one. Machines are shared and noisy: read the ratios, taken within a turn, and their spread. Linux only.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.pages import figure, machine, sheet, write_measured
from benchmarks.variant import BATCHES, VARIANTS
from compliance import export, folder, model
from compliance.generate import connected_car
from compliance.text import normalize_all
from compliance.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "ONNX.md"
BEGIN, END = "<!-- measured: python -m benchmarks.onnx -->\n", "<!-- /measured -->\n"
ROWS, SEED = 20_000, 7
VALIDATION_SHARE = 0.15
INCOMPLETE = 10  # copies of each text, words left out
KEPT = 0.7  # of the words of such a copy, on average
BASE = "Keras call"  # what the others are compared with
THRESHOLD = 0.5
MEGABYTE = 1_000_000
FILES = {  # what a variant reads
    "Keras `predict`": ("model.keras", "vocabulary.json"),
    "Keras call": ("model.keras", "vocabulary.json"),
    "`tf.function`": ("model.keras", "vocabulary.json"),
    "ONNX Runtime": ("model.onnx",),
    "ONNX int8": ("model.int8.onnx",),
}
KERAS_NEEDS, ONNX_NEEDS = ("keras", "numpy", "tensorflow"), ("numpy", "onnxruntime")  # modules a variant imports
CHOSEN_AT_INSTALL = ("PYTHONDONTWRITEBYTECODE",)  # start-up is that of an environment with its bytecode
CHOSEN_BY_TRAINING = ("TF_ENABLE_ONEDNN_OPTS",)  # for repeatable weights; what scores has TensorFlow's own defaults


def write_models(place: Path, rows: pd.DataFrame) -> None:
    """Train a network; write it, its vocabulary, the exported file and that in int8."""
    from onnxruntime.quantization import quantize_dynamic

    rows = rows.assign(normalized=normalize_all(rows["text"]), label=rows["label"].astype(np.int8))
    validation = rows[: int(len(rows) * VALIDATION_SHARE)]
    training = rows[len(validation) :]
    plan = model.TrainingPlan()
    vocabulary = Vocabulary.learn(training["normalized"], plan.maximum_words)
    network = model.train(plan, vocabulary, training, validation, lambda line: print(line, file=sys.stderr)).network
    vocabulary.write(place / "vocabulary.json")
    (place / "model.keras").write_bytes(folder.keras_archive(network))
    (place / "model.onnx").write_bytes(export.to_onnx(network, vocabulary, plan.tokens))
    quantize_dynamic(place / "model.onnx", place / "model.int8.onnx")


def write_texts(place: Path, rows: pd.DataFrame) -> int:
    """Write the distinct texts, and copies with words left out, about which a network is less sure; say how many."""
    random = np.random.default_rng(SEED)
    whole = sorted(set(rows["text"]))
    texts = list(whole)
    for text in whole * INCOMPLETE:
        words = text.split()
        kept = random.random(len(words)) < KEPT
        texts.append(" ".join(word for word, stays in zip(words, kept, strict=True) if stays))
    random.shuffle(texts)
    (place / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    return len(texts)


def environment() -> dict[str, str]:
    """Give the environment of a process that is measured."""
    dropped = (*CHOSEN_AT_INSTALL, *CHOSEN_BY_TRAINING)
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"TF_CPP_MIN_LOG_LEVEL": "3"}


def measure(name: str, place: Path, seconds: float) -> dict[str, Any]:
    """Start a variant and give what it measured, and its seconds from the start to the first answer."""
    print(name, file=sys.stderr)
    call = [sys.executable, "-m", "benchmarks.variant", name, str(place), str(seconds)]
    with (place / "errors.txt").open("w+", encoding="utf-8") as errors:
        began = time.perf_counter()
        with subprocess.Popen(
            call, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as child:
            assert child.stdout
            ready = child.stdout.readline()
            start = time.perf_counter() - began
            said = child.stdout.read()
        errors.seek(0)
        assert (child.returncode, ready) == (0, "ready\n"), errors.read()
    found: dict[str, Any] = json.loads(said)
    return found | {"start": start}


def in_turns(place: Path, turns: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Measure every variant once in each turn, after a first start that does not count."""
    names = list(VARIANTS)
    for name in names:
        measure(name, place, 0)  # brings its libraries from the disk
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            measured[name].append(measure(name, place, seconds))
    return measured


def closure(*named: str) -> set[str]:
    """Give the installed distributions that some need, themselves included, extras too."""
    found: dict[str, set[str]] = {}  # distribution -> extras that were followed, "" for none
    waiting = [Requirement(name) for name in named]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = {"", *wanted.extras}
        fresh = extras - found.get(name, set())
        found[name] = found.get(name, set()) | extras
        for line in importlib.metadata.requires(name) or [] if fresh else []:
            needed = Requirement(line)
            if any(needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in fresh):
                waiting.append(needed)
    return set(found)


def installed(distributions: set[str]) -> int:
    """Give the bytes of the files of distributions, as their installers recorded them: without bytecode."""
    files = [file for name in distributions for file in importlib.metadata.files(name) or []]
    paths = {Path(str(file.locate())) for file in files if file.suffix != ".pyc"}
    return sum(path.stat().st_size for path in paths if path.is_file())


def of_modules(*modules: str) -> set[str]:
    """Give the distributions that importing some modules needs."""
    makers = importlib.metadata.packages_distributions()
    return closure(*(name for module in modules for name in set(makers[module])))


def of_extra(extra: str) -> set[str]:
    """Give the distributions of one of the project's extras, without what every installation of it has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [Requirement(line) for line in project["optional-dependencies"][extra]]
    own = {inner for line in lines if line.name == project["name"] for inner in line.extras}
    others = [
        str(line) for line in lines if line.name != project["name"] and (not line.marker or line.marker.evaluate())
    ]
    named = [line.split(";")[0] for line in others]
    return closure(*named).union(*(of_extra(inner) for inner in own))


def sizes(place: Path) -> dict[str, tuple[int, int]]:
    """Give, for each variant, the bytes of its files and of the libraries that it needs."""
    libraries = {"model.keras": installed(of_modules(*KERAS_NEEDS))}
    libraries |= dict.fromkeys(("model.onnx", "model.int8.onnx"), installed(of_modules(*ONNX_NEEDS)))
    return {
        name: (sum((place / file).stat().st_size for file in files), libraries[files[0]])
        for name, files in FILES.items()
    }


def parity(place: Path) -> dict[str, tuple[int, float]]:
    """Give, for each variant, the labels that differ from those of the base, and the largest difference."""
    answers = {name: np.load(place / f"{number}.npy") for number, name in enumerate(VARIANTS)}
    base = answers[BASE]
    return {
        name: (int(((own >= THRESHOLD) != (base >= THRESHOLD)).sum()), float(np.abs(own - base).max()))
        for name, own in answers.items()
    }


def per_call(measured: list[dict[str, Any]], size: int) -> np.ndarray:
    """Give the milliseconds of all calls with batches of one size."""
    return np.concatenate([turn[str(size)]["calls"] for turn in measured])


def times(measured: dict[str, list[dict[str, Any]]], name: str, size: int | None = None) -> str:
    """Say how many times as fast as the base a variant is: the median of the turns, and their middle half."""

    def took(turn: dict[str, Any]) -> float:
        return float(turn["start"]) if size is None else statistics.median(turn[str(size)]["calls"])

    pairs = zip(measured[BASE], measured[name], strict=True)
    ratios = [took(base) / took(own) for base, own in pairs]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return "1" if name == BASE else f"{figure(middle)} ({figure(low)} to {figure(high)})"


def tables(place: Path, measured: dict[str, list[dict[str, Any]]]) -> str:
    """Write what was measured as Markdown."""
    held, same = sizes(place), parity(place)
    needs = [["variant", "its files, KB", "its libraries, MB", "first answer after, s", "memory at most, MiB"]]
    needs[0] += ["labels that differ", "largest difference"]
    speed = [["variant", *(f"{size:,} at once: p50 / p99, ms" for size in BATCHES)]]
    speed[0] += [f"texts a second, {max(BATCHES):,} at once", "processor, ms"]
    beside = [["variant", "first answer", *(f"{size:,} at once" for size in BATCHES)]]
    for name, turns in measured.items():
        files, libraries = held[name]
        flips, difference = same[name]
        start, memory = (statistics.median(turn[what] for turn in turns) for what in ("start", "peak"))
        needs.append([name, figure(files / 1_000), figure(libraries / MEGABYTE), figure(start), figure(memory)])
        needs[-1] += ["–", "–"] if name == BASE else [f"{flips:,}", f"{difference:.1e}"]
        calls = {size: per_call(turns, size) for size in BATCHES}
        latencies = [f"{figure(np.median(took))} / {figure(np.quantile(took, 0.99))}" for took in calls.values()]
        largest = calls[max(BATCHES)]
        used = statistics.median(turn[str(max(BATCHES))]["processor"] for turn in turns)
        rate = max(BATCHES) * len(largest) / (largest.sum() / 1_000)
        speed.append([name, *latencies, f"{rate:,.0f}", figure(used)])
        beside.append([name, times(measured, name), *(times(measured, name, size) for size in BATCHES)])
    said = "Times as fast as Keras call, median of the turns (and their middle half):\n\n"
    return f"{sheet(*needs)}\n{sheet(*speed)}\n{said}{sheet(*beside)}"


def told(texts: int, turns: int, seconds: float) -> str:
    """Say on what, with what and how was measured."""
    extras = {extra: figure(installed(of_extra(extra)) / MEGABYTE) for extra in ("serve", "train")}
    return (
        f"{machine('keras', 'tensorflow', 'onnxruntime')}; {texts:,} texts, "
        f"turns: {turns}, with {seconds:g} s for each variant and size of batch. Installed whole, the scoring "
        f"service's libraries (extra `serve`) take {extras['serve']} MB, those of training (extra `train`) "
        f"{extras['train']} MB.\n"
    )


def main() -> None:
    """Train, measure, print the tables and write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9, help="fresh processes of each variant")
    parser.add_argument("--seconds", type=float, default=1, help="for each size of batch, in each turn")
    parser.add_argument("--source", type=Path, help="CSV with the columns text and label, 0 or 1")
    parser.add_argument("--dry", action="store_true", help="print the tables, leave the page as it is")
    options = parser.parse_args()
    rows = connected_car(ROWS, SEED)
    if options.source:
        rows = pd.read_csv(options.source, usecols=["text", "label"]).sample(frac=1, random_state=SEED)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        write_models(place, rows)
        texts = write_texts(place, rows)
        measured = in_turns(place, options.turns, options.seconds)
        made = f"{told(texts, options.turns, options.seconds)}\n{tables(place, measured)}"
    print(made, end="")
    if not options.dry:
        write_measured(PAGE, BEGIN, END, made)


if __name__ == "__main__":
    main()
