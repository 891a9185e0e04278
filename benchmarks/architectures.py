"""Architectures beside each other: what they answer rightly, what they cost, and whether the default earns its place.

Example:
    python -m benchmarks.architectures --mot PATH/mot_rfr_compliance.csv    # all; writes docs/BENCHMARKS.md
    python -m benchmarks.architectures --only connected-car-hard            # one data set; the others stay as they are
    python -m benchmarks.architectures --only mot --mot PATH --splits 3 --dry    # a quick look; writes nothing

Data set by data set, each model learns from the same texts and answers the same sets of distinct texts; networks are
judged by their exported files, at even odds. On mot the default is then compared with the simple model on repeated
splits. The seeds are ones with which nothing was chosen: give others with --seed and --challenge-seed to try things.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from benchmarks import contenders, datasets, resampled
from benchmarks.baseline import network, tuned_baseline
from benchmarks.contenders import DEFAULT, LAB, LAB_TRAINED, LAB_WITH_VECTORS, PLAIN, PLAIN_WITH_LOOKUP, Measured
from benchmarks.datasets import DataSet
from benchmarks.pages import figure, machine, sheet, write_measured
from compliance import metrics, model, wording

PAGE = Path(__file__).resolve().parents[1] / "docs" / "BENCHMARKS.md"
SEED, CHALLENGE_SEED = 52_711, 81_943  # no choice was made with these
MOT = "mot"
NAMES = ("connected-car", "connected-car-hard", MOT)
WHERE = "docs/DATA.md says where anyone gets it; then --mot PATH/mot_rfr_compliance.csv"
LAB_AT_MOST = 0.65  # accuracy of the lab's reference, above which a set asks for too little
LAB_ASKED = (wording.PHRASING, wording.NEGATION)
AIM = 0.99
AIMED_AT = (wording.PHRASING, wording.UNSEEN_YEARS, wording.NEGATION)

Labels = Mapping[str, np.ndarray]  # by set


def quality(labels: Labels, measured: Mapping[str, Measured]) -> str:
    """Write the accuracy of each model on each set, with Wilson's interval."""
    rows = [["accuracy (95 %)", *(f"{name}, {len(truth):,} texts" for name, truth in labels.items())]]
    for who, found in measured.items():
        rows.append([who, *(_interval(truth, found.flags[name]) for name, truth in labels.items())])
    return sheet(*rows)


def costs(measured: Mapping[str, Measured]) -> str:
    """Write what each model costs."""
    rows = [["model", "training, s", "file, MB", "answer to one text, ms", "chosen"]]
    rows += [
        [who, figure(found.seconds), figure(found.megabytes), figure(found.milliseconds), found.told or "–"]
        for who, found in measured.items()
    ]
    return sheet(*rows)


def differences(labels: Labels, measured: Mapping[str, Measured], seed: int) -> str:
    """Write on each set how much more often the default is right than the simple models, and say what that shows."""
    rows = [["set", *(f"default minus {who}" for who in (PLAIN, PLAIN_WITH_LOOKUP))]]
    said = []
    for name, truth in labels.items():
        against = [_difference(truth, measured, who, name, seed) for who in (PLAIN, PLAIN_WITH_LOOKUP)]
        rows.append([name, *(_signed(found.accuracy) for found in against)])
        first = against[0].accuracy
        said.append(f"{name}: {resampled.verdict('the default', 'the simple model', first.low, first.high)}")
    beaten = [line for line in said if line.endswith("the default is better")]
    plainly = f"**The default beats {PLAIN} on {len(beaten)} of {len(said)} sets.**"
    return f"{sheet(*rows)}\n{plainly} {'; '.join(said)}.\n"


def rule(labels: Labels, measured: Mapping[str, Measured]) -> str:
    """Say whether the challenge sets ask for enough, and whether the default reaches the aim; "" without the sets."""
    if not set(LAB_ASKED) <= set(labels):
        return ""
    lines = []
    for name in LAB_ASKED:
        frozen = max(_accuracy(labels[name], measured[who].flags[name]) for who in (LAB, LAB_WITH_VECTORS))
        trained = _accuracy(labels[name], measured[LAB_TRAINED].flags[name])
        counts = "counts" if frozen <= LAB_AT_MOST else "**does not count**"
        lines.append(
            f"{name} {counts}: the lab's reference reaches {frozen:.4f}, with the better of its frozen vectors (at "
            f"most {LAB_AT_MOST} allowed); {trained:.4f} if its vectors are trained, which the lab does not do"
        )
    for name in AIMED_AT:
        reached = _accuracy(labels[name], measured[DEFAULT].flags[name])
        met = "meets" if reached >= AIM else "**misses**"
        lines.append(f"{name}: the default {met} the aim of {AIM} with {reached:.4f}")
    return "".join(f"- {line}\n" for line in lines) + "\n"


