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
    live = endpoint.finish(slot.name)
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
        "previous": "green",
        "stepped_back": False,
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
        endpoint.finish(candidate.name)
    live = endpoint.live()
    assert live is not None
    assert live.version == 1


def test_an_empty_slot_cannot_go_live(endpoint: Endpoint, model_dir: Path) -> None:
    deploy(endpoint, model_dir, 1)
    with pytest.raises(EndpointError, match=r"slot green .* is empty"):
        endpoint.finish("green")


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
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    killed = json.loads(done.stdout)
    assert killed.keys() == {"go live", "take back", "go back"}
    assert sum(killed["go live"].values()) > 40
    assert killed["go live"].keys() == {"2", "3"}
    assert killed["take back"].keys() == {"2"}
    assert killed["go back"].keys() == {"1", "2"}


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


@pytest.fixture
def two_versions(endpoint: Endpoint, model_dir: Path, make_model: MakeModel) -> Endpoint:
    """Give an endpoint with version 1 live in blue, and version 2 placed in green."""
    deploy(endpoint, model_dir, 1)
    endpoint.place(make_model(bias=1.0), 2, digest_of(make_model(bias=1.0)))
    return endpoint


def test_requests_are_mirrored_then_shared_then_all_go_to_the_new_version(two_versions: Endpoint) -> None:
    two_versions.mirror("green", 100)
    state = two_versions.state()
    assert (state["traffic"], state["mirror"]) == ({"blue": 100, "green": 0}, {"green": 100})
    two_versions.shift("green", 10)
    state = two_versions.state()
    assert (state["live"], state["traffic"], state["mirror"]) == ("blue", {"blue": 90, "green": 10}, {})
    two_versions.finish("green")
    state = two_versions.state()
    assert (state["live"], state["previous"], state["traffic"]) == ("green", "blue", {"blue": 0, "green": 100})
    two_versions.release()


def test_the_way_back_leads_to_the_version_before_and_is_one_step(two_versions: Endpoint) -> None:
    two_versions.finish("green")
    assert two_versions.roll_back().version == 1
    state = two_versions.state()
    assert (state["live"], state["previous"], state["traffic"]) == ("blue", "green", {"blue": 100, "green": 0})
    assert state["stepped_back"]
    two_versions.finish("blue")  # what is live already
    assert two_versions.state() == state
    assert two_versions.roll_back().version == 2  # both were confirmed: a second step leads forth again
    assert not two_versions.state()["stepped_back"]
    two_versions.release()


def test_in_the_middle_of_a_deployment_the_way_back_leads_to_what_is_live(two_versions: Endpoint) -> None:
    two_versions.shift("green", 50)
    assert two_versions.roll_back().version == 1
    assert two_versions.state()["traffic"] == {"blue": 100, "green": 0}
    with pytest.raises(EndpointError, match="no earlier version"):  # never to a candidate that nobody confirmed
        two_versions.roll_back()
    two_versions.release()


def test_a_way_back_to_a_damaged_version_is_refused(two_versions: Endpoint) -> None:
    live = two_versions.finish("green")
    previous = two_versions.previous()
    assert previous is not None
    (previous.folder / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelChanged):
        two_versions.roll_back()
    assert two_versions.live() == live
    two_versions.release()


def test_what_an_interrupted_deployment_left_is_undone_and_told(two_versions: Endpoint) -> None:
    two_versions.shift("green", 50)
    two_versions.release()  # as the system does when the process dies
    assert two_versions.claim() == "a deployment was interrupted; traffic is back on blue, version 1"
    assert two_versions.state()["traffic"] == {"blue": 100, "green": 0}
    assert two_versions.claim() == ""
    assert two_versions.roll_back().version == 1  # that was the step back: no other is taken
    two_versions.finish("green")
    two_versions.release()
    two_versions.host.write(two_versions.state() | {"traffic": {"blue": 30, "green": 70}})  # as by hand
    assert "traffic is back on green" in two_versions.claim()
    assert two_versions.roll_back(further=True).version == 1  # asked for what was before, whatever had to be undone
    two_versions.release()


