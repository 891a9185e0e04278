"""A model small enough to read: a graph that takes raw texts, adds a weight per known word, and gives a probability.

A room's conftest imports the fixtures by name, since `pytest_plugins` may only stand in the root conftest.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = {"iron": 4.0, "plastic": 4.0, "poor": 3.0, "fair": 3.0, "good": -2.0, "new": -2.0, "steel": -2.0}
TEXTS = (
    "good condition steel component manufactured in 2012",
    "poor condition iron component manufactured in 1971",
    "new carbon fiber",
    "Plastic, fair",
    "",
)

MakeModel = Callable[..., Path]


def onnx_bytes(bias: float = 0.0, scale: float = 1.0) -> bytes:
    """Give a graph with input `text` string[N] and output `probability` float[N, 1].

    Args:
        bias: What a text without known words scores.
        scale: Times which each weight counts: with 10, one word is enough to be as sure as a float32 can tell.
    """
    nodes = [
        helper.make_node("StringNormalizer", ["text"], ["lower"], case_change_action="LOWER", locale="C"),
        helper.make_node(
            "Tokenizer",
            ["lower"],
            ["words"],
            domain="com.microsoft",
            mark=0,
            mincharnum=1,
            pad_value="#",
            tokenexp="[A-Za-z0-9]+",
        ),
        helper.make_node(
            "LabelEncoder",
            ["words"],
            ["weights"],
            domain="ai.onnx.ml",
            keys_strings=list(WEIGHTS),
            values_floats=[scale * weight for weight in WEIGHTS.values()],
            default_float=0.0,
        ),
        helper.make_node("ReduceSum", ["weights", "axis"], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", "bias"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["N"])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1])],
        [
            numpy_helper.from_array(np.array([1], dtype="int64"), "axis"),
            numpy_helper.from_array(np.array([bias], dtype="float32"), "bias"),
        ],
        value_info=[helper.make_tensor_value_info("words", TensorProto.STRING, ["N", "T"])],
    )
    opsets = [
        helper.make_opsetid("", 17),
        helper.make_opsetid("ai.onnx.ml", 2),
        helper.make_opsetid("com.microsoft", 1),
    ]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return model.SerializeToString()


def write_model(  # noqa: PLR0913 - all by name
    folder: Path,
    *,
    name: str = "parts",
    bias: float = 0.0,
    scale: float = 1.0,
    maximum_length: int = 10_000,
    datasheet: dict[str, object] | None = None,
) -> Path:
    """Write a complete model folder and give it."""
    folder.mkdir(parents=True)
    files = {"model.onnx": onnx_bytes(bias, scale), "MODEL_CARD.md": b"# A model for tests\n"}
    for file, content in files.items():
        (folder / file).write_bytes(content)
    manifest = {
        "schema": 1,
        "name": name,
        "labels": ["compliant", "non-compliant"],
        "threshold": 0.5,
        "input": "text",
        "output": "probability",
        "maximum_length": maximum_length,
        "provenance": {"data_digest": "d" * 64, "source": "generated:words", "seed": 7},
        "metrics": {"accuracy": 0.97, "noncompliant_recall": 0.99, "test_texts": 5},
        "files": {file: hashlib.sha256(content).hexdigest() for file, content in files.items()},
        **({"datasheet": datasheet} if datasheet else {}),
    }
    (folder / "model.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return folder


def digest_of(model_dir: Path) -> str:
    """Give the digest of a model folder."""
    return hashlib.sha256((model_dir / "model.json").read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Give a function that writes a model folder; another `bias` gives another model."""

    def make(**settings: object) -> Path:
        return write_model(tmp_path_factory.mktemp("model") / "model", **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def model_dir(make_model: MakeModel) -> Path:
    """Give one model folder, which nobody may change."""
    return make_model()
