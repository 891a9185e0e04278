"""The folder that `prepare` writes and the later phases read: three splits, the refused rows, and the data report.

    train.parquet, validation.parquet, test.parquet    row, text, normalized, label, and one column for each slice
    future.parquet                                     the same of the future set, where there is one
    rejected.csv                                       row, line, reason, text, label
    data.json                                          where the data come from, counts, digests

The same rows give the same bytes: no times, no folders, no host.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compliance import schema
from compliance.errors import BadInput
from compliance.generators import GENERATED
from compliance.places import FUTURE, PLACES
from compliance.reading import SLICE, Layout, Source
from compliance.schema import SPLITS
from compliance.screening import Screened
from compliance.splitting import LABEL_NAMES, SplitPlan

REPORT_FILE = "data.json"
FUTURE_SET = "future"
BATCH = 50_000  # rows held at once


def load(prepare_dir: Path | str) -> dict[str, pd.DataFrame]:
    """Read the prepared splits and check that they are what `prepare` promises.

    Returns:
        "train", "validation", "test" -> `row` (int64), `text`, `normalized`, `label` (int8, 1 is non-compliant), and
        `slice_NAME` as text for each slice column.

    Raises:
        BadInput: A file is missing or was changed since, or a text stands in two splits.
    """
    folder = Path(prepare_dir)
    verify(folder)
    splits = {name: pd.read_parquet(folder / f"{name}.parquet") for name in SPLITS}
    check_splits(splits)
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


def verify(prepare_dir: Path | str) -> None:
    """Check that the files of a folder hold what its report says, a chunk at a time.

    Raises:
        BadInput: A file is missing or was changed since.
    """
    folder = Path(prepare_dir)
    described = load_report(folder)
    if missing := [name for name in SPLITS if not (folder / f"{name}.parquet").is_file()]:
        files = ", ".join(f"{name}.parquet" for name in missing)
        raise BadInput(f"{folder} lacks {files}: run the prepare notebook again")
    if data_digest(folder) != described["data_digest"]:
        raise BadInput(f"the splits in {folder} are not those {REPORT_FILE} describes: run the prepare notebook again")


def check_splits(splits: dict[str, pd.DataFrame]) -> None:
    """Check columns, types and values of each split, and that no text stands in two.

    Raises:
        BadInput: With every rule that is broken.
    """
    for name, rows in splits.items():
        schema.validate(schema.split_rows(), rows, name)
    together = pd.concat([rows[["normalized"]].assign(split=name) for name, rows in splits.items()], ignore_index=True)
    schema.validate(schema.separate_splits(), together, "all splits")


def counts(screened: Screened, overview: pd.DataFrame) -> dict[str, int | float]:
    """Count what became of the rows: read = set aside + rejected + kept + future set, which is told where there is one.

    Args:
        screened: The divided rows.
        overview: As `compliance.screening.divide` gave it.
    """
    kept, texts = int(overview["rows"].sum()), int(overview["texts"].sum())
    future = {"future_rows": screened.counts.future_rows} if screened.layout.future_column else {}
    return {
        "rows_read": screened.rows_read,
        "rows_set_aside": screened.rows_set_aside,
        "rows_rejected": screened.rejected,
        "rows_kept": kept,
        "distinct_texts": texts,
        "duplicate_rows": kept - texts,
        "noncompliant_share": float(overview["noncompliant_rows"].sum() / kept),
        **{f"{name}_rows": int(overview.loc[name, "rows"]) for name in SPLITS},
        **future,
    }


def data_digest(prepare_dir: Path | str) -> str:
    """Give a sha256 over the values of the splits, whichever library version wrote their files.

    For each split in order, and the future set where there is one: its name and number of rows, then each column's name
    and values; integers as little-endian int64, texts as their UTF-8 lengths (int64) followed by their UTF-8 bytes.
    """
    import pyarrow.parquet as pq

    digest = hashlib.sha256()
    for name in (*SPLITS, FUTURE_SET):
        path = Path(prepare_dir) / f"{name}.parquet"
        if name == FUTURE_SET and not path.is_file():
            continue
        with pq.ParquetFile(path) as file:
            digest.update(f"{name}\n{file.metadata.num_rows}\n".encode())
            for column in file.schema_arrow.names:
                digest.update(f"{column}\n".encode())
                for part in _bytes(file, column):
                    digest.update(part)
    return digest.hexdigest()


def _bytes(file, column: str) -> Iterator[bytes]:  # type: ignore[no-untyped-def]
    import pyarrow as pa
    import pyarrow.compute as pc

    def values() -> Iterator[Any]:
        return (batch.column(0) for batch in file.iter_batches(BATCH, columns=[column]))

    if pa.types.is_integer(file.schema_arrow.field(column).type):
        yield from (np.asarray(part).astype("<i8").tobytes() for part in values())
        return
    yield from (np.asarray(pc.binary_length(part)).astype("<i8").tobytes() for part in values())
    yield from ("".join(part.to_pylist()).encode() for part in values())


def report(
    source: Source, plan: SplitPlan, screened: Screened, overview: pd.DataFrame, output_dir: Path
) -> dict[str, Any]:
    """Gather what a reviewer, the model card and the registry say about the data.

    Args:
        source: What was read.
        plan: How it was divided.
        screened: The divided rows.
        overview: As `compliance.screening.divide` gave it.
        output_dir: Where the splits were written.
    """
    layout = screened.layout
    generated = source.name.startswith(GENERATED)
    return {
        "schema": 1,
        "source": source.name,
        "source_sha256": source.sha256,
        "generated_with": {"rows": screened.rows_read, "seed": plan.seed} if generated else None,
        "data_digest": data_digest(output_dir),
        "columns": {"text": layout.text_column, "label": layout.label_column},
        "labels": [
            {"label": 0, "meaning": LABEL_NAMES[0], "value": layout.compliant_value},
            {"label": 1, "meaning": LABEL_NAMES[1], "value": layout.noncompliant_value},
        ],
        "keep": {"column": layout.keep_column, "values": list(layout.keep_values)} if layout.keep_column else None,
        "future": _future(layout, screened),
        "slices": list(layout.slice_columns),
        "maximum_length": layout.maximum_length,
        "split": {
            "by": plan.by,
            "column": plan.column or None,
            "validation_share": plan.validation_share,
            "test_share": plan.test_share,
            "seed": plan.seed,
        },
        "counts": counts(screened, overview),
        "rejected": dict(screened.reasons),
        "splits": overview.to_dict(orient="index"),
    }


def _future(layout: Layout, screened: Screened) -> dict[str, Any] | None:
    if not layout.future_column:
        return None
    return {
        "column": layout.future_column,
        "values": list(layout.future_values),
        "rows": screened.counts.future_rows,
        "texts": screened.counts.future_texts,
    }


def write_splits(output_dir: Path, screened: Screened) -> None:
    """Write one parquet file for each split, and for the future set where it holds rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    slices = [SLICE + name for name in screened.layout.slice_columns]
    types = {"row": pa.int64(), "text": pa.string(), "normalized": pa.string(), "label": pa.int8()}
    types |= dict.fromkeys(slices, pa.string())
    wanted = pa.schema(list(types.items()))  # no pandas metadata, which names its version
    (output_dir / f"{FUTURE_SET}.parquet").unlink(missing_ok=True)  # of an earlier run into this folder
    parts = PLACES | ({FUTURE_SET: FUTURE} if screened.counts.future_rows else {})
    with ExitStack() as files:
        writers = {
            number: files.enter_context(pq.ParquetWriter(output_dir / f"{name}.parquet", wanted))
            for name, number in parts.items()
        }
        for where, rows in screened.spool.batches(columns=list(types)):
            for number, writer in writers.items():
                held = rows[screened.places[where] == number]
                if len(held):
                    table = pa.Table.from_pandas(held, schema=wanted, preserve_index=False)
                    writer.write_table(table.replace_schema_metadata(None))


def write_report(output_dir: Path, described: dict[str, Any]) -> None:
    """Write the data report, keys sorted, so that equal reports are equal bytes."""
    text = json.dumps(described, ensure_ascii=False, indent=2, sort_keys=True)
    (output_dir / REPORT_FILE).write_text(text + "\n", encoding="utf-8")
