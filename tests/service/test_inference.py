"""The Open Inference Protocol: tensors as JSON and in binary."""

import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.scorer import Scorer
from service.inference import Inference, read_bytes, read_inference, write_bytes, write_inference
from service.problems import Problem

from ..fixtures_model import TEXTS
from .test_app import problem

INFER = "/v2/models/parts/infer"
LENGTH = "inference-header-content-length"


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "text", "datatype": "BYTES", "shape": [len(TEXTS)], "data": list(TEXTS)} | changes


def test_metadata(client: httpx.Client) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json()["live"] is client.get("/v2/health/ready").json()["ready"] is True
    model = client.get("/v2/models/parts").json()
    assert model["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert [output["name"] for output in model["outputs"]] == ["label", "probability"]
    assert client.get("/v2/models/parts/ready").json()["ready"]


@pytest.mark.parametrize("shape", [[5], [5, 1]])
def test_texts_in_json_are_scored_as_the_scorer_does(client: httpx.Client, model_dir: Path, shape: list[int]) -> None:
    data = list(TEXTS) if len(shape) == 1 else [[text] for text in TEXTS]
    answer = client.post(INFER, json={"id": "seven", "inputs": [tensor(shape=shape, data=data)]})
    content = answer.json()
    assert (content["model_name"], content["model_version"], content["id"]) == ("parts", "", "seven")
    label, probability = content["outputs"]
    assert label["shape"] == probability["shape"] == shape
    scorer = Scorer.load(model_dir)
    expected = scorer.score(TEXTS)
    assert np.array_equal(np.array(probability["data"], "float32"), expected)
    assert label["data"] == [scorer.label(value) for value in expected]


def test_texts_in_binary_are_scored_alike(client: httpx.Client) -> None:
    binary = write_bytes(TEXTS)
    given_tensor = {key: value for key, value in tensor().items() if key != "data"}
    request = {
        "inputs": [given_tensor | {"parameters": {"binary_data_size": len(binary)}}],
        "parameters": {"binary_data_output": True},
    }
    head = orjson.dumps(request)
    answer = client.post(INFER, content=head + binary, headers={LENGTH: str(len(head))})
    assert answer.status_code == 200, answer.text
    split = int(answer.headers[LENGTH])
    outputs = orjson.loads(answer.content[:split])["outputs"]
    sizes = [output["parameters"]["binary_data_size"] for output in outputs]
    labels = read_bytes(answer.content[split : split + sizes[0]], len(TEXTS))
    probabilities = np.frombuffer(answer.content[split + sizes[0] :], "<f4")
    in_json = client.post(INFER, json={"inputs": [tensor()]}).json()["outputs"]
    assert labels == in_json[0]["data"]
    assert np.array_equal(probabilities, np.array(in_json[1]["data"], "float32"))


def test_only_what_is_asked_for_is_given(client: httpx.Client) -> None:
    answer = client.post(INFER, json={"inputs": [tensor()], "outputs": [{"name": "probability"}]})
    assert [output["name"] for output in answer.json()["outputs"]] == ["probability"]


@pytest.mark.parametrize(
    ("request_body", "status", "says"),
    [
        ({}, 422, "give one input"),
        ([], 422, "the request is a list"),
        ({"inputs": []}, 422, "give one input"),
        ({"inputs": [tensor(), tensor()]}, 422, "give one input"),
        ({"inputs": [1]}, 422, "the input is a number"),
        ({"inputs": [tensor(name="texts")]}, 422, "give the input 'text'"),
        ({"inputs": [tensor(datatype="FP32")]}, 422, "datatype BYTES"),
        ({"inputs": [tensor(shape=[4])]}, 422, "5 elements; the shape says 4"),
        ({"inputs": [tensor(shape=[0], data=[])]}, 422, "shape"),
        ({"inputs": [tensor(shape=[5, 2])]}, 422, "shape"),
        ({"inputs": [tensor(shape=[True])]}, 422, "shape"),
        ({"inputs": [tensor(shape=[2**62])]}, 422, "1,000 are allowed"),
        ({"inputs": [tensor(data="steel")]}, 422, "data is 'steel'"),
        ({"inputs": [tensor(data=[1] * 5)]}, 422, "item 0 of the list is a number"),
        ({"inputs": [tensor(parameters={"binary_data_size": 4})]}, 422, "both data and"),
        ({"inputs": [tensor(parameters=1)]}, 422, "parameters is a number"),
        ({"inputs": [tensor()], "id": 7}, 422, "id is a number"),
        ({"inputs": [tensor()], "outputs": [{"name": "class"}]}, 422, "named 'class'"),
        ({"inputs": [tensor()], "outputs": 1}, 422, "outputs is a number"),
        ({"inputs": [tensor()], "parameters": {"binary_data_output": 1}}, 422, "give true or false"),
        ({"inputs": [tensor(shape=[1], data=["x" * 10_001])]}, 422, "10,000 are allowed"),
    ],
)
def test_what_cannot_be_inferred_is_refused(client: httpx.Client, request_body: Any, status: int, says: str) -> None:
    assert says in problem(client.post(INFER, json=request_body), status)


@pytest.mark.parametrize("length", ["-1", "x", "٣", "99999999999999999999999999", "12345"])
def test_a_wrong_length_of_the_json_is_refused(client: httpx.Client, length: str) -> None:
    headers = {LENGTH: length.encode()} if length.isascii() else {LENGTH: length.encode("utf-8")}
    assert LENGTH in problem(client.post(INFER, json={"inputs": [tensor()]}, headers=headers), 422)


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/other/ready", "/v2/models/parts/versions/9"])
def test_other_models_are_not_there(client: httpx.Client, path: str) -> None:
    problem(client.get(path), 404)


def test_another_model_cannot_infer(client: httpx.Client) -> None:
    assert "'parts' is" in problem(client.post("/v2/models/a%20b/infer", json={"inputs": [tensor()]}), 404)


texts_lists = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=20)


