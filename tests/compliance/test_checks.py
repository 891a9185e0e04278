"""What evaluate is given is checked before anything starts: datasheet, behavioural tests, challenge sets."""

from pathlib import Path
from typing import Any

import pytest

from compliance import checks

PREPARE = {
    "text_column": "words",
    "label_column": "verdict",
    "noncompliant_value": "reject",
    "compliant_value": "accept",
    "maximum_length": 100,
}
EVALUATE = {
    "datasheet": {"title": "Brakes"},
    "model_name": "brakes",
    "behaviour_source": "",
    "challenge_source": "",
    "challenge_column": "asks",
}
HEADER = "test,kind,words,changed,verdict"
SOUND = "rust,functionality,rusted through,,reject"


def faults(**given: Any) -> list[str]:
    return checks.of_evaluate({"prepare": PREPARE, "evaluate": EVALUATE | given, "train": {}})


def test_what_is_sound_has_no_fault(tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text(f"{HEADER},asks\n{SOUND},rust\n", encoding="utf-8")
    assert faults() == []
    assert faults(behaviour_source=str(asked), challenge_source=str(asked)) == []
    assert faults(behaviour_source="https://plant.example/asked.csv") == []  # evaluate fetches it


def test_a_generated_source_is_known_and_has_the_columns() -> None:
    assert faults(behaviour_source="generated:x")[0].endswith("--set evaluate.behaviour_source=PATH.csv takes a file")
    assert "has no column 'asks' (challenge_column)" in " ".join(faults(challenge_source="generated:connected-car"))


@pytest.mark.parametrize("column", ["fault", "label", "line", "normalized", "row", "text", "verdict"])
def test_the_column_of_the_set_may_be_called_as_one_of_ours(tmp_path: Path, column: str) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("row,line,text,label,fault,normalized,words,verdict\n1,2,a,b,c,d,rusted through,reject\n")
    assert faults(challenge_source=str(asked), challenge_column=column) == []


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text(f"{HEADER}\n{SOUND}\nmaker,invarianc,brake,hose,1\n", encoding="utf-8")
    assert faults(datasheet={"titel": "Brakes"}, behaviour_source=str(asked), challenge_source=str(asked)) == [
        "evaluate.datasheet has no field 'titel'; did you mean title?",
        "1 rows of the behavioural tests are unsound; mend them, or leave evaluate.behaviour_source away",
        "asked.csv line 3: the label is neither 'reject' nor 'accept'",
        "asked.csv line 3: its kind is not functionality, invariance or direction",
        f"{asked} has no column 'asks' (challenge_column); "
        "its columns are 'test', 'kind', 'words', 'changed', 'verdict'",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{HEADER}\nrust,functionality,rouillé,,reject\n".encode("latin-1"), "line 2 is not utf-8"),
        (f"{HEADER}\n{SOUND}\n".encode("utf-16"), "is UTF-16, encoding is 'utf-8': save it as UTF-8"),
        (f"{HEADER}\n{SOUND}\n".replace(",", ";").encode(), "is it delimited by ;? Write it with commas"),
        (f"{HEADER}\n{SOUND}\n".replace("changed", "change").encode(), "did you mean 'change'? Call it changed"),
        (None, "does not exist; source may be a CSV path"),
    ],
)
def test_a_file_is_to_be_mended_and_not_the_layout_of_the_source(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    asked = tmp_path / "asked.csv"
    if content is not None:
        asked.write_bytes(content)
    said = "\n".join(faults(behaviour_source=str(asked)))
    assert says in said
    assert "prepare." not in said
