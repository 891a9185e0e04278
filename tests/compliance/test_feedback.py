import json

import pytest

from compliance.errors import BadInput
from compliance.feedback import judged
from compliance.window import read

DAY = "2026/03/01"


def answer(identity="a", item=0, **changes):
    line = {
        "time": "2026-03-01T10:00:00.000Z",
        "correlation_id": identity,
        "item": item,
        "text": f"text {identity}{item}",
        "label": "compliant",
        "probability": 0.1,
        "version": 3,
        "digest": "d",
        "slot": "blue",
        "mirrored": False,
    }
    return line | changes


def decision(identity="a", label="non-compliant", time="2026-03-02T10:00:00.000Z", **changes):
    return {"time": time, "correlation_id": identity, "item": 0, "label": label} | changes


@pytest.fixture
def folder(tmp_path):
    def write(answers, decisions):
        for place, lines in ((DAY, answers), (f"feedback/{DAY}", decisions)):
            (tmp_path / place).mkdir(parents=True)
            text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
            (tmp_path / place / "p.jsonl").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_the_last_decision_counts_whatever_file_it_stands_in(folder):
    path = folder([answer("a"), answer("b")], [decision(label="compliant", time="2026-03-03"), decision()])
    found = judged(path)
    assert found.answers[["correlation_id", "decision", "decided_at"]].to_numpy().tolist() == [
        ["a", "compliant", "2026-03-03"]
    ]
    assert (found.unmatched, found.revised, found.refused) == (0, 1, 0)


def test_answers_that_nobody_saw_are_not_judged(folder):
    failed = {name: value for name, value in answer("c").items() if name not in ("text", "label", "probability")}
    path = folder(
        [answer("a"), answer("b", mirrored=True), answer("a", mirrored=True, text="of the other slot"), failed],
        [decision("a"), decision("b"), decision("c")],
    )
    found = judged(path)
    assert list(found.answers["text"]) == ["text a0"]
    assert found.unmatched == 2


def test_lines_that_are_no_decisions_are_counted(folder):
    lines = [
        "nonsense\n",
        "[]\n",
        decision(label="maybe"),
        decision(item=[0]),
        decision(identity=5),
        decision("a"),
        '{"la',
    ]
    found = judged(folder([answer("a"), "[]\n", answer("a", item=[0]), '{"te'], lines))
    assert (len(found.answers), found.refused) == (1, 6)


def test_without_decisions_the_table_is_empty_and_has_its_columns(folder):
    found = judged(folder([answer()], []))
    assert len(found.answers) == 0
    assert {"text", "label", "decision", "comment", "decided_at", "version"} <= set(found.answers)


def test_what_is_no_folder_is_told(tmp_path):
    with pytest.raises(BadInput, match="nothing is no folder; give what a service collected"):
        judged(tmp_path / "nothing")


def test_a_window_leaves_decisions_and_mirrored_answers_out(folder):
    path = folder(
        [answer("a"), answer("b", mirrored=True), {"status": 500, "correlation_id": "c"}], [decision("a")] * 3
    )
    window = read(path)
    assert (window.rows, window.refused) == (1, 1)
