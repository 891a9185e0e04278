"""Executes one notebook with papermill, and says truthfully what happened to each of its cells.

papermill marks every cell completed when the kernel dies, and writes the notebook twice per cell. Its engine here keeps
its conventions (tags, injected cell, metadata) with four differences: cells that never ran stay pending, saves are
atomic and seldom, secrets reach the kernel but no file, and the kernel is this very interpreter (`runner.kernel`).
"""

import asyncio
import contextlib
import errno
import json
import logging
import math
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from runner import memory
from runner.kernel import OwnKernel, last_words, socket_folder
from runner.notebook import INJECTED_TAG, banner, own_cells, time_limit
from runner.record import Cause, CellFailure, write_atomic
from runner.redaction import Redactor
from runner.references import Secret
from runner.streams import LINE, Streams
from runner.terminal import plain

ENGINE = "trey"
BAD_INPUT = "BadInput"
HANDED_OVER = "trey_secrets"  # the module of a kernel that holds the secrets of its notebook
_SAVE_EVERY = 2.0  # seconds, at least
_SAVE_SHARE = 0.05  # of the time, at most, goes into saving
_DRAIN = 600  # seconds for the output of a cell to arrive after its end
_START = 120  # seconds for a kernel to answer
_TAIL = 12  # lines of a traceback that the record keeps
_STACK = 30  # lines of a kernel's stack that the record keeps
_STACK_WAIT = 2.0  # seconds for a kernel to write it
_WORDS_EVERY = 1.0  # seconds between two times that it is told what a cell prints

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # what nbclient says there is said by the outcome


@dataclass(frozen=True)
class CellEvent:
    """A cell began, printed something or ended.

    Attributes:
        kind: "started", "printed" or "ended".
        cell: Its index in the executed notebook.
        number: Which code cell it is, from 1.
        total: How many code cells there are.
        first_line: The first line of its source; the last line of what it printed.
        seconds: How long it took; None before it ended.
        status: papermill's word: running, completed or failed.
    """

    kind: str
    cell: int
    number: int
    total: int
    first_line: str
    seconds: float | None
    status: str


@dataclass(frozen=True)
class Outcome:
    """How a notebook ended. Without a cause it succeeded; `seconds` says how long it took, where it ran elsewhere."""

    cause: Cause | None = None
    message: str | None = None
    error: CellFailure | None = None
    seconds: float | None = None


def execute(  # noqa: PLR0913  # what papermill takes, and the secrets
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    secrets: Mapping[str, Secret] | None = None,
    redactor: Redactor | None = None,
    reserve: Path | None = None,
    timeout: float | None = None,
    on_cell: Callable[[CellEvent], None] = lambda _: None,
) -> Outcome:
    """Execute a notebook in its own folder and write what came of it, also where it fails.

    SIGINT and SIGTERM end the kernel and give an outcome with the cause "interrupted".

    Args:
        notebook: The notebook; the kernel works in its folder.
        output: Where the executed notebook is written, atomically.
        parameters: What the injected cell sets.
        secrets: Parameters that the injected cell sets to secrets; it names their references alone.
        redactor: Takes secrets out of all that is written or told; without one, those of this notebook.
        reserve: A file to give up when the disk is full.
        timeout: Seconds for all cells together; the tag `timeout=SECONDS` limits a cell of its own.
        on_cell: Is told when a code cell starts and ends.
    """
    document = load_notebook_node(str(notebook))
    document.cells = own_cells(document)
    secrets = secrets or {}
    if parameters or secrets:
        document = parameterize_notebook(
            document, dict(parameters), kernel_name="python3", language="python", engine_name=ENGINE
        )
        injected = next(cell for cell in document.cells if INJECTED_TAG in cell.metadata.get("tags", []))
        injected["id"] = INJECTED_TAG  # papermill's is random: two runs of the same would differ
        _name_secrets(document, injected, secrets)
    values = {name: secret.value for name, secret in secrets.items()}
    document.metadata.papermill.update(input_path=notebook.name, output_path=output.name)
    outcomes: list[Outcome] = []
    papermill_engines.execute_notebook_with_engine(
        ENGINE,
        document,
        kernel_name="python3",
        output_path=str(output),
        cwd=notebook.parent,
        timeout=timeout,
        on_cell=on_cell,
        outcomes=outcomes,
        secrets=values,
        redactor=redactor or Redactor(values),
        reserve=reserve,
    )
    return outcomes[0]