def test_a_slot_that_gets_requests_is_not_written_to(two_versions: Endpoint, make_model: MakeModel) -> None:
    model = make_model(bias=2.0)
    for give in (two_versions.mirror, two_versions.shift):
        two_versions.claim()
        give("green", 10)
        with pytest.raises(EndpointError, match=r"slot green .* gets requests"):
            two_versions.place(model, 3, digest_of(model))
    two_versions.claim()
    assert two_versions.place(model, 3, digest_of(model)).version == 3
    two_versions.discard("green")


def test_a_candidate_is_taken_back_and_discarded_in_one_write(
    two_versions: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_versions.shift("green", 50)
    written: list[object] = []
    monkeypatch.setattr(Endpoint, "_write", lambda _, state: written.append(state))
    two_versions.discard("green")
    assert [(state["traffic"], state["slots"]["green"]) for state in written] == [({"blue": 100, "green": 0}, None)]  # type: ignore[index]


@pytest.mark.parametrize("percent", [-1, 101, True, 10.0, "10"])
def test_per_cents_are_whole_numbers_up_to_a_hundred(two_versions: Endpoint, percent: int) -> None:
    for give in (two_versions.mirror, two_versions.shift):
        with pytest.raises(EndpointError, match="give a whole number from 0 to 100"):
            give("green", percent)
    two_versions.discard("green")


def test_requests_are_shared_between_a_live_slot_and_another_alone(
    endpoint: Endpoint, model_dir: Path, make_model: MakeModel
) -> None:
    slot = endpoint.place(model_dir, 1, digest_of(model_dir))
    with pytest.raises(EndpointError, match="nothing is live"):
        endpoint.shift(slot.name, 10)
    endpoint.finish(slot.name)
    with pytest.raises(EndpointError, match="slot blue is live"):
        endpoint.mirror(slot.name, 10)
    with pytest.raises(EndpointError, match=r"slot green .* is empty"):
        endpoint.shift("green", 10)
    endpoint.release()


SOUND = {
    "schema": 1,
    "live": "blue",
    "previous": None,
    "stepped_back": False,
    "slots": {"blue": {"version": 1, "digest": "d"}, "green": {"version": 2, "digest": "e"}},
    "traffic": {"blue": 90, "green": 10},
    "mirror": {},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"traffic": {"blue": 90, "green": 20}}, "the traffic is 110 % instead of 100 %"),
        ({"traffic": {"blue": 90.5, "green": 9.5}}, "no whole numbers"),
        ({"traffic": {"blue": 110, "green": -10}}, "no whole numbers"),
        ({"traffic": {"blue": True, "green": 99}}, "no whole numbers"),
        ({"traffic": {"blue": 100}}, "KeyError"),
        ({"slots": {"blue": {"version": 1, "digest": "d"}, "green": None}}, "a slot without a model gets traffic"),
        ({"slots": {"blue": {"version": "1", "digest": "d"}, "green": None}}, "no version and digest"),
        ({"live": None}, "the traffic is 100 % instead of 0 %"),
        ({"live": "red"}, "slot red is live and empty"),
        ({"live": ["blue"]}, "live"),
        ({"mirror": {"blue": 100}}, "a mirror leads to a slot that is live or empty"),
        ({"mirror": {"red": 100}}, "a mirror leads to a slot that is live or empty"),
        ({"mirror": {"green": 101}}, "no whole numbers"),
        ({"previous": "blue"}, "slot blue is to go back to, but empty or live"),
        ({"previous": "red"}, "slot red is to go back to, but empty or live"),
        ({"stepped_back": "yes"}, "stepped_back is neither true nor false"),
    ],
)
def test_a_state_that_contradicts_itself_is_refused(endpoint: Endpoint, change: dict, said: str) -> None:
    endpoint.folder.mkdir(parents=True)
    path = endpoint.folder / "state.json"
    path.write_text(json.dumps(SOUND), encoding="utf-8")
    assert endpoint.state() == SOUND
    path.write_text(json.dumps(SOUND | change), encoding="utf-8")
    for use in (endpoint.state, endpoint.claim, endpoint.roll_back):
        with pytest.raises(EndpointError, match=said):
            use()


def test_a_state_from_before_there_was_a_way_back_is_read(endpoint: Endpoint) -> None:
    endpoint.folder.mkdir(parents=True)
    old = {key: value for key, value in SOUND.items() if key not in ("previous", "stepped_back")}
    (endpoint.folder / "state.json").write_text(json.dumps(old), encoding="utf-8")
    assert endpoint.state() == SOUND
