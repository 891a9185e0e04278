import csv
import json
from pathlib import Path

import numpy as np
import pytest

from compliance.errors import BadInput
from compliance.scorer import Scorer
from compliance.window import answered, read
from tests.fixtures_model import write_model

HEADER = ["row", "line", "text", "probability", "label"]


@pytest.fixture
def scored(tmp_path: Path):
    def write(*answers: tuple[str, float, str], name: str = "parts.scored.csv") -> Path:
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(HEADER)
            writer.writerows([n, n + 1, *answer] for n, answer in enumerate(answers, start=1))
        return tmp_path / name

    return write


def line(text: str, time: str | None = None, probability: float = 0.9, label: str = "non-compliant") -> str:
    return json.dumps({"text": text, "probability": probability, "label": label, "time": time, "version": 3}) + "\n"


def test_a_scored_file_is_counted_by_rows_and_compared_by_distinct_texts(scored):
    path = scored(
        ("Iron part", 0.9, "non-compliant"), ("iron PART!", 0.9, "non-compliant"), ("steel", 0.1, "compliant")
    )
    (path.parent / "parts.scored.json").write_text('{"rejected": 5}', encoding="utf-8")
    found = read(path)
    assert (found.name, found.rows, found.refused, found.flagged, found.distinct) == ("parts.scored.csv", 3, 5, 2, 2)
    assert sorted(found.texts["normalized"]) == ["iron part", "steel"]
    assert found.texts.set_index("normalized")["flagged"].to_dict() == {"iron part": True, "steel": False}
    assert found.days.empty


@pytest.mark.parametrize("chunk", [1, 3, 1_000])
def test_the_sample_depends_on_the_texts_alone(scored, monkeypatch, chunk):
    answers = [(f"part {n}", 0.5 + n / 1_000, "non-compliant") for n in range(200)]
    whole = read(scored(*answers), most=50)
    monkeypatch.setattr("compliance.window.CHUNK", chunk)
    again = read(scored(*answers[::-1], *answers[:20]), most=50)
    assert whole.texts.equals(again.texts)
    assert (len(whole.texts), whole.distinct, again.distinct, again.rows) == (50, 200, 200, 220)
    assert not read(scored(*answers), most=50, seed=8).texts.equals(whole.texts)


def test_collected_data_are_counted_by_day_and_half_a_line_is_refused(tmp_path):
    for day, texts in (("2026-01-01", ["iron", "steel"]), ("2026-01-02", ["tin", "tin", "zinc"])):
        folder = tmp_path / "collected" / day
        folder.mkdir(parents=True)
        lines = [line(text, f"{day}T23:30:00-01:00") for text in texts]
        (folder / "answers.jsonl").write_text("".join(lines) + '{"text": "ir', encoding="utf-8")
    found = read(tmp_path / "collected")
    assert (found.rows, found.refused, found.distinct) == (5, 2, 4)
    assert found.days["rows"].to_dict() == {"2026-01-02": 2, "2026-01-03": 3}  # days are those of UTC
    assert found.days["flagged"].to_dict() == {"2026-01-02": 2, "2026-01-03": 3}


def test_answers_without_a_time_belong_to_no_day(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text(line("iron") + line("steel", "2026-01-01") + line("tin", "soon"), encoding="utf-8")
    assert read(path).days["rows"].to_dict() == {"2026-01-01": 1}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text,label\niron,1\n", "has no column probability"),
        ("a.csv", ",".join(HEADER) + "\n", "holds no answer"),
        ("a.csv", ",".join(HEADER) + "\n1,2,iron,2,compliant\n", "probability 2.0; a probability from 0 to 1"),
        ("a.csv", ",".join(HEADER) + "\n1,2,iron,x,compliant\n", "probability nan; a probability from 0 to 1"),
        ("a.csv", ",".join(HEADER) + "\n1,2,iron,0.2,good\n", "the answer 'good'"),
        ("a.jsonl", '{"text": "iron"}\n[]\nnonsense\n', "holds no answer"),
        ("b.csv", "", "a.csv does not exist"),
    ],
)
def test_what_is_no_window_is_told(tmp_path, name, content, said):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        read(tmp_path / ("a.jsonl" if name == "a.jsonl" else "a.csv"))
    assert said in str(caught.value)


def test_the_reference_is_answered_as_a_scored_file_would_be(tmp_path, scored):
    scorer = Scorer.load(write_model(tmp_path / "model"))
    texts = [f"poor iron part {n}" for n in range(40)] + ["good steel"] * 3
    reference = answered(texts, scorer)
    probabilities = scorer.score(list(reference["normalized"]))
    answers = [
        (text, f"{probability:.6f}", scorer.label(probability))
        for text, probability in zip(reference["normalized"], probabilities, strict=True)
    ]
    window = read(scored(*answers))
    assert window.texts.equals(reference)
    assert len(reference) == 41
    assert np.array_equal(answered(texts, scorer, most=5)["normalized"], reference["normalized"][:5])
