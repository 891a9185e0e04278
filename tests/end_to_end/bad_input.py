"""What may arrive that is wrong, and what must come of it: a table, which the tests run and docs/ERRORS.md shows."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.fixtures_model import write_model
from tests.project import Project

SOURCE, ROWS, PARAMETERS, PIPELINE = "The source", "Its rows", "Parameters", "Pipeline and notebooks"
QUESTIONS, DATASHEET = "Behavioural tests and challenge sets", "The datasheet"
INVENTORY = "An inventory to score"
RUN = "<run>"
SHOW, NOTHING_STARTED = f"next: trey show {RUN}", "next: trey plan, with the values mended"
SPLITS = ("data.json", "rejected.csv", "test.parquet", "train.parquet", "validation.parquet")
HEADER = "text,label"
GOOD = [
    f"{condition} condition {material} component manufactured in {year},{int(year < 1995 or condition == 'poor')}"
    for condition in ("good", "new", "poor")
    for material in ("steel", "iron", "plastic")
    for year in range(1960, 2020)
]
SCORE = ("score", "parts.csv", "--model-dir", "model")
BEHAVIOUR = ("run", "--set", "evaluate.behaviour_source=parts.csv")
CHALLENGE = ("run", "--set", "evaluate.challenge_source=parts.csv")
CASE = "plastic,direction,steel part,plastic part,1"  # a sound behavioural case
ASKED = "test,kind,text,changed,label"
TO_PREPARE = ("run", "--to", "prepare", "--set", "prepare.source=parts.csv")

Make = Callable[[Project], None]


@dataclass(frozen=True)
class Case:
    """One thing that is wrong (or looks so).

    Attributes:
        group: Section of the page.
        arrived: What is wrong, in words.
        make: Puts it into a copy of the project.
        says: What the message must hold; the page shows it.
        last: The last line printed, with <run> for the run's id.
        kept: What is left of it, in words.
        exit_code: Of the command.
        status: Of the run in run.json; "" where no run was started.
        cause: Of the failure in run.json.
        files: What prepare's folder holds afterwards.
        rejected: Rows in rejected.csv.
        words: The command, after `trey`.
    """

    group: str
    arrived: str
    make: Make
    says: str
    last: str = SHOW
    kept: str = "the record and the report"
    exit_code: int = 1
    status: str = "failed"
    cause: str = "bad-input"
    files: tuple[str, ...] = ()
    rejected: int | None = None
    words: tuple[str, ...] = TO_PREPARE


def content(data: bytes) -> Make:
    """Make a parts.csv of these bytes."""

    def make(project: Project) -> None:
        (project.root / "parts.csv").write_bytes(data)

    return make


def table(*rows: str, header: str = HEADER, encoding: str = "utf-8") -> Make:
    """Make a parts.csv of these rows."""
    return content(("\n".join([header, *rows]) + "\n").encode(encoding))


def inventory(*rows: str, **files: str) -> Make:
    """Make a parts.csv of these rows, other files, and a model to score it with."""

    def make(project: Project) -> None:
        write_model(project.root / "model")
        if rows:
            (project.root / "parts.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        for name, text in files.items():
            (project.root / f"{name}.csv").write_text(text, encoding="utf-8")

    return make


def absent(_: Project) -> None:
    """Make nothing."""


def folder(project: Project) -> None:
    """Make a folder where a file was named."""
    (project.root / "parts.csv").mkdir()


def params(text: str) -> Make:
    """Make a params file."""

    def make(project: Project) -> None:
        (project.root / "plant.yaml").write_text(text, encoding="utf-8")

    return make


def notebook(name: str, change: Callable[[dict], object] | str) -> Make:
    """Change a notebook, or replace its file by a text."""

    def make(project: Project) -> None:
        path = project.root / "notebooks" / f"{name}.ipynb"
        if isinstance(change, str):
            path.write_text(change, encoding="utf-8")
            return
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(json.dumps(document), encoding="utf-8")

    return make


def parameters_cell(document: dict) -> dict:
    """Give the cell with the tag "parameters"."""
    return next(cell for cell in document["cells"] if "parameters" in cell["metadata"].get("tags", []))


def with_train_dir(document: dict) -> None:
    """Let a notebook read what train writes."""
    parameters_cell(document)["source"].append('\ntrain_dir: str = "../runs/interactive/train"  # a folder')


def without_tag(document: dict) -> None:
    """Take the tag away."""
    parameters_cell(document)["metadata"]["tags"] = []


def gate_on_unknown_scrap(project: Project) -> None:
    """Misspell a scrap in a gate."""
    path = project.root / "params" / "pipeline.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("{scrap: evaluate.accuracy_low,", "{scrap: evaluate.acuracy_low,"), encoding="utf-8")


GOES_ON = "next: trey run --set prepare.source=parts.csv"
NOT_STARTED = {"exit_code": 2, "status": "", "cause": "", "kept": "nothing was started", "last": NOTHING_STARTED}
FINE = {"exit_code": 0, "status": "succeeded", "cause": "", "last": GOES_ON, "files": SPLITS}
REFUSED = {"kept": "rejected.csv with each refused row, its line and the reason", "files": ("rejected.csv",)}

CASES = [
    Case(SOURCE, "the file does not exist", absent, "parts.csv, which does not exist", **NOT_STARTED),
    Case(SOURCE, "a folder", folder, "is a folder, and it holds no CSV; give a file"),
    Case(SOURCE, "an empty file", content(b""), "is empty; a CSV with a header and rows was expected"),
    Case(SOURCE, "a header and nothing else", table(), "has a header and no rows"),
    Case(
        SOURCE,
        "not UTF-8",
        table("Bremsträger aus Stahl,0", *GOOD, encoding="latin-1"),
        "line 2 is not utf-8 (invalid continuation byte); say what it is, for instance: --set prepare.encoding=cp1252",
    ),
    Case(SOURCE, "UTF-16", table(*GOOD, encoding="utf-16"), "is UTF-16, encoding is 'utf-8': --set prepare.encoding"),
    Case(
        SOURCE,
        "a byte-order mark",
        content(b"\xef\xbb\xbf" + "\n".join([HEADER, *GOOD]).encode()),
        "prepare: succeeded",
        **FINE,
        kept="all rows: the mark is no part of the first column's name",
    ),
    Case(
        SOURCE,
        "other columns",
        table(*GOOD, header="description,verdict"),
        "has no column 'text' (text_column); its columns are 'description', 'verdict'",
    ),
    Case(SOURCE, "a column twice", table(*(f"{row},1" for row in GOOD), header="text,label,label"), "has 2 columns"),
    Case(SOURCE, "a quote that is never closed", table(*GOOD[:100], '"open,1', *GOOD[100:]), "line 102: a quote"),
    Case(
        ROWS,
        "line breaks inside of quotes",
        table('"first line\nsecond, line",0', *GOOD),
        "prepare: succeeded",
        **FINE,
        kept="all rows: the text has two lines",
    ),
    Case(
        ROWS,
        "labels outside the allowed values",
        table(*(row.replace(",1", ",2") for row in GOOD)),
        "390 × the label is neither '1' nor '0'",
        **REFUSED,
        rejected=390,
    ),
    Case(
        ROWS,
        "one label only",
        table(*(f"{row.rpartition(',')[0]},0" for row in GOOD)),
        "no row is non-compliant (label '1'), a model needs both labels",
        files=("rejected.csv",),
    ),
    Case(ROWS, "one row", table(GOOD[0]), "minimum_rows asks for 500", files=("rejected.csv",)),
    Case(
        ROWS,
        "a text of 10 MB",
        table("x " * 5_000_000 + ",1", *GOOD),
        "prepare: succeeded",
        **FINE,
        rejected=1,
        kept="all rows but this one, which rejected.csv lists, cut to 1,000 characters",
    ),
    Case(
        ROWS,
        "NUL bytes",
        table("a\0b,1", *GOOD),
        "prepare: succeeded",
        **FINE,
        rejected=1,
        kept="all rows but this one, which rejected.csv lists",
    ),
    Case(
        ROWS,
        "nothing but refused rows",
        table(*[",1"] * 600),
        "600 of 600 rows were refused (100.0%)",
        **REFUSED,
        rejected=600,
    ),
    Case(
        ROWS,
        "refused rows just above reject_limit",
        table(*GOOD, *[",1"] * 6),
        "6 of 546 rows were refused (1.1%), reject_limit allows 1.0%",
        **REFUSED,
        rejected=6,
    ),
    Case(
        ROWS,
        "refused rows just below reject_limit",
        table(*GOOD, *[",1"] * 5),
        "prepare: succeeded",
        **FINE,
        rejected=5,
        kept="all sound rows; rejected.csv lists the others",
    ),
    Case(
        PARAMETERS,
        "a misspelt parameter in a params file",
        params("prepare: {sourc: parts.csv}"),
        "prepare does not declare sourc; did you mean source?",
        **NOT_STARTED,
        words=("run", "--params", "plant.yaml"),
    ),
    Case(
        PARAMETERS,
        "a wrong type",
        absent,
        "train.epochs is 'many' (str); allowed is int",
        **NOT_STARTED,
        words=("run", "--set", "train.epochs=many"),
    ),
    Case(
        PARAMETERS,
        "an unknown phase in a params file",
        params("trian: {epochs: 3}"),
        "there is no phase trian; did you mean train?",
        **NOT_STARTED,
        words=("run", "--params", "plant.yaml"),
    ),
    Case(
        PARAMETERS,
        "a run that names production",
        absent,
        "deploy.environment is 'production'; a run goes to scratch or staging alone",
        **NOT_STARTED | {"last": "next: trey run, and then trey release RUN --to production"},
        words=("run", "--set", "deploy.environment=production"),
    ),
    Case(
        QUESTIONS,
        "tests without one of their columns",
        table(CASE, header=ASKED.replace("changed", "change")),
        "has no column 'changed'; its columns are 'test', 'kind', 'text', 'change', 'label'; did you mean 'change'?",
        **NOT_STARTED,
        words=BEHAVIOUR,
    ),
    Case(
        QUESTIONS,
        "tests that are not UTF-8",
        table(CASE.replace("steel", "Bremsträger"), header=ASKED, encoding="latin-1"),
        "line 2 is not utf-8 (invalid continuation byte); save it as UTF-8",
        **NOT_STARTED,
        words=BEHAVIOUR,
    ),
    Case(
        QUESTIONS,
        "a test of no known kind",
        table(CASE, CASE.replace("direction", "directional"), header=ASKED),
        "parts.csv line 3: its kind is not functionality, invariance or direction",
        **NOT_STARTED,
        words=BEHAVIOUR,
    ),
    Case(
        QUESTIONS,
        "a test whose label the source does not use",
        table(CASE.replace(",1", ",reject"), header=ASKED),
        "parts.csv line 2: the label is neither '1' nor '0'",
        **NOT_STARTED,
        words=BEHAVIOUR,
    ),
    Case(
        QUESTIONS,
        "challenge sets without the column that names the set",
        table("steel part,0"),
        "has no column 'set' (challenge_column); its columns are 'text', 'label'",
        **NOT_STARTED,
        words=CHALLENGE,
    ),
    Case(
        QUESTIONS,
        "a challenge text with both labels",
        table("steel part,0,new", "Steel part.,1,new", header=f"{HEADER},set"),
        "parts.csv line 2: the same words stand with both labels",
        **NOT_STARTED,
        words=CHALLENGE,
    ),
    Case(
        DATASHEET,
        "a field that no datasheet has",
        params("evaluate: {datasheet: {model: connected-car, titel: Parts}}"),
        "evaluate.datasheet has no field 'titel'; did you mean title?",
        **NOT_STARTED,
        words=("run", "--params", "plant.yaml"),
    ),
    Case(
        DATASHEET,
        "a field that is no text",
        params("evaluate: {datasheet: {model: connected-car, contact: 42}}"),
        "plant.yaml: evaluate.datasheet is a mapping whose contact is 42 (int); allowed is dict[str, str]",
        **NOT_STARTED,
        words=("run", "--params", "plant.yaml"),
    ),
    Case(
        PIPELINE,
        "notebooks that read each other in a circle",
        notebook("prepare", with_train_dir),
        "the phases read each other in a circle: ",
        **NOT_STARTED | {"last": "next: mend params/pipeline.yaml and type: trey plan"},
        words=("run",),
    ),
    Case(
        PIPELINE,
        "a notebook that is not JSON",
        notebook("train", "{"),
        "train.ipynb is no notebook",
        **NOT_STARTED | {"last": "next: mend notebooks/train.ipynb and type: trey plan"},
        words=("run",),
    ),
    Case(
        PIPELINE,
        "a notebook without parameters",
        notebook("train", without_tag),
        "train.ipynb declares no parameter at all: is the tag `parameters` on its cell?",
        **NOT_STARTED,
        words=("run",),
    ),
    Case(
        PIPELINE,
        "a gate on a scrap that nobody glues",
        gate_on_unknown_scrap,
        "acuracy_low",
        **NOT_STARTED | {"last": "next: mend params/pipeline.yaml and type: trey plan"},
        words=("run",),
    ),
    Case(
        INVENTORY,
        "the file does not exist",
        inventory(),
        "parts.csv does not exist; give a CSV file",
        **NOT_STARTED | {"last": "next: trey score FILE.csv --env staging"},
        words=SCORE,
    ),
    Case(
        INVENTORY,
        "no such column",
        inventory("description", "poor iron"),
        "parts.csv has no column 'text' (text_column); its columns are 'description'",
        **NOT_STARTED | {"last": "next: trey score --help"},
        words=SCORE,
    ),
    Case(
        INVENTORY,
        "rows that cannot be scored",
        inventory("text", "poor iron", '""', "—"),
        "2 refused: 1 × the text is empty; 1 × the text holds no word of letters a to z or digits",
        "scored: parts.scored.csv",
        "all other rows; parts.scored.rejected.csv lists these with line and reason",
        exit_code=0,
        status="",
        words=SCORE,
    ),
    Case(
        INVENTORY,
        "nothing that can be scored",
        inventory("text", "—"),
        "none of 1 rows could be scored",
        "next: trey score --help",
        "parts.scored.rejected.csv lists each row with line and reason",
        status="",
        words=SCORE,
    ),
    Case(
        INVENTORY,
        "a scored file from before",
        inventory("text", "poor iron", **{"parts.scored": "mine"}),
        "parts.scored.csv exists: name another --output, or replace it with --overwrite",
        **NOT_STARTED | {"last": "next: trey score --help", "kept": "what lies there"},
        words=SCORE,
    ),
]