class Engine(NBClientEngine):
    """papermill's engine of the name "trey"."""

    @classmethod
    def execute_notebook(  # type: ignore[override]  # noqa: PLR0913, PLR0917  # papermill's shape, our arguments
        cls,
        nb: NotebookNode,
        kernel_name: str,
        output_path: str,
        cwd: Path,
        timeout: float | None,
        on_cell: Callable[[CellEvent], None],
        outcomes: list[Outcome],
        secrets: Mapping[str, str],
        redactor: Redactor,
        reserve: Path | None,
    ) -> NotebookNode:
        """Execute the notebook and append its outcome to `outcomes`."""
        manager = _Manager(nb, Path(output_path), on_cell, redactor)
        try:
            manager.notebook_start()
            outcomes.append(cls.execute_managed_notebook(manager, kernel_name, cwd, timeout, secrets))
            if outcomes[-1].cause:
                manager.put_banner(outcomes[-1])
            manager.notebook_complete()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            outcomes[:] = [Outcome("disk-full", f"the disk is full: {error}; the outputs of all cells are lost")]
            if reserve:
                reserve.unlink(missing_ok=True)
            manager.save_without_outputs(outcomes[0])
        return nb

    @classmethod
    def execute_managed_notebook(  # type: ignore[override]
        cls, nb_man: "_Manager", kernel_name: str, cwd: Path, timeout: float | None, secrets: Mapping[str, str]
    ) -> Outcome:
        """Run all cells in a fresh kernel, which is gone when this returns."""
        with socket_folder() as folder, last_words() as stderr:
            kernel = OwnKernel(folder, kernel_name=kernel_name)
            client = _Client(
                nb_man, timeout, secrets, km=kernel, log=_log, startup_timeout=_START, iopub_timeout=_DRAIN
            )
            outcome = asyncio.run(client.outcome(cwd, stderr))
        safe = nb_man.redactor
        return Outcome(outcome.cause, safe.value(outcome.message), safe.value(outcome.error))


papermill_engines.register(ENGINE, Engine)


