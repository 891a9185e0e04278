"""Is the new model as good as the live one on what they are asked now? Tests that may be looked at after every request.

Whoever looks at an ordinary test again and again until it says something is told wrong things far more often than its
level promises. These tests hold their level at all times together: each share lies in its *confidence sequence*, from
the first request to the last, with the probability that was asked for. So one may stop as soon as the answer is clear.

The sequence is Robbins' mixture for shares (H. Robbins, Annals of Mathematical Statistics 41, 1970; S. R. Howard,
A. Ramdas, J. McAuliffe, J. Sekhon, Annals of Statistics 49, 2021; as a bet in I. Waudby-Smith, A. Ramdas, Journal of
the Royal Statistical Society B 86, 2024). Somebody who bets against the share p, with a stake spread over all shares by
the arcsine law, has after k of n the wealth

    B(k + 1/2, n - k + 1/2) / B(1/2, 1/2) / (p^k (1 - p)^(n - k)),     B the beta function

times what he began with. If p is the truth his wealth is a martingale, and by Ville's inequality it reaches 1/alpha at
any time with probability alpha at most. The sequence holds every p against which he has less than that.

Three things are tested, each a share: requests that fail, answers that are slow, texts that both models label
differently. A difference of shares gets half of alpha for each of the two.

- To proceed, all tests must say so. A model that is too bad in one of them must deceive that one, so each may use the
  whole alpha (the intersection-union principle; R. L. Berger, Technometrics 24, 1982).
- To roll back, one test is enough. So alpha is divided by the number of tests of all stages (Bonferroni).

Nothing here reads a clock or a file: observations go in, verdicts come out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from delivery.errors import BadPlan
from delivery.observations import Observation

PROCEED: Final = "proceed"
ROLL_BACK: Final = "roll back"
WAIT: Final = "wait"
Verdict = Literal["proceed", "roll back", "wait"]
SERVER_ERROR = 500  # from this status on, a request has failed by the service's fault
STEPS = 40  # halvings until an end of an interval is known to twelve digits
ALL = 100  # per cent


@dataclass(frozen=True)
class Stage:
    """What the candidate is given for a while.

    Attributes:
        mirrored: It gets copies of requests, and its answers are not sent; otherwise it answers a share of them.
        percent: How many of 100 requests.
    """

    mirrored: bool
    percent: int

    @property
    def name(self) -> str:
        """Name it in a few words."""
        return f"mirror {self.percent} %" if self.mirrored else f"traffic {self.percent} %"

    @property
    def tests(self) -> tuple[str, ...]:
        """Name what can be tested: answers to the same text exist where requests are mirrored."""
        return ("errors", "latency", "disagreement") if self.mirrored else ("errors", "latency")


@dataclass(frozen=True)
class Plan:
    """What a candidate must show, and within what.

    Attributes:
        shares: Per cent of the traffic that the candidate answers, stage after stage; all of it comes after the last.
        mirror: Per cent of the requests of which it gets copies before that.
        error_margin: By how much its share of failed requests may be above the live model's.
        latency_limit: Milliseconds from which an answer is slow.
        slow_margin: By how much its share of slow answers may be above the live model's.
        disagreement_limit: Share of texts that it may label otherwise.
        alpha: Probability, at most, of a roll back without reason, and of going on in spite of one.
        most_requests: Requests to the candidate after which a stage without a verdict ends. It is looked at after each
            bit of traffic, so all of that counts: it ends with this many, or so many more as came since the last look.
        stage_seconds: Seconds after which it does; looked at as often.

    Raises:
        BadPlan: One of them makes no sense.
    """

    shares: tuple[int, ...] = (10, 50)
    mirror: int = ALL
    error_margin: float = 0.02
    latency_limit: float = 250.0
    slow_margin: float = 0.05
    disagreement_limit: float = 0.05
    alpha: float = 0.05
    most_requests: int = 20_000
    stage_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Collect every fault, then complain once."""
        faults = [
            f"{name} is {value!r}; give a number between 0 and 1"
            for name in ("error_margin", "slow_margin", "disagreement_limit", "alpha")
            if not 0 < (value := getattr(self, name)) < 1
        ]
        faults += [
            f"{name} is {value!r}; give a number above 0"
            for name in ("latency_limit", "most_requests", "stage_seconds")
            if not 0 < (value := getattr(self, name)) < math.inf
        ]
        if not (isinstance(self.mirror, int) and 0 < self.mirror <= ALL):
            faults.append(f"mirror is {self.mirror!r}; give whole per cents from 1 to 100")
        whole = all(isinstance(share, int) and 0 < share < ALL for share in self.shares)
        if not whole or list(self.shares) != sorted(set(self.shares)):
            faults.append(
                f"shares is {list(self.shares)}; give whole per cents from 1 to 99, each above the one before"
            )
        if faults:
            raise BadPlan("\n".join(faults))

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Give the stages in their order; the candidate is compared on copies first."""
        return (Stage(True, self.mirror), *(Stage(False, share) for share in self.shares))

    @property
    def tests(self) -> int:
        """Count the tests of all stages, among which alpha is divided."""
        return sum(len(stage.tests) for stage in self.stages)


@dataclass(frozen=True)
class Side:
    """What was counted of one of the two models in a stage."""

    requests: int = 0
    failed: int = 0
    timed: int = 0  # requests whose time is known
    slow: int = 0


@dataclass(frozen=True)
class Tally:
    """What was counted in a stage so far.

    Attributes:
        texts: Texts that both models labelled.
        differing: Of these, texts with two labels.
        open: Texts that one of them has labelled so far: what it said, by correlation id, item and whether mirrored.
    """

    candidate: Side = Side()
    live: Side = Side()
    texts: int = 0
    differing: int = 0
    open: Mapping[tuple[str, int, bool], str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Finding:
    """What one test says so far.

    Attributes:
        count: Failures, slow answers or differing labels of the candidate, out of `total`.
        against: The same of the live model, as (count, total); None where the share itself is limited.
        estimate: The difference of the shares, or the share.
        low: It is at least this, at the level of a roll back.
        high: It is at most this, at the level of going on.
        limit: What it may be.
    """

    test: str
    count: int
    total: int
    against: tuple[int, int] | None
    estimate: float
    low: float
    high: float
    limit: float

    @property
    def verdict(self) -> Verdict:
        """Decide: above the limit for certain, below it for certain, or not yet known."""
        if self.low > self.limit:
            return ROLL_BACK
        return PROCEED if self.high <= self.limit else WAIT

    def __str__(self) -> str:
        """Say it in a sentence."""
        what = {"errors": "requests failed", "latency": "answers were slow", "disagreement": "labels differ"}
        said = f"{self.test}: {self.count:,} of {self.total:,} {what[self.test]}"
        if self.against:
            said += f", {self.against[0]:,} of {self.against[1]:,} on the live slot"
        share = "the difference of the shares" if self.against else "the share"
        place = {
            ROLL_BACK: f"is at least {self.low:.2%}",
            PROCEED: f"is at most {self.high:.2%}",
            WAIT: f"lies between {self.low:.2%} and {self.high:.2%}",
        }
        return f"{said}; {share} {place[self.verdict]}, {self.limit:.2%} is allowed"


@dataclass(frozen=True)
class Judgement:
    """The verdict of a stage so far, why, and what each test says."""

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...]


def interval(count: int, total: int, alpha: float) -> tuple[float, float]:
    """Give the confidence sequence of a share: where it lies after `count` of `total`, at all times together.

    Args:
        count: How often it happened.
        total: Of how many.
        alpha: Probability, at most, that the share is ever outside.
    """
    return _end(count, total, alpha, 0.0), _end(count, total, alpha, 1.0)


def add(tally: Tally, observations: Iterable[Observation], stage: Stage, slots: tuple[str, str], limit: float) -> Tally:
    """Count what was observed in a stage.

    Args:
        tally: What was counted before.
        observations: What came since.
        stage: The stage they belong to.
        slots: Names of the candidate's and of the live slot.
        limit: Milliseconds from which an answer is slow.
    """
    sides = {False: tally.live, True: tally.candidate}
    texts, differing, waiting = tally.texts, tally.differing, dict(tally.open)
    for seen in observations:
        is_candidate = (seen.slot, seen.mirrored) == (slots[0], stage.mirrored)
        if not is_candidate and (seen.slot, seen.mirrored) != (slots[1], False):
            continue
        if seen.item == 0:  # one line of each request
            sides[is_candidate] = _counted(sides[is_candidate], seen, limit)
        if not stage.mirrored or seen.label is None:
            continue
        other = waiting.pop((seen.correlation_id, seen.item, not is_candidate), None)
        if other is None:
            waiting[seen.correlation_id, seen.item, is_candidate] = seen.label
        else:
            texts, differing = texts + 1, differing + (other != seen.label)
    return Tally(sides[True], sides[False], texts, differing, waiting)


def judge(tally: Tally, stage: Stage, plan: Plan, *, seconds: float) -> Judgement:
    """Decide whether the candidate may go on from a stage, must be taken back, or needs more requests.

    No verdict within the plan's requests and seconds is a reason to roll back, and so are no requests.

    Args:
        tally: What was counted in the stage.
        stage: The stage.
        plan: What the candidate must show, and within what.
        seconds: How long the stage has lasted.
    """
    findings = tuple(_finding(test, tally, plan) for test in stage.tests)
    against = [str(finding) for finding in findings if finding.verdict == ROLL_BACK]
    if against:
        return Judgement(ROLL_BACK, "; ".join(against), findings)
    missing = [str(finding) for finding in findings if finding.verdict == WAIT]
    if not missing:
        return Judgement(PROCEED, "; ".join(map(str, findings)), findings)
    spent = tally.candidate.requests >= plan.most_requests or seconds >= plan.stage_seconds
    if not spent:
        return Judgement(WAIT, "; ".join(missing), findings)
    told = f"too little data after {tally.candidate.requests:,} requests and {seconds:.0f} seconds"
    return Judgement(ROLL_BACK, "; ".join([told, *missing]), findings)


def _finding(test: str, tally: Tally, plan: Plan) -> Finding:
    strict = plan.alpha / plan.tests
    new, old = tally.candidate, tally.live
    if test == "disagreement":
        share = tally.differing / tally.texts if tally.texts else math.nan
        low = _end(tally.differing, tally.texts, strict, 0.0)
        high = _end(tally.differing, tally.texts, plan.alpha, 1.0)
        return Finding(test, tally.differing, tally.texts, None, share, low, high, plan.disagreement_limit)
    if test == "errors":
        counts, limit = (new.failed, new.requests, old.failed, old.requests), plan.error_margin
    else:
        counts, limit = (new.slow, new.timed, old.slow, old.timed), plan.slow_margin
    return _difference(test, counts, limit, strict, plan.alpha)


def _difference(test: str, counts: tuple[int, int, int, int], limit: float, strict: float, alpha: float) -> Finding:
    """Compare two shares, each in a sequence at half of the level."""
    count, total, old_count, old_total = counts
    low = _end(count, total, strict / 2, 0.0) - _end(old_count, old_total, strict / 2, 1.0)
    high = _end(count, total, alpha / 2, 1.0) - _end(old_count, old_total, alpha / 2, 0.0)
    estimate = count / total - old_count / old_total if total and old_total else math.nan
    return Finding(test, count, total, (old_count, old_total), estimate, low, high, limit)


def _counted(side: Side, seen: Observation, limit: float) -> Side:
    is_timed = seen.latency_ms is not None
    return replace(
        side,
        requests=side.requests + 1,
        failed=side.failed + (seen.status >= SERVER_ERROR),
        timed=side.timed + is_timed,
        slow=side.slow + (seen.latency_ms is not None and seen.latency_ms > limit),
    )


def _end(count: int, total: int, alpha: float, outside: float) -> float:
    """Give the end of a confidence sequence towards 0 or 1: the wealth grows from the middle outwards."""
    inside = count / total if total else 0.5
    limit = _log_beta(count + 0.5, total - count + 0.5) - _log_beta(0.5, 0.5) + math.log(alpha)
    if _log_likelihood(outside, count, total) > limit:
        return outside
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if _log_likelihood(middle, count, total) > limit else (inside, middle)
    return outside


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_likelihood(p: float, count: int, total: int) -> float:
    """Give the logarithm of p ** count (1 - p) ** (total - count), where 0 ** 0 is 1."""
    if (p <= 0 and count) or (p >= 1 and count < total):
        return -math.inf
    happened = count * math.log(p) if count else 0.0
    return happened + ((total - count) * math.log1p(-p) if count < total else 0.0)
