"""A trained network as one ONNX file that takes raw text: nothing is left to do, or to get wrong, where it is served.

    text → lower case → words → numbers → padded and cut → network → probability

Operators of opset 17 (IR 8, the widest reach) and one of ONNX Runtime's own, Tokenizer. The front cuts texts exactly
as `compliance.text.tokenize` does.

The converter reads TensorFlow's graphs alone. Where another backend computes, the network is handed as a .keras file to
a process of its own, which loads it with TensorFlow and converts it there:

    KERAS_BACKEND=tensorflow python -m compliance.export network.keras network.onnx
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from compliance import backend, folder
from compliance.errors import ComplianceError
from compliance.scorer import WORD
from compliance.vocabulary import PADDING, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    import keras

OPSETS = {"": 17, "ai.onnx.ml": 2, "com.microsoft": 1}
IR_VERSION = 8
INPUT, NUMBERS, OUTPUT = "text", "numbers", "probability"
SECONDS = 300  # that the other process may take
# layers that treat all places alike, or keep the strongest of them
PLACELESS = {"InputLayer", "Embedding", "Dropout", "Add", "Concatenate", "GlobalMaxPooling1D", "Dense"}


class ExportFailed(ComplianceError):
    """The other process did not convert the network; the message holds what it said."""


def to_onnx(network: "keras.Model", vocabulary: Vocabulary, tokens: int) -> bytes:
    """Give the ONNX file of a network with its text front: `text` string[N] → `probability` float[N, 1].

    The same network and vocabulary give the same bytes.

    Args:
        network: A functional model with the input `tokens`, and the layer `score` last.
        vocabulary: The words it was trained with.
        tokens: How many words of a text it reads.
    """
    front, front_constants = _text_front(vocabulary, tokens, padding(network, tokens))
    body, body_constants = _network(network)
    graph = helper.make_graph(
        [*front, *body],
        "compliance",
        [helper.make_tensor_value_info(INPUT, TensorProto.STRING, ["N"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", 1])],
        [*front_constants, *body_constants],
        # shape inference crashes on the Tokenizer's output unless it is told
        value_info=[helper.make_tensor_value_info("words", TensorProto.STRING, ["N", "T"])],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
        ir_version=IR_VERSION,
        producer_name="trey",
    )
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)  # type: ignore[no-any-return]


def padding(network: "keras.Model", tokens: int) -> int:
    """Give how much padding behind its words a text needs for the answer that all of it would give.

    A network that looks at each word with its neighbours and keeps the strongest of each sign finds nothing new in more
    padding than it sees at once: with `reach` neighbours on either side, that is one place that sees padding alone, and
    those before and behind it that see the last word or the end. Short texts cost less so. Any other network gets all.
    """
    reach = 0
    for layer in network.layers:
        kind = type(layer).__name__
        if kind == "Conv1D" and _keeps_places(layer):
            reach += layer.kernel_size[0] // 2
        elif kind not in PLACELESS:
            return tokens
    return min(2 * reach + 1, tokens)


def _keeps_places(convolution: "keras.layers.Conv1D") -> bool:
    """Tell whether a convolution gives as many places as it takes, each from its nearest neighbours."""
    same = convolution.padding == "same" or convolution.kernel_size == (1,)
    return bool(same and convolution.strides == convolution.dilation_rate == (1,))


def _text_front(vocabulary: Vocabulary, tokens: int, room: int) -> tuple[list[NodeProto], list[TensorProto]]:
    """Give the nodes from `text` string[N] to `numbers` int32[N, up to tokens], and their constants."""
    nodes = [
        # the C locale is everywhere and lowers ASCII alone; without it en_US.UTF-8 is asked for, which may be absent
        helper.make_node("StringNormalizer", [INPUT], ["lower"], name="lower", case_change_action="LOWER", locale="C"),
        helper.make_node(
            "Tokenizer",
            ["lower"],
            ["words"],
            name="words",
            domain="com.microsoft",
            tokenexp=WORD,
            mark=0,
            mincharnum=1,
            pad_value="",
        ),
        helper.make_node(
            "LabelEncoder",
            ["words"],
            ["known"],
            name="known",
            domain="ai.onnx.ml",
            keys_strings=["", *vocabulary.lookup],  # "" fills up the shorter texts of a batch
            values_int64s=[PADDING, *vocabulary.lookup.values()],
            default_int64=UNKNOWN,
        ),
        helper.make_node("Pad", ["known", "room"], ["padded"], name="padded"),
        helper.make_node("Slice", ["padded", "first", "last", "axis"], ["cut"], name="cut"),
        helper.make_node("Cast", ["cut"], [NUMBERS], name=NUMBERS, to=TensorProto.INT32),
    ]
    constants = {"room": [0, 0, 0, room], "first": [0], "last": [tokens], "axis": [1]}
    return nodes, [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()]


def _network(network: "keras.Model") -> tuple[list[NodeProto], list[TensorProto]]:
    """Convert a network to nodes from `numbers` to `probability`, and their constants, in canonical form."""
    graph = (_convert(network) if backend.name() == backend.TENSORFLOW else _convert_elsewhere(network)).graph
    (tokens,), (score,) = graph.input, graph.output
    canonical = _Canonical(graph, {tokens.name: NUMBERS, score.name: OUTPUT})
    canonical.visit(score.name)
    return canonical.nodes, canonical.constants


def _convert(network: "keras.Model") -> ModelProto:
    """Convert a network; the backend must be TensorFlow."""
    import onnxmltools

    return onnxmltools.convert_keras(network, target_opset=OPSETS[""])  # type: ignore[no-any-return]


def _convert_elsewhere(network: "keras.Model") -> ModelProto:
    """Convert a network in a process whose backend is TensorFlow, on the CPU: this one may hold the GPU's memory."""
    with tempfile.TemporaryDirectory() as temporary:
        saved, converted = Path(temporary) / "network.keras", Path(temporary) / "network.onnx"
        saved.write_bytes(folder.keras_archive(network))
        project = str(Path(__file__).resolve().parents[1])
        environment = os.environ | {
            backend.VARIABLE: backend.TENSORFLOW,
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH")])),
        }
        command = [sys.executable, "-m", __name__, str(saved), str(converted)]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False, cwd=temporary
        )
        if ended.returncode != 0:
            last = ended.stderr.strip().splitlines()[-1:] or ["no word"]
            raise ExportFailed(
                f"TensorFlow could not convert the network (exit {ended.returncode}): {last[0]}. "
                'Is it installed? pip install "trey[train]"'
            )
        return ModelProto.FromString(converted.read_bytes())  # type: ignore[no-any-return]


