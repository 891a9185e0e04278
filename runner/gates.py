"""Gates: the rules that must hold before a guarded phase starts, and the judgement of their evidence.

Default-deny: a rule passes only on evidence that is there, once, of the right kind, finite, and from a phase that
succeeded.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.record import STOPPING, USABLE, GateEntry, PhaseEntry, SignOff, Verdict
from runner.terminal import first_line

KINDS = ("min", "max", "equals")
KEYS = ("scrap", *KINDS, "estimate", "n", "about", "why", "when")
OUTCOME = "outcome"  # stands where a guarded phase would, for rules that are judged after the last one
DIGEST = "model_digest"  # the scrap that says what was judged: a waiver is bound to it
LONGEST = 200  # characters that are told of what is behind a value
CHAMPION = "champion"  # the scrap that says whether there is one to compare with
_NOTHING = {"", "None", "NaT", "<NA>"}  # how Python and pandas write a value that is not there


@dataclass(frozen=True)
class Reference:
    """The scrap of a phase, written `phase.scrap`."""

    phase: str
    scrap: str

    def __str__(self) -> str:
        """Give it as it is written in pipeline.yaml."""
        return f"{self.phase}.{self.scrap}"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        phase: The phase it guards.
        scrap: What is judged: usually the cautious end of an interval.
        kind: min, max or equals.
        bound: A literal, or another scrap.
        estimate: The middle of that interval: where it meets the bound and `scrap` does not, data are too few to tell.
        n: How many independent observations stand behind the scrap.
        about: A scrap that says what is behind the value, such as the part that speaks for all; no evidence, only told.
        when: A scrap of the same phase, true or false: the rule applies only where it is true, as with "champion".
    """

    phase: str
    scrap: Reference
    kind: str
    bound: float | str | bool | Reference
    estimate: Reference | None = None
    n: Reference | None = None
    why: str | None = None
    when: str | None = None
    about: Reference | None = None

    @property
    def references(self) -> list[Reference]:
        """All scraps that the rule looks at."""
        named = [self.scrap, self.bound, self.estimate, self.n, self.about]
        condition = [Reference(self.scrap.phase, self.when)] if self.when else []
        return [*(entry for entry in named if isinstance(entry, Reference)), *condition]


class NoEvidence(Exception):
    """A scrap cannot be used as evidence; the message is the reason."""


