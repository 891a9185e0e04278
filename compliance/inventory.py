"""Scores an inventory: a CSV of any size in, each row with its probability and label out, a chunk at a time.

    OUTPUT                  row, line, the copied columns, text, probability, label
    OUTPUT.rejected.csv     row, line, reason, text of every row that could not be scored
    OUTPUT.json             which model, which source, how many rows

Until all is done the first two end in `.part`, and OUTPUT.progress.json says up to where they are whole: the same call
goes on from there after any kind of stop, and the two files come out byte for byte as if nothing had happened.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from compliance import reading, schema
from compliance.errors import BadInput
from compliance.reading import Layout, Source
from compliance.rejects import LONGEST_SHOWN
from compliance.scorer import Scorer
from compliance.text import normalize_all

SCHEMA = 1
CHUNK = 20_000  # rows between two states that a stop leaves behind
SLICE = 2_000  # texts scored by one thread at a time
OWN = ("row", "line", "text", "probability", "label")
REJECTED = ("row", "line", "reason", "text")
COPY = "copy_"
DECIMALS = 6  # of a probability


class OtherJob(BadInput):
    """What lies where the result is to go belongs to something else."""


@dataclass(frozen=True)
class Columns:
    """Where an inventory holds what.

    `copy` columns are written as they came, under their own name, or as `source_NAME` where that is one of OWN.
    """

    text: str = "text"
    copy: tuple[str, ...] = ()
    delimiter: str = ","
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        """Refuse columns that are named twice."""
        if len(set(self.copy)) < len(self.copy):
            raise BadInput(f"the columns to copy are {', '.join(self.copy)}; name each once")

    @property
    def wanted(self) -> dict[str, tuple[str, str]]:
        """Give name here -> (parameter that names it, name in the source)."""
        return {"text": ("text_column", self.text), **{COPY + name: ("copy", name) for name in self.copy}}

    @property
    def header(self) -> list[str]:
        """Give the columns of the scored file."""
        copied = [f"source_{name}" if name in OWN else name for name in self.copy]
        return ["row", "line", *copied, "text", "probability", "label"]


@dataclass
class Progress:
    """Up to where the files of a job are whole.

    Attributes:
        job: What is scored, how and by what; a job goes on only where all of this is equal.
        rows: Rows of the source that are done.
        scored_bytes: Size of the scored file up to there.
        rejected_bytes: Size of the list of refused rows up to there.
        labels: How many rows have each label.
        reasons: How many rows were refused for each reason.
        started_at: When the job began.
        complete: Whether the source was read to its end.
    """

    job: dict[str, Any]
    rows: int = 0
    scored_bytes: int = 0
    rejected_bytes: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    started_at: str = ""
    complete: bool = False

    def __post_init__(self) -> None:
        """Make counters of what JSON held."""
        self.labels, self.reasons = Counter(self.labels), Counter(self.reasons)


class Files:
    """The files of a job, by the path of the scored file."""

    def __init__(self, output: Path):
        self.scored = output
        self.rejected = output.with_name(output.name.removesuffix(".csv") + ".rejected.csv")
        self.summary = output.with_name(output.name.removesuffix(".csv") + ".json")
        self.progress = output.with_name(output.name.removesuffix(".csv") + ".progress.json")

    @staticmethod
    def part(path: Path) -> Path:
        """Give where a file is written until it is whole."""
        return path.with_name(path.name + ".part")

    def discard(self) -> None:
        """Take away what an unfinished job left."""
        for path in (self.part(self.scored), self.part(self.rejected), self.progress):
            path.unlink(missing_ok=True)


def score(  # noqa: PLR0913  what is scored, by what, into where
    path: str,
    columns: Columns,
    scorer: Scorer,
    output: Path,
    *,
    version: int | None = None,
    overwrite: bool = False,
    report: Callable[[int], None] = lambda _: None,
    size: int = CHUNK,
) -> dict[str, Any]:
    """Score an inventory, or go on with it where an earlier call was stopped.

    Args:
        path: The CSV file.
        columns: Where it holds what.
        scorer: The model.
        output: The scored file.
        version: The model's version, for the summary.
        overwrite: Whether to replace what lies there.
        report: Is told how many rows are done, after each chunk.
        size: Rows held at once, and lost at most when the process is killed.

    Returns:
        What OUTPUT.json holds.

    Raises:
        BadInput: The inventory cannot be read.
        OtherJob: The scored file exists, or an unfinished one of another source, model or layout.
        ValueError: The model gives no probability.
    """
    layout = Layout(delimiter=columns.delimiter, encoding=columns.encoding, maximum_length=scorer.maximum_length)
    source = reading.open_source(path, layout, columns.wanted)
    files = Files(output)
    if Path(path).resolve() in {files.scored.resolve(), files.rejected.resolve()}:
        raise OtherJob(f"{path} is the inventory itself: name another --output")
    model = {"name": scorer.name, "version": version, "digest": scorer.digest, "threshold": scorer.threshold}
    job = {"source": source.name, "source_sha256": source.sha256, "model": model, "chunk": size}
    progress = _begin(files, job | {"columns": asdict(columns) | {"copy": list(columns.copy)}}, overwrite=overwrite)
    if not progress.complete:
        try:
            _work(files, progress, source, columns, scorer, report, size)
        except (BadInput, ValueError):
            files.discard()  # the same call would meet the same fault
            raise
    return _finish(files, progress)


def unfinished(output: Path) -> int:
    """Give how many rows of an unfinished job are done; 0 where there is none."""
    files = Files(output)
    return int(json.loads(files.progress.read_text("utf-8"))["rows"]) if files.progress.is_file() else 0


def _begin(files: Files, job: dict[str, Any], *, overwrite: bool) -> Progress:
    if overwrite:
        files.discard()
    elif files.progress.is_file():
        progress = Progress(**json.loads(files.progress.read_text("utf-8")))
        if other := [name for name in job if progress.job.get(name) != job[name]]:
            raise OtherJob(
                f"{files.progress} belongs to an unfinished job whose {', '.join(other)} differ: finish that one, "
                "name another --output, or start anew with --overwrite"
            )
        return progress
    elif files.scored.exists():
        raise OtherJob(f"{files.scored} exists: name another --output, or replace it with --overwrite")
    return Progress(job, started_at=_now())


def _work(  # noqa: PLR0913, PLR0917  the parts of a job
    files: Files,
    progress: Progress,
    source: Source,
    columns: Columns,
    scorer: Scorer,
    report: Callable[[int], None],
    size: int,
) -> None:
    chunks = source.chunks(size)
    first = next(chunks)  # what is wrong with the source as a whole is told before a file is written
    with (
        _opened(files.part(files.scored), progress.scored_bytes) as scored,
        _opened(files.part(files.rejected), progress.rejected_bytes) as rejected,
        ThreadPoolExecutor(os.cpu_count()) as threads,
    ):
        if progress.rows == 0:
            scored.write(_csv([columns.header]))
            rejected.write(_csv([REJECTED]))
        done = progress.rows  # a job is stopped between two chunks of its own size
        for chunk in (chunk for chunk in chain([first], chunks) if chunk["row"].iloc[0] > done):
            sound, refused = _judged(chunk, scorer.maximum_length)
            sound = _scored(sound, scorer, threads)
            scored.write(_csv(_scored_rows(sound, columns)))
            rejected.write(_csv(refused[list(REJECTED)].itertuples(index=False)))
            progress.rows = int(chunk["row"].iloc[-1])
            progress.labels.update(sound["label"])
            progress.reasons.update(refused["reason"])
            progress.scored_bytes, progress.rejected_bytes = _settled(scored), _settled(rejected)
            _write_json(files.progress, vars(progress))
            report(progress.rows)
    progress.complete = True
    _write_json(files.progress, vars(progress))


def _judged(chunk: pd.DataFrame, maximum_length: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell rows that can be scored from rows that cannot, which get their `reason`."""
    rows = chunk.reset_index(drop=True)
    readable = rows[rows["fault"] == ""]
    readable = readable.assign(normalized=normalize_all(readable["text"]))
    rules = schema.readable_texts(maximum_length)
    reasons = pd.concat([rows["fault"][rows["fault"] != ""], schema.reasons(rules, readable)])
    refused = rows.loc[reasons.index].assign(reason=reasons).sort_index()
    return readable.drop(index=reasons.index, errors="ignore"), refused.assign(
        text=refused["text"].str.slice(0, LONGEST_SHOWN)
    )


