"""A scoring process lives as long as its block, and never longer than its starter."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from delivery.errors import ScoringProcessFailed
from delivery.process import scoring_process

from ..fixtures_model import MakeModel, digest_of


def children() -> list[psutil.Process]:
    living = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    return [child for child in living if "service" in child.cmdline()]


def test_it_serves_the_model_and_is_gone_after_the_block(model_dir: Path) -> None:
    with scoring_process(model_dir) as url:
        [process] = children()
        model = httpx.get(f"{url}/health/ready", trust_env=False).json()["model"]
        assert model == {"name": "parts", "version": None, "digest": digest_of(model_dir)}
    assert not process.is_running()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_it_is_gone_when_the_block_fails(model_dir: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scoring_process(model_dir):
        raise KeyboardInterrupt
    assert children() == []


def test_a_model_that_is_refused_says_why(make_model: MakeModel) -> None:
    folder = make_model()
    (folder / "model.onnx").unlink()
    with (
        pytest.raises(ScoringProcessFailed, match=r"(?s)ended with code 2.*model\.onnx is missing"),
        scoring_process(folder),
    ):
        pass


def test_one_that_is_not_ready_in_time_is_not_left_behind(model_dir: Path) -> None:
    with (
        pytest.raises(ScoringProcessFailed, match=r"not ready after 0\.01 seconds"),
        scoring_process(model_dir, timeout=0.01),
    ):
        pass
    assert children() == []


STARTER = """
import sys, time
from pathlib import Path
from delivery.process import scoring_process
with scoring_process(Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_does_not_outlive_its_starter(model_dir: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", STARTER, str(model_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline().startswith("http://127.0.0.1:")
        [process] = psutil.Process(starter.pid).children()
        starter.send_signal(how)
        starter.wait(10)
    _, alive = psutil.wait_procs([process], timeout=10)
    assert alive == []