@given(texts_lists)
def test_what_is_written_is_read_again(texts: list[str]) -> None:
    assert read_bytes(write_bytes(texts), len(texts)) == texts


@given(texts_lists, st.data())
def test_a_damaged_tensor_is_read_or_refused(texts: list[str], data: st.DataObject) -> None:
    tensor_bytes = bytearray(write_bytes(texts))
    place = data.draw(st.integers(0, len(tensor_bytes) - 1))
    tensor_bytes[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(tensor_bytes)))
    try:
        read = read_bytes(bytes(tensor_bytes[:cut]), len(texts))
    except Problem as refused:
        assert refused.status == 422
    else:
        assert len(read) == len(texts)


@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=5), st.integers(0, 300).map(str)))
def test_any_bytes_are_read_or_refused(body: bytes, length: str | None) -> None:
    try:
        read_inference(body, length, 1_000)
    except Problem as refused:
        assert refused.status in (400, 422)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PARTS = ("name", "datatype", "shape", "data", "parameters")


@given(
    st.fixed_dictionaries({}, optional={key: st.one_of(st.just(tensor().get(key)), json_like) for key in PARTS}),
    st.fixed_dictionaries({}, optional={key: json_like for key in ("id", "parameters", "outputs")}),
    st.binary(max_size=20),
)
def test_any_request_is_read_or_refused(given_input: dict, rest: dict, binary: bytes) -> None:
    head = orjson.dumps(rest | {"inputs": [given_input]})
    try:
        read = read_inference(head + binary, str(len(head)), 1_000)
    except Problem as refused:
        assert refused.status == 422
    else:
        assert len(read.texts) == read.shape[0]


def test_the_binary_answer_has_the_bytes_it_says() -> None:
    asked = Inference(["a"], [1], outputs={"label": True, "probability": True})
    body, length = write_inference(asked, ["compliant"], np.array([0.5], "float32"), {})
    assert body[length:] == struct.pack("<I", 9) + b"compliant" + struct.pack("<f", 0.5)
