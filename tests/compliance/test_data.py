import csv
import hashlib
import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from compliance import data
from compliance.errors import BadInput
from compliance.reading import Layout
from compliance.rejects import LONGEST_SHOWN
from compliance.schema import SPLITS
from compliance.splitting import SEEN_EARLIER, SplitPlan
from tests.compliance.prepared import Prepared, prepare


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
    source = prepared.source.head(2_000).set_index("row")
    for name, rows in read_back.items():
        assert len(rows) == prepared.overview.loc[name, "rows"]
        assert rows["row"].is_monotonic_increasing
        assert rows["text"].tolist() == source.loc[rows["row"], "text"].tolist()
        assert rows["label"].astype(str).tolist() == source.loc[rows["row"], "label"].tolist()
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
    assert len(listed[-1]["text"]) == LONGEST_SHOWN


def copy(folder: Path, to: Path) -> Path:
    for name, content in files(folder).items():
        (to / name).write_bytes(content)
    return to


def rewrite(folder: Path, name: str, rows: pd.DataFrame) -> None:
    rows.to_parquet(folder / f"{name}.parquet", index=False)


def in_memory(folder: Path) -> str:
    """Give the digest as its description reads."""
    digest = hashlib.sha256()
    for name in (*SPLITS, "future"):
        if not (folder / f"{name}.parquet").exists():
            continue
        rows = pd.read_parquet(folder / f"{name}.parquet")
        digest.update(f"{name}\n{len(rows)}\n".encode())
        for column in rows:
            digest.update(f"{column}\n".encode())
            if rows[column].dtype.kind == "i":
                digest.update(rows[column].to_numpy().astype("<i8").tobytes())
            else:
                encoded = [text.encode() for text in rows[column]]
                digest.update(b"".join(len(text).to_bytes(8, "little") for text in encoded) + b"".join(encoded))
    return digest.hexdigest()


def test_the_digest_is_what_its_description_says_and_no_way_of_writing_changes_it(years, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "BATCH", 3)
    layout = Layout(future_column="year", future_values=["2019"], slice_columns=["year"])
    report = prepare(tmp_path / "out", years, layout, size=7).report
    assert report["data_digest"] == in_memory(tmp_path / "out")
    for name in (*SPLITS, "future"):
        rewrite(tmp_path / "out", name, pd.read_parquet(tmp_path / "out" / f"{name}.parquet"))
    data.verify(tmp_path / "out")


@pytest.mark.parametrize("name", [*SPLITS, "future"])
@pytest.mark.parametrize(
    ("column", "value"), [("row", 5_000), ("text", "other"), ("normalized", "other"), ("label", 2), ("slice_year", "x")]
)
def test_the_digest_changes_with_any_value(years, tmp_path, name, column, value):
    layout = Layout(future_column="year", future_values=["2019"], slice_columns=["year"])
    prepare(tmp_path / "out", years, layout)
    changed = pd.read_parquet(tmp_path / "out" / f"{name}.parquet")
    changed.loc[0, column] = value
    rewrite(tmp_path / "out", name, changed.astype({"label": "int8"}))
    with pytest.raises(BadInput, match=r"are not those data\.json describes"):
        data.load(tmp_path / "out")


def test_the_digest_changes_when_a_row_moves_from_a_split_to_the_next(generated, tmp_path):
    folder, prepared = generated
    copy(folder, tmp_path)
    train, validation = (pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation"))
    rewrite(tmp_path, "train", train.iloc[:-1])
    rewrite(tmp_path, "validation", pd.concat([train.iloc[-1:], validation]))
    assert data.data_digest(tmp_path) != prepared.report["data_digest"] == data.data_digest(folder)


def test_a_folder_that_is_not_what_prepare_wrote_is_refused(generated, tmp_path):
    with pytest.raises(BadInput, match=r"data\.json does not exist: run the prepare notebook first"):
        data.load(tmp_path)

    folder, _ = generated
    copy(folder, tmp_path)
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(BadInput, match=r"lacks test\.parquet"):
        data.load(tmp_path)

    rewrite(tmp_path, "test", pd.read_parquet(folder / "test.parquet").iloc[1:])
    with pytest.raises(BadInput, match=r"are not those data\.json describes"):
        data.load(tmp_path)

    rewrite(tmp_path, "test", pd.read_parquet(folder / "train.parquet"))
    described = data.load_report(tmp_path)
    data.write_report(tmp_path, {**described, "data_digest": data.data_digest(tmp_path)})
    with pytest.raises(BadInput, match="no text stands in two splits"):
        data.load(tmp_path)


def test_slices_and_the_future_set_are_written_and_described(years, tmp_path):
    layout = Layout(future_column="year", future_values=["2019"], slice_columns=["year"])
    report = prepare(tmp_path / "out", years, layout).report
    assert report["slices"] == ["year"]
    assert report["future"] == {"column": "year", "values": ["2019"], "rows": 8, "texts": 8}
    assert report["counts"]["future_rows"] == 8
    assert report["counts"]["rows_read"] == 8 + report["counts"]["rows_kept"] + report["counts"]["rows_rejected"]
    future = pd.read_parquet(tmp_path / "out" / "future.parquet")
    assert set(future["slice_year"]) == {"2019"}
    splits = data.load(tmp_path / "out")
    assert all("2019" not in set(rows["slice_year"]) for rows in splits.values())

    again = prepare(tmp_path / "out", years).report  # into the same folder, without them
    assert (again["future"], again["slices"], "future_rows" in again["counts"]) == (None, [], False)
    assert not (tmp_path / "out" / "future.parquet").exists()
    data.verify(tmp_path / "out")


@pytest.mark.parametrize("by", ["text", "group", "time"])
def test_any_size_of_chunk_gives_the_same_data(years, tmp_path, by):
    plan = SplitPlan(by=by, column="" if by == "text" else "year")
    layout = Layout(future_column="year", future_values=["2019"], slice_columns=["year"])
    reports = [prepare(tmp_path / str(size), years, layout, plan, size).report for size in (1, 7, 1_000)]
    assert reports[0] == reports[1] == reports[2]
    lists = [(tmp_path / str(size) / "rejected.csv").read_bytes() for size in (1, 7, 1_000)]
    assert lists[0] == lists[1] == lists[2]
    assert len(list((tmp_path / "1").glob(".*"))) == 0


def test_the_report_is_canonical_json(generated):
    folder, prepared = generated
    text = (folder / "data.json").read_text(encoding="utf-8")
    assert text == json.dumps(prepared.report, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


@pytest.mark.needs_shared
def test_the_mot_rows_before_2018_are_divided_without_loss(shared_dir, tmp_path):
    layout = Layout(keep_column="split", keep_values=["train"], future_column="split", future_values=["test"])
    report = prepare(tmp_path / "mot", str(shared_dir / "data" / "mot_rfr_compliance.csv"), layout).report
    assert report["splits"] == {
        "train": {"rows": 2_951, "texts": 2_951, "noncompliant_rows": 2_122, "noncompliant_texts": 2_122},
        "validation": {"rows": 633, "texts": 633, "noncompliant_rows": 455, "noncompliant_texts": 455},
        "test": {"rows": 633, "texts": 633, "noncompliant_rows": 455, "noncompliant_texts": 455},
    }
    assert report["future"] == {"column": "split", "values": ["test"], "rows": 2_092, "texts": 2_092}
