"""What to type next, once a run has ended: told by the command that ran it, and by those that ask for its release."""

import shlex
from collections.abc import Iterator, Sequence

from runner import gates
from runner.record import STOPPING, GateEntry, Record, ReleaseEntry, is_in_doubt

_VALUED = (
    *("--params", "--set", "--from", "--to", "--engine", "--workspace", "--run-id", "--reason", "--timeout"),
    *("--runs", "--pipeline"),
)


def after(found: Record, name: str) -> str:
    """Give the command that leads on from where a run ended.

    Args:
        found: Its record.
        name: How the run is named where the command is typed.
    """
    if found["status"] in ("interrupted", "detached"):
        return f"trey resume {name}"
    if found["status"] == "stopped":
        return past([gate for gate in found["gates"] if gate["verdict"] in STOPPING], found, name)
    return _without(found["command"], "--to", "--run-id", "--fresh") if _ended_early(found) else f"trey show {name}"


def past(stopping: Sequence[GateEntry], found: Record, name: str) -> str:
    """Give the command that leads past the rules that stopped a run.

    Too little data may be waived. What an outcome rule is about may come out otherwise, and a run that is resumed does
    it again. What failed before needs a look first: no command leads past it.

    Args:
        stopping: Those rules, one at least.
        found: The run's record.
        name: How the run is named where the command is typed.
    """
    if all(gate["verdict"] == "inconclusive" for gate in stopping):
        waivers = found.get("sign_offs", [])
        left = [gate for gate in stopping if not gates.waiver_of(gate, found["phases"], waivers)]
        return f"trey waive {name} --gate {left[0]['scrap']} --reason WHY" if left else f"trey resume {name}"
    if all(gate["phase"] == gates.OUTCOME for gate in stopping):
        return f"trey resume {name}"
    return f"trey show {name}"


def anew(found: Record) -> str:
    """Give the command that asks for a run like this one again: what changed since runs, and what did not is taken."""
    return _without(found["command"], "--run-id", "--fresh", "--detach")


def after_release(entry: ReleaseEntry, name: str, found: Record) -> str:
    """Give the command behind a release.

    What is live is served from this machine, or asked where it answers by itself. What an interrupted release left, and
    a model that is live although its release failed, are taken back; where nothing was live before, it is tried again.

    Args:
        entry: The release.
        name: How the run is named where the command is typed.
        found: The run's record.
    """
    status, environment = entry["status"], entry["environment"]
    if status == "succeeded":
        stores = (str(phase["params"].get("endpoint_store", "")) for phase in found["phases"].values())
        by_itself = any("://" in store for store in stores)
        return f"trey smoke --env {environment} --of {name}" if by_itself else f"trey serve --env {environment}"
    if is_in_doubt(entry) and not entry.get("before"):
        return f"trey release {name} --to {environment}"
    if status == "interrupted" or is_in_doubt(entry):
        return f"trey rollback --env {environment} --of {name}"
    return f"trey show {name}"


def _ended_early(found: Record) -> bool:
    return found["status"] == "succeeded" and any(one["status"] == "skipped" for one in found["phases"].values())


def _without(command: str, *options: str) -> str:
    """Give a command without some of its options."""
    kept = (part for part in _parts(command) if part[0].partition("=")[0] not in options)
    return shlex.join(word for part in kept for word in part)


def _parts(command: str) -> Iterator[list[str]]:
    """Give the words of a command, an option together with its value."""
    words = iter(shlex.split(command))
    for word in words:
        yield [word, *([value] if word in _VALUED and (value := next(words, "")) else [])]
