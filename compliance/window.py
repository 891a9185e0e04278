"""A window of answers that a model gave: a file that `trey score` wrote, or what a service collected.

Collected data are JSON lines with `text`, `probability`, `label` and, where known, `time` (ISO 8601), in a file or in
the `*.jsonl` files of a folder. Answers of a slot that was only mirrored to were sent to nobody, and are left out; so
are technicians' decisions, which lie in folders `feedback` (compliance/feedback.py joins them).
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compliance import inventory
from compliance.errors import BadInput
from compliance.inventory import DECIMALS, Columns, Files
from compliance.scorer import LABELS, Scorer
from compliance.spool import draw
from compliance.text import normalize_all

CHUNK = 50_000  # rows held at once
NEEDED = ("text", "probability", "label")
FEEDBACK = "feedback"  # folders that hold no answers


@dataclass(frozen=True)
class Window:
    """What a window holds.

    Attributes:
        name: The file or folder, without the folders around it.
        rows: Answers.
        refused: Rows of the inventory that could not be scored, or lines of requests that failed or cannot be read.
        flagged: Answers "non-compliant".
        distinct: Distinct normalized texts, counted by 64-bit digests.
        texts: A sample of them: `normalized`, `probability`, `flagged` (bool).
        days: Rows and flagged rows by day, where the times are known.
    """

    name: str
    rows: int
    refused: int
    flagged: int
    distinct: int
    texts: pd.DataFrame
    days: pd.DataFrame


def read(path: Path | str, *, most: int = 5_000, seed: int = 7) -> Window:
    """Read a window of any size.

    Args:
        path: A scored CSV, a JSON lines file, or a folder of them.
        most: How many distinct texts to sample; which depends on the texts and the seed, not on their order.
        seed: Of the sample.

    Raises:
        BadInput: It is not there, is neither of these, or holds no answer.
    """
    path = Path(path)
    if not path.exists():
        raise BadInput(f"{path} does not exist; give a file that trey score wrote: --set monitor.scored_path=FILE.csv")
    scored = path.suffix == ".csv"
    refused = Counter[str](rows=_refused_rows(path) if scored else 0)
    answers = _scored(path) if scored else _collected(path, refused)
    rows = flagged = 0
    digests: list[np.ndarray] = [np.empty(0, np.uint64)]
    sample = pd.DataFrame(columns=["normalized", "probability", "flagged", "draw"])
    days: Counter[str] = Counter()
    flagged_days: Counter[str] = Counter()
    for chunk in _checked(answers, path):
        rows += len(chunk)
        flagged += int(chunk["flagged"].sum())
        days.update(chunk["day"])
        flagged_days.update(chunk["day"][chunk["flagged"]])
        texts = _drawn(chunk.assign(normalized=normalize_all(chunk["text"])), seed)
        digests.append(texts["draw"].to_numpy())
        sample = _smallest(sample, texts[sample.columns], most)
    if not rows:
        raise BadInput(f"{path} holds no answer; give a file that trey score wrote, with at least one row")
    for counted in (days, flagged_days):
        counted.pop("", None)  # answers without a time
    by_day = pd.DataFrame({"rows": pd.Series(days, dtype="int64"), "flagged": pd.Series(flagged_days, dtype="int64")})
    return Window(
        name=path.name,
        rows=rows,
        refused=refused.total(),
        flagged=flagged,
        distinct=len(np.unique(np.concatenate(digests))),
        texts=sample.drop(columns="draw").reset_index(drop=True),
        days=by_day.fillna(0).astype(int).sort_index().rename_axis("day"),
    )


def answered(texts: Iterable[str], scorer: Scorer, *, most: int = 5_000, seed: int = 7) -> pd.DataFrame:
    """Let a model answer a sample of normalized texts; give them as `Window.texts` holds them."""
    drawn = _drawn(pd.DataFrame({"normalized": list(texts)}), seed)
    sample = _smallest(drawn.iloc[:0], drawn, most)
    probabilities = scorer.score(list(sample["normalized"]))
    answers = pd.DataFrame({"normalized": sample["normalized"].to_numpy(), "probability": _written(probabilities)})
    return answers.assign(flagged=probabilities >= scorer.threshold)


def example(prepare_dir: Path | str, scorer: Scorer, folder: Path) -> Path:
    """Score the validation split, as a window without drift to try the comparison on; give the scored file."""
    rows = pd.read_parquet(Path(prepare_dir) / "validation.parquet", columns=["text"])
    rows.to_csv(folder / "validation.csv", index=False)
    inventory.score(str(folder / "validation.csv"), Columns(), scorer, folder / "validation.scored.csv", overwrite=True)
    return folder / "validation.scored.csv"


def _drawn(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Give the distinct texts of rows with their `draw`, their place in the order that the seed means."""
    texts = rows.drop_duplicates("normalized")
    return texts.assign(draw=np.array([draw(text, seed) for text in texts["normalized"]], np.uint64))


