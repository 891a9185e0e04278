import csv
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from compliance import data, screening
from compliance.errors import BadInput
from compliance.reading import Layout, Table, read
from compliance.schema import SPLITS
from compliance.screening import Screened, screen
from compliance.splitting import SEEN_EARLIER, SplitPlan, Splits, split


@dataclass
class Prepared:
    table: Table
    screened: Screened
    splits: Splits
    report: dict


def prepare(
    folder: Path, source: str, layout: Layout | None = None, plan: SplitPlan | None = None, **options
) -> Prepared:
    """Do what the notebook does."""
    layout, plan = layout or Layout(), plan or SplitPlan()
    table = read(source, layout, by=plan.column, **options)
    screened = screen(table, layout, plan)
    screening.check_limits(screened, layout, minimum_rows=1, reject_limit=0.5)
    splits = split(screened.kept, plan)
    report = data.report(table, layout, plan, screened, splits)
    folder.mkdir(exist_ok=True)
    data.write_splits(folder, data.frames(splits))
    data.write_rejected(folder, data.refused(screened, splits))
    data.write_report(folder, report)
    return Prepared(table, screened, splits, report)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> tuple[Path, Prepared]:
    folder = tmp_path_factory.mktemp("prepare")
    return folder, prepare(folder, "generated:connected-car", rows=2_000, seed=7)


