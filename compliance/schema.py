"""Rules that tables of descriptions must meet, written for pandera, which reports all breaches at once."""

import pandas as pd
import pandera.pandas as pa

from compliance.errors import BadInput
from compliance.reading import SLICE, Layout

NORMALIZED = r"[a-z0-9]+( [a-z0-9]+)*"
SPLITS = ("train", "validation", "test")
LABELS = (0, 1)  # 1 is non-compliant


def readable_rows(layout: Layout, by: pa.Column | None = None) -> pa.DataFrameSchema:
    """Rules for single labelled rows; the wording of a rule is the reason given to the rows that break it.

    Args:
        layout: Which labels are allowed, and how long a text may be.
        by: Rules for the column that the split goes by, if any.
    """
    labels = [layout.noncompliant_value, layout.compliant_value]
    label = pa.Column(
        str,
        [
            pa.Check(lambda values: values != "", error="the label is missing"),
            pa.Check(
                lambda values: values.isin(labels) | (values == ""),
                error=f"the label is neither {labels[0]!r} nor {labels[1]!r}",
            ),
        ],
    )
    return readable_texts(layout.maximum_length).add_columns({"label": label} | ({"by": by} if by else {}))


def readable_texts(maximum_length: int) -> pa.DataFrameSchema:
    """Rules for single rows with `text` and `normalized`.

    Args:
        maximum_length: How many characters a text may have.
    """
    text = pa.Column(
        str,
        [
            pa.Check(lambda texts: texts.str.strip() != "", error="the text is empty"),
            pa.Check(
                lambda texts: texts.str.len() <= maximum_length,
                error=f"the text is longer than {maximum_length:,} characters",
            ),
            pa.Check(lambda texts: ~texts.str.contains("\0", regex=False), error="the text holds a NUL character"),
        ],
    )
    words = pa.Check(
        lambda rows: (rows["normalized"] != "") | (rows["text"].str.strip() == ""),
        error="the text holds no word of letters a to z or digits",  # the model would see nothing in it
    )
    return pa.DataFrameSchema({"text": text}, checks=words)


def split_rows() -> pa.DataFrameSchema:
    """Rules for the rows of one split, as written and as read back."""
    return pa.DataFrameSchema(
        {
            "row": pa.Column("int64", pa.Check.ge(1), unique=True),
            "text": pa.Column(str, pa.Check.str_length(min_value=1)),
            "normalized": pa.Column(str, pa.Check.str_matches(f"^{NORMALIZED}$")),
            "label": pa.Column("int8", pa.Check.isin(LABELS)),
            f"^{SLICE}": pa.Column(str, regex=True, required=False),
        },
        checks=[
            pa.Check(lambda rows: rows["label"].nunique() == len(LABELS), error="both labels occur"),
            pa.Check(_labels_agree, error="equal words have equal labels"),
        ],
        strict=True,
        ordered=True,
    )


def separate_splits() -> pa.DataFrameSchema:
    """The rule for all splits together, one under the other with a column `split`: no text stands in two of them."""
    return pa.DataFrameSchema(
        {"split": pa.Column(str, pa.Check.isin(SPLITS))},
        checks=pa.Check(
            lambda rows: rows.groupby("normalized")["split"].transform("nunique") == 1,
            error="no text stands in two splits",
        ),
    )


def breaches(schema: pa.DataFrameSchema, rows: pd.DataFrame) -> pd.DataFrame:
    """Give one record per broken rule and row: `check` (its wording), `index` (of the row; None for a whole column)."""
    try:
        schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as errors:
        found = errors.failure_cases[["check", "index"]]
        return found.drop_duplicates(ignore_index=True)  # a breach of a whole-row rule is told once per column
    return pd.DataFrame({"check": pd.Series(dtype=str), "index": pd.Series(dtype="int64")})


def reasons(schema: pa.DataFrameSchema, rows: pd.DataFrame) -> pd.Series:
    """Give the reasons to refuse rows, by index; a row that breaks two rules gets both reasons."""
    if rows.empty:
        return pd.Series(dtype=object)
    broken = breaches(schema, rows).sort_values(["index", "check"])
    return broken.groupby("index")["check"].agg("; ".join).astype(object)


def validate(schema: pa.DataFrameSchema, rows: pd.DataFrame, name: str) -> None:
    """Check rows that must be sound.

    Raises:
        BadInput: With one line for each rule that is broken, and how often.
    """
    broken = breaches(schema, rows)
    if len(broken):
        counts = broken["check"].value_counts(sort=False)
        raise BadInput(*(f"{name}: rule broken {count:,} times: {check}" for check, count in counts.items()))


def _labels_agree(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("normalized")["label"].transform("nunique") == 1
