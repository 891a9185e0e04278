"""Tells rows that can be used from rows that cannot, and says why not.

Nothing vanishes: every row is kept, refused or set aside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandera.pandas import DataFrameSchema

from compliance import schema
from compliance.errors import BadInput
from compliance.reading import Layout, Table
from compliance.splitting import LABEL_NAMES, SplitPlan, rules
from compliance.text import normalize

REJECTED = ["row", "line", "reason", "text", "label"]


@dataclass(frozen=True)
class Screened:
    """The rows of a source after they were judged.

    Attributes:
        kept: `row`, `line`, `text`, `normalized`, `label` (int8, 1 is non-compliant), `by`.
        rejected: `row`, `line`, `reason`, `text`, `label`, the last two as they came.
        rows_read: Rows in the source.
        rows_set_aside: Rows outside keep_values, not judged.
    """

    kept: pd.DataFrame
    rejected: pd.DataFrame
    rows_read: int
    rows_set_aside: int


def screen(table: Table, layout: Layout, plan: SplitPlan) -> Screened:
    """Judge every row of a source by the rules of `compliance.schema`.

    Raises:
        BadInput: A value in keep_values does not occur.
    """
    rows = table.frame.assign(label=table.frame["label"].str.strip(), by=table.frame["by"].str.strip())
    chosen = _chosen(rows, layout)
    broken = rows["fault"] != ""
    judged = rows[chosen & ~broken]
    judged = judged.assign(normalized=_normalized(judged["text"]))

    reasons = pd.concat([rows.loc[broken, "fault"], _reasons(schema.readable_rows(layout, rules(plan)), judged)])
    sound = judged.drop(index=reasons.index, errors="ignore")
    reasons = pd.concat([reasons, _reasons(schema.agreeing_rows(), sound)])

    kept = judged.drop(index=reasons.index, errors="ignore")
    kept = kept.assign(label=(kept["label"] == layout.noncompliant_value).astype(np.int8))
    return Screened(
        kept=kept[["row", "line", "text", "normalized", "label", "by"]].reset_index(drop=True),
        rejected=rows.assign(reason=reasons).loc[reasons.index.sort_values(), REJECTED].reset_index(drop=True),
        rows_read=len(rows),
        rows_set_aside=int((~chosen & ~broken).sum()),
    )


def check_limits(screened: Screened, layout: Layout, *, minimum_rows: int, reject_limit: float) -> None:
    """Refuse a source of which too little is left.

    Args:
        screened: The judged rows.
        layout: What the labels mean, for the message.
        minimum_rows: How many rows must be left.
        reject_limit: Largest share of the judged rows that may be refused, 0 to 1.

    Raises:
        BadInput: Too many rows were refused, too few are left, all have one label, or a limit is none; all that holds.
    """
    faults = []
    if not 0 <= reject_limit <= 1:
        faults.append(f"reject_limit is {reject_limit}; give a share from 0 to 1: --set prepare.reject_limit=0.01")
    if minimum_rows < 1:
        faults.append(f"minimum_rows is {minimum_rows}; give a number above 0: --set prepare.minimum_rows=500")
    rejected, kept = len(screened.rejected), len(screened.kept)
    judged = rejected + kept
    if rejected and rejected > reject_limit * judged:
        allowed = min(np.ceil(rejected / judged * 1000) / 1000, 1.0)
        faults.append(
            f"{rejected:,} of {judged:,} rows were refused ({rejected / judged:.1%}), reject_limit allows "
            f"{reject_limit:.1%}: {_summary(screened.rejected['reason'])}. The first is line "
            f"{screened.rejected['line'].iloc[0]}; rejected.csv lists all. "
            f"Mend them, or accept it with --set prepare.reject_limit={allowed:g}"
        )
    if kept < minimum_rows:
        faults.append(
            f"{kept:,} rows are left to use, minimum_rows asks for {minimum_rows:,}: add labelled rows, "
            f"or --set prepare.minimum_rows={max(kept, 1)}"
        )
    held = set(screened.kept["label"])
    if kept and len(held) == 1:
        missing, value = (1, layout.noncompliant_value) if held == {0} else (0, layout.compliant_value)
        faults.append(
            f"no row is {LABEL_NAMES[missing]} (label {value!r}), a model needs both labels: add such rows, "
            "or check noncompliant_value and compliant_value"
        )
    if faults:
        raise BadInput(*faults)


def _chosen(rows: pd.DataFrame, layout: Layout) -> pd.Series:
    """Mark rows that are to be used, records that could not be read among them: nobody knows what they held."""
    if not layout.keep_column:
        return pd.Series(True, index=rows.index)
    held = rows.loc[rows["fault"] == "", "keep"].value_counts()
    if unknown := [value for value in layout.keep_values if value not in held.index]:
        values = ", ".join(f"{value!r} ({count:,} rows)" for value, count in held.head(8).items())
        more = f" and {len(held) - 8} more" if len(held) > 8 else ""  # noqa: PLR2004  as many as were shown
        raise BadInput(
            f"keep_values {unknown} do not occur in column {layout.keep_column!r}, which holds {values}{more}: "
            f'--set "prepare.keep_values=[VALUE]"'
        )
    return rows["keep"].isin(list(layout.keep_values)) | (rows["fault"] != "")


def _normalized(texts: pd.Series) -> pd.Series:
    """Normalize each distinct text once."""
    return texts.map({text: normalize(text) for text in texts.unique()}).astype(object)


def _reasons(rules: DataFrameSchema, rows: pd.DataFrame) -> pd.Series:
    """Give the reasons to refuse rows, by index; a row that breaks two rules gets both reasons."""
    broken = schema.breaches(rules, rows).sort_values(["index", "check"])
    return broken.groupby("index")["check"].agg("; ".join).astype(object)


def _summary(reasons: pd.Series, longest: int = 6) -> str:
    counts = reasons.value_counts()
    parts: Sequence[str] = [f"{count:,} × {reason}" for reason, count in counts.head(longest).items()]
    return "; ".join(parts) + (f"; and {len(counts) - longest} other reasons" if len(counts) > longest else "")
