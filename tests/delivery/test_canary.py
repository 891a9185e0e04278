"""The tests of a canary keep their level although they are looked at after every few requests, and see clear faults."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from delivery.canary import Plan, Side, Stage, Tally, add, interval, judge
from delivery.errors import BadPlan
from delivery.observations import Observation

RUNS = 200  # simulated canaries
LOOKS = range(50, 3001, 50)  # requests to each model after which somebody looks
MIRROR, SHIFT = Stage(True, 100), Stage(False, 50)
PLAN = Plan(error_margin=0.02, slow_margin=0.05, disagreement_limit=0.05, alpha=0.1, most_requests=3001)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def tally(candidate: tuple[int, int], live: tuple[int, int], texts: tuple[int, int] = (0, 0)) -> Tally:
    """Give a tally from (failed, requests) of both, all answers quick, and (differing, texts)."""
    sides = [Side(requests, failed, requests, 0) for failed, requests in (candidate, live)]
    return Tally(sides[0], sides[1], texts[1], texts[0])


def verdicts(shares: tuple[float, float], rng: np.random.Generator) -> list[str]:
    """Give the verdicts of many canaries whose requests fail with these probabilities, each looked at until it ends."""
    ended = []
    for _ in range(RUNS):
        failed = [np.cumsum(rng.random(LOOKS[-1]) < share) for share in shares]
        for n in LOOKS:
            found = judge(
                tally((int(failed[0][n - 1]), n), (int(failed[1][n - 1]), n)), SHIFT, PLAN, seconds=0.0
            ).verdict
            if found != "wait":
                break
        ended.append(found)
    return ended


def share(found: list[str], verdict: str) -> float:
    return found.count(verdict) / len(found)


def test_the_sequence_holds_the_true_share_at_all_times_and_the_usual_interval_does_not() -> None:
    rng = np.random.default_rng(7)
    p, alpha, n = 0.05, 0.1, np.arange(1, 2001)
    counts = np.cumsum(rng.random((1000, len(n))) < p, axis=1)
    log_beta = np.vectorize(lambda a, b: math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))
    wealth = log_beta(counts[:, ::20] + 0.5, n[::20] - counts[:, ::20] + 0.5) - math.log(math.pi)
    wealth -= counts[:, ::20] * math.log(p) + (n[::20] - counts[:, ::20]) * math.log(1 - p)
    ever_out = (wealth >= -math.log(alpha)).any(axis=1)
    assert ever_out.mean() <= alpha
    assert ever_out.mean() > 0.01  # it is a test, not a shrug
    for row, column in ((0, 100), (1, 1999), (2, 500)):  # the same by `interval`
        count, total = int(counts[row, column]), column + 1
        low, high = interval(count, total, alpha)
        wealth_at = log_beta(count + 0.5, total - count + 0.5) - math.log(math.pi)
        wealth_at -= count * math.log(p) + (total - count) * math.log(1 - p)
        assert (low < p < high) == (wealth_at < -math.log(alpha))

    means = counts / n
    usual = 1.645 * np.sqrt(means * (1 - means) / n)
    assert (np.abs(means - p) > usual)[:, 100:].any(axis=1).mean() > 2 * alpha


@pytest.mark.parametrize(("count", "total"), [(0, 0), (0, 1), (1, 1), (0, 400), (400, 400), (7, 400)])
def test_a_sequence_is_an_interval_around_what_was_seen(count: int, total: int) -> None:
    low, high = interval(count, total, 0.05)
    assert 0 <= low <= (count / total if total else 0.5) <= high <= 1
    narrow = interval(count, total, 0.5)
    assert low <= narrow[0]
    assert narrow[1] <= high


def test_nothing_seen_says_nothing_and_the_ends_are_exact() -> None:
    assert interval(0, 0, 0.05) == (0.0, 1.0)
    low, high = interval(0, 100, 0.05)
    wealth = math.exp(math.lgamma(0.5) + math.lgamma(100.5) - math.lgamma(101)) / math.pi / (1 - high) ** 100
    assert low == 0.0
    assert wealth == pytest.approx(20)


def test_equal_models_are_hardly_ever_rolled_back_for_their_errors() -> None:
    ended = verdicts((0.01, 0.01), np.random.default_rng(11))
    assert share(ended, "roll back") <= PLAN.alpha
    assert share(ended, "proceed") > 0.8


def test_a_model_just_too_bad_hardly_ever_goes_on() -> None:
    assert share(verdicts((0.03, 0.01), np.random.default_rng(12)), "proceed") <= PLAN.alpha


def test_a_clear_fault_is_seen_soon() -> None:
    rng = np.random.default_rng(13)
    ended = verdicts((0.15, 0.005), rng)
    assert share(ended, "roll back") == 1.0
    failed = np.cumsum(rng.random((RUNS, 300)) < 0.15, axis=1)[:, -1]
    seen = [judge(tally((int(count), 300), (1, 300)), SHIFT, PLAN, seconds=0.0).verdict for count in failed]
    assert share(seen, "roll back") > 0.9


def test_looking_at_a_usual_test_again_and_again_is_what_this_avoids() -> None:
    """The same looks with a z-test of the difference: the simulation is able to tell them apart."""
    rng, alarms = np.random.default_rng(11), 0
    for _ in range(RUNS):
        failed = [np.cumsum(rng.random(LOOKS[-1]) < 0.05) for _ in range(2)]
        for n in LOOKS:
            new, old = (int(counts[n - 1]) / n for counts in failed)
            error = math.sqrt((new * (1 - new) + old * (1 - old)) / n)
            if error and (new - old) / error > 1.645:
                alarms += 1
                break
    assert alarms / RUNS > 0.15


def test_disagreement_is_limited_by_itself() -> None:
    well = tally((0, 500), (0, 500), texts=(2, 500))
    assert judge(well, MIRROR, PLAN, seconds=0.0).verdict == "proceed"
    ill = judge(tally((0, 500), (0, 500), texts=(60, 500)), MIRROR, PLAN, seconds=0.0)
    assert ill.verdict == "roll back"
    assert ill.reason.startswith("disagreement: 60 of 500 labels differ; the share is at least ")
    assert ill.reason.endswith("%, 5.00% is allowed")


def test_no_data_is_a_reason_to_roll_back() -> None:
    begun = judge(Tally(), SHIFT, PLAN, seconds=1.0)
    assert begun.verdict == "wait"
    ended = judge(Tally(), SHIFT, PLAN, seconds=PLAN.stage_seconds)
    assert ended.verdict == "roll back"
    assert ended.reason.startswith("too little data after 0 requests and 600 seconds; errors: 0 of 0 requests failed")


def test_a_stage_that_does_not_become_clear_ends_by_its_number_of_requests() -> None:
    undecided = tally((64, 3001), (0, 3001))
    assert judge(undecided, SHIFT, PLAN, seconds=0.0).verdict == "roll back"
    assert "too little data after 3,001 requests" in judge(undecided, SHIFT, PLAN, seconds=0.0).reason


def seen(slot: str, number: int, **other: object) -> Observation:
    """Give an answered text of a request."""
    found = {"label": "compliant", "latency_ms": 1.0, "status": 200, "mirrored": False, "item": 0, "digest": "d"}
    return Observation(time=NOW, correlation_id=f"r{number}", slot=slot, **(found | other))  # type: ignore[arg-type]


def count(observations: list[Observation], stage: Stage, start: Tally | None = None) -> Tally:
    return add(start or Tally(), observations, stage, ("green", "blue"), limit=100.0)


def test_requests_are_counted_once_whatever_number_of_texts_they_had() -> None:
    lines = [seen("blue", 1), seen("blue", 1, item=1), seen("green", 2, status=503, label=None, latency_ms=None)]
    lines += [seen("green", 3, latency_ms=101.0), seen("red", 4), seen("green", 5, mirrored=True)]
    found = count(lines, SHIFT)
    assert found.live == Side(requests=1, failed=0, timed=1, slow=0)
    assert found.candidate == Side(requests=2, failed=1, timed=1, slow=1)
    assert found.texts == 0


def test_labels_are_compared_text_by_text_whichever_answer_comes_first() -> None:
    first = count([seen("blue", 1), seen("green", 2, mirrored=True, label="other"), seen("green", 9)], MIRROR)
    assert (first.texts, len(first.open), first.candidate.requests) == (0, 2, 1)
    more = [seen("green", 1, mirrored=True), seen("blue", 2), seen("green", 1, mirrored=True, item=1)]
    second = count(more, MIRROR, first)
    assert (second.texts, second.differing, len(second.open)) == (2, 1, 1)


def test_the_tests_of_all_stages_share_the_level() -> None:
    plan = Plan(shares=(10, 50))
    assert [stage.name for stage in plan.stages] == ["mirror 100 %", "traffic 10 %", "traffic 50 %"]
    assert plan.tests == 7


@pytest.mark.parametrize(
    "words",
    [
        {"alpha": 0},
        {"error_margin": 1.5},
        {"latency_limit": 0},
        {"stage_seconds": math.inf},
        {"most_requests": -1},
        {"shares": (50, 10)},
        {"shares": (0, 10)},
        {"shares": (10, 100)},
        {"shares": (10.5,)},
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_refused(words: dict) -> None:
    with pytest.raises(BadPlan, match=next(iter(words))):
        Plan(**words)
