"""What an evaluation leaves on disk: the answer to every test text, the errors as text, and all figures in one file.

The same model and texts give the same bytes: no times, no folders, no host.
"""

import csv
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compliance import baseline, schema
from compliance.errors import BadInput
from compliance.folder import write_json
from compliance.metrics import Difference, Estimate, Evaluation, Parity, finite
from compliance.schema import SPLITS
from compliance.scorer import Scorer

EVALUATION_FILE = "evaluation.json"
ERRORS_FILE = "errors.csv"
PREDICTIONS_FILE = "predictions.parquet"
NOT_DEFINED = "not defined"


def read_splits(prepare_dir: Path | str) -> dict[str, pd.DataFrame]:
    """Read the prepared splits as they lie there, without the rules they should meet: here they are measured.

    Raises:
        BadInput: A file is missing.
    """
    folder = Path(prepare_dir)
    if missing := [f"{name}.parquet" for name in SPLITS if not (folder / f"{name}.parquet").is_file()]:
        raise BadInput(f"{folder} lacks {', '.join(missing)}: run the prepare notebook again, or set prepare_dir")
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in SPLITS}


def check_threshold(threshold: float) -> None:
    """Refuse a threshold at which every text, or none, would be flagged; 0 stands for the one that train chose.

    Raises:
        BadInput: It is not 0 and does not lie between 0 and 1.
    """
    if not 0 <= threshold < 1:
        raise BadInput(
            f"threshold is {threshold}; give one between 0 and 1, or 0 for the one that train chose: "
            "--set evaluate.threshold=0"
        )


def check_margins(**margins: float) -> None:
    """Refuse limits, floors and margins of shares that nothing could miss, or nothing could keep.

    Raises:
        BadInput: With every one that does not lie between 0 and 1.
    """
    if faults := [
        f"{name} is {value}; give one between 0 and 1: --set evaluate.{name}=0.05"
        for name, value in margins.items()
        if not 0 < value < 1
    ]:
        raise BadInput(*faults)


def check_limits(**limits: float) -> None:
    """Refuse limits of time or size that nothing could keep, or nothing could miss.

    Raises:
        BadInput: With every one that is no finite number above 0.
    """
    if faults := [
        f"{name} is {value}; give a number above 0: --set evaluate.{name}=5"
        for name, value in limits.items()
        if not 0 < value < math.inf
    ]:
        raise BadInput(*faults)


def schema_faults(splits: Mapping[str, pd.DataFrame]) -> int:
    """Count the rows and columns of prepared splits that break the rules all splits must meet."""
    return sum(len(schema.breaches(schema.split_rows(), rows)) for rows in splits.values())


@dataclass(frozen=True)
class Answers:
    """What a model said, and of which texts.

    Attributes:
        probabilities: Of non-compliance, float32[texts].
        asked: sha256 over the texts and their labels in order: answers can be compared only where it is the same.
    """

    probabilities: np.ndarray
    asked: str


def answer(scorer: Scorer, texts: pd.DataFrame) -> Answers:
    """Let a model answer texts with `text` and `label`."""
    asked = hashlib.sha256()
    for text, label in zip(texts["text"], texts["label"], strict=True):
        asked.update(f"{len(text)}:{text}={label}".encode())
    return Answers(scorer.score(list(texts["text"])), asked.hexdigest())


def check_same_data(data: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Refuse a network that was trained on other splits than those it is to be judged on.

    Args:
        data: The data report of the prepare phase.
        training: The training report of the train phase.

    Raises:
        BadInput: The two name different data.
    """
    if data["data_digest"] != training["data_digest"]:
        raise BadInput(
            f"the network was trained on data {training['data_digest'][:16]}, the splits here are "
            f"{data['data_digest'][:16]}: run the train notebook again, or set prepare_dir and train_dir of one run"
        )


def scrap(value: Any) -> Any:
    """Give a value as it can be glued: a number that does not exist in words, which no gate takes for a number.

    Glued as it is, NaN would arrive in the notebook as null, and scrapbook refuses to read a notebook with one.
    """
    return NOT_DEFINED if isinstance(value, float) and finite(value) is None else value


def write_errors(output_dir: Path, errors: pd.DataFrame, name: str = ERRORS_FILE) -> None:
    """Write the texts that were labelled wrongly, as `compliance.metrics.errors` gives them."""
    path = output_dir / name
    errors.to_csv(path, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC, float_format="%.6f")


def write_predictions(
    output_dir: Path, texts: pd.DataFrame, probabilities: np.ndarray, champion: np.ndarray | None
) -> None:
    """Write the probability of every distinct test text, and the champion's where there is one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "normalized": pa.array(texts["normalized"], pa.string()),
        "label": pa.array(texts["label"], pa.int8()),
        "probability": pa.array(probabilities, pa.float32()),
    }
    if champion is not None:
        columns["champion_probability"] = pa.array(champion, pa.float32())
    pq.write_table(pa.table(columns), output_dir / PREDICTIONS_FILE)


def results(  # noqa: PLR0913  the place where figures come together
    evaluation: Evaluation,
    *,
    majority_accuracy: float,
    split_leakage: int,
    parity: Parity,
    calibration_error: Estimate,
    brier: float,
    against_baseline: Difference,
) -> dict[str, Any]:
    """Gather what was measured on the model itself, for its manifest: what the champion does is left out."""
    return evaluation.as_dict() | {
        "majority_accuracy": finite(majority_accuracy),
        "split_leakage": split_leakage,
        "parity": parity.as_dict(),
        "calibration_error": calibration_error.as_dict(),
        "brier": finite(brier),
        "baseline": {"name": baseline.NAME} | against_baseline.as_dict(),
    }


def against_champion(version: int, digest: str, difference: Difference) -> dict[str, Any]:
    """Gather how the model compares with the champion on the same texts."""
    return {
        "version": version,
        "digest": digest,
        **difference.as_dict(),
    }


def write_evaluation(output_dir: Path, evaluation: Mapping[str, Any]) -> None:
    """Write all figures as JSON."""
    write_json(output_dir / EVALUATION_FILE, {"schema": 1, **evaluation})