class _Manager(NotebookExecutionManager):
    """papermill's bookkeeping, with atomic saves that take a small share of the time and true marks at the end."""

    def __init__(self, nb: NotebookNode, path: Path, on_cell: Callable[[CellEvent], None], redactor: Redactor):
        super().__init__(nb, progress_bar=False)
        self.path = path
        self.redactor = redactor
        self.on_cell = on_cell
        code = [index for index, cell in enumerate(nb.cells) if cell.cell_type == "code"]
        self.numbers = {index: number for number, index in enumerate(code, start=1)}
        self._next_save = 0.0
        self._next_words = 0.0
        self._cell_began = self.now()

    def save(self, **_: Any) -> None:
        """Save, unless that was done a moment ago."""
        if time.monotonic() >= self._next_save:
            self._write(durable=False)

    def autosave_cell(self) -> None:
        """Save in the middle of a cell, so that a reader sees its output grow."""
        self.save()

    def cell_start(self, cell: NotebookNode, cell_index: int = 0, **kwargs: Any) -> None:
        """Mark and tell that a cell runs."""
        self._cell_began = self.now()
        super().cell_start(cell, cell_index, **kwargs)
        self._tell("started", cell, cell_index)

    def cell_complete(self, cell: NotebookNode, cell_index: int = 0, **kwargs: Any) -> None:
        """Mark and tell that a cell ended; papermill reads the time of its start back from the text that it wrote."""
        mark, now = cell.metadata.papermill, self.now()
        mark["end_time"], mark["duration"] = now.isoformat(), (now - self._cell_began).total_seconds()
        if mark["status"] != self.FAILED:
            mark["status"] = self.COMPLETED
        self.save()
        self._tell("ended", cell, cell_index)

    def printed(self, cell_index: int, text: str) -> None:
        """Tell what a cell prints while it runs: the last line, now and then."""
        if (now := time.monotonic()) < self._next_words:
            return
        if line := text[-LINE:].rstrip().rpartition("\n")[2].strip():
            self._next_words = now + _WORDS_EVERY
            self._tell("printed", self.nb.cells[cell_index], cell_index, line)

    def notebook_complete(self, **_: Any) -> None:
        """Finish the metadata and save; a cell that never ran stays pending."""
        self.end_time = self.now()
        meta = self.nb.metadata.papermill
        meta["end_time"] = self.end_time.isoformat()
        meta["duration"] = (self.end_time - self.start_time).total_seconds()
        self._write(durable=True)

    def put_banner(self, outcome: Outcome) -> None:
        """Say on top of the notebook why it did not succeed."""
        said = banner(self.nb, str(outcome.cause), outcome.message or "")
        self.nb.cells.insert(0, nbformat.from_dict(said))

    def save_without_outputs(self, outcome: Outcome) -> None:
        """Save which cells ran and why the rest did not, in what little space is left."""
        self.nb.cells = own_cells(self.nb)
        for cell in self.nb.cells:
            if cell.cell_type == "code":
                cell.outputs = []
        self.nb.metadata.papermill["exception"] = True
        self.put_banner(outcome)
        with contextlib.suppress(OSError):
            self.notebook_complete()

    def _tell(self, kind: str, cell: NotebookNode, index: int, line: str = "") -> None:
        if number := self.numbers.get(index):
            line = line or next((line for line in cell.source.splitlines() if line.strip()), "")
            meta = cell.metadata.papermill
            seconds = meta.duration if kind == "ended" else None
            first = self.redactor.text(line.strip())
            self.on_cell(CellEvent(kind, index, number, len(self.numbers), first, seconds, meta.status))

    def _write(self, *, durable: bool) -> None:
        """Write the notebook; in between in one line, which takes a tenth of the time."""
        started = time.monotonic()
        safe = self.redactor.value(self.nb)
        text = nbformat.v4.writes(safe) if durable else json.dumps(safe, ensure_ascii=False)
        write_atomic(self.path, text.encode(), durable=durable)
        took = time.monotonic() - started
        self._next_save = started + max(_SAVE_EVERY, took / _SAVE_SHARE)


