"""What a run knows of its job, `runs/<run-id>/azureml.json`, written before the job is submitted.

So a runner that is killed in between, or a lost answer, never leads to a second job: the name is asked for first.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from runner import record

FILE = "azureml.json"


@dataclass(frozen=True)
class State:
    """A job, submitted or about to be.

    Attributes:
        workspace: The address of its workspace.
        job: Its name.
        phases: The phases of it that this run has not been told the end of, each with a digest over all that it was
            submitted with.
        number: Which job of the run it is, from 1.
    """

    workspace: str
    job: str
    phases: dict[str, str]
    number: int


def load(run_dir: Path) -> State | None:
    """Read the newest job of a run; None where there is none, or what is there is no such file."""
    try:
        found = json.loads((run_dir / FILE).read_text(encoding="utf-8"))
        return State(**found)
    except (OSError, ValueError, TypeError, LookupError):
        return None


def save(run_dir: Path, state: State) -> None:
    """Write the newest job of a run."""
    text = json.dumps(asdict(state), indent=1)
    record.write_atomic(run_dir / FILE, f"{text}\n".encode())
