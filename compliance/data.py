"""The folder that `prepare` writes and the later phases read: three splits, the refused rows, and the data report.

    train.parquet, validation.parquet, test.parquet    row, text, normalized, label
    rejected.csv                                       row, line, reason, text, label
    data.json                                          where the data come from, counts, digests

The same rows give the same bytes: no times, no folders, no host.
"""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compliance import schema
from compliance.errors import BadInput
from compliance.reading import GENERATED, Layout, Table
from compliance.schema import SPLITS
from compliance.screening import REJECTED, Screened
from compliance.splitting import LABEL_NAMES, SplitPlan, Splits

COLUMNS = ["row", "text", "normalized", "label"]
LONGEST_SHOWN = 1_000  # characters of a refused text in rejected.csv
REPORT_FILE = "data.json"
REJECTED_FILE = "rejected.csv"


def load(prepare_dir: Path | str) -> dict[str, pd.DataFrame]:
    """Read the prepared splits and check that they are what `prepare` promises.

    Returns:
        "train", "validation", "test" -> `row` (int64), `text`, `normalized`, `label` (int8, 1 is non-compliant).

    Raises:
        BadInput: A file is missing or was changed since, or a text stands in two splits.
    """
    folder = Path(prepare_dir)
    report = load_report(folder)
    if missing := [name for name in SPLITS if not (folder / f"{name}.parquet").is_file()]:
        files = ", ".join(f"{name}.parquet" for name in missing)
        raise BadInput(f"{folder} lacks {files}: run the prepare notebook again")
    splits = {name: pd.read_parquet(folder / f"{name}.parquet") for name in SPLITS}
    check_splits(splits)
    if data_digest(splits) != report["data_digest"]:
        raise BadInput(f"the splits in {folder} are not those {REPORT_FILE} describes: run the prepare notebook again")
    return splits


def load_report(prepare_dir: Path | str) -> dict[str, Any]:
    """Read the data report.

    Raises:
        BadInput: There is none.
    """
    path = Path(prepare_dir) / REPORT_FILE
    if not path.is_file():
        raise BadInput(f"{path} does not exist: run the prepare notebook first, or set prepare_dir to its output_dir")
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def check_splits(splits: dict[str, pd.DataFrame]) -> None:
    """Check columns, types and values of each split, and that no text stands in two.

    Raises:
        BadInput: With every rule that is broken.
    """
    for name, rows in splits.items():
        schema.validate(schema.split_rows(), rows, name)
    together = pd.concat([rows[["normalized"]].assign(split=name) for name, rows in splits.items()], ignore_index=True)
    schema.validate(schema.separate_splits(), together, "all splits")


def frames(splits: Splits) -> dict[str, pd.DataFrame]:
    """Give each split with the columns that are written."""
    return {name: rows[COLUMNS] for name, rows in splits.items()}


def refused(screened: Screened, splits: Splits) -> pd.DataFrame:
    """Give every row that was read and judged but is in no split, with line and reason, in the order of the source."""
    together = pd.concat([screened.rejected, splits.left_out[REJECTED]]) if len(splits.left_out) else screened.rejected
    return together.sort_values("row", ignore_index=True)


def counts(screened: Screened, splits: Splits) -> dict[str, int | float]:
    """Count what became of the rows: read = set aside + rejected + kept."""
    kept = pd.concat([rows for _, rows in splits.items()])
    texts = int(kept["normalized"].nunique())
    return {
        "rows_read": screened.rows_read,
        "rows_set_aside": screened.rows_set_aside,
        "rows_rejected": len(refused(screened, splits)),
        "rows_kept": len(kept),
        "distinct_texts": texts,
        "duplicate_rows": len(kept) - texts,
        "noncompliant_share": float(kept["label"].mean()),
        **{f"{name}_rows": len(rows) for name, rows in splits.items()},
    }


def overview(splits: Splits) -> pd.DataFrame:
    """Give rows, distinct texts and their share of non-compliant ones, a line per split."""
    lines = {}
    for name, rows in splits.items():
        texts = rows.drop_duplicates("normalized")
        lines[name] = {
            "rows": len(rows),
            "texts": len(texts),
            "noncompliant_rows": int(rows["label"].sum()),
            "noncompliant_texts": int(texts["label"].sum()),
        }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("split")


def data_digest(splits: dict[str, pd.DataFrame]) -> str:
    """Give a sha256 over the values of the splits, whichever library version wrote their files.

    For each split in order: its name and number of rows, then each column's name and values; integers as little-endian
    int64, texts as their UTF-8 lengths (int64) followed by their UTF-8 bytes.
    """
    digest = hashlib.sha256()
    for name in SPLITS:
        rows = splits[name]
        digest.update(f"{name}\n{len(rows)}\n".encode())
        for column in COLUMNS:
            digest.update(f"{column}\n".encode())
            if rows[column].dtype.kind == "i":
                digest.update(rows[column].to_numpy().astype("<i8").tobytes())
            else:
                encoded = [text.encode() for text in rows[column]]
                digest.update(np.array([len(text) for text in encoded], dtype="<i8").tobytes())
                digest.update(b"".join(encoded))
    return digest.hexdigest()


def report(table: Table, layout: Layout, plan: SplitPlan, screened: Screened, splits: Splits) -> dict[str, Any]:
    """Gather what a reviewer, the model card and the registry say about the data."""
    generated = table.source.startswith(GENERATED)
    return {
        "schema": 1,
        "source": table.source,
        "source_sha256": table.sha256,
        "generated_with": {"rows": screened.rows_read, "seed": plan.seed} if generated else None,
        "data_digest": data_digest(frames(splits)),
        "columns": {"text": layout.text_column, "label": layout.label_column},
        "labels": [
            {"label": 0, "meaning": LABEL_NAMES[0], "value": layout.compliant_value},
            {"label": 1, "meaning": LABEL_NAMES[1], "value": layout.noncompliant_value},
        ],
        "keep": {"column": layout.keep_column, "values": list(layout.keep_values)} if layout.keep_column else None,
        "maximum_length": layout.maximum_length,
        "split": {
            "by": plan.by,
            "column": plan.column or None,
            "validation_share": plan.validation_share,
            "test_share": plan.test_share,
            "seed": plan.seed,
        },
        "counts": counts(screened, splits),
        "rejected": {str(reason): int(n) for reason, n in refused(screened, splits)["reason"].value_counts().items()},
        "splits": overview(splits).to_dict(orient="index"),
    }


def write_splits(output_dir: Path, splits: dict[str, pd.DataFrame]) -> None:
    """Write one parquet file for each split."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"row": pa.int64(), "text": pa.string(), "normalized": pa.string(), "label": pa.int8()}
    wanted = pa.schema(list(types.items()))  # no pandas metadata, which names its version
    for name, rows in splits.items():
        table = pa.Table.from_pandas(rows, schema=wanted, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(table, output_dir / f"{name}.parquet")


def write_rejected(output_dir: Path, rejected: pd.DataFrame) -> None:
    """Write the refused rows; texts are cut to 1,000 characters."""
    shown = rejected.assign(text=rejected["text"].str.slice(0, LONGEST_SHOWN))
    shown[REJECTED].to_csv(output_dir / REJECTED_FILE, index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def write_report(output_dir: Path, described: dict[str, Any]) -> None:
    """Write the data report, keys sorted, so that equal reports are equal bytes."""
    text = json.dumps(described, ensure_ascii=False, indent=2, sort_keys=True)
    (output_dir / REPORT_FILE).write_text(text + "\n", encoding="utf-8")
