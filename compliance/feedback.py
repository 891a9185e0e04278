"""Technicians' decisions beside the answers they are about, from what a service collected.

Answers are JSON lines as compliance/window.py reads them, with `correlation_id` and `item` besides; decisions are the
lines below a folder `feedback`. One decision is about one text: the `item`-th of the request with its correlation id.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from compliance.errors import BadInput
from compliance.scorer import LABELS

FOLDER = "feedback"
KEY = ["correlation_id", "item"]
ANSWER = ["time", "text", "label", "probability", "version", "digest", "slot"]
DECISION = ["decision", "comment", "decided_at"]


@dataclass(frozen=True)
class Judged:
    """Answers with decisions.

    Attributes:
        answers: One row a text about which somebody decided: `correlation_id`, `item`, `time`, `text`, `label`,
            `probability`, `version`, `digest`, `slot` as answered; `decision` and `comment` of the last decision, and
            `decided_at`.
        unmatched: Decisions without a collected answer: it was not in the sample, was dropped, or never given.
        revised: Decisions that a later one replaced.
        refused: Lines of decisions that could not be read.
    """

    answers: pd.DataFrame
    unmatched: int
    revised: int
    refused: int


def judged(folder: Path | str) -> Judged:
    """Join the answers and decisions of a folder; memory holds the decisions and the answers they are about.

    Args:
        folder: `<collected>/<model>/<environment>`.

    Raises:
        BadInput: It is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; give what a service collected: collected/MODEL/ENVIRONMENT")
    lines = list(_decisions(folder))
    sound = [line for line in lines if line is not None]
    given = pd.DataFrame(sound, columns=[*KEY, *DECISION]).sort_values("decided_at", kind="stable")
    last = given.drop_duplicates(KEY, keep="last")
    wanted = set(zip(last["correlation_id"], last["item"], strict=True))
    answers = pd.DataFrame(list(_answers(folder, wanted)), columns=[*KEY, *ANSWER]).drop_duplicates(KEY, keep="last")
    table = answers.merge(last, on=KEY, how="inner").sort_values(["decided_at", *KEY], ignore_index=True)
    return Judged(table, len(last) - len(table), len(given) - len(last), len(lines) - len(sound))


def _decisions(folder: Path) -> Iterator[dict[str, Any] | None]:
    """Give the decisions, and None for each line that is none."""
    for content in _contents(sorted((folder / FOLDER).rglob("*.jsonl"))):
        key = _key(content)
        if content is None or key is None or content.get("label") not in LABELS:
            yield None
            continue
        yield {
            **dict(zip(KEY, key, strict=True)),
            "decision": content["label"],
            "comment": str(content.get("comment", "")),
            "decided_at": str(content.get("time", "")),
        }


def _answers(folder: Path, wanted: set[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """Give the answers that were sent, not those of a mirrored slot, and are wanted."""
    files = [file for file in sorted(folder.rglob("*.jsonl")) if FOLDER not in file.relative_to(folder).parts]
    for content in _contents(files):
        key = _key(content)
        if content is not None and key in wanted and "label" in content and not content.get("mirrored"):
            yield dict(zip(KEY, key, strict=True)) | {name: content.get(name) for name in ANSWER}


def _key(content: dict[str, Any] | None) -> tuple[str, int] | None:
    """Give what a decision and an answer have in common; None where a line is neither."""
    if content is None:
        return None
    identity, item = content.get("correlation_id"), content.get("item", 0)
    return (identity, item) if isinstance(identity, str) and type(item) is int else None


def _contents(files: list[Path]) -> Iterator[dict[str, Any] | None]:
    for file in files:
        with file.open("rb") as stream:
            for line in stream:
                try:
                    content = json.loads(line)
                except ValueError:
                    content = None
                yield content if isinstance(content, dict) else None