def _smallest(sample: pd.DataFrame, texts: pd.DataFrame, most: int) -> pd.DataFrame:
    together = pd.concat([sample, texts]) if len(sample) else texts
    return together.drop_duplicates("normalized").sort_values(["draw", "normalized"]).head(most)


def _scored(path: Path) -> Iterator[list[dict[str, Any]]]:
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if missing := [name for name in NEEDED if name not in (reader.fieldnames or [])]:
            raise BadInput(
                f"{path} has no column {', '.join(missing)}; give a file that trey score wrote: "
                "--set monitor.scored_path=FILE.csv"
            )
        while chunk := list(islice(reader, CHUNK)):
            yield chunk


def _collected(path: Path, refused: Counter[str]) -> Iterator[list[dict[str, Any]]]:
    found = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    files = [file for file in found if FEEDBACK not in file.relative_to(path).parts]
    for file in files:
        with file.open("rb") as stream:
            while lines := list(islice(stream, CHUNK)):
                answers = [answer for answer in map(_answer, lines) if answer]
                refused["lines"] += len(lines) - len(answers)
                yield [answer for answer in answers if not answer.get("mirrored")]


def _answer(line: bytes) -> dict[str, Any] | None:
    """Read one line; a service that was killed leaves half of one."""
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and all(name in answer for name in NEEDED) else None


def _checked(chunks: Iterator[list[dict[str, Any]]], path: Path) -> Iterator[pd.DataFrame]:
    for answers in chunks:
        if not answers:
            continue
        taken = [[answer[name] for name in NEEDED] + [answer.get("time") or ""] for answer in answers]
        rows = pd.DataFrame(taken, columns=[*NEEDED, "time"])
        rows["probability"] = _written(pd.to_numeric(rows["probability"], errors="coerce").to_numpy())
        sound = rows["probability"].between(0, 1) & rows["label"].isin(LABELS)
        if not sound.all():
            wrong = rows[~sound].iloc[0]
            raise BadInput(
                f"{path} holds the answer {wrong['label']!r} with probability {wrong['probability']}; "
                f"a probability from 0 to 1 and {LABELS[0]!r} or {LABELS[1]!r} were expected"
            )
        times = pd.to_datetime(rows["time"], errors="coerce", format="ISO8601", utc=True)
        yield rows.assign(flagged=rows["label"] == LABELS[1], day=times.dt.strftime("%Y-%m-%d").fillna(""))


def _written(probabilities: np.ndarray) -> np.ndarray:
    """Round as a scored file does: at 0 and 1, where most answers lie, digits behind these would tell files apart."""
    return np.round(probabilities.astype(float), DECIMALS)


def _refused_rows(path: Path) -> int:
    """Give how many rows the scoring refused, from the summary that lies beside a scored file."""
    summary = Files(path).summary
    return int(json.loads(summary.read_text(encoding="utf-8"))["rejected"]) if summary.is_file() else 0