class _Canonical:
    """Writes a graph again in an order and with names that follow from its structure alone.

    The converter walks through sets, so that names, order and which of two equal nodes survives differ from process to
    process. Here nodes are visited from the output, inputs first and in their order, and equal ones are merged.
    """

    def __init__(self, graph: GraphProto, boundary: dict[str, str]):
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._boundary = boundary  # names of the graph's input and output: old -> new
        self._makers = {output: node for node in graph.node for output in node.output}
        self._given = {tensor.name: tensor for tensor in graph.initializer}
        self._names: dict[str, str] = {"": ""}  # old -> new; "" stands for an input left out
        self._equal: dict[tuple, list[str]] = {}  # what a value is made of -> new names

    def visit(self, value: str) -> str:
        """Write what a value needs, then what makes it, and give its new name."""
        if value not in self._names:
            if value in self._given:
                self._names[value] = self._constant(self._given[value])
            elif value in self._makers:
                node = self._makers[value]
                self._names |= zip(node.output, self._node(node), strict=True)
            else:
                self._names[value] = self._boundary[value]
        return self._names[value]

    def _constant(self, tensor: TensorProto) -> str:
        array = numpy_helper.to_array(tensor)
        made_of = ("constant", array.dtype.str, array.shape, array.tobytes())
        if made_of not in self._equal:
            name = f"network/constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, name))
            self._equal[made_of] = [name]
        return self._equal[made_of][0]

    def _node(self, node: NodeProto) -> list[str]:
        inputs = [self.visit(value) for value in node.input]
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        content = tuple(attribute.SerializeToString(deterministic=True) for attribute in attributes)
        made_of = (node.domain, node.op_type, *inputs, content)
        if made_of not in self._equal:
            name = f"network/{node.op_type}_{len(self.nodes)}"
            outputs = [self._boundary.get(old, f"{name}:{place}") for place, old in enumerate(node.output)]
            written = NodeProto(op_type=node.op_type, domain=node.domain, name=name, input=inputs, output=outputs)
            written.attribute.extend(attributes)
            self.nodes.append(written)
            self._equal[made_of] = outputs
        return self._equal[made_of]


def main(saved: str, converted: str) -> None:
    """Convert the network in a .keras file, without a text front; what `_convert_elsewhere` starts."""
    backend.settle()
    import keras

    network = keras.saving.load_model(saved, compile=False)
    Path(converted).write_bytes(_convert(network).SerializeToString())


if __name__ == "__main__":
    main(*sys.argv[1:])
