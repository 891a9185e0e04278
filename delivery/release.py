"""What may go where, and the manifest that says what was released: `release.json`."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from delivery import approvals as sign_offs
from delivery import external
from delivery.approvals import SignOff
from delivery.errors import DeliveryError, ReleaseRefused
from delivery.files import canonical, sha256
from delivery.names import SCRATCH, TRIAL, checked

SCHEMA = 1
WAIVED = "waived"
PASSING = ("pass", "not-applicable", WAIVED)

Gate = dict[str, Any]


@dataclass(frozen=True)
class Permission:
    """What lets a model into an environment, for the manifest that is written afterwards."""

    gates: list[Gate]
    approvals: list[SignOff]
    waivers: list[SignOff]


def permit(  # noqa: PLR0913 - all by name
    *,
    gates_path: str,
    sign_offs_path: str,
    digest: str,
    environment: str,
    model_name: str | None = None,
    model_version: int | None = None,
    now: datetime | None = None,
) -> Permission:
    """Check that a model may go into an environment, and give what says so. What is not expressly allowed is refused.

    Scratch asks for nothing. Any other environment asks for gates that passed or were waived, one of which compared the
    digest of this very model, and that no rejection stands; any but staging asks for an approval of this very release.

    Args:
        gates_path: File that the runner wrote before this phase; empty where nobody judged.
        sign_offs_path: File that `trey release` wrote: the release, and what people decided about it; empty for none.
        digest: Digest of the model to release.
        environment: Where it shall go.
        model_name: Its name in the registry: checked against the approved release, where given.
        model_version: Its version there, likewise.
        now: The time; without it, the clock's.

    Raises:
        ReleaseRefused: Something is missing, unreadable, about another release, expired, of the future, or against it.
    """
    checked("environment", environment)
    gates = read_gates(gates_path)
    if environment == SCRATCH:
        return Permission(gates, [], [])
    now = now or datetime.now(UTC)
    faults = [] if gates_path else ["no gates were judged"]
    faults += [f"{gate['scrap']}: {fault}" for gate in gates if (fault := _gate_fault(gate, digest, now))]
    if gates_path and not gates:
        faults.append("the record holds no gate")
    elif gates and not any(_compares(gate, digest) for gate in gates):
        faults.append(f"no gate compared the digest of this model, {digest}")
    if faults:
        raise _refused(environment, *faults)
    waivers = [gate["waiver"] for gate in gates if gate["verdict"] == WAIVED]
    approvals = _approvals(sign_offs_path, gates, (digest, model_name, model_version), environment, now)
    return Permission(gates, approvals, waivers)


def unchanged(sign_offs_path: str, digest: str, model_version: int) -> None:
    """Check that what a release was judged against, such as a champion, is so still; asked when no other can go live.

    Args:
        sign_offs_path: File that `trey release` wrote; empty in a run, which has only just judged.
        digest: Digest of the model to release, which may be champion by now itself.
        model_version: Its version in the registry.

    Raises:
        ReleaseRefused: It is not, or cannot be read.
    """
    if not sign_offs_path:
        return
    own, faults = external.champion_state(model_version, digest), []
    for uri, before in sign_offs.read(sign_offs_path).compared:
        try:
            now = external.state(uri)
        except (DeliveryError, ValueError) as error:
            faults.append(f"{uri} cannot be read: {error}")
        else:
            faults += [] if now in (before, own) else [f"{uri} changed since this model was judged"]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        said = f"this model was judged against what is no longer so:\n{lines}\nLet it be judged again: trey run"
        raise ReleaseRefused(said, *faults)


def read_gates(gates_path: str) -> list[Gate]:
    """Give the gates that were judged before this phase; none where a notebook runs by hand and the path is empty.

    Raises:
        ReleaseRefused: The file is no record of gates.
    """
    if not gates_path:
        return []
    try:
        gates = json.loads(Path(gates_path).read_bytes())["gates"]
        return [{"scrap": str(gate["scrap"]), "verdict": str(gate["verdict"])} | gate for gate in gates]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseRefused(
            f"the record of the gates, {gates_path}, cannot be read: {error!r}\nLet them be judged again: trey run"
        ) from error


def manifest(  # noqa: PLR0913 - all by name
    *,
    model_name: str,
    model_version: int,
    digest: str,
    commit: str,
    gates: Sequence[Gate],
    approvals: Sequence[SignOff] = (),
) -> dict[str, Any]:
    """Give the release manifest: everything that a deployment, its check and its way back need to know.

    It is composed twice: before anybody approves, so that there is something to approve, and when it is released. An
    approval is bound to the first, and the second differs from it in its approvals alone. The waivers are those that
    the gates carry. The web application is absent until there is one.

    Args:
        model_name: Name in the registry.
        model_version: Version there.
        digest: The model's digest.
        commit: Git commit that the version was registered from; empty where unknown.
        gates: The gates that let it in.
        approvals: Who approved it.
    """
    return {
        "schema": SCHEMA,
        "model": {"name": model_name, "version": model_version, "digest": digest},
        "service": {"version": version("trey"), "digest": service_digest()},
        "commit": commit or None,
        "gates": list(gates),
        "approvals": list(approvals),
        "waivers": [gate["waiver"] for gate in gates if gate["verdict"] == WAIVED],
    }


def service_digest() -> str:
    """Give the sha256 over the code that answers: the service's modules and the scorer. None of it is imported."""
    root = Path(__file__).resolve().parents[1]
    paths = [*sorted((root / "service").rglob("*.py")), root / "compliance" / "scorer.py"]
    return sha256(canonical({path.relative_to(root).as_posix(): sha256(path.read_bytes()) for path in paths}))


