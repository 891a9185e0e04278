import csv
import gzip
import hashlib
import http.server
import threading
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from compliance.errors import BadInput
from compliance.reading import Layout, Source, columns, open_source

GOOD = "text,label\niron part,1\nsteel part,0\n"


@pytest.fixture
def csv_file(tmp_path):
    def write(content: str | bytes, name: str = "parts.csv") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def opened(path: str, layout: Layout | None = None, by: str = "", **options) -> Source:
    layout = layout or Layout()
    return open_source(path, layout, columns(layout, by), **options)


def read(path: str, layout: Layout | None = None, size: int = 2, **options) -> pd.DataFrame:
    return pd.concat(list(opened(path, layout, **options).chunks(size)), ignore_index=True)


def faults(source: str, layout: Layout | None = None, **options) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(source, layout, **options)
    return list(caught.value.faults)


def rows(source: str, layout: Layout | None = None, **options) -> list[list]:
    return read(source, layout, **options)[["row", "line", "text", "label"]].to_numpy().tolist()


def test_a_file_is_read_as_text_with_row_and_line_and_its_digest(csv_file):
    source = csv_file(GOOD)
    table = opened(source)
    assert table.name == "parts.csv"
    assert table.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert table.head().to_dict(orient="records") == [
        {"row": 1, "line": 2, "text": "iron part", "label": "1", "fault": ""},
        {"row": 2, "line": 3, "text": "steel part", "label": "0", "fault": ""},
    ]


@pytest.mark.parametrize("size", [1, 2, 7])
def test_chunks_number_the_rows_through_and_can_be_read_again(csv_file, size):
    source = opened(csv_file("text,label\n" + "".join(f"part {n},1\n" for n in range(7))))
    for _ in range(2):
        chunks = list(source.chunks(size))
        assert [len(chunk) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
        together = pd.concat(chunks)
        assert together["row"].tolist() == list(range(1, 8))
        assert together["text"].tolist() == [f"part {n}" for n in range(7)]
    assert source.head(3)["row"].tolist() == [1, 2, 3]


def test_generated_rows_come_in_chunks_too():
    chunks = list(opened("generated:connected-car", rows=5, seed=7).chunks(2))
    assert [chunk["row"].tolist() for chunk in chunks] == [[1, 2], [3, 4], [5]]


def test_lines_are_those_of_the_file_where_texts_and_gaps_span_several(csv_file):
    source = csv_file('text,label\n"iron\n\npart",1\n\nsteel part,0\r\n"tin ""box""\r\nsmall",1\nlast,0')
    assert rows(source) == [
        [1, 2, "iron\n\npart", "1"],
        [2, 6, "steel part", "0"],
        [3, 7, 'tin "box"\r\nsmall', "1"],
        [4, 9, "last", "0"],
    ]


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        (GOOD.encode("utf-8-sig"), Layout()),
        (GOOD.encode("utf-16"), Layout(encoding="utf-16")),
        (GOOD.replace(",", ";").encode("cp1252"), Layout(delimiter=";", encoding="cp1252")),
        (GOOD.replace(",", "\t").encode(), Layout(delimiter="\\t")),
        (GOOD.replace("\n", "\r").encode(), Layout()),
        (GOOD.replace("text,label", " text , label ").encode(), Layout()),
        (
            b"id,fails,words,fails_too\n1,1,iron part,x\n2,0,steel part,y\n",
            Layout(text_column="words", label_column="fails"),
        ),
    ],
    ids=["byte-order mark", "utf-16", "semicolons", "tabs", "old mac lines", "spaced header", "other columns"],
)
def test_layouts_of_the_same_rows(csv_file, content, layout):
    assert rows(csv_file(content), layout) == [[1, 2, "iron part", "1"], [2, 3, "steel part", "0"]]


def test_further_columns_are_taken_where_asked_for(csv_file):
    source = csv_file("text,label,part,year,system\niron,1,train,1999,brakes\n")
    layout = Layout(
        keep_column="part",
        keep_values=["train"],
        future_column="year",
        future_values=["2018"],
        slice_columns=["system"],
    )
    frame = read(source, layout, by="year")
    assert frame.loc[0, ["keep", "future", "by", "slice_system"]].tolist() == ["train", "1999", "1999", "brakes"]


def test_records_that_cannot_be_read_stay_with_their_fault(csv_file):
    frame = read(csv_file('text,label\na,1,x\nb\n"c" d,1\n"e\nf" g,1\nh,0\n'))
    assert frame[["row", "line", "text"]].to_numpy().tolist() == [
        [1, 2, "a,1,x"],
        [2, 3, "b"],
        [3, 4, ""],
        [4, 5, ""],
        [5, 7, "h"],
    ]
    found = frame["fault"].tolist()
    assert found[:2] == ["it has 3 fields where the header has 2", "it has 1 fields where the header has 2"]
    assert found[2].startswith("its quotes do not match (lines 4 to 4)")
    assert found[3].startswith("its quotes do not match (lines 5 to 6)")
    assert found[4] == ""