def section(data: DataSet, measured: Mapping[str, Measured]) -> str:
    """Write what was measured on one data set."""
    labels = {name: asked["label"].to_numpy() for name, asked in data.asked.items()}
    learned = f"{len(data.training):,} rows to learn from, {len(data.validation):,} to choose the epoch by"
    return (
        f"{data.told}; {learned}; {machine('keras', 'tensorflow', 'onnxruntime', 'sklearn')}.\n\n"
        f"{quality(labels, measured)}\n{differences(labels, measured, data.plan.seed)}\n{rule(labels, measured)}"
        f"{costs(measured)}"
    )


def repeated(path: Path, plan: model.TrainingPlan, splits: int) -> str:
    """Compare the default with the simple model on repeated splits within each regime of the mot texts."""
    told = []
    models = {DEFAULT: network(plan), PLAIN: tuned_baseline}
    for name, texts in zip(("before 2018", "of 2018"), datasets.mot_texts(path), strict=True):
        print(f"mot, texts {name}", file=sys.stderr)
        found = resampled.compare(texts, models, splits, plan.seed)
        told.append(
            f"\nWithin the texts {name}: {len(texts):,} distinct ones, {splits} fixed splits, "
            f"{resampled.TEST_SHARE:.0%} of the texts asked in each.\n\n{resampled.table(found, DEFAULT, PLAIN)}"
        )
    return "".join(told)


def run(asked: argparse.Namespace) -> None:
    """Measure the data sets that are asked for, print the tables of each and write them into the page."""
    makers: dict[str, Callable[[], DataSet]] = {
        "connected-car": lambda: datasets.connected_car(asked.seed),
        "connected-car-hard": lambda: datasets.connected_car_hard(asked.seed, asked.challenge_seed, asked.rows),
        MOT: lambda: datasets.mot(asked.mot, asked.seed),
    }
    for name in asked.only or NAMES:
        if name == MOT and not (asked.mot and asked.mot.is_file()):
            print(f"{name}: SKIPPED, {asked.mot or 'no file'} is not there; {WHERE}", file=sys.stderr)
            continue
        start = time.perf_counter()
        print(name, file=sys.stderr)
        data = makers[name]()
        with tempfile.TemporaryDirectory() as place:
            made = section(data, contenders.measure(data, Path(place)))
        if name == MOT:
            made += repeated(asked.mot, data.plan, asked.splits)
        print(f"## {name}\n\n{made}")
        if not asked.dry:
            write_measured(PAGE, *marks(name), made)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def marks(name: str) -> tuple[str, str]:
    """Give the lines of the page between which the figures of a data set stand."""
    return f"<!-- measured: python -m benchmarks.architectures --only {name} -->\n", f"<!-- /measured: {name} -->\n"


def main() -> None:
    """Read what is asked for, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=NAMES, help="a data set; may be given again")
    parser.add_argument("--mot", type=Path, help="mot_rfr_compliance.csv, which is no part of the project")
    parser.add_argument("--splits", type=int, default=20, help="repeated splits within each regime of mot, at least 2")
    parser.add_argument("--rows", type=int, help="harder descriptions to generate, if not as many as params/hard.yaml")
    parser.add_argument("--seed", type=int, default=SEED, help="of data, splits and first weights")
    parser.add_argument("--challenge-seed", type=int, default=CHALLENGE_SEED, help="of the challenge sets")
    parser.add_argument("--dry", action="store_true", help="print the tables, leave the page as it is")
    asked = parser.parse_args()
    if asked.splits < 2:
        parser.error(f"--splits is {asked.splits}; give at least 2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each network is traced anew, which is meant
    model.set_seed(asked.seed)  # loads TensorFlow, which is no part of any training time
    run(asked)


def _accuracy(labels: np.ndarray, flags: np.ndarray) -> float:
    return float((flags == (labels == 1)).mean())


def _interval(labels: np.ndarray, flags: np.ndarray) -> str:
    found = metrics.proportion(int((flags == (labels == 1)).sum()), len(labels))
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def _difference(
    truth: np.ndarray, measured: Mapping[str, Measured], other: str, name: str, seed: int
) -> metrics.Difference:
    return metrics.accuracy_difference(truth, measured[DEFAULT].flags[name], measured[other].flags[name], seed)


def _signed(found: metrics.Estimate) -> str:
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


if __name__ == "__main__":
    main()