def _scored(rows: pd.DataFrame, scorer: Scorer, threads: ThreadPoolExecutor) -> pd.DataFrame:
    """Add `probability` and `label`; equal texts are scored once."""
    which, texts = pd.factorize(rows["text"])
    parts = threads.map(scorer.score, (list(texts[first : first + SLICE]) for first in range(0, len(texts), SLICE)))
    found = np.concatenate([np.empty(0, np.float32), *parts])
    labels = np.array([scorer.label(probability) for probability in found], dtype=object)
    return rows.assign(probability=found[which], label=labels[which])


def _scored_rows(rows: pd.DataFrame, columns: Columns) -> Iterator[Sequence[Any]]:
    shown = rows.assign(probability=rows["probability"].map(f"{{:.{DECIMALS}f}}".format))
    taken = ["row", "line", *(COPY + name for name in columns.copy), "text", "probability", "label"]
    yield from shown[taken].itertuples(index=False)


def _finish(files: Files, progress: Progress) -> dict[str, Any]:
    """Give the files their names. A stop in the middle of this is made good by the next call."""
    summary = {
        "schema": SCHEMA,
        **{name: value for name, value in progress.job.items() if name != "chunk"},
        "rows": progress.rows,
        "scored": progress.labels.total(),
        "labels": dict(progress.labels),
        "rejected": progress.reasons.total(),
        "reasons": dict(progress.reasons),
        "started_at": progress.started_at,
        "finished_at": _now(),
    }
    for path in (files.rejected, files.scored):
        if files.part(path).exists():
            files.part(path).replace(path)
    _write_json(files.summary, summary)
    files.progress.unlink()
    return summary


def _opened(path: Path, size: int) -> BinaryIO:
    """Open a file for writing after its first bytes; what stands behind them is dropped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("r+b" if size else "wb")
    file.truncate(size)
    file.seek(size)
    return file


def _settled(file: BinaryIO) -> int:
    """Give a file's size when all of it is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    return file.tell()


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