def check_bound(kind: str, value: Any) -> None:
    """Refuse a literal bound that nothing could be compared with.

    Raises:
        ValueError: It is none for this kind of rule.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    if kind == "equals":
        if not (number or isinstance(value, bool) or (isinstance(value, str) and _says_something(value))):
            raise ValueError(f"is {value!r}; allowed is a finite number, true, false, a text or phase.scrap")
    elif not number:
        raise ValueError(f"is {value!r}; allowed is a finite number or phase.scrap")


def judge(
    phase: str, rules: Sequence[Rule], evidence: Mapping[str, PhaseEntry], sign_offs: Sequence[SignOff] = ()
) -> list[GateEntry]:
    """Judge the rules of a guarded phase.

    Args:
        phase: The guarded phase.
        rules: Its rules; none at all is a failure.
        evidence: The entries of the phases that ran before, as the record holds them.
        sign_offs: What people decided: an inconclusive rule that somebody waived, for this very model, rule and value,
            is waived; nothing else can be.
    """
    if not rules:
        reason = "no rules: a guarded phase without a rule is refused, not passed"
        return [
            {
                "phase": phase,
                "scrap": None,
                "rule": {},
                "value": None,
                "bound": None,
                "verdict": "fail",
                "reason": reason,
            }
        ]
    return [_waived(_judged(rule, evidence), evidence, sign_offs) for rule in rules]


def stops(gates: Sequence[GateEntry]) -> bool:
    """Tell whether these judgements keep the guarded phase from starting."""
    return any(gate["verdict"] in STOPPING for gate in gates)


def said(gate: GateEntry) -> str:
    """Say what was judged and what came of it, and of what does not simply pass what is behind it."""
    about = gate.get("about") if gate["verdict"] in (*STOPPING, "waived") else None
    return f"{gate['scrap'] or 'no rules'}: {gate['reason']}" + (f": {about}" if about else "")


def scrap_value(reference: Reference, evidence: Mapping[str, PhaseEntry]) -> Any:
    """Give the value of a scrap that can be relied on to be the phase's result.

    Raises:
        NoEvidence: Its phase did not succeed, or the scrap is missing, was glued twice or could not be read.
    """
    entry = evidence.get(reference.phase)
    if entry is None:
        raise NoEvidence(f"{reference} is missing: nothing is known of {reference.phase}")
    if entry["status"] not in USABLE:
        raise NoEvidence(f"{reference} does not count: {reference.phase} is {entry['status']}")
    scrap = entry["scraps"].get(reference.scrap)
    if scrap is None:
        raise NoEvidence(f"{reference} is missing: {reference.phase} did not glue it")
    if fault := scrap.get("fault"):
        raise NoEvidence(f"{reference} does not count: {fault}")
    return scrap["value"]


def judged_digest(evidence: Mapping[str, PhaseEntry], phase: str) -> str:
    """Give the digest of what these phases judged: the model that the last of them names, or else a phase's output.

    Args:
        evidence: The entries of phases, in their order.
        phase: The phase whose output it is where none names a model; empty if that is unknown too.
    """
    for name in reversed(list(evidence)):
        try:
            digest = scrap_value(Reference(name, DIGEST), evidence)
        except NoEvidence:
            continue
        if isinstance(digest, str) and digest:
            return digest
    return (evidence[phase]["output_sha256"] or "") if phase in evidence else ""


def written(bound: float | str | bool | Reference) -> float | str | bool:
    """Give a bound as pipeline.yaml has it."""
    return str(bound) if isinstance(bound, Reference) else bound


def _judged(rule: Rule, evidence: Mapping[str, PhaseEntry]) -> GateEntry:
    gate: GateEntry = {
        "phase": rule.phase,
        "scrap": str(rule.scrap),
        "rule": {rule.kind: written(rule.bound)},
        "value": _seen(rule.scrap, evidence),
        "bound": _seen(rule.bound, evidence) if isinstance(rule.bound, Reference) else rule.bound,
        "verdict": "fail",
        "reason": "",
    }
    if rule.estimate:
        gate["estimate"] = _seen(rule.estimate, evidence)
    if rule.n:
        gate["n"] = _seen(rule.n, evidence)
    if rule.about and (about := _about(rule.about, evidence)):
        gate["about"] = about
    if rule.why:
        gate["why"] = rule.why
    try:
        gate["verdict"], gate["reason"] = _verdict(rule, evidence)
    except NoEvidence as missing:
        gate["reason"] = str(missing)
    return gate


def _about(reference: Reference, evidence: Mapping[str, PhaseEntry]) -> str:
    """Give what a phase says is behind a value; empty where it says nothing that counts."""
    try:
        value = scrap_value(reference, evidence)
    except NoEvidence:
        return ""
    return _one_line(value) if isinstance(value, str) else _short(value)


def _one_line(text: str) -> str:
    """Give a text without line ends and control characters: what data say must not look like words of the command."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return first_line(" ".join(printable.split()), LONGEST)


def waiver_of(gate: GateEntry, evidence: Mapping[str, PhaseEntry], sign_offs: Sequence[SignOff]) -> SignOff | None:
    """Give the newest waiver of exactly this: of this model, rule and value; None where there is none."""
    wanted = {
        "kind": "waiver",
        "subject": gate["scrap"],
        "digest": judged_digest(evidence, (gate["scrap"] or "").partition(".")[0]),
        "rule": gate["rule"],
        "value": gate["value"],
    }
    for entry in reversed(sign_offs):
        sound = isinstance(entry, dict) and wanted["digest"]
        if sound and all(entry.get(key) == value for key, value in wanted.items()):
            return entry
    return None


def _waived(gate: GateEntry, evidence: Mapping[str, PhaseEntry], sign_offs: Sequence[SignOff]) -> GateEntry:
    """Give the judgement as waived, where it is inconclusive and somebody waived exactly this."""
    entry = waiver_of(gate, evidence, sign_offs) if gate["verdict"] == "inconclusive" else None
    if entry:
        gate["verdict"], gate["waiver"] = "waived", entry
        gate["reason"] = f"waived by {entry['by']}: {entry['comment']}; {gate['reason']}"
    return gate