class _Client(PapermillNotebookClient):
    """Runs the cells one after the other until one fails, the kernel dies, time is up or a signal arrives."""

    def __init__(self, nb_man: _Manager, deadline: float | None, secrets: Mapping[str, str], **kwargs: Any):
        super().__init__(nb_man, **kwargs)
        self.seconds = deadline
        self.secrets = secrets
        self.allowed = deadline  # seconds; of the limit that the running cell is nearer to
        self.cell: int | None = None
        self.interrupted = False
        self.ending = False
        self.oom_kills = memory.oom_kills()
        path = nb_man.path
        self.streams = Streams(
            lambda cell, name: path.with_name(f"{path.stem}.cell-{cell}.{name}.log"), nb_man.redactor
        )

    async def outcome(self, cwd: Path, stderr: Any) -> Outcome:
        """Start the kernel, run the cells, and end the kernel, whatever happens in between."""
        self.reset_execution_trackers()
        with self._signals():
            try:
                outcome = await self._lived(cwd, stderr)
            finally:
                self.ending = True
                await self._end_kernel()
        if self.interrupted and outcome.cause is None:
            return self._stopped("interrupted", "a signal ended it after its last cell")
        return outcome

    async def _lived(self, cwd: Path, stderr: Any) -> Outcome:
        """Start the kernel, run the cells, and say how that ended."""
        try:
            await self.async_start_new_kernel(cwd=str(cwd), stdout=stderr, stderr=stderr)
            await self.async_start_new_kernel_client()
            await self._run_cells()
        except CellExecutionError as error:
            return self._cell_error(error)
        except CellTimeoutError as error:
            self.ending = True
            return self._time_out(await self._stack()) if self.allowed else self._stopped("internal", str(error))
        except (DeadKernelError, asyncio.CancelledError, RuntimeError) as error:
            if self.interrupted:
                return self._stopped("interrupted", f"a signal ended it{self._where()}")
            if isinstance(error, asyncio.CancelledError):
                raise
            return self._stopped("kernel-died", self._obituary(error, stderr))
        return Outcome()

    async def _run_cells(self) -> None:
        reply = await self.async_wait_for_reply(self.kc.kernel_info())
        if reply:
            self.nb.metadata["language_info"] = reply["content"]["language_info"]
        if self.secrets:
            await self._hand_over()
        end = math.inf if self.seconds is None else time.monotonic() + self.seconds
        self.timeout_func = lambda cell: self._limit(cell, end)
        for index, cell in enumerate(self.nb.cells):
            self.cell = index
            self.nb_man.cell_start(cell, index)
            try:
                await self.async_execute_cell(cell, index)
            except BaseException:
                self.nb_man.cell_exception(cell, index)
                raise
            finally:
                self.streams.settle()
                self.nb_man.cell_complete(cell, index)
        self.cell = None
        self.set_widgets_metadata()

    async def _hand_over(self) -> None:
        """Give the kernel the secrets in a module of its own; the request is not kept, and told to nobody else."""
        module = f"__import__('types').SimpleNamespace(**{dict(self.secrets)!r})"
        give = f"__import__('sys').modules.__setitem__({HANDED_OVER!r}, {module})"
        await self.async_wait_for_reply(self.kc.execute(give, silent=True, store_history=False))

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Store an output of a cell; what it prints is folded."""
        out: NotebookNode | None = super().output(outs, msg, display_id, cell_index)
        if out is not None and out.output_type == "stream" and outs and outs[-1] is out:
            out = self.streams.fold(outs, cell_index)
            if out.name == "stdout":
                self.nb_man.printed(cell_index, out.text)
        return out

    def _limit(self, cell: NotebookNode, end: float) -> float | None:
        """Give the seconds that a cell may take: its own limit, or what is left of that of all cells."""
        own = time_limit(cell.metadata.get("tags", [])) or math.inf
        left = max(0.01, end - time.monotonic())
        self.allowed = own if own < left else self.seconds
        return None if min(own, left) == math.inf else min(own, left)

    async def _end_kernel(self) -> None:
        """End the kernel, and what it started and left in its session."""
        if self.km is None:
            return
        process = self._process()
        await self._async_cleanup_kernel()
        if process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process, signal.SIGKILL)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM cancel the run, not tear it apart; afterwards they do what they did before."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def cancel() -> None:
            if not self.interrupted and task:
                self.interrupted = True
                if not self.ending:  # a moment more, and the kernel is gone in good order
                    task.cancel()

        try:
            for number in before:
                loop.add_signal_handler(number, cancel)
        except (RuntimeError, ValueError):  # not the main thread: signals do not arrive here
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _process(self) -> int | None:
        return getattr(self.km.provisioner, "pid", None) if self.km and self.km.provisioner else None

    async def _stack(self) -> str:
        """Let the kernel write what each of its threads is doing, and give that; nothing where it does not answer."""
        process = self._process()
        if not isinstance(self.km, OwnKernel) or process is None:
            return ""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGUSR1)
        end = time.monotonic() + _STACK_WAIT
        while time.monotonic() < end and not self.km.stack.stat().st_size:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # for its last lines
        return self.km.stack.read_text(encoding="utf-8", errors="replace")

    def _time_out(self, stack: str) -> Outcome:
        outcome = self._stopped("timeout", f"time was up after {self.allowed:g} s{self._where()}")
        if self.cell is None or not stack:
            return outcome
        running = stack[max(stack.find("Current thread"), 0) :]  # the main thread, which runs the cells
        failure: CellFailure = {
            "cell": self.cell,
            "ename": "TimeoutError",
            "evalue": outcome.message or "",
            "traceback_tail": "\n".join(running.splitlines()[:_STACK]),
        }
        return replace(outcome, error=failure)

    def _stopped(self, cause: Cause, message: str) -> Outcome:
        self.shutdown_kernel = "immediate"
        self.nb.metadata.papermill["exception"] = True
        return Outcome(cause, message)

    def _where(self) -> str:
        return "" if self.cell is None else f" in cell {self.cell}"

    def _cell_error(self, error: CellExecutionError) -> Outcome:
        cell = self.cell or 0
        ename, evalue = error.ename, plain(error.evalue)
        raised = [output for output in self.nb.cells[cell].outputs if output.output_type == "error"]
        lines = plain("\n".join(raised[-1].traceback) if raised else error.traceback).splitlines()
        failure: CellFailure = {
            "cell": cell,
            "ename": ename,
            "evalue": evalue,
            "traceback_tail": "\n".join(lines[-_TAIL:]),
        }
        if ename == BAD_INPUT:
            return Outcome("bad-input", evalue, failure)
        if ename == "OSError" and evalue.startswith(f"[Errno {errno.ENOSPC}]"):
            return Outcome("disk-full", f"the disk is full: {evalue}", failure)
        if ename == "SystemExit":
            message = f"cell {cell} ended the notebook with sys.exit({evalue}); the cells after it never ran"
            return Outcome("cell-error", message, failure)
        said = evalue or _failing_line(lines)
        return Outcome("cell-error", f"{ename} in cell {cell}: {said}".rstrip(": "), failure)

    def _obituary(self, error: BaseException, stderr: Any) -> str:
        """Say how the kernel ended and what it last wrote."""
        process = getattr(self.km.provisioner, "process", None) if self.km and self.km.provisioner else None
        code = process.poll() if process else None
        if code is not None and code < 0:
            how = f"the kernel was killed by {signal.Signals(-code).name}"
            how += self._why_killed() if -code == signal.SIGKILL else ""
        else:
            how = "the kernel ended by itself" if isinstance(error, DeadKernelError) else f"no kernel: {error}"
            how += f" with exit code {code}" if code is not None else ""
        stderr.seek(0)
        said = [line for line in stderr.read().decode(errors="replace").splitlines() if line.strip()]
        return how + self._where() + (f"; it last wrote: {' / '.join(said[-3:])}" if said else "")

    def _why_killed(self) -> str:
        now = memory.oom_kills()
        if now is None or self.oom_kills is None:
            return " (too little memory is a common reason; this system does not tell)"
        if now > self.oom_kills:
            return " for want of memory: the system counted the kill"
        return ", not for want of memory: the system counted no such kill"


def _name_secrets(document: NotebookNode, injected: NotebookNode, secrets: Mapping[str, Secret]) -> None:
    """Let the injected cell take the secrets from where the kernel holds them, and say where they come from."""
    lines = [f"from {HANDED_OVER} import {name}  # {secret.reference}\n" for name, secret in secrets.items()]
    injected.source += "".join(lines)
    document.metadata.papermill["parameters"].update({name: secret.reference for name, secret in secrets.items()})


def _failing_line(traceback: list[str]) -> str:
    """Give the line of the cell that raised: all there is to say of an assertion without a message."""
    arrows = (re.match(r"-+> \d+ (.*)", line) for line in traceback)
    return next((arrow[1].strip() for arrow in arrows if arrow), "")
