"""Sabotage: for every gate a spoiled data set or model, entered through `trey run`, which this gate stops by name.

Nothing is handed to a gate. A sabotage spoils the source, a parameter, or a notebook of a copy of the project, as a
mistake or a shortcut would, and `trey run` measures what came of it. The other gates let it pass: each holds what no
other does.

The data are all sentences of the connected-car grammar, four times over; few enough to train in seconds.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from compliance.generate import CONDITIONS, MATERIALS, TEMPLATES, YEARS, is_noncompliant
from tests.project import ROOT, Project

TIMES = 4  # each sentence stands in so many rows
EPOCHS = 6
STOPPING = ("fail", "inconclusive")
SETTINGS = {"train.epochs": str(EPOCHS)}

# What a spoiled network needs, at the end of the train notebook: write it as the notebook wrote the sound one.
REWRITE = """
def write(spoiled, words=vocabulary, keras_too=True):
    (output / "model.onnx").write_bytes(export.to_onnx(spoiled, words, tokens))
    if keras_too:
        (output / "model.keras").write_bytes(folder.keras_archive(spoiled))

def rethink(threshold):
    folder.write_json(output / model.REPORT_FILE, report | {"threshold": threshold})

def correct(slope, intercept):
    return calibration.corrected(network, calibration.Calibration(slope, intercept, 1))

import numpy as np
test = splits["test"].drop_duplicates("normalized")
"""
GRAPH = """
import onnx as onnx_library
from onnx import helper, numpy_helper

graph_of = onnx_library.load_from_string(onnx)
graph = graph_of.graph
for node in graph.node:
    node.output[:] = ["sound" if name == "probability" else name for name in node.output]
nothing = numpy_helper.from_array(np.zeros(1, np.float32), "nothing")
graph.initializer.append(nothing)

def add(kind, inputs, output, **attributes):
    graph.node.append(helper.make_node(kind, inputs, [output], **attributes))

def save():
    (output / "model.onnx").write_bytes(graph_of.SerializeToString())
"""


@dataclass(frozen=True)
class Sabotage:
    """One sabotage.

    Attributes:
        name: What was done, for the table.
        stopped_by: The scraps of the rules that stop it, and no other.
        sets: Parameters for `trey run`.
        cells: Code at the end of a notebook, by phase.
        swaps: (phase, what a cell of its notebook says, what it says instead).
        data: What is made of the sound rows: `text`, `label`, `material`, `condition`, `year`.
        tables: Further files, by name, made of the sound rows; `{name}` in `sets` becomes their path.
        champion: Whether the sound model runs in production.
        registers: Whether the gate that stops stands behind the registration.
    """

    name: str
    stopped_by: tuple[str, ...]
    sets: Mapping[str, str] = field(default_factory=dict)
    cells: Mapping[str, str] = field(default_factory=dict)
    swaps: tuple[tuple[str, str, str], ...] = ()
    data: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
    tables: Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]] = field(default_factory=dict)
    champion: bool = False
    registers: bool = False


def rows() -> pd.DataFrame:
    """Give the sound rows."""
    made = [
        (template.format(condition=condition, material=material, year=year), condition, material, year)
        for template in TEMPLATES
        for condition in CONDITIONS
        for material in MATERIALS
        for year in YEARS
    ]
    table = pd.DataFrame(made * TIMES, columns=["text", "condition", "material", "year"])
    facts = table[["condition", "material", "year"]].itertuples(index=False)
    return table.assign(label=[int(is_noncompliant(*values)) for values in facts])


def _flipped_in_a_slice(table: pd.DataFrame) -> pd.DataFrame:
    """Label two fifths of the texts in fair condition compliant, whatever they are."""
    drawn = pd.util.hash_pandas_object(table["text"], index=False) % 5 < 2
    return table.assign(label=table["label"].where(~((table["condition"] == "fair") & drawn), 0))


def _denied(table: pd.DataFrame) -> pd.DataFrame:
    """Ask of texts that name what they are not made of."""
    sound = table[table["label"] == 0].drop_duplicates("text").head(200)
    pairs = zip(sound["text"], sound["material"], strict=True)
    texts = [text.replace(material, f"{material} and not of plastic") for text, material in pairs]
    return pd.DataFrame({"text": texts, "label": 0, "set": "negation"})


def _seen(table: pd.DataFrame) -> pd.DataFrame:
    """Ask texts that stand in the source."""
    return table.drop_duplicates("text").sample(200, random_state=1)[["text", "label"]].assign(set="seen")


SABOTAGES = (
    Sabotage(
        "a row number stands twice in the test split, and training no longer checks what it reads",
        ("evaluate.schema_faults",),
        cells={
            "prepare": """
