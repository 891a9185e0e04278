"""Real clients and servers of others: Triton's client asks the service, Azure ML's inference server runs score.py."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from compliance.scorer import Scorer

from ..fixtures_model import TEXTS, digest_of
from ..project import ROOT

JSON = {"content-type": "application/json"}


def test_tritons_client_is_answered(programs: Path, url: str, model_dir: Path) -> None:
    command = [programs / "python", ROOT / "tests" / "service" / "ask_with_triton.py", urlsplit(url).netloc, *TEXTS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["live"] is said["ready"] is said["model_ready"] is True
    assert said["server"] == ["binary_tensor_data"]
    assert said["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    scorer = Scorer.load(model_dir)
    expected = scorer.score(TEXTS)
    for form in ("binary", "json"):
        assert said[form]["labels"] == [scorer.label(probability) for probability in expected]
        assert np.array_equal(np.array(said[form]["probabilities"], "float32"), expected)
    assert said["refused"] == {"status": "404", "message": "model 'other' is not served here; 'parts' is"}


@pytest.fixture(scope="module")
def azure(programs: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of Azure ML's inference server with score.py."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {
        "AZUREML_MODEL_DIR": str(model_dir.parent),
        "PYTHONPATH": str(ROOT),
        "SCORING_MODEL_VERSION": "3",
        "WORKER_TIMEOUT": "60",
    }
    log = tmp_path_factory.mktemp("azure") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                programs / "azmlinfsrv",
                "--entry_script",
                ROOT / "service" / "azure" / "score.py",
                "--port",
                str(port),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=log.parent,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while not _answers(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


def test_azures_server_answers_as_the_service_does(azure: str, client: httpx.Client, model_dir: Path) -> None:
    headers = {"x-ms-client-request-id": "seven"}
    answer = httpx.post(f"{azure}/score", json={"data": list(TEXTS)}, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["results"] == client.post("/score", json=list(TEXTS)).json()["results"]
    assert content["model"] == {"name": "parts", "version": 3, "digest": digest_of(model_dir)}
    assert content["correlation_id"] == "seven"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [(b"[", 400, "no JSON"), (b"[1]", 422, "item 0"), (b"[]", 422, "empty"), (b'["' + b"x" * 10_001 + b'"]', 422, "")],
    ids=["no-json", "number", "empty", "long"],
)
def test_azures_server_refuses_as_the_service_does(azure: str, body: bytes, status: int, says: str) -> None:
    answer = httpx.post(f"{azure}/score", content=body, headers=JSON, trust_env=False, timeout=30)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]
