"""Start and stop of the service: what is refused before the port opens, and how it leaves."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ..fixtures_model import MakeModel, digest_of
from .conftest import Start


def refused(*options: str, environment: dict[str, str] | None = None) -> str:
    """Start the service, which must not start, and give what it says."""
    command = [sys.executable, "-m", "service", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def endpoint(tmp_path: Path, model_dir: Path) -> Path:
    """Give an endpoint folder with version 3 live in green."""
    shutil.copytree(model_dir, tmp_path / "green")
    slots = {"blue": None, "green": {"version": 3, "digest": digest_of(model_dir)}}
    state = {"schema": 1, "live": "green", "slots": slots, "traffic": {"blue": 0, "green": 100}, "mirror": {}}
    (tmp_path / "state.json").write_text(json.dumps(state), encoding="utf-8")
    return tmp_path


def test_it_starts_quickly(start: Start, model_dir: Path) -> None:
    begin = time.monotonic()
    start("--model", str(model_dir))
    assert time.monotonic() - begin < 3  # about .4 s alone on a machine; this one may be busy


def test_the_live_slot_of_an_endpoint_is_served(start: Start, endpoint: Path) -> None:
    _, url = start("--endpoint", str(endpoint))
    assert httpx.get(f"{url}/health/ready", trust_env=False).json()["model"]["version"] == 3


def test_sigterm_ends_it_with_zero(start: Start, model_dir: Path) -> None:
    process, _ = start("--model", str(model_dir))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 0
    assert "listening on http://127.0.0.1:" in out
    assert err == ""


def test_ctrl_c_is_an_interruption(start: Start, model_dir: Path) -> None:
    process, _ = start("--model", str(model_dir))
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=15)[1]
    assert process.returncode == 130


def test_a_request_under_way_is_answered_before_it_leaves(start: Start, model_dir: Path) -> None:
    process, url = start("--model", str(model_dir))
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
        connection.sendall(head + b'["st')
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        connection.sendall(b'eel"]')
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    process.communicate(timeout=15)
    assert process.returncode == 0


def test_it_leaves_when_its_starter_is_gone(model_dir: Path) -> None:
    command = [sys.executable, "-m", "service", "--model", str(model_dir), "--port", "0", "--until-stdin-ends"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    process.stdin.close()
    assert process.wait(15) == 0
    process.stdout.close()


def test_a_changed_model_is_refused(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b" ")
    said = refused("--model", str(folder))
    assert "model.onnx was changed" in said


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    assert "model.json cannot be read" in refused("--model", str(tmp_path / "nothing"))


def test_a_slot_that_holds_something_else_is_refused(endpoint: Path, make_model: MakeModel) -> None:
    shutil.rmtree(endpoint / "green")
    shutil.copytree(make_model(bias=1.0), endpoint / "green")
    assert "was expected" in refused("--endpoint", str(endpoint))


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (None, "is no endpoint"),
        ("{", "is no state of an endpoint"),
        ("[]", "is no state of an endpoint"),
        ('{"live": "blue", "slots": {"blue": null}}', "is no state of an endpoint"),
        ('{"live": null, "slots": {}}', "nothing is live"),
    ],
)
def test_an_endpoint_without_a_live_model_is_refused(tmp_path: Path, state: str | None, says: str) -> None:
    if state is not None:
        (tmp_path / "state.json").write_text(state, encoding="utf-8")
    said = refused("--endpoint", str(tmp_path))
    assert says in said
    assert "trey run" in said


def test_a_taken_port_is_refused(model_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused("--model", str(model_dir), "--port", str(taken.getsockname()[1]))
    assert "--port" in said


def test_wrong_settings_are_refused_all_at_once(model_dir: Path) -> None:
    wrong = {"SCORING_MAXIMUM_TEXTS": "many", "SCORING_MAXIMUM_BODY": "0"}
    said = refused("--model", str(model_dir), environment=os.environ | wrong)
    assert "SCORING_MAXIMUM_TEXTS is 'many'" in said
    assert "SCORING_MAXIMUM_BODY is '0'" in said


def test_settings_hold(start: Start, model_dir: Path) -> None:
    _, url = start("--model", str(model_dir), environment=os.environ | {"SCORING_MAXIMUM_TEXTS": "2"})
    assert httpx.post(f"{url}/score", json=["a", "b"], trust_env=False).status_code == 200
    assert httpx.post(f"{url}/score", json=["a", "b", "c"], trust_env=False).status_code == 422


def test_it_needs_neither_tensorflow_nor_pandas(model_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from service import app, model, settings; import service.__main__;"
        f"app.create_app(model.from_folder(Path({str(model_dir)!r})), settings.Settings());"
        "print(*sorted({'tensorflow', 'keras', 'pandas', 'mlflow', 'matplotlib', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == ""
