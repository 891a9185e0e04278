"""Tests a scoring process over HTTP before it gets traffic: is it up, does it refuse and answer as it should?"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from delivery.target import Target

TOLERANCE = 1e-5  # largest difference of probability between what was judged and what is served
SHOWN = 60  # characters of a text that a name or message shows
TIMEOUT = 30.0  # seconds for a request


@dataclass(frozen=True)
class Example:
    """An evaluated text and what the model said of it when it was judged."""

    text: str
    label: str
    probability: float


@dataclass(frozen=True)
class Check:
    """One request, what was asked of its answer, and what came of it."""

    group: str  # health, contract or texts
    name: str
    passed: bool
    detail: str  # empty where it passed
    seconds: float = field(compare=False)


@dataclass(frozen=True)
class SmokeReport:
    """All checks of a scoring process, and its answers to the examples."""

    checks: list[Check]
    digest: str  # of the model that the process says it serves
    answers: list[Example]

    @property
    def failures(self) -> list[Check]:
        """The checks that did not pass."""
        return [check for check in self.checks if not check.passed]


def examples_of(
    texts: Sequence[str], probabilities: Sequence[float], *, labels: Sequence[str], threshold: float, count: int
) -> list[Example]:
    """Choose evaluated texts that reach from the most to the least compliant, always the same ones.

    Args:
        texts: The texts that were judged.
        probabilities: Their probabilities of non-compliance.
        labels: What compliant and non-compliant are called.
        threshold: Probability from which a text is non-compliant.
        count: How many to choose, at most.
    """
    ordered = sorted({(float(probability), text) for text, probability in zip(texts, probabilities, strict=True)})
    count = min(count, len(ordered))
    places = [round(place * (len(ordered) - 1) / max(count - 1, 1)) for place in range(count)]
    return [
        Example(text, labels[int(probability >= threshold)], probability)
        for probability, text in (ordered[place] for place in places)
    ]


def smoke_test(
    target: Target, examples: Sequence[Example], *, digest: str, tolerance: float = TOLERANCE
) -> SmokeReport:
    """Test a scoring process: health, contract, and that texts get the labels and probabilities they were judged by.

    Args:
        target: Where the process answers.
        examples: Evaluated texts.
        digest: Digest that the process must report.
        tolerance: Largest difference of probability.
    """
    with _Session(target) as session:
        checks = [*_health(session, digest), *_contract(session)]
        answers: list[Example] = []
        for example in examples:
            check, answer = _one(session, example, tolerance)
            checks.append(check)
            answers.extend(answer)
        if examples:
            checks.append(_together(session, examples, tolerance))
        return SmokeReport(checks, session.digest, answers)


class _Session:
    """Sends requests and remembers nothing but the digest last reported."""

    def __init__(self, target: Target):
        self.client = httpx.Client(
            base_url=target.url,
            headers=dict(target.headers()),
            timeout=TIMEOUT,
            trust_env=False,
            verify=target.trust() or False,
        )
        self.digest = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(self, method: str, path: str, **content: Any) -> tuple[httpx.Response | httpx.TransportError, float]:
        """Give the answer, or why there was none, and the seconds it took."""
        start = time.perf_counter()
        answer: httpx.Response | httpx.TransportError
        try:
            answer = self.client.request(method, path, **content)
        except httpx.TransportError as error:
            answer = error
        return answer, time.perf_counter() - start


def _health(session: _Session, digest: str) -> Iterator[Check]:
    for path in ("/health/live", "/health/ready"):
        answer, seconds = session.ask("GET", path)
        fault = _status_fault(answer, 200)
        if not fault and path == "/health/ready":
            session.digest = str(_at(_json(answer), "model", "digest"))
            fault = "" if session.digest == digest else f"it serves {session.digest}; {digest} is being released"
        yield Check("health", f"GET {path}", not fault, fault, seconds)


def _contract(session: _Session) -> Iterator[Check]:
    """Ask what must be refused; the answer must say so with its status and as a problem document."""
    json_type = {"content-type": "application/json"}
    refused: list[tuple[str, str, str, dict[str, Any], int]] = [
        ("malformed JSON", "POST", "/score", {"content": b'["steel', "headers": json_type}, 400),
        ("an unknown path", "GET", "/nowhere", {}, 404),
        ("a wrong method", "GET", "/score", {}, 405),
        ("another media type", "POST", "/score", {"content": b"steel", "headers": {"content-type": "text/plain"}}, 415),
        ("an object without data", "POST", "/score", {"json": {"texts": ["steel"]}}, 422),
        ("an empty list", "POST", "/score", {"json": []}, 422),
        ("a number among texts", "POST", "/score", {"json": ["steel", 1]}, 422),
        ("half a character", "POST", "/score", {"content": b'["\\ud800"]', "headers": json_type}, 422),
    ]
    for name, method, path, content, status in refused:
        answer, seconds = session.ask(method, path, **content)
        fault = _status_fault(answer, status) or _problem_fault(answer, status)
        yield Check("contract", f"refuses {name}", not fault, fault, seconds)


def _one(session: _Session, example: Example, tolerance: float) -> tuple[Check, list[Example]]:
    """Score one example; give the check, and the answer where there was a sound one."""
    answer, seconds = session.ask("POST", "/score", json=[example.text])
    fault = _status_fault(answer, 200)
    answered: list[Example] = []
    if not fault:
        results = _at(_json(answer), "results")
        fault = _results_fault(results, [example], tolerance)
        if isinstance(results, list) and len(results) == 1 and not _shape_fault(results[0]):
            answered = [Example(example.text, results[0]["label"], float(results[0]["probability"]))]
    return Check("texts", f"scores {example.text[:SHOWN]!r}", not fault, fault, seconds), answered


def _together(session: _Session, examples: Sequence[Example], tolerance: float) -> Check:
    """Score all examples in one request, in the other form that is allowed."""
    answer, seconds = session.ask("POST", "/score", json={"data": [example.text for example in examples]})
    fault = _status_fault(answer, 200) or _results_fault(_at(_json(answer), "results"), examples, tolerance)
    return Check("texts", f"scores {len(examples)} texts in one request", not fault, fault, seconds)


def _status_fault(answer: httpx.Response | httpx.TransportError, status: int) -> str:
    if isinstance(answer, httpx.TransportError):
        return f"no answer: {answer!r}"
    return (
        "" if answer.status_code == status else f"status {answer.status_code} instead of {status}: {answer.text[:200]}"
    )


def _problem_fault(answer: httpx.Response | httpx.TransportError, status: int) -> str:
    assert isinstance(answer, httpx.Response)  # noqa: S101 - its status was checked
    if answer.headers.get("content-type") != "application/problem+json":
        return f"a {answer.headers.get('content-type')} answer instead of a problem document"
    return (
        "" if _at(_json(answer), "status") == status else f"a problem document without its status: {answer.text[:200]}"
    )


def _results_fault(results: Any, examples: Sequence[Example], tolerance: float) -> str:
    if not isinstance(results, list) or len(results) != len(examples):
        return f"{len(examples)} results expected, {str(results)[:200]} arrived"
    for result, example in zip(results, examples, strict=True):
        if fault := _shape_fault(result):
            return fault
        which = f"{example.text[:SHOWN]!r}: " if len(examples) > 1 else ""
        difference = abs(result["probability"] - example.probability)
        if not difference <= tolerance:
            return f"{which}probability {result['probability']:.6g}, judged with {example.probability:.6g}"
        if result["label"] != example.label:
            return f"{which}label {result['label']}, judged {example.label}"
    return ""


def _shape_fault(result: Any) -> str:
    sound = isinstance(_at(result, "label"), str) and isinstance(_at(result, "probability"), float | int)
    return "" if sound else f"a result without label and probability: {str(result)[:200]}"


def _json(answer: httpx.Response | httpx.TransportError) -> Any:
    """Give the JSON of an answer, or None where it is none, which no check accepts."""
    assert isinstance(answer, httpx.Response)  # noqa: S101 - its status was checked
    try:
        return answer.json()
    except ValueError:
        return None


def _at(content: Any, *keys: str) -> Any:
    """Give what lies at the end of keys, or None."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content