test = pd.read_parquet(folder / "test.parquet")
test.loc[1, "row"] = test.loc[0, "row"]
test.to_parquet(folder / "test.parquet", index=False)
data.write_report(folder, data.load_report(folder) | {"data_digest": data.data_digest(folder)})
"""
        },
        swaps=(
            (
                "train",
                "splits = data.load(prepare_dir)",
                "from compliance import evidence\nsplits = evidence.read_splits(prepare_dir)",
            ),
        ),
    ),
    Sabotage(
        "test rows leaked into training",
        ("evaluate.split_leakage",),
        swaps=(
            (
                "train",
                'training, validation = splits["train"], splits["validation"]',
                'import pandas\n'
                'training, validation = pandas.concat([splits["train"], splits["test"]]), splits["validation"]',
            ),
        ),
    ),
    Sabotage(
        "a threshold by hand that passes a twelfth of what is non-compliant",
        ("evaluate.missed_rate_high",),
        cells={
            "train": REWRITE
            + """
milder = correct(0.35, 0)  # so that its answers to sure texts differ
write(milder)
asked = list(test["text"][test["label"] == 1])
scores = np.sort(model.probabilities(milder, vocabulary, tokens, asked).astype(float))
near = scores[len(scores) // 14 : len(scores) // 10]  # between two of these, where they lie far enough apart
place = int(np.diff(near).argmax())
rethink(float(near[place : place + 2].mean()))
"""
        },
    ),
    Sabotage(
        "a constant predictor",
        ("evaluate.accuracy_low",),
        sets={"evaluate.baseline_margin": "0.5"},
        cells={"train": REWRITE + "write(correct(0, np.log(7)))\nrethink(0.5)"},
    ),
    Sabotage(
        "a network that knows few words, beside a simple model that knows all",
        ("evaluate.baseline_delta_low",),
        sets={"train.maximum_words": "30", "train.nearest_year": "false", "evaluate.calibration_limit": "0.2"},
    ),
    Sabotage(
        "labels flipped in one slice",
        ("evaluate.slice_accuracy_low",),
        sets={"prepare.slice_columns": "[condition]", "evaluate.calibration_limit": "0.2"},
        data=_flipped_in_a_slice,
    ),
    Sabotage(
        "an uncalibrated model",
        ("evaluate.calibration_error_high",),
        cells={"train": REWRITE + "write(correct(0.02, 0))\nrethink(0.5)"},
    ),
    Sabotage(
        "two years mistaken for each other in the exported vocabulary",
        ("evaluate.parity_label_flips", "evaluate.parity_max_difference"),
        sets={"evaluate.baseline_margin": "0.1"},
        cells={
            "train": REWRITE
            + """
from dataclasses import replace
swap = {"1994": "1995", "1995": "1994"}
write(network, replace(vocabulary, words=tuple(swap.get(word, word) for word in vocabulary.words)), keras_too=False)
"""
        },
    ),
    Sabotage(
        "an export that is a little surer than the network",
        ("evaluate.parity_max_difference",),
        cells={"train": REWRITE + "write(correct(1, 0.5), keras_too=False)"},
    ),
    Sabotage(
        "a threshold between the answers of network and export",
        ("evaluate.parity_label_flips",),
        cells={
            "train": REWRITE
            + """
scores = scorer.score(list(test["text"])).astype(float)
slopes = scores * (1 - scores)  # by how much an answer moves with the log-odds
torn = int(slopes.argmax())
(output / "model.keras").write_bytes(folder.keras_archive(correct(1, 6e-6 / slopes[torn])))
rethink(scores[torn] + 3e-6)
"""
        },
    ),
    Sabotage(
        "a graph that multiplies large matrices for nothing",
        ("evaluate.latency_ms",),
        cells={
            "train": REWRITE
            + GRAPH
            + """
size = numpy_helper.from_array(np.array([700, 700], np.int64), "size")
first = numpy_helper.from_array(np.array([0], np.int64), "first")
graph.initializer.extend([size, first])
add("Gather", ["sound", "first"], "one", axis=0)
add("Mul", ["one", "nothing"], "none")
add("Expand", ["none", "size"], "large_0")
for step in range(12):
    add("MatMul", [f"large_{step}", f"large_{step}"], f"large_{step + 1}")
add("ReduceMean", ["large_12"], "mean", keepdims=0)
add("Add", ["sound", "mean"], "probability")
save()
"""
        },
    ),
    Sabotage(
        "a file with 24 million bytes that nothing needs",
        ("evaluate.size_mb",),
        cells={
            "train": REWRITE
            + GRAPH
            + """
ballast = numpy_helper.from_array(np.zeros(6_000_000, np.float32), "ballast")
first = numpy_helper.from_array(np.array([0], np.int64), "first")
graph.initializer.extend([ballast, first])
add("Gather", ["ballast", "first"], "one", axis=0)
add("Mul", ["one", "nothing"], "none")
add("Add", ["sound", "none"], "probability")
save()
"""
        },
    ),
    Sabotage(
        "a champion judged on other rows",
        ("evaluate.champion_test_digest",),
        champion=True,
        swaps=(
            (
                "evaluate",
                "champion_answers = evidence.answer(champion_scorer, texts)",
                'other = texts.groupby("label").sample(frac=1, random_state=1)\n'
                '    other = other.set_index(texts.sort_values("label", kind="stable").index).sort_index()\n'
                "    champion_answers = evidence.answer(champion_scorer, other)",
            ),
        ),
    ),
    Sabotage(
        "a model that is worse than the champion",
        ("evaluate.champion_delta_low",),
        champion=True,
        sets={
            "train.maximum_words": "30",
            "train.nearest_year": "false",
            "evaluate.baseline_margin": "0.5",
            "evaluate.calibration_limit": "0.2",
        },
    ),
    Sabotage(
        "challenge sets of texts that stand in the source",
        ("evaluate.challenge_seen",),
        sets={"evaluate.challenge_source": "{asked.csv}"},
        tables={"asked.csv": _seen},
    ),
    Sabotage(
        "a model that takes what is denied for what is said",
        ("evaluate.challenge_accuracy_low",),
        sets={"evaluate.challenge_source": "{asked.csv}"},
        tables={"asked.csv": _denied},
    ),
    Sabotage(
        "a source that holds no plastic, and a test split that cannot miss it",
        ("evaluate.behaviour_failed_high",),
        sets={"evaluate.behaviour_source": "generated:connected-car-behaviour"},
        data=lambda table: table[table["material"] != "plastic"],
    ),
    Sabotage(
        "weights that are no numbers",
        (
            "evaluate.missed_rate_high",
            "evaluate.accuracy_low",
            "evaluate.baseline_delta_low",
            "evaluate.calibration_error_high",
            "evaluate.parity_max_difference",
            "evaluate.behaviour_failed_high",
        ),
        cells={"train": REWRITE + "write(correct(float('nan'), 0))"},
    ),
    Sabotage(
        "a model changed between judgement and registration",
        ("register.model_digest",),
        registers=True,
        cells={
            "evaluate": """
import json
manifest = json.loads((output / "model" / "model.json").read_text())
folder.write_json(output / "model" / "model.json", manifest | {"threshold": 0.6})
from compliance.scorer import model_digest as digest_of
evaluated = json.loads((output / "evaluation.json").read_text())
folder.write_json(output / "evaluation.json", evaluated | {"model_digest": digest_of(output / "model")})
"""
        },
    ),
)  # fmt: skip


def gates() -> list[str]:
    """Give the scraps that the rules of params/pipeline.yaml judge."""
    written = yaml.safe_load((ROOT / "params" / "pipeline.yaml").read_text(encoding="utf-8"))
    return [rule["scrap"] for rules in written["gates"].values() for rule in rules]


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        verdict: Of the run.
        stopped_by: Scraps of the rules that stopped it -> why.
        report: The text of its page.
        registered: How many versions the registry holds that it did not hold before.
    """

    verdict: str
    stopped_by: dict[str, str]
    report: str
    registered: int


def run(project: Project, sabotage: Sabotage | None = None) -> Outcome:
    """Run the lifecycle with a sabotage, or without; the project's notebooks are as before afterwards."""
    done = sabotage or Sabotage("nothing", ())
    sound = rows()
    source = project.root / "parts.csv"
    done.data(sound).to_csv(source, index=False)
    paths = {name: project.root / name for name in done.tables}
    for name, make in done.tables.items():
        make(sound).to_csv(paths[name], index=False)
    settings = SETTINGS | {
        "prepare.source": str(source),
        "evaluate.champion_of": "production" if done.champion else "nowhere",
    }
    settings |= {key: _filled(value, paths) for key, value in done.sets.items()}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    before = len(_models(project))
    with _spoiled(project, done):
        project.trey("run", *words)
    record = project.last()
    return Outcome(
        record["decision"]["verdict"],
        {gate["scrap"]: gate["reason"] for gate in record["gates"] if gate["verdict"] in STOPPING},
        (project.root / "runs" / record["run_id"] / "report.html").read_text(encoding="utf-8"),
        len(_models(project)) - before,
    )


def crown(project: Project) -> None:
    """Make the first registered version the champion of production."""
    project.python(
        "-c", "from delivery import registry; registry.set_champion('connected-car', 1, 'production', 'registry')"
    )


def _filled(value: str, paths: Mapping[str, Path]) -> str:
    for name, path in paths.items():
        value = value.replace(f"{{{name}}}", str(path))
    return value


def _models(project: Project) -> list[Any]:
    found: list[Any] = json.loads(project.trey("models", "--json").stdout)
    return found


@contextmanager
def _spoiled(project: Project, sabotage: Sabotage) -> Iterator[None]:
    """Spoil notebooks for the length of a block."""
    phases = {*sabotage.cells, *(phase for phase, _, _ in sabotage.swaps)}
    paths = {phase: project.root / "notebooks" / f"{phase}.ipynb" for phase in phases}
    originals = {phase: path.read_bytes() for phase, path in paths.items()}
    try:
        for phase, path in paths.items():
            notebook = json.loads(originals[phase])
            for where, old, new in sabotage.swaps:
                if where == phase:
                    _swap(notebook, old, new)
            if phase in sabotage.cells:
                notebook["cells"].append(_cell(sabotage.cells[phase]))
            path.write_text(json.dumps(notebook), encoding="utf-8")
        yield
    finally:
        for phase, content in originals.items():
            paths[phase].write_bytes(content)


def _swap(notebook: dict[str, Any], old: str, new: str) -> None:
    found = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and old in "".join(cell["source"])]
    assert len(found) == 1, f"{old!r} stands in {len(found)} cells"
    found[0]["source"] = "".join(found[0]["source"]).replace(old, new)


def _cell(code: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "sabotage",
        "metadata": {},
        "outputs": [],
        "source": code,
    }
