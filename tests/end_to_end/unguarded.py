"""`trey` with one of its guards taken away, to show that the check of a fault can fail.

python -m tests.end_to_end.unguarded GUARD ARGUMENTS...
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def stop_at_an_error() -> None:
    from runner.execute import _Client

    _Client.allow_errors = True


def true_marks() -> None:
    from papermill.engines import NotebookExecutionManager

    from runner.execute import _Manager

    def complete(self: _Manager, **words: Any) -> None:
        NotebookExecutionManager.notebook_complete(self, **words)
        self._write(durable=True)

    _Manager.notebook_complete = complete  # type: ignore[method-assign]
    _Manager.put_banner = lambda *_: None  # type: ignore[method-assign]


def the_stack_of_the_kernel() -> None:
    from runner.execute import _Client

    async def none(self: object) -> str:
        return ""

    _Client._stack = none  # type: ignore[method-assign]


def signals_are_caught() -> None:
    from runner import signals
    from runner.execute import _Client

    @contextlib.contextmanager
    def uncaught(*_: object) -> Iterator[None]:
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)
        yield

    _Client._signals = uncaught  # type: ignore[method-assign, assignment]
    signals.terminable = uncaught


def the_next_command_settles_it() -> None:
    from runner import aftermath

    aftermath.settle = lambda _: None


def unknown_parameters_are_refused() -> None:
    from runner import parameters

    parameters._unknown = lambda *_: iter(())


def types_are_checked() -> None:
    from runner.notebook import Parameter

    def anything(_: Parameter, value: Any) -> Any:
        return value

    Parameter.coerce = anything  # type: ignore[method-assign]


def scraps_are_checked() -> None:
    from runner import gates, phase, scraps

    read = scraps.read

    def trusting(*arguments: Any) -> Any:
        found, displays = read(*arguments)
        for scrap in found.values():
            scrap.pop("fault", None)
        return found, displays

    phase.scraps.read = trusting
    gates._finite = lambda value, _: 1.0 if isinstance(value, str) or value is None else value


def secrets_are_redacted() -> None:
    from runner.redaction import Redactor

    Redactor.__init__ = lambda self, _: setattr(self, "_marks", {})  # type: ignore[method-assign, assignment]


def a_run_folder_is_held() -> None:
    import shutil

    from runner import beginning, record

    @contextlib.contextmanager
    def open_to_all(_: Path) -> Iterator[None]:
        yield

    def new_folder(prepared: Any) -> Path:
        run_dir: Path = prepared.runs / prepared.request.run_id
        shutil.rmtree(run_dir / "work", ignore_errors=True)
        (run_dir / "notebooks").mkdir(parents=True, exist_ok=True)
        return run_dir

    record.hold = open_to_all
    beginning.new_folder = new_folder


GUARDS: dict[str, Callable[[], None]] = {
    guard.__name__.replace("_", " "): guard
    for guard in (
        stop_at_an_error, true_marks, the_stack_of_the_kernel, signals_are_caught, the_next_command_settles_it,
        unknown_parameters_are_refused, types_are_checked, scraps_are_checked, secrets_are_redacted,
        a_run_folder_is_held,
    )
}  # fmt: skip

if __name__ == "__main__":
    GUARDS[sys.argv.pop(1)]()
    sys.argv[0] = "trey"
    from runner.cli import main

    main()
