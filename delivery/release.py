"""What may go where, and the manifest that says what was released: `release.json`."""

import json
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from delivery.errors import ReleaseRefused
from delivery.names import checked

SCHEMA = 1
SCRATCH = "scratch"  # the one environment that needs no gates: notebooks by hand use it
PRODUCTION = "production"
PASSING = ("pass", "not-applicable")

Gate = dict[str, Any]


def check_gates(gates_path: str, digest: str, environment: str) -> list[Gate]:
    """Check that the record of the gates lets a model into an environment, and give its gates.

    Args:
        gates_path: File that the runner wrote before this phase; empty where nobody judged.
        digest: Digest of the model to release.
        environment: Where it shall go.

    Raises:
        ReleaseRefused: The environment is production, which needs a sign-off besides; or, in any but the scratch
            environment, there is no record, a gate did not pass, or none compared the digest of this very model.
    """
    checked("environment", environment)
    if environment == PRODUCTION:
        raise ReleaseRefused(
            "production needs a sign-off, which does not exist yet: `trey approve` comes with the release flow. "
            "Release to staging: trey run"
        )
    gates = read_gates(gates_path)
    if environment == SCRATCH:
        return gates
    if not gates_path:
        raise _refused(environment, "no gates were judged")
    faults = [f"{gate['scrap']}: {gate['verdict']}, {gate.get('reason')}" for gate in gates if _stops(gate)]
    if not gates:
        faults.append("the record holds no gate")
    elif not any(_compares(gate, digest) for gate in gates):
        faults.append(f"no gate compared the digest of this model, {digest}")
    if faults:
        raise _refused(environment, *faults)
    return gates


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


def manifest(*, model_name: str, model_version: int, digest: str, commit: str, gates: Sequence[Gate]) -> dict[str, Any]:
    """Give the release manifest: everything that a deployment, its check and its way back need to know.

    Args:
        model_name: Name in the registry.
        model_version: Version there.
        digest: The model's digest.
        commit: Git commit that the version was registered from; empty where unknown.
        gates: The gates that let it in.
    """
    return {
        "schema": SCHEMA,
        "model": {"name": model_name, "version": model_version, "digest": digest},
        "service": {"version": version("trey")},
        "commit": commit or None,
        "gates": list(gates),
        "approvals": [],
        "waivers": [],
    }


def git_commit(folder: Path) -> str:
    """Give the commit that a folder's checkout stands at, or nothing where it is none."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return ""
    found = done.stdout.strip()
    return found if re.fullmatch("[0-9a-f]{40,64}", found) else ""


def _stops(gate: Gate) -> bool:
    return gate["verdict"] not in PASSING


def _compares(gate: Gate, digest: str) -> bool:
    is_comparison = gate["scrap"].endswith(".model_digest") and "equals" in (gate.get("rule") or {})
    return is_comparison and gate["verdict"] == "pass" and gate.get("value") == digest


def _refused(environment: str, *faults: str) -> ReleaseRefused:
    lines = "\n".join(f"  {fault}" for fault in faults)
    return ReleaseRefused(f"{environment} refuses this model:\n{lines}\nLet the gates judge it: trey run")
