"""A candidate gets its share of the traffic while its tests let it, and is taken back by itself where they do not."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from delivery.canary import Plan
from delivery.deployment import Collected, traffic_kind, try_out
from delivery.endpoint import Endpoint, Slot
from delivery.errors import BadPlan, DeploymentFailed
from delivery.observations import Observation, Reader
from delivery.replay import Replay, replayed
from delivery.target import Target

from ..fixtures_model import TEXTS, MakeModel, digest_of

NOW = datetime(2026, 11, 26, tzinfo=UTC)
PLAN = Plan(shares=(10, 50), most_requests=3_000)


@pytest.fixture
def endpoint(endpoint_store: Path, model_dir: Path) -> Endpoint:
    """Give an endpoint with version 1 live."""
    endpoint = Endpoint(endpoint_store, "parts", "staging", wait=0)
    endpoint.finish(endpoint.place(model_dir, 1, digest_of(model_dir)).name)
    return endpoint


@pytest.fixture
def candidate(endpoint: Endpoint, make_model: MakeModel) -> Slot:
    """Give version 2 in the other slot: it differs from the first in its digest and in no label."""
    model = make_model(bias=1e-6)
    return endpoint.place(model, 2, digest_of(model))


class Simulated:
    """Requests that reach the slots as the endpoint's state says, and what a scripted fault makes of them."""

    def __init__(self, endpoint: Endpoint, fault: Callable[[Observation], Observation | None] = lambda one: one):
        self.endpoint = endpoint
        self.fault = fault
        self.random = random.Random(7)  # noqa: S311
        self.sent = 0

    def more(self) -> Sequence[Observation]:
        state = self.endpoint.state()
        found = []
        for _ in range(200):
            self.sent += 1
            names, weights = zip(*state["traffic"].items(), strict=True)
            routes = [(self.random.choices(names, weights)[0], False), *((name, True) for name in state["mirror"])]
            for name, mirrored in routes:
                digest = state["slots"][name]["digest"]
                one = Observation(NOW, f"r{self.sent}", 0, name, digest, mirrored, 200, "compliant", 1.0)
                if name != "green":
                    found.append(one)
                elif answer := self.fault(one):
                    found.append(answer)
        return found


def is_live_alone(endpoint: Endpoint, version: int) -> bool:
    state = endpoint.state()
    live = endpoint.live()
    assert live is not None
    return (live.version, state["traffic"][live.name], state["mirror"]) == (version, 100, {})


def test_a_good_candidate_goes_through_all_stages(endpoint: Endpoint, candidate: Slot) -> None:
    report = try_out(endpoint, candidate, PLAN, Simulated(endpoint))
    assert report.rolled_back == ""
    assert [look.stage.name for look in report.ends] == ["mirror 100 %", "traffic 10 %", "traffic 50 %"]
    assert endpoint.state()["traffic"] == {"blue": 50, "green": 50}
    endpoint.finish(candidate.name)
    assert is_live_alone(endpoint, 2)
    previous = endpoint.previous()
    assert previous is not None
    assert previous.version == 1


def failing(one: Observation) -> Observation:
    return replace(one, status=500, label=None) if int(one.correlation_id[1:]) % 5 == 0 else one


def slow(one: Observation) -> Observation:
    return replace(one, latency_ms=PLAN.latency_limit + 1)


def differing(one: Observation) -> Observation:
    return replace(one, label="non-compliant") if int(one.correlation_id[1:]) % 5 == 0 else one


def only_under_traffic(one: Observation) -> Observation:
    return one if one.mirrored else failing(one)


def nothing(_: Observation) -> None:
    return None


def of_another_model(one: Observation) -> Observation:
    return replace(one, digest="another")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (failing, "mirror 100 %: errors: "),
        (slow, "mirror 100 %: latency: "),
        (differing, "mirror 100 %: disagreement: "),
        (only_under_traffic, "traffic 10 %: errors: "),
        (nothing, "mirror 100 %: too little data after 0 requests and "),
        (of_another_model, "mirror 100 %: too little data after 0 requests and "),
    ],
)
def test_a_bad_candidate_is_taken_back_with_the_stage_and_the_reason(
    endpoint: Endpoint, candidate: Slot, fault: Callable[[Observation], Observation | None], says: str
) -> None:
    ticks = iter(range(0, 100_000, 10))
    report = try_out(endpoint, candidate, PLAN, Simulated(endpoint, fault), clock=lambda: float(next(ticks)))
    assert report.rolled_back.startswith(says)
    assert is_live_alone(endpoint, 1)
    assert endpoint.standby() is None


