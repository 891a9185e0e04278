"""Two slots and one state file: what is live is whole, and stays so until the switch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from delivery.endpoint import Endpoint, Slot, live_models
from delivery.errors import BadName, EndpointBusy, EndpointError, ModelChanged

from ..fixtures_model import MakeModel, digest_of, write_model

HERE = Path(__file__).parent


def deploy(endpoint: Endpoint, model_dir: Path, version: int) -> Slot:
    slot = endpoint.place(model_dir, version, digest_of(model_dir))
    live = endpoint.switch(slot.name)
    endpoint.release()
    return live


@pytest.fixture
def endpoint(endpoint_store: Path) -> Endpoint:
    """Give an endpoint that nobody deployed to."""
    return Endpoint(endpoint_store, "parts", "staging", wait=0)


def test_before_anything_is_deployed_nothing_is_live_or_written(endpoint: Endpoint) -> None:
    assert endpoint.live() is None
    assert endpoint.standby() is None
    assert endpoint.evidence() is None
    assert not endpoint.folder.exists()


def test_placing_does_not_touch_what_is_live(endpoint: Endpoint, model_dir: Path, make_model: MakeModel) -> None:
    live = deploy(endpoint, model_dir, 1)
    before = {path: path.stat().st_mtime_ns for path in live.folder.rglob("*")}
    candidate = endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0)))
    assert (live.name, candidate.name) == ("blue", "green")
    assert endpoint.live() == live
    assert endpoint.standby() == candidate
    assert endpoint.state()["traffic"] == {"blue": 100, "green": 0}
    assert {path: path.stat().st_mtime_ns for path in live.folder.rglob("*")} == before
    endpoint.discard("green")


def test_versions_alternate_and_the_former_stays_whole(
    endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    models = [model_dir, make_model(bias=1.0), make_model(bias=2.0)]
    slots = [deploy(endpoint, model, version) for version, model in enumerate(models, start=1)]
    assert [slot.name for slot in slots] == ["blue", "green", "blue"]
    standby = endpoint.standby()
    assert standby is not None
    assert (standby.version, standby.digest) == (2, digest_of(models[1]))
    assert digest_of(standby.folder) == digest_of(models[1])
    state = json.loads((endpoint.folder / "state.json").read_text(encoding="utf-8"))
    assert state == {
        "schema": 1,
        "live": "blue",
        "slots": {
            "blue": {"version": 3, "digest": digest_of(models[2])},
            "green": {"version": 2, "digest": digest_of(models[1])},
        },
        "traffic": {"blue": 100, "green": 0},
        "mirror": {},
    }


def test_deploying_what_is_live_changes_nothing(endpoint: Endpoint, model_dir: Path) -> None:
    first = deploy(endpoint, model_dir, 1)
    evidence = endpoint.evidence()
    assert deploy(endpoint, model_dir, 1) == first
    assert endpoint.evidence() == evidence


def test_a_live_slot_that_was_damaged_is_replaced_by_the_other(endpoint: Endpoint, model_dir: Path) -> None:
    live = deploy(endpoint, model_dir, 1)
    (live.folder / "MODEL_CARD.md").unlink()
    assert deploy(endpoint, model_dir, 1).name == "green"


def test_a_candidate_that_failed_is_discarded(endpoint: Endpoint, model_dir: Path, make_model: MakeModel) -> None:
    live = deploy(endpoint, model_dir, 1)
    candidate = endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0)))
    endpoint.discard(candidate.name)
    endpoint.discard(live.name)  # never the live one, whoever asks
    assert endpoint.live() == live
    assert live.folder.is_dir()
    assert endpoint.standby() is None
    assert not candidate.folder.exists()


def test_only_whole_models_are_placed_and_switched_to(endpoint: Endpoint, model_dir: Path, tmp_path: Path) -> None:
    deploy(endpoint, model_dir, 1)
    with pytest.raises(ModelChanged, match="was expected"):
        endpoint.place(model_dir, 2, "0" * 64)
    candidate = endpoint.place(write_model(tmp_path / "m", bias=1.0), 2, digest_of(tmp_path / "m"))
    (candidate.folder / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelChanged, match=r"model\.onnx was changed"):
        endpoint.switch(candidate.name)
    live = endpoint.live()
    assert live is not None
    assert live.version == 1


def test_an_empty_slot_cannot_go_live(endpoint: Endpoint, model_dir: Path) -> None:
    deploy(endpoint, model_dir, 1)
    with pytest.raises(EndpointError, match=r"slot green .* is empty"):
        endpoint.switch("green")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"schema": 2, "live": null, "slots": {}}',
        '{"schema": 1, "live": "blue", "slots": {"blue": null}}',
    ],
)
def test_a_state_that_nobody_wrote_is_refused(endpoint: Endpoint, content: str) -> None:
    endpoint.folder.mkdir(parents=True)
    (endpoint.folder / "state.json").write_text(content, encoding="utf-8")
    with pytest.raises(EndpointError, match="is no state of an endpoint"):
        endpoint.state()


HOLD = """
import sys
from pathlib import Path
from delivery.endpoint import Endpoint
Endpoint(sys.argv[1], "parts", "staging").place(Path(sys.argv[2]), 1, sys.argv[3])
print("placed", flush=True)
sys.stdin.read()
"""


def test_two_deployments_never_overlap_and_a_dead_one_holds_nothing(
    endpoint: Endpoint, endpoint_store: Path, model_dir: Path
) -> None:
    command = [sys.executable, "-c", HOLD, str(endpoint_store), str(model_dir), digest_of(model_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "placed\n"
        with pytest.raises(EndpointBusy, match=f"process {other.pid} is deploying"):
            endpoint.place(model_dir, 2, digest_of(model_dir))
        other.kill()
    assert deploy(endpoint, model_dir, 2).version == 2


def test_a_claim_keeps_others_out_before_anything_is_placed(endpoint: Endpoint) -> None:
    endpoint.claim()
    store = str(endpoint.folder.parents[1])
    code = f"from delivery.endpoint import Endpoint; Endpoint({store!r}, 'parts', 'staging', wait=0).claim()"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "EndpointBusy" in other.stderr
    endpoint.discard("blue")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_killed_anywhere_exactly_one_whole_version_is_live(tmp_path: Path) -> None:
    models = [write_model(tmp_path / f"model-{bias}", bias=bias) for bias in (0.0, 1.0, 2.0)]
    command = [sys.executable, str(HERE / "kill_deployment.py"), str(tmp_path / "store"), *map(str, models)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kills, switched = map(int, done.stdout.split())
    assert kills > 20
    assert 0 < switched < kills


def test_the_models_that_are_live_in_an_environment(endpoint_store: Path, model_dir: Path) -> None:
    assert live_models(endpoint_store, "staging") == []
    for name, environment in (("b", "staging"), ("a", "staging"), ("c", "scratch")):
        deploy(Endpoint(endpoint_store, name, environment), model_dir, 1)
    deploy(Endpoint(endpoint_store, "d", "staging"), model_dir, 1)
    shutil.rmtree(endpoint_store / "d")
    assert live_models(endpoint_store, "staging") == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "environment"), [("..", "staging"), ("parts", "a/b"), ("", "x"), ("parts", ".hidden")]
)
def test_names_that_would_leave_the_folder_are_refused(endpoint_store: Path, name: str, environment: str) -> None:
    with pytest.raises(BadName):
        Endpoint(endpoint_store, name, environment)
