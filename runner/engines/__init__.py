"""Where phases run: a name and a class with one method. The class is imported when it is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from runner.errors import BadRequest
from runner.redaction import Redactor
from runner.references import Secret

if TYPE_CHECKING:
    from runner.execute import CellEvent, Outcome

ENGINES = {"local": "runner.engines.local:LocalEngine"}


@dataclass(frozen=True)
class Job:
    """One phase to run.

    Attributes:
        phase: Its name.
        notebook: Its notebook, as committed.
        parameters: What to inject: overridden values, given folders, output_dir.
        output_dir: Where the phase writes; it exists and is empty.
        executed: Where the executed notebook is to be written.
        timeout: Seconds for all cells together; None for no limit.
        retries: How often it may start again after its kernel died.
        secrets: Parameters to inject whose values are nowhere written.
        reserve: A file to give up when the disk is full.
        redactor: Takes the secrets of the whole run out of what is written.
    """

    phase: str
    notebook: Path
    parameters: Mapping[str, Any]
    output_dir: Path
    executed: Path
    timeout: float | None
    retries: int
    secrets: Mapping[str, Secret]
    redactor: Redactor
    reserve: Path | None = None


class Engine(Protocol):
    """Runs one phase with the folders it is given, and brings back its folder and its executed notebook."""

    def run(self, job: Job, on_cell: "Callable[[CellEvent], None]") -> "Outcome":
        """Run the phase and say how it ended; a phase that fails is an outcome, not an exception."""


def check(name: str) -> None:
    """Refuse an engine that does not exist.

    Raises:
        BadRequest: There is none of this name.
    """
    if name not in ENGINES:
        raise BadRequest(
            f"there is no engine {name!r}; allowed are {', '.join(ENGINES)}", next_step="trey run --engine local"
        )


def choose(name: str) -> Engine:
    """Give the engine of this name.

    Raises:
        BadRequest: There is none.
    """
    check(name)
    module, _, attribute = ENGINES[name].partition(":")
    engine: Engine = getattr(import_module(module), attribute)()
    return engine
