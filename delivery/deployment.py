"""A deployment, from the candidate's rehearsal in its slot to all of the traffic, or back.

The rehearsal asks the candidate alone, before anything depends on it. The canary then compares it with what is live on
the same traffic: on copies first, then on growing shares, until it has all of it or is taken back.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from delivery import canary
from delivery.canary import Judgement, Plan, Stage, Tally
from delivery.endpoint import Endpoint, Slot
from delivery.errors import BadPlan, DeploymentFailed, ScoringProcessFailed
from delivery.names import TRIAL
from delivery.observations import Observation, Observations
from delivery.replay import replayed
from delivery.smoke import Example, SmokeReport, smoke_test

SHOWN = 10  # failures that a message lists
PAUSE = 2.0  # seconds between two looks at real traffic
TOLD_EVERY = 60.0  # seconds between two lines about a stage that has no verdict yet
KINDS = ("auto", "replay", "wait")


class Traffic(Protocol):
    """Where the observations of a canary come from."""

    def more(self) -> Sequence[Observation]:
        """Give what was observed since the last call; waits a little, or sends requests, but never for long."""


@dataclass(frozen=True)
class Look:
    """What the tests of a stage said at one moment."""

    stage: Stage
    seconds: float
    requests: int  # to the candidate, in this stage
    judgement: Judgement


@dataclass(frozen=True)
class CanaryReport:
    """How a canary went.

    Attributes:
        looks: Every look at the tests, the last one of each stage its end.
        rolled_back: Stage and reason, where the candidate was taken back; empty where it may have all traffic.
    """

    looks: tuple[Look, ...]
    rolled_back: str

    @property
    def outcome(self) -> str:
        """Say what the deployment comes to: live, or rolled back."""
        return "rolled back" if self.rolled_back else "live"

    @property
    def ends(self) -> list[Look]:
        """The last look of each stage."""
        return list({look.stage: look for look in self.looks}.values())

    @property
    def requests(self) -> int:
        """Count the requests to the candidate."""
        return sum(look.requests for look in self.ends)

    @property
    def table(self) -> list[dict[str, Any]]:
        """Give what each test of each stage said in the end, as rows."""
        return [
            {
                "stage": look.stage.name,
                "test": finding.test,
                "candidate": f"{finding.count:,} of {finding.total:,}",
                "live": "{:,} of {:,}".format(*finding.against) if finding.against else "",
                "low": round(finding.low, 6),
                "high": round(finding.high, 6),
                "limit": finding.limit,
                "verdict": finding.verdict,
            }
            for look in self.ends
            for finding in look.judgement.findings
        ]


class Collected:
    """Real traffic: what a running service collects of the requests that people send.

    Args:
        observed: Reads it.
        pause: Seconds between two looks.
    """

    def __init__(self, observed: Observations, pause: float = PAUSE):
        self.observed = observed
        self.pause = pause

    def more(self) -> Sequence[Observation]:
        """Wait, then give what was collected meanwhile."""
        time.sleep(self.pause)
        return self.observed.read()


def traffic_kind(asked: str, environment: str) -> str:
    """Decide what a canary is judged on: `replay` of the evaluation texts, or `wait` for real requests.

    Args:
        asked: One of the two, or `auto`: scratch and staging replay, any other environment waits.
        environment: Where the model goes.

    Raises:
        BadPlan: It is none of them, or an environment that people use shall be judged on a replay.
    """
    if asked not in KINDS:
        raise BadPlan(f"traffic is {asked!r}; give one of {', '.join(KINDS)}")
    waits = environment not in TRIAL
    if waits and asked == "replay":
        raise BadPlan(f"{environment} is judged on what people send there; give traffic: wait")
    return asked if asked != "auto" else "wait" if waits else "replay"


def rehearse(endpoint: Endpoint, candidate: Slot, examples: Sequence[Example]) -> SmokeReport:
    """Test the model in a slot that nobody else asks yet, and give what came of it.

    Raises:
        DeploymentFailed: The slot does not answer; the candidate's slot is emptied, the live one stays.
    """
    try:
        with endpoint.alone(candidate) as target:
            return smoke_test(target, examples, digest=candidate.digest)
    except ScoringProcessFailed as error:
        endpoint.discard(candidate.name)
        raise _failed(candidate, str(error)) from error


def confirm(endpoint: Endpoint, candidate: Slot, report: SmokeReport) -> None:
    """Let a candidate go on whose every check passed.

    Raises:
        DeploymentFailed: A check failed; the candidate's slot is emptied, the live one stays.
    """
    if not report.failures:
        return
    endpoint.discard(candidate.name)
    shown = "\n".join(f"  {check.name}: {check.detail}" for check in report.failures[:SHOWN])
    raise _failed(
        candidate, f"{len(report.failures)} of {len(report.checks)} checks failed, the first of them:\n{shown}"
    )


def compare(  # noqa: PLR0913 - all by name
    endpoint: Endpoint,
    candidate: Slot,
    plan: Plan,
    *,
    kind: str,
    texts: Sequence[str],
    collected: str,
    tell: Callable[[str], None] = print,
) -> CanaryReport:
    """Try a candidate out beside what is live; where nothing else is live, there is nothing to do.

    Args:
        endpoint: The endpoint, claimed by this process.
        candidate: What `Endpoint.place` gave.
        plan: What it must show, and within what.
        kind: What `traffic_kind` gave.
        texts: What a replay sends.
        collected: Where a running service collects what people send.
        tell: Is told how it goes on, a line at a time.

    Raises:
        DeploymentFailed: There is no traffic to be had; the candidate's slot is emptied, the live one stays.
    """
    live = endpoint.live()
    if live is None or live.name == candidate.name:
        tell("nothing else is live: there is nothing to compare with")
        return CanaryReport((), "")
    plan = replace(plan, mirror=min(plan.mirror, endpoint.most_mirrored))
    try:
        with _traffic(endpoint, kind, texts, collected) as traffic:
            return try_out(endpoint, candidate, plan, traffic, tell=tell)
    except (ScoringProcessFailed, BadPlan) as error:
        endpoint.discard(candidate.name)
        raise _failed(candidate, str(error)) from error


@contextmanager
def _traffic(endpoint: Endpoint, kind: str, texts: Sequence[str], collected: str) -> Iterator[Traffic]:
    """Give the traffic that a canary is judged on.

    Raises:
        ScoringProcessFailed: A replay cannot be started.
        BadPlan: What people send is not kept where it was said to be.
    """
    if kind == "wait":
        yield Collected(endpoint.observed(collected, datetime.now(UTC)))
    else:
        with replayed(endpoint, texts) as traffic:
            yield traffic


def conclude(endpoint: Endpoint, candidate: Slot, report: CanaryReport) -> Slot:
    """Give a candidate all traffic, unless it was rolled back, and give what is live then.

    Raises:
        DeploymentFailed: Nothing is live.
    """
    live = endpoint.live() if report.rolled_back else endpoint.finish(candidate.name)
    if live is None:
        raise _failed(candidate, "nothing is live")
    return live


def try_out(  # noqa: PLR0913
    endpoint: Endpoint,
    candidate: Slot,
    plan: Plan,
    traffic: Traffic,
    *,
    clock: Callable[[], float] = time.monotonic,
    tell: Callable[[str], None] = lambda _: None,
) -> CanaryReport:
    """Give a candidate copies of the requests, then growing shares of them, as long as its tests let it go on.

    Whatever ends this early, the live slot has all traffic again and the candidate's slot is empty.

    Args:
        endpoint: The endpoint, claimed by this process.
        candidate: The slot beside the live one.
        plan: What it must show, and within what.
        traffic: Where observations come from.
        clock: Gives seconds.
        tell: Is told how it goes on, a line at a time.

    Raises:
        DeploymentFailed: Nothing is live that it could be compared with.
    """
    live = endpoint.live()
    if live is None or live.name == candidate.name:
        raise _failed(candidate, "there is nothing else live that it could be compared with")
    looks: list[Look] = []
    with _taken_back_unless_done(endpoint, candidate) as done:
        for stage in plan.stages:
            (endpoint.mirror if stage.mirrored else endpoint.shift)(candidate.name, stage.percent)
            tell(f"{stage.name}: begins")
            looks += _watched(stage, plan, traffic, (candidate, live), clock, tell)
            end = looks[-1]
            tell(f"{stage.name}: {end.judgement.verdict} after {end.requests:,} requests, {end.seconds:.1f} s")
            if end.judgement.verdict == canary.ROLL_BACK:
                return CanaryReport(tuple(looks), f"{stage.name}: {end.judgement.reason}")
        done()
    return CanaryReport(tuple(looks), "")


@contextmanager
def _taken_back_unless_done(endpoint: Endpoint, candidate: Slot) -> Iterator[Callable[[], None]]:
    """Discard the candidate at the end of the block, whatever ends it, unless it says that it is done."""
    ends: list[bool] = []
    try:
        yield lambda: ends.append(True)
    finally:
        if not ends:
            endpoint.discard(candidate.name)


def _watched(  # noqa: PLR0913, PLR0917 - what is watched, by whose time, and who is told
    stage: Stage,
    plan: Plan,
    traffic: Traffic,
    slots: tuple[Slot, Slot],
    clock: Callable[[], float],
    tell: Callable[[str], None],
) -> list[Look]:
    """Look at a stage's tests after each bit of traffic until they have a verdict."""
    tally, started, looks = Tally(), clock(), list[Look]()
    told = 0.0
    names, digests = (slots[0].name, slots[1].name), {slot.name: slot.digest for slot in slots}
    while True:
        seen = [one for one in traffic.more() if one.digest in ("", digests.get(one.slot))]
        tally = canary.add(tally, seen, stage, names, plan.latency_limit)
        seconds = clock() - started
        judgement = canary.judge(tally, stage, plan, seconds=seconds)
        looks.append(Look(stage, seconds, tally.candidate.requests, judgement))
        if judgement.verdict != canary.WAIT:
            return looks
        if seconds - told >= TOLD_EVERY:
            told = seconds
            tell(f"{stage.name}: undecided after {tally.candidate.requests:,} requests, {seconds:.0f} s")


def _failed(candidate: Slot, why: str) -> DeploymentFailed:
    return DeploymentFailed(
        f"version {candidate.version} does not go live from slot {candidate.name}; what was live still is.\n{why}\n"
        "Correct the cause, then: trey run --from deploy"
    )
