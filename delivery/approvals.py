"""Sign-offs: who let a release into an environment, who refused it, and which rule somebody waived.

A sign-off is bound to what it was given for: to the digest of the model and, if it approves, to the sha256 of the
release manifest, so that it is void as soon as a byte of the release changes. What cannot be read, or is not exactly as
agreed, counts as no sign-off.

Names are what the caller says they are. On a machine of one's own this is advice to honest people; it is enforced where
somebody else hands the names over, as the approval check of an environment in Azure DevOps does.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from delivery.errors import ReleaseRefused
from delivery.files import canonical, sha256

SCHEMA = 1
APPROVAL, REJECTION, WAIVER = "approval", "rejection", "waiver"
KINDS = (APPROVAL, REJECTION, WAIVER)
_TEXTS = ("kind", "subject", "by", "at", "comment", "digest")

SignOff = dict[str, Any]


@dataclass(frozen=True)
class SignedRelease:
    """What a run asks an environment to accept: its release, and what people decided about it.

    Attributes:
        authors: Who started or resumed the run.
        allow_self_approval: Whether one of them may approve it.
        approval_days: How long an approval holds, at most.
        release: The release manifest, without approvals.
        sign_offs: What was decided, in order.
        compared: Address and state of each place that it was judged against; see `delivery.external`.
    """

    authors: tuple[str, ...]
    allow_self_approval: bool
    approval_days: float
    release: Mapping[str, Any]
    sign_offs: tuple[SignOff, ...]
    compared: tuple[tuple[str, str], ...] = ()

    def content(self) -> bytes:
        """Give the file that a deployment reads."""
        return canonical(
            {
                "schema": SCHEMA,
                "authors": list(self.authors),
                "policy": {"allow_self_approval": self.allow_self_approval, "approval_days": self.approval_days},
                "release": dict(self.release),
                "sign_offs": list(self.sign_offs),
                "compared": [list(state) for state in self.compared],
            }
        )


@dataclass(frozen=True)
class Decisions:
    """What the decisions about an environment come to.

    Attributes:
        approvals: Those that count; none while a rejection stands.
        rejections: Those that stand.
        reasons: Why the others do not count, and what stands in the way.
    """

    approvals: list[SignOff]
    rejections: list[SignOff]
    reasons: list[str]


def approval(  # noqa: PLR0913 - all by name
    *, environment: str, by: str, comment: str, release: Mapping[str, Any], days: float, now: datetime
) -> SignOff:
    """Make an approval of a release, with the sha256 of it and of each of its parts, to say later what has changed.

    Args:
        environment: Where the release may go.
        by: Who approves.
        comment: Why.
        release: The release manifest.
        days: How long it holds.
        now: The time.
    """
    return _decided(APPROVAL, environment, by, comment, str(release["model"]["digest"]), now) | {
        "release_sha256": release_digest(release),
        "release_parts": _part_digests(release),
        "expires_at": written(now + timedelta(days=days)),
    }


def rejection(*, environment: str, by: str, comment: str, digest: str, now: datetime) -> SignOff:
    """Make a rejection: the model may not go there until somebody else approves it later."""
    return _decided(REJECTION, environment, by, comment, digest, now)


def waiver(*, gate: Mapping[str, Any], by: str, comment: str, digest: str, now: datetime) -> SignOff:
    """Make a waiver of a rule that was judged inconclusive, bound to the rule and to the value it was judged by."""
    decided = _decided(WAIVER, str(gate["scrap"]), by, comment, digest, now)
    return decided | {"rule": gate["rule"], "value": gate["value"]}


def release_digest(manifest: Mapping[str, Any]) -> str:
    """Give the sha256 that an approval is bound to: of the manifest's one form, before anybody approved it."""
    return sha256(canonical(dict(manifest) | {"approvals": []}))


def read(path: str) -> SignedRelease:
    """Read the file that `SignedRelease.content` wrote.

    Raises:
        ReleaseRefused: It cannot be read, or is not exactly as agreed.
    """
    try:
        content = json.loads(Path(path).read_bytes())
        policy = content["policy"]
        signed = SignedRelease(
            authors=tuple(content["authors"]),
            allow_self_approval=policy["allow_self_approval"],
            approval_days=policy["approval_days"],
            release=content["release"],
            sign_offs=tuple(content["sign_offs"]),
            compared=tuple((uri, state) for uri, state in content["compared"]),
        )
        faults = _shape_faults(content["schema"], signed)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        faults = [repr(error)]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ReleaseRefused(
            f"the sign-offs in {path} cannot be read:\n{lines}\nLet them be written again: trey release"
        )
    return signed


def decisions(signed: SignedRelease, environment: str, now: datetime) -> Decisions:
    """Tell what decisions about an environment come to.

    An approval counts if it is for this environment and for this very release, is neither expired nor of the future,
    and is signed by somebody who may. A rejection of the model stands until somebody else gives a newer approval that
    counts.

    Args:
        signed: The release and what was decided about it.
        environment: Where it shall go.
        now: The time.
    """
    about = [entry for entry in signed.sign_offs if entry["subject"] == environment and entry["kind"] != WAIVER]
    given = {number: _void(entry, signed, now) for number, entry in enumerate(about) if entry["kind"] == APPROVAL}
    counting = [about[number] for number, fault in given.items() if not fault]
    rejections = [
        entry
        for entry in about
        if entry["kind"] == REJECTION
        and entry["digest"] == signed.release["model"]["digest"]
        and not _lifted(entry, counting)
    ]
    reasons = [f"the approval by {said(about[number])} {fault}" for number, fault in given.items() if fault]
    reasons += [f"{said(entry)} rejected it: {entry['comment']}" for entry in rejections]
    return Decisions([] if rejections else counting, rejections, reasons)