def git_commit(folder: Path) -> str:
    """Give the commit that a folder's checkout stands at, or nothing where it is none.

    A snapshot of one, as a phase on a cluster finds it, has no git; the variable TREY_COMMIT says it there.
    """
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
        found = done.stdout.strip()
    except FileNotFoundError:  # no git on this machine
        found = ""
    found = found or os.environ.get("TREY_COMMIT", "")
    return found if re.fullmatch("[0-9a-f]{40,64}", found) else ""


def _gate_fault(gate: Gate, digest: str, now: datetime) -> str:
    """Say why a gate does not let this model pass; empty where it does."""
    if gate["verdict"] not in PASSING:
        return f"{gate['verdict']}, {gate.get('reason')}"
    return sign_offs.waiver_fault(gate, digest, now) if gate["verdict"] == WAIVED else ""


def _approvals(
    path: str, gates: Sequence[Gate], model: tuple[str, str | None, int | None], environment: str, now: datetime
) -> list[SignOff]:
    """Give the approvals that count for this release.

    Raises:
        ReleaseRefused: A rejection stands, the sign-offs are about another release, or an approval is missing.
    """
    if not path:
        if environment not in TRIAL:
            raise _unsigned(environment, "nobody approved this release")
        return []
    signed = sign_offs.read(path)
    if faults := list(_other_release(signed.release, gates, *model)):
        raise _unsigned(environment, *faults)
    decided = sign_offs.decisions(signed, environment, now)
    if decided.rejections or (environment not in TRIAL and not decided.approvals):
        raise _unsigned(environment, *(decided.reasons or ["nobody approved this release"]))
    return decided.approvals


def _other_release(
    candidate: Mapping[str, Any], gates: Sequence[Gate], digest: str, name: str | None, number: int | None
) -> list[str]:
    """Name the parts in which a release that people decided about is not the one at hand, composed anew."""
    try:
        model = candidate["model"]
        here = manifest(
            model_name=name or model["name"],
            model_version=number or model["version"],
            digest=digest,
            commit=candidate["commit"],
            gates=gates,
        )
        parts = sorted(here.keys() | candidate.keys())
        return [
            f"the sign-offs are about another release: its {part} differs"
            for part in parts
            if canonical({"": here.get(part)}) != canonical({"": candidate.get(part)})
        ]
    except (KeyError, TypeError, ValueError) as error:
        return [f"the sign-offs are about something that is no release: {error!r}"]


def _compares(gate: Gate, digest: str) -> bool:
    is_comparison = gate["scrap"].endswith(".model_digest") and "equals" in (gate.get("rule") or {})
    return is_comparison and gate["verdict"] == "pass" and gate.get("value") == digest


def _refused(environment: str, *faults: str) -> ReleaseRefused:
    lines = "\n".join(f"  {fault}" for fault in faults)
    return ReleaseRefused(f"{environment} refuses this model:\n{lines}\nLet the gates judge it: trey run", *faults)


def _unsigned(environment: str, *faults: str) -> ReleaseRefused:
    lines = "\n".join(f"  {fault}" for fault in faults)
    return ReleaseRefused(
        f"{environment} refuses this release:\n{lines}\n"
        f"Let somebody decide: trey approve RUN --env {environment} --comment WHY",
        *faults,
    )