@pytest.fixture
def years(tmp_path) -> str:
    """Write a CSV whose texts repeat over the years, with rows that must be refused among them."""
    path = tmp_path / "source" / "years.csv"
    path.parent.mkdir()
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", "year"])
        writer.writerows([f"Part {n % 40}\nof plant {n % 40}", n % 2, 2000 + n // 4] for n in range(80))
        writer.writerows([f"part {n + 40}", n % 2, 2000 + n // 4] for n in range(80))
        writer.writerows([["", "1", "2001"], ["x", "maybe", "2001"], ["y" * 5_000, "", "2001"]])
    return str(path)


def test_the_same_rows_give_the_same_bytes_wherever_they_are_written(generated, tmp_path):
    folder, _ = generated
    prepare(tmp_path / "again", "generated:connected-car", rows=2_000, seed=7)
    assert files(tmp_path / "again") == files(folder)
    assert list(files(folder)) == ["data.json", "rejected.csv", "test.parquet", "train.parquet", "validation.parquet"]


def test_a_file_moved_elsewhere_gives_the_same_bytes(years, tmp_path):
    moved = tmp_path / "elsewhere" / "years.csv"
    moved.parent.mkdir()
    moved.write_bytes(Path(years).read_bytes())
    prepare(tmp_path / "one", years)
    prepare(tmp_path / "two", str(moved))
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert str(tmp_path).encode() not in b"".join(files(tmp_path / "one").values())


def test_splits_are_read_back_as_they_were_written(generated):
    folder, prepared = generated
    read_back = data.load(folder)
    assert list(read_back) == list(SPLITS)
    for name, rows in read_back.items():
        pd.testing.assert_frame_equal(rows, getattr(prepared.splits, name)[data.COLUMNS])
        assert rows.dtypes.astype(str).to_dict() == {
            "row": "int64",
            "text": "object",
            "normalized": "object",
            "label": "int8",
        }
        assert pq.read_schema(folder / f"{name}.parquet").metadata is None


def test_the_report_adds_up(generated):
    _, prepared = generated
    counts = prepared.report["counts"]
    assert counts == {
        "rows_read": 2_000,
        "rows_set_aside": 0,
        "rows_rejected": 0,
        "rows_kept": 2_000,
        "distinct_texts": 1_107,
        "duplicate_rows": 893,
        "noncompliant_share": 0.505,
        "train_rows": 1_404,
        "validation_rows": 308,
        "test_rows": 288,
    }
    assert all(type(value) in (int, float) for value in counts.values())
    assert sum(part["texts"] for part in prepared.report["splits"].values()) == 1_107


def test_the_report_says_where_the_rows_come_from(generated, years, tmp_path):
    folder, prepared = generated
    assert data.load_report(folder) == prepared.report
    assert prepared.report["source_sha256"] is None
    assert prepared.report["generated_with"] == {"rows": 2_000, "seed": 7}

    described = prepare(tmp_path / "out", years, Layout(), SplitPlan(by="time", column="year")).report
    assert described["source"] == "years.csv"
    assert described["source_sha256"] == hashlib.sha256(Path(years).read_bytes()).hexdigest()
    assert described["generated_with"] is None
    assert described["split"] == {
        "by": "time",
        "column": "year",
        "validation_share": 0.15,
        "test_share": 0.15,
        "seed": 7,
    }


def test_every_row_is_in_a_split_or_in_the_list_with_its_line_and_reason(years, tmp_path):
    prepared = prepare(tmp_path / "out", years, Layout(), SplitPlan(by="time", column="year"))
    with (tmp_path / "out" / "rejected.csv").open(encoding="utf-8", newline="") as stream:
        listed = list(csv.DictReader(stream))
    in_splits = [int(row) for part in data.load(tmp_path / "out").values() for row in part["row"]]
    assert sorted(in_splits + [int(record["row"]) for record in listed]) == list(range(1, 164))

    counts = prepared.report["counts"]
    assert (counts["rows_read"], counts["rows_kept"], counts["rows_rejected"]) == (163, len(in_splits), len(listed))
    assert prepared.report["rejected"] == {
        SEEN_EARLIER: len(listed) - 3,
        "the text is empty": 1,
        "the label is neither '1' nor '0'": 1,
        "the label is missing": 1,
    }
    lines = Path(years).read_text(encoding="utf-8").split("\n")
    for record in listed:
        assert record["text"].split("\n")[0][:9] in lines[int(record["line"]) - 1]
    assert len(listed[-1]["text"]) == data.LONGEST_SHOWN


def test_the_digest_changes_with_any_value_and_with_nothing_else(generated):
    _, prepared = generated
    splits = data.frames(prepared.splits)
    digest = prepared.report["data_digest"]
    assert data.data_digest({name: splits[name].copy() for name in reversed(SPLITS)}) == digest

    first = splits["test"].index[0]
    for column, value in {
        "row": 5_000,
        "text": "other",
        "normalized": "other",
        "label": 1 - splits["test"]["label"][0],
    }.items():
        changed = splits["test"].copy()
        changed.loc[first, column] = value
        assert data.data_digest({**splits, "test": changed}) != digest
    moved = {
        **splits,
        "train": splits["train"].iloc[:-1],
        "test": pd.concat([splits["train"].iloc[-1:], splits["test"]]),
    }
    assert data.data_digest(moved) != digest


def test_a_folder_that_is_not_what_prepare_wrote_is_refused(generated, tmp_path):
    with pytest.raises(BadInput, match=r"data\.json does not exist: run the prepare notebook first"):
        data.load(tmp_path)

    folder, prepared = generated
    for name, content in files(folder).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(BadInput, match=r"lacks test\.parquet"):
        data.load(tmp_path)

    splits = data.frames(prepared.splits)
    data.write_splits(tmp_path, {**splits, "test": splits["test"].iloc[1:]})
    with pytest.raises(BadInput, match=r"are not those data\.json describes"):
        data.load(tmp_path)

    data.write_splits(tmp_path, {**splits, "test": splits["train"]})
    with pytest.raises(BadInput, match="no text stands in two splits"):
        data.load(tmp_path)


def test_the_report_is_canonical_json(generated):
    folder, prepared = generated
    text = (folder / "data.json").read_text(encoding="utf-8")
    assert text == json.dumps(prepared.report, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


@pytest.mark.needs_shared
def test_the_mot_rows_before_2018_are_divided_without_loss(shared_dir, tmp_path):
    layout = Layout(keep_column="split", keep_values=["train"])
    report = prepare(tmp_path / "mot", str(shared_dir / "data" / "mot_rfr_compliance.csv"), layout).report
    assert report["splits"] == {
        "train": {"rows": 2_951, "texts": 2_951, "noncompliant_rows": 2_122, "noncompliant_texts": 2_122},
        "validation": {"rows": 633, "texts": 633, "noncompliant_rows": 455, "noncompliant_texts": 455},
        "test": {"rows": 633, "texts": 633, "noncompliant_rows": 455, "noncompliant_texts": 455},
    }