def waiver_fault(gate: Mapping[str, Any], digest: str, now: datetime) -> str:
    """Say why a gate that calls itself waived is not; empty where it is."""
    entry = gate.get("waiver")
    if not isinstance(entry, dict) or _entry_faults(entry):
        return "no waiver stands with it"
    if entry["kind"] != WAIVER or entry["subject"] != gate["scrap"]:
        return "the waiver is about something else"
    if entry["digest"] != digest:
        return f"the waiver is for another model, {entry['digest']}"
    if (entry.get("rule"), entry.get("value")) != (gate.get("rule"), gate.get("value")):
        return "the waiver is for another rule or value"
    return "the waiver is of the future" if moment(entry["at"]) > now else ""


def moment(text: str) -> datetime:
    """Read a time as records write it.

    Raises:
        ValueError: It is none, or has no time zone.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found


def written(time: datetime) -> str:
    """Give a time as records write it: UTC, to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def said(entry: SignOff) -> str:
    """Name who decided and when."""
    return f"{entry['by']} ({entry['at'][:16].replace('T', ' ')} UTC)"


def _decided(  # noqa: PLR0913, PLR0917 - one for each part
    kind: str, subject: str, by: str, comment: str, digest: str, now: datetime
) -> SignOff:
    return {"kind": kind, "subject": subject, "by": by, "at": written(now), "comment": comment, "digest": digest}


def is_among(name: str, names: Iterable[str]) -> bool:
    """Tell whether somebody is one of some people: addresses of one person come with capitals and without."""
    return name.casefold() in {one.casefold() for one in names}


def _void(entry: SignOff, signed: SignedRelease, now: datetime) -> str:
    """Say why an approval does not count; empty where it does."""
    given, expires = moment(entry["at"]), moment(entry["expires_at"])
    wanted = release_digest(signed.release)
    if entry["digest"] != signed.release["model"]["digest"]:
        return f"is for another model, {entry['digest']}"
    if entry["release_sha256"] != wanted:
        return f"is void: {_changed(entry, signed.release)}"
    if given > now:
        return "is of the future"
    if now >= min(expires, given + timedelta(days=signed.approval_days)):
        return f"expired; it held until {entry['expires_at']}"
    if is_among(entry["by"], signed.authors) and not signed.allow_self_approval:
        return "is by an author of the run"
    return ""


def _changed(entry: SignOff, release: Mapping[str, Any]) -> str:
    """Say what of a release is another than when it was approved."""
    given, here = entry.get("release_parts"), _part_digests(release)
    if isinstance(given, dict) and given:  # an older approval has none
        names = sorted(name for name in given.keys() | here.keys() if given.get(name) != here.get(name))
        if names:
            return f"since then {' and '.join(names)} of the release changed"
    return f"it was given for release {entry['release_sha256'][:12]}…, and this is {release_digest(release)[:12]}…"


def _part_digests(release: Mapping[str, Any]) -> dict[str, str]:
    """Give the sha256 of each part of a release that is there before anybody approves it."""
    return {name: sha256(canonical({name: part})) for name, part in release.items() if name != "approvals"}


def _lifted(rejected: SignOff, approvals: Sequence[SignOff]) -> bool:
    """Tell whether somebody else approved after a rejection."""
    since = moment(rejected["at"])
    return any(not is_among(entry["by"], [rejected["by"]]) and moment(entry["at"]) > since for entry in approvals)


def _shape_faults(schema: Any, signed: SignedRelease) -> list[str]:
    """Name what is not as agreed; anything at all refuses the whole."""
    faults = [] if schema == SCHEMA and schema is not True else [f"schema {schema!r}; this version reads {SCHEMA}"]
    if not all(isinstance(name, str) and name for name in signed.authors) or not signed.authors:
        faults.append("authors must be names, one at least")
    if not isinstance(signed.allow_self_approval, bool):
        faults.append("policy.allow_self_approval must be true or false")
    days = signed.approval_days
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= 366:  # noqa: PLR2004
        faults.append("policy.approval_days must be a number above 0")
    if not all(isinstance(text, str) for state in signed.compared for text in state):
        faults.append("compared must be addresses and states")
    if not isinstance(signed.release["model"]["digest"], str):
        faults.append("release.model.digest must be a digest")
    for number, entry in enumerate(signed.sign_offs, start=1):
        faults += [f"sign-off {number}: {fault}" for fault in _entry_faults(entry)]
    return faults


def _entry_faults(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return [f"it is {entry!r}"]
    names = [*_TEXTS, *(("release_sha256", "expires_at") if entry.get("kind") == APPROVAL else ())]
    faults = [f"{name} is missing" for name in names if not (isinstance(entry.get(name), str) and entry[name].strip())]
    if not faults and entry["kind"] not in KINDS:
        faults.append(f"kind is {entry['kind']!r}; allowed are {', '.join(KINDS)}")
    for name in ("at", "expires_at") if not faults else ():
        try:
            moment(str(entry.get(name, entry["at"])))
        except ValueError as error:
            faults.append(f"{name}: {error}")
    return faults
