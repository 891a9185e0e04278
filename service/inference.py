"""The Open Inference Protocol's request and answer, with tensors as JSON or in binary.

One input, `text` (BYTES, [N] or [N, 1]); two outputs, `label` (BYTES) and `probability` (FP32), of the same shape. The
binary tensor extension puts a tensor's bytes behind the JSON, whose length stands in a header; an element of BYTES is
its length (4 bytes, little endian) and as many bytes of UTF-8. Protocol: github.com/kserve/open-inference-protocol;
extension: Triton's protocol/extension_binary_data.md.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from service.texts import KINDS, read_json, unfit

LENGTH_HEADER = "inference-header-content-length"
INPUT, LABEL, PROBABILITY = "text", "label", "probability"
BINARY, BINARY_ALL, BINARY_SIZE = "binary_data", "binary_data_output", "binary_data_size"
OUTPUTS = {LABEL: "BYTES", PROBABILITY: "FP32"}
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Inference:
    """What a request asks.

    Attributes:
        identity: Its own id, given back.
        texts: The elements of its input.
        shape: The input's shape.
        outputs: The outputs to give, in order, and whether in binary.
    """

    texts: list[str]
    shape: list[int]
    identity: str | None = None
    outputs: Mapping[str, bool] = field(default_factory=dict)


def read_inference(body: bytes, header_length: str | None, maximum_texts: int) -> Inference:
    """Read a request.

    Args:
        body: JSON, and binary tensors behind it.
        header_length: Length of the JSON, where the request says it.
        maximum_texts: Elements that the input may have.

    Raises:
        Problem: 400 where it is no JSON, 422 where it is of another form. Its elements are not yet checked one by one.
    """
    split = len(body) if header_length is None else _json_length(header_length, len(body))
    content = _object(read_json(body[:split]), "the request")
    identity = content.get("id")
    if identity is not None and not isinstance(identity, str):
        raise unfit(f"id is {KINDS[type(identity)]}; give a text")
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise unfit(f"give one input, named {INPUT!r}: inputs is {_what(inputs)}")
    texts, shape = _input(_object(inputs[0], "the input"), body[split:], maximum_texts)
    return Inference(texts, shape, identity, _outputs(content))


def write_inference(
    asked: Inference, labels: Sequence[str], probabilities: np.ndarray, answer: dict[str, Any]
) -> tuple[bytes, int | None]:
    """Give the answer, and the length of its JSON where binary tensors follow.

    Args:
        asked: The request.
        labels: One for each text.
        probabilities: One for each text.
        answer: What the answer says besides its outputs.
    """
    outputs, tensors = [], []
    for name, binary in asked.outputs.items():
        output: dict[str, Any] = {"name": name, "datatype": OUTPUTS[name], "shape": asked.shape}
        if binary:
            tensor = write_bytes(labels) if name == LABEL else probabilities.astype("<f4").tobytes()
            output["parameters"] = {BINARY_SIZE: len(tensor)}
            tensors.append(tensor)
        else:
            output["data"] = labels if name == LABEL else probabilities
        outputs.append(output)
    named = {"id": asked.identity} if asked.identity is not None else {}
    content = orjson.dumps(answer | named | {"outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"".join([content, *tensors]), len(content) if tensors else None


def read_bytes(tensor: bytes, count: int) -> list[str]:
    """Read the elements of a binary BYTES tensor.

    Raises:
        Problem: 422 where it does not hold exactly so many elements, or one that is not UTF-8.
    """
    texts, place = [], 0
    for item in range(count):
        end = place + _LENGTH.size
        if end > len(tensor):
            raise unfit(f"the tensor ends before element {item} of {count:,}")
        start, end = end, end + _LENGTH.unpack_from(tensor, place)[0]
        if end > len(tensor):
            raise unfit(f"the tensor ends within element {item} of {count:,}")
        try:
            texts.append(tensor[start:end].decode())
        except UnicodeDecodeError as error:
            raise unfit(f"element {item} of the tensor is no UTF-8: {error.reason}") from error
        place = end
    if place != len(tensor):
        raise unfit(f"{len(tensor) - place:,} bytes stand behind the last element of the tensor")
    return texts


def write_bytes(texts: Sequence[str]) -> bytes:
    """Give the binary BYTES tensor of texts."""
    parts = (text.encode() for text in texts)
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def _json_length(given: str, length: int) -> int:
    if not (given.isascii() and given.isdecimal()) or len(given) > len(str(length)) or int(given) > length:
        raise unfit(f"{LENGTH_HEADER} is {given[:40]!r}; the body has {length:,} bytes")
    return int(given)


def _input(tensor: dict[str, Any], binary: bytes, maximum: int) -> tuple[list[str], list[int]]:
    """Give the elements of the input, and its shape."""
    if tensor.get("name") != INPUT or tensor.get("datatype") != "BYTES":
        raise unfit(f"give the input {INPUT!r} with datatype BYTES; its name or datatype is another")
    shape = tensor.get("shape")
    if not _is_shape(shape):
        raise unfit("the shape of the input must be [N] or [N, 1], with N from 1")
    assert isinstance(shape, list)  # noqa: S101 - _is_shape says so
    count: int = shape[0]
    if count > maximum:
        raise unfit(f"{count:,} texts arrived; {maximum:,} are allowed in one request")
    parameters = _object(tensor.get("parameters") or {}, "parameters")
    size = parameters.get(BINARY_SIZE)
    if size is None:
        return _listed(tensor.get("data"), binary, count), shape
    if "data" in tensor:
        raise unfit(f"the input has both data and {BINARY_SIZE}; give one of them")
    if type(size) is not int or size != len(binary):
        raise unfit(f"{BINARY_SIZE} is {_what(size)}; {len(binary):,} bytes follow the JSON")
    return read_bytes(binary, count), shape


def _listed(data: Any, binary: bytes, count: int) -> list[str]:
    """Give the elements of a tensor in JSON, flat or nested as its shape is."""
    if binary:
        raise unfit(f"{len(binary):,} bytes follow the JSON, and no input has {BINARY_SIZE}")
    if not isinstance(data, list):
        raise unfit(f"data is {_what(data)}; give a list of texts")
    flat = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data]
    if len(flat) != count:
        raise unfit(f"data has {len(flat):,} elements; the shape says {count:,}")
    return flat  # that each is a text is checked with the limits


def _outputs(content: dict[str, Any]) -> dict[str, bool]:
    """Give the outputs that are asked for, and whether in binary."""
    everything = _flag(_object(content.get("parameters") or {}, "parameters"), BINARY_ALL, default=False)
    asked = content.get("outputs") or [{"name": name} for name in OUTPUTS]
    if not isinstance(asked, list):
        raise unfit(f"outputs is {_what(asked)}; give a list")
    found = {}
    for item in asked:
        output = _object(item, "an output")
        name = output.get("name")
        if not isinstance(name, str) or name not in OUTPUTS:
            raise unfit(f"an output is named {_what(name)}; there are {', '.join(OUTPUTS)}")
        found[name] = _flag(_object(output.get("parameters") or {}, "parameters"), BINARY, default=everything)
    return found


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise unfit(f"{name} is {_what(value)}; give true or false")
    return value


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise unfit(f"{what} is {KINDS[type(value)]}; give an object")
    return value


def _is_shape(shape: Any) -> bool:
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        return False
    return len(shape) in (1, 2) and shape[0] >= 1 and shape[1:] in ([], [1])


def _what(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else KINDS[type(value)]
