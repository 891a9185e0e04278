"""Asks a scoring service with Triton's client; run by the tests in the environment of `make inference-server`."""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException


def main() -> None:
    """Print what the client says: `ask_with_triton.py HOST:PORT TEXT...`."""
    address, texts = sys.argv[1], sys.argv[2:]
    client = triton.InferenceServerClient(address)
    said = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready("parts"),
        "server": client.get_server_metadata()["extensions"],
        "inputs": client.get_model_metadata("parts")["inputs"],
    }
    for form, binary in (("binary", True), ("json", False)):
        tensor = triton.InferInput("text", [len(texts)], "BYTES")
        tensor.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=object), binary_data=binary)
        outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("label", "probability")]
        answer = client.infer("parts", [tensor], outputs=outputs, request_id="seven")
        labels = [value.decode() if isinstance(value, bytes) else value for value in answer.as_numpy("label")]
        said[form] = {"labels": labels, "probabilities": answer.as_numpy("probability").tolist()}
    try:
        client.infer("other", [tensor])
    except InferenceServerException as error:
        said["refused"] = {"status": error.status(), "message": error.message()}
    print(json.dumps(said))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