def test_a_stage_that_takes_long_says_so_once_in_a_minute(endpoint: Endpoint, candidate: Slot) -> None:
    ticks, told = iter(range(0, 100_000, 25)), list[str]()
    plan = replace(PLAN, stage_seconds=200.0)
    try_out(endpoint, candidate, plan, Simulated(endpoint, nothing), clock=lambda: float(next(ticks)), tell=told.append)
    assert told[:3] == [
        "mirror 100 %: begins",
        "mirror 100 %: undecided after 0 requests, 75 s",
        "mirror 100 %: undecided after 0 requests, 150 s",
    ]
    assert told[3].startswith("mirror 100 %: roll back after 0 requests, ")


def test_a_stage_without_a_verdict_ends_with_the_look_at_which_its_requests_are_spent(
    endpoint: Endpoint, candidate: Slot
) -> None:
    plan = replace(PLAN, error_margin=1e-6, most_requests=2_900)  # more than equal models can show
    report = try_out(endpoint, candidate, plan, Simulated(endpoint))
    assert report.rolled_back.startswith("mirror 100 %: too little data after 3,000 requests and ")
    assert [look.requests for look in report.looks][-2:] == [2_800, 3_000]  # 200 come between two looks


def test_whatever_breaks_meanwhile_the_live_slot_has_all_traffic_again(endpoint: Endpoint, candidate: Slot) -> None:
    def breaks(one: Observation) -> Observation:
        if one.mirrored:
            return one
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_out(endpoint, candidate, PLAN, Simulated(endpoint, breaks))
    assert is_live_alone(endpoint, 1)
    assert endpoint.standby() is None


def test_without_something_live_there_is_nothing_to_compare_with(endpoint: Endpoint) -> None:
    live = endpoint.live()
    assert live is not None
    with pytest.raises(DeploymentFailed, match="nothing else live"):
        try_out(endpoint, live, PLAN, Simulated(endpoint))


def test_a_replay_through_real_processes_lets_a_like_candidate_pass(endpoint: Endpoint, candidate: Slot) -> None:
    with replayed(endpoint, TEXTS) as traffic:
        report = try_out(endpoint, candidate, Plan(shares=(50,)), traffic)
    assert report.rolled_back == ""
    mirrored, shared = (look.judgement.findings for look in report.ends)
    assert mirrored[2].total > 50
    assert mirrored[0].total >= mirrored[2].total  # a copy may be collected before the answer that it belongs to
    assert shared[0].total > 0
    assert shared[0].against is not None
    assert shared[0].against[0] == 0


def test_a_replay_shows_a_model_that_labels_otherwise(endpoint: Endpoint, make_model: MakeModel) -> None:
    model = make_model(bias=3.0)
    candidate = endpoint.place(model, 2, digest_of(model))
    with replayed(endpoint, TEXTS) as traffic:
        report = try_out(endpoint, candidate, PLAN, traffic)
    assert report.rolled_back.startswith("mirror 100 %: disagreement: ")
    assert is_live_alone(endpoint, 1)


def test_a_request_without_an_answer_is_counted(tmp_path: Path) -> None:
    traffic = Replay(Target("http://127.0.0.1:9"), TEXTS, Reader(tmp_path, NOW), batch=3)  # nobody listens there
    assert traffic.more() == []
    assert traffic.unanswered == 3


def test_a_rehearsed_way_back(
    endpoint: Endpoint, candidate: Slot, record_property: Callable[[str, object], None]
) -> None:
    """Release, see that it is wrong, go back: one step, and its time is reported."""
    endpoint.finish(candidate.name)
    endpoint.release()
    started = time.perf_counter()
    back = Endpoint(endpoint.folder.parents[1], "parts", "staging").roll_back()
    seconds = time.perf_counter() - started
    record_property("seconds_to_roll_back", round(seconds, 4))
    print(f"rolled back in {1000 * seconds:.1f} ms")  # noqa: T201
    assert back.version == 1
    assert is_live_alone(endpoint, 1)
    endpoint.release()


def test_real_traffic_is_what_a_service_collects(tmp_path: Path) -> None:
    traffic = Collected(Reader(tmp_path, NOW), pause=0.0)
    assert traffic.more() == []
    path = tmp_path / "2026" / "11" / "26" / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"time": "2026-11-26T00:00:00Z", "correlation_id": "r", "slot": "blue", "status": 200}\n')
    assert [one.slot for one in traffic.more()] == ["blue"]


def test_production_waits_for_what_people_send() -> None:
    assert traffic_kind("auto", "production") == traffic_kind("wait", "production") == "wait"
    assert traffic_kind("auto", "staging") == traffic_kind("replay", "scratch") == "replay"
    with pytest.raises(BadPlan, match="production is judged on what people send"):
        traffic_kind("replay", "production")
    with pytest.raises(BadPlan, match="give one of auto, replay, wait"):
        traffic_kind("mirror", "staging")