def test_a_text_of_ten_megabytes_is_read_and_the_limit_of_csv_is_put_back(csv_file):
    before = csv.field_size_limit()
    assert len(read(csv_file(f'text,label\n"{"a" * 10_000_000}",1\n')).loc[0, "text"]) == 10_000_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "layout", "said"),
    [
        ("", Layout(), "parts.csv is empty"),
        ("\n\n", Layout(), "parts.csv is empty"),
        ("text,label\n", Layout(), "parts.csv has a header and no rows"),
        (
            'text,label\nab,1\n"iron, 1\nsteel,0\n',
            Layout(),
            'line 3: a quote (") opened in this record is never closed',
        ),
        (b"text,label\nab,1\nc\xe9,0\n", Layout(), "line 3 is not utf-8 (invalid continuation byte); say what it is"),
        (b"PK\x03\x04\x14\x00\xff\xfe", Layout(), "is an Excel workbook or a zip, not a CSV; save it as CSV first"),
        (gzip.compress(GOOD.encode(), mtime=0), Layout(), "is packed with gzip, not a CSV"),
        (GOOD.encode("utf-16"), Layout(), "is UTF-16, encoding is 'utf-8': --set prepare.encoding=utf-16"),
        (GOOD, Layout(encoding="utf-16"), "is not utf-16"),
        ("text,label,text\na,1,b\n", Layout(), "has 2 columns 'text' (text_column); rename all but one"),
        ("texts,label\na,1\n", Layout(), "did you mean 'texts'? --set prepare.text_column=texts"),
        ("text;label\na;1\n", Layout(), "is it delimited by ;? --set prepare.delimiter=';'"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_next_step(csv_file, content, layout, said):
    told = "\n".join(faults(csv_file(content), layout))
    assert said in told


def test_what_delimits_is_asked_alone_since_it_explains_what_is_missing(csv_file):
    source = csv_file("text;label\na;1\n")
    asked = "the header is one column, 'text;label': is it delimited by ;? --set prepare.delimiter=';'"
    assert faults(source, Layout()) == [asked]
    [column] = faults(csv_file("notes\na\n"), Layout(text_column="note"))[:1]
    assert "did you mean 'notes'?" in column


def test_all_faults_of_a_header_are_told_at_once(csv_file):
    layout = Layout(keep_column="split", keep_values=["train"])
    source = csv_file("id,name\n1,2\n")
    wanted = {"text_column": "text", "label_column": "label", "keep_column": "split", "split_column": "year"}
    assert [fault.partition(";")[0] for fault in faults(source, layout, by="year")] == [
        f"{source} has no column {name!r} ({parameter})" for parameter, name in wanted.items()
    ]


def test_a_missing_file_a_folder_and_an_unknown_generator_are_named(csv_file, tmp_path):
    csv_file(GOOD)
    assert faults(str(tmp_path / "part.csv")) == [
        f"{tmp_path}/part.csv does not exist; did you mean {tmp_path}/parts.csv? --set prepare.source=PATH.csv"
    ]
    assert "generated:connected-car" in faults("nowhere/else.csv")[0]
    assert faults(str(tmp_path)) == [
        f"{tmp_path} is a folder, and it holds 'parts.csv'; give a file: --set prepare.source=PATH.csv"
    ]
    assert "generated sources are: generated:connected-car" in faults("generated:connectedcar")[0]
    assert faults("generated:connected-car", rows=0) == ["rows is 0; give a number above 0: --set prepare.rows=2000"]
    assert "no column 'words'" in faults("generated:connected-car", Layout(text_column="words"))[0]


def test_generated_rows_have_no_digest_and_count_lines_as_a_csv_would():
    table = opened("generated:connected-car", rows=3, seed=7)
    assert (table.name, table.sha256) == ("generated:connected-car", None)
    assert table.head()[["row", "line"]].to_numpy().tolist() == [[1, 2], [2, 3], [3, 4]]


def test_a_layout_tells_all_its_faults_at_once():
    with pytest.raises(BadInput) as caught:
        Layout(
            text_column="a",
            label_column="a",
            noncompliant_value="0",
            keep_column="split",
            future_values=["test"],
            slice_columns=["system", "system"],
            delimiter="::",
            encoding="klingon",
            maximum_length=0,
        )
    told = [fault.split()[0] for fault in caught.value.faults]
    assert told == [
        "noncompliant_value",
        "text_column",
        "keep_column",
        "future_column",
        "slice_columns",
        "delimiter",
        "encoding",
        "maximum_length",
    ]
    with pytest.raises(BadInput, match=r"\['2018'\] of year stand in keep_values and in future_values"):
        Layout(keep_column="year", keep_values=["2018"], future_column="year", future_values=["2018"])


@pytest.fixture
def server(tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_an_address_is_read_and_told_without_its_keys(csv_file, server):
    csv_file(GOOD)
    table = opened(f"{server}/parts.csv?sig=hidden")
    assert (len(table.head()), table.name) == (2, f"{server}/parts.csv")
    assert table.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()


def test_an_address_that_does_not_answer_is_named_without_its_keys(server):
    assert faults(f"{server}/none.csv?sig=hidden") == [
        f"{server}/none.csv cannot be fetched: HTTP 404 File not found; "
        "check the address, or download it and --set prepare.source=PATH.csv"
    ]
    closed = "http://127.0.0.1:1/parts.csv?sig=hidden"
    assert "hidden" not in faults(closed)[0]
    assert "hidden" not in faults("http://127.0.0.1:nonsense/parts.csv?sig=hidden")[0]


@pytest.mark.needs_shared
def test_the_mot_file_is_read_whole(shared_dir: Path):
    frame = read(str(shared_dir / "data" / "mot_rfr_compliance.csv"), size=1_000)
    assert len(frame) == 6_317
    assert (frame["fault"] == "").all()
