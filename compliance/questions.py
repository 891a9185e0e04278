"""Texts that people ask a model besides the test split: read as the source of the data was, and none is left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compliance import reading, schema
from compliance.errors import BadInput
from compliance.reading import Advice, Layout
from compliance.text import normalize_all

SHOWN = 5  # faults that are told


@dataclass(frozen=True)
class Questions:
    """Rows as they were written.

    Attributes:
        name: Of the source.
        rows: `text`, `normalized`, `label` as it is written, `line`, `fault`, and the columns that were asked for.
        layout: How they are laid out.
    """

    name: str
    rows: pd.DataFrame
    layout: Layout

    @property
    def labels(self) -> pd.Series:
        """1 where a row says non-compliant, else 0."""
        return (self.rows["label"] == self.layout.noncompliant_value).astype(np.int8)

    def check(self, what: str, away: str, faults: Mapping[str, pd.Series]) -> None:
        """Refuse a table with an unsound row: each is a question that somebody chose.

        Args:
            what: What the rows are, for the message.
            away: How to do without them, for the message.
            faults: What may be wrong besides what makes a row unreadable, and whether it is, by row.

        Raises:
            BadInput: A row is unsound; the first of them are told.
        """
        unread = self.rows["fault"].where(self.rows["fault"] != "").dropna()
        sound = self.rows.drop(index=unread.index)
        found = [unread, schema.reasons(schema.readable_rows(self.layout), sound)]
        found += [
            pd.Series(fault, index=broken.index[broken]).drop(unread.index, errors="ignore")
            for fault, broken in faults.items()
        ]
        every = pd.concat(found).sort_index()
        if len(every):
            lines = self.rows["line"]
            told = [f"{self.name} line {lines[row]}: {fault}" for row, fault in every.items()]
            more = [f"and {len(told) - SHOWN:,} more faults"] if len(told) > SHOWN else []
            rows = every.index.nunique()
            raise BadInput(f"{rows:,} rows of the {what} are unsound; mend them, or {away}", *told[:SHOWN], *more)


def advice(parameter: str) -> Advice:
    """Give what faults of such a source tell to do: its layout is fixed, and the file is what must change."""
    return Advice(
        source=f"--set {parameter}=PATH.csv",
        rows=f"--set {parameter.removesuffix('source')}rows=2000",
        column="Call it {wanted}",
        delimiter="Write it with commas",
        encoding="save it as UTF-8",
        undecodable="save it as UTF-8",
    )


def read(  # noqa: PLR0913 - most by name
    source: str,
    parameter: str,
    columns: Mapping[str, tuple[str, str]],
    data: Mapping[str, Any],
    *,
    rows: int,
    seed: int,
) -> Questions:
    """Read rows of text and label with further columns, called as in the source of the data, from a CSV with commas.

    Args:
        source: Path of a CSV file in UTF-8, http(s) address of one, or `generated:NAME`.
        parameter: The parameter that names the source, for messages.
        columns: The further columns by the name under which they are taken, each with the parameter that names it, ""
            where its name is fixed, and its name.
        data: The data report of the prepare phase, which says how texts and labels are written.
        rows: How many to generate, where they are generated.
        seed: Of the generator.

    Raises:
        BadInput: It cannot be read.
    """
    written = {line["label"]: line["value"] for line in data["labels"]}
    layout = Layout(
        text_column=data["columns"]["text"],
        label_column=data["columns"]["label"],
        noncompliant_value=written[1],
        compliant_value=written[0],
        maximum_length=data["maximum_length"],
    )
    wanted = reading.columns(layout) | dict(columns)
    table = reading.open_source(source, layout, wanted, rows=rows, seed=seed, advice=advice(parameter))
    found = pd.concat(table.chunks(), ignore_index=True)
    found = found.assign(label=found["label"].str.strip(), normalized=normalize_all(found["text"]))
    return Questions(table.name, found, layout)
