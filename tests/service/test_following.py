"""The service follows the state of its endpoint, and drops no request."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from compliance.scorer import Scorer
from service.following import Following
from service.model import NoSlot, Routing, ServedModel, from_endpoint

from ..fixtures_model import MakeModel
from .conftest import Start
from .endpoints import place, readiness, wait_until, write_raw, write_state
from .swapping import swap_under_load

TEXT = "steel component"  # compliant by the model of the tests, and not by the one with bias 9


@pytest.fixture
def endpoint(tmp_path: Path, model_dir: Path, make_model: MakeModel) -> Path:
    """Give an endpoint with version 1 in blue, live, and in green version 2, which decides otherwise."""
    place(tmp_path, "blue", model_dir)
    place(tmp_path, "green", make_model(bias=9.0))
    write_state(tmp_path, {"blue": 1, "green": 2}, {"blue": 100})
    return tmp_path


def ask(url: str, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{url}/score", json=[TEXT], headers=names, trust_env=False, timeout=30)


def follows(url: str, generation: int) -> bool:
    return bool(readiness(url)["following"]["generation"] == generation)


def test_another_live_slot_is_followed(start: Start, endpoint: Path) -> None:
    _, url = start("--endpoint", str(endpoint))
    first = ask(url)
    assert (first.json()["slot"], first.json()["model"]["version"]) == ("blue", 1)
    assert first.headers["azureml-model-deployment"] == "blue"
    assert first.json()["results"][0]["label"] == "compliant"
    write_state(endpoint, {"blue": 1, "green": 2}, {"green": 100})
    wait_until(lambda: readiness(url)["slot"] == "green")
    second = ask(url)
    assert (second.json()["slot"], second.json()["model"]["version"]) == ("green", 2)
    assert second.json()["results"][0]["label"] == "non-compliant"


def test_a_switch_is_told_in_a_line_and_what_changes_no_answer_is_not(start: Start, endpoint: Path) -> None:
    process, url = start("--endpoint", str(endpoint))
    write_state(endpoint, {"blue": 1, "green": 2}, {"blue": 100}, mirror={"green": 5})
    wait_until(lambda: readiness(url)["following"]["generation"] == 2)
    write_state(endpoint, {"blue": 1, "green": 2}, {"blue": 90, "green": 10})
    wait_until(lambda: readiness(url)["following"]["generation"] == 3)
    write_state(endpoint, {"blue": 1, "green": 2}, {"green": 100})
    wait_until(lambda: readiness(url)["slot"] == "green")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(5)][3:] == [
        "now answers: parts version 1 (90 %), from slot blue; version 2 (10 %), from slot green\n",
        "now answers: parts version 2, from slot green\n",
    ]


def test_it_follows_on_where_nobody_reads_what_it_tells(start: Start, endpoint: Path) -> None:
    """As behind `trey serve … | head -2`."""
    process, url = start("--endpoint", str(endpoint))
    assert process.stdout is not None
    process.stdout.close()
    for generation, slot in ((2, "green"), (3, "blue")):
        write_state(endpoint, {"blue": 1, "green": 2}, {slot: 100})
        wait_until(partial(follows, url, generation))
        assert ask(url).json()["slot"] == slot
    process.terminate()
    assert process.wait(timeout=30) == 0


def test_traffic_is_shared_by_the_weights_and_an_id_meets_the_same_slot(start: Start, endpoint: Path) -> None:
    write_state(endpoint, {"blue": 1, "green": 2}, {"blue": 70, "green": 30})
    _, url = start("--endpoint", str(endpoint))
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        slots = [
            client.post("/score", json=[TEXT], headers={"x-correlation-id": f"part-{part}"}).json()["slot"]
            for part in [*range(400), *range(400)]
        ]
    assert slots[:400] == slots[400:]
    assert 70 < Counter(slots[:400])["green"] < 170


def test_a_slot_can_be_asked_for_by_name(start: Start, endpoint: Path) -> None:
    _, url = start("--endpoint", str(endpoint))
    answer = ask(url, azureml_model_deployment="green")
    assert answer.json()["slot"] == answer.headers["azureml-model-deployment"] == "green"
    refused = ask(url, azureml_model_deployment="red")
    assert refused.status_code == 404
    assert "slot 'red' holds no model" in refused.json()["detail"]


def test_a_version_can_be_asked_for(start: Start, endpoint: Path) -> None:
    _, url = start("--endpoint", str(endpoint))
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]}
    with httpx.Client(base_url=f"{url}/v2/models/parts", trust_env=False, timeout=30) as client:
        answer = client.post("/versions/2/infer", json=body)
        assert (answer.json()["model_version"], answer.json()["parameters"]["slot"]) == ("2", "green")
        assert client.get("/versions/2/ready").json()["ready"]
        assert client.get("/versions/3").status_code == client.post("/versions/3/infer", json=body).status_code == 404


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("{", "no state of an endpoint"),
        ('{"schema": 2, "live": "blue", "slots": {}}', "schema 2"),
        ('{"schema": 1, "live": null, "slots": {}}', "nothing is live"),
        (
            '{"schema": 1, "live": "blue", "slots": {"blue": {"version": 1, "digest": "x"}}, "traffic": {"blue": 90},'
            ' "mirror": {}}',
            "add up to 90",
        ),
        (
            '{"schema": 1, "live": "blue", "slots": {"blue": {"version": 1, "digest": "x"}}, "traffic": {"blue": 100},'
            ' "mirror": {"green": 5}}',
            "without a model",
        ),
        (
            '{"schema": 1, "live": "a\\n", "slots": {"a\\n": {"version": 1, "digest": "x"}}, "traffic": {"a\\n": 100},'
            ' "mirror": {}}',
            "goes into a header",
        ),
    ],
)
def test_a_state_that_cannot_be_followed_changes_nothing(endpoint: Path, state: str, says: str) -> None:
    source = Following(endpoint)
    routing = source.routing
    write_raw(endpoint, state)
    asyncio.run(follow_for(source, lambda: bool(source.fault)))
    assert says in source.describe()["following"]["fault"]
    assert source.routing is routing


def test_a_slot_that_fails_verification_changes_nothing_until_it_is_mended(
    endpoint: Path, make_model: MakeModel
) -> None:
    source = Following(endpoint)
    before = source.routing
    place(endpoint, "green", make_model(bias=5.0))
    write_state(endpoint, {"blue": 1, "green": 3}, {"green": 100})
    sound = (endpoint / "green" / "model.onnx").read_bytes()
    (endpoint / "green" / "model.onnx").write_bytes(b"broken")
    asyncio.run(follow_for(source, lambda: bool(source.fault)))
    assert "model.onnx was changed" in source.fault
    assert source.routing is before
    (endpoint / "green" / "model.onnx").write_bytes(sound)
    asyncio.run(follow_for(source, lambda: not source.fault))
    assert source.routing.live == "green"
    assert source.generation == 2


def test_a_model_in_use_is_not_loaded_again(endpoint: Path) -> None:
    first = from_endpoint(endpoint)
    write_state(endpoint, {"blue": 1, "green": 2}, {"green": 100})
    second = from_endpoint(endpoint, list(first.models.values()))
    assert all(second.models[name].scorer is first.models[name].scorer for name in ("blue", "green"))


def test_the_fault_is_shown_and_counted(start: Start, endpoint: Path) -> None:
    _, url = start("--endpoint", str(endpoint))
    write_raw(endpoint, "{")
    wait_until(lambda: "fault" in readiness(url)["following"])
    assert "scoring_following_fault 1" in httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
    assert ask(url).status_code == 200


def test_the_model_changes_under_load_and_no_request_fails(start: Start, endpoint: Path) -> None:
    _, url = start("--endpoint", str(endpoint))
    result = asyncio.run(
        swap_under_load(url, endpoint, swaps=20, seconds=10, text=TEXT, labels={1: "compliant", 2: "non-compliant"})
    )
    assert result.failures == []
    assert set(result.versions) == {1, 2}
    assert result.swaps >= 20
    assert sum(result.versions.values()) > 200


def test_shares_follow_the_weights_and_names_are_checked(model_dir: Path) -> None:
    scorer = Scorer.load(model_dir)
    models = {name: ServedModel(scorer, version, name) for name, version in (("blue", 1), ("green", 2))}
    routing = Routing(models, "blue", {"blue": 90, "green": 10}, {"green": 50})
    ids = [f"id-{number}" for number in range(4_000)]
    shares = Counter(routing.choose(identity).slot for identity in ids)
    assert 300 < shares["green"] < 500
    mirrored = [identity for identity in ids if list(routing.mirrors(identity))]
    assert 1_800 < len(mirrored) < 2_200
    both = sum(routing.choose(identity).slot == "green" for identity in mirrored)
    assert 130 < both < 270  # mirroring does not prefer a slot
    with pytest.raises(NoSlot):
        routing.forced("red")
    with pytest.raises(NoSlot):
        routing.versioned("7")


async def follow_for(source: Following, holds: Callable[[], bool]) -> None:
    """Let it follow until something holds."""
    task = asyncio.create_task(source.run())
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait([task])