def _verdict(rule: Rule, evidence: Mapping[str, PhaseEntry]) -> tuple[Verdict, str]:
    if rule.when and not _holds(rule.when, rule, evidence):
        return "not-applicable", f"no {rule.when}"
    if rule.kind == "equals":
        return _equality(rule, evidence)
    value = _number(rule.scrap, evidence)
    bound = _number(rule.bound, evidence) if isinstance(rule.bound, Reference) else _finite(rule.bound, "the bound")
    n = None if rule.n is None else _count(rule.n, evidence)
    estimate = None if rule.estimate is None else _number(rule.estimate, evidence)
    if _meets(rule.kind, value, bound):
        return "pass", _comparison(rule.kind, value, bound)
    if estimate is not None and _meets(rule.kind, estimate, bound):
        told = f"too little data to tell: {_comparison(rule.kind, value, bound)}, "
        told += f"but the estimate {_comparison(rule.kind, estimate, bound)}"
        return "inconclusive", told + (f" (n {n:,})" if n is not None else "")
    return "fail", _comparison(rule.kind, value, bound)


def _holds(condition: str, rule: Rule, evidence: Mapping[str, PhaseEntry]) -> bool:
    reference = Reference(rule.scrap.phase, condition)
    value = scrap_value(reference, evidence)
    if not isinstance(value, bool):
        raise NoEvidence(f"{reference} is {value!r}; it must be true or false")
    return value


def _equality(rule: Rule, evidence: Mapping[str, PhaseEntry]) -> tuple[Verdict, str]:
    value = _comparable(scrap_value(rule.scrap, evidence), rule.scrap)
    bound = rule.bound
    if isinstance(bound, Reference):
        bound = _comparable(scrap_value(bound, evidence), bound)
    alike = isinstance(value, bool) == isinstance(bound, bool) and isinstance(value, str) == isinstance(bound, str)
    if alike and value == bound:
        return "pass", f"{_short(value)} = {_short(bound)}"
    return "fail", f"{_short(value)} ≠ {_short(bound)}"


def _comparable(value: Any, reference: Reference) -> float | str | bool:
    """Refuse what is no single value, and texts that stand for none: two results that are both NaN are not equal."""
    if isinstance(value, str) and _says_something(value):
        return value
    return value if isinstance(value, bool) else _finite(value, str(reference))


def _number(reference: Reference, evidence: Mapping[str, PhaseEntry]) -> float:
    return _finite(scrap_value(reference, evidence), str(reference))


def _finite(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NoEvidence(f"{name} is {_short(value)}, which is no number")
    if not _is_finite(value):
        raise NoEvidence(f"{name} is {_short(value)}, which is not finite")
    return value


def _is_finite(number: float) -> bool:
    """Tell whether a number can be compared; a whole number that no float can hold counts as infinite."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _says_something(text: str) -> bool:
    """Tell a text from one that stands for no value, or for no finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return text.strip() not in _NOTHING


def _count(reference: Reference, evidence: Mapping[str, PhaseEntry]) -> int:
    value = _number(reference, evidence)
    if value != int(value) or value < 1:
        raise NoEvidence(f"{reference} is {value}; it must be a count of at least 1")
    return int(value)


def _meets(kind: str, value: float, bound: float) -> bool:
    return value >= bound if kind == "min" else value <= bound


def _comparison(kind: str, value: float, bound: float) -> str:
    """Say how two numbers compare, with as many digits as it takes to see the difference."""
    signs = ("≥", "<") if kind == "min" else ("≤", ">")
    shown = f"{value:.4g}", f"{bound:.4g}"
    if shown[0] == shown[1] and value != bound:
        shown = repr(value), repr(bound)
    return f"{shown[0]} {signs[0 if _meets(kind, value, bound) else 1]} {shown[1]}"


def _short(value: Any) -> str:
    """Show a digest by its beginning, and anything else so that 1 and the text '1' differ."""
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return f"{value[:12]}…"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    text = value if isinstance(value, str) else repr(value)
    shown = text if len(text) <= 24 else f"{text[:12]}…"  # noqa: PLR2004
    return f"'{shown}'" if isinstance(value, str) else shown


def _seen(reference: Reference, evidence: Mapping[str, PhaseEntry]) -> Any:
    """Give what stands in the record under this name, whether or not it counts; as text what JSON does not have."""
    entry = evidence.get(reference.phase)
    scrap = entry["scraps"].get(reference.scrap) if entry else None
    value = scrap["value"] if scrap else None
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return str(value)
    return value
