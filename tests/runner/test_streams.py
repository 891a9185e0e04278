import re
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import streams
from runner.redaction import Redactor
from runner.streams import Streams


def folded(tmp_path: Path, *messages: tuple[str, str]) -> list[tuple[str, str]]:
    """Send messages of a cell, and give name and text of its outputs."""
    outputs: list = []
    folding = Streams(lambda cell, name: tmp_path / f"cell-{cell}.{name}.log", Redactor({}))
    for name, text in messages:
        outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
        holder = folding.fold(outputs, 3)
        assert any(holder is output for output in outputs[-2:])
    folding.settle()
    return [(output.name, output.text) for output in outputs]


def test_messages_of_one_stream_become_one_output(tmp_path: Path) -> None:
    sent = [("stdout", "a"), ("stdout", "b\n"), ("stderr", "no"), ("stdout", "c")]
    assert folded(tmp_path, *sent) == [("stdout", "ab\n"), ("stderr", "no"), ("stdout", "c")]
    assert list(tmp_path.iterdir()) == []


def test_another_output_between_them_parts_them(tmp_path: Path) -> None:
    folding, outputs = Streams(lambda cell, name: tmp_path / "log", Redactor({})), []
    for output in (
        nbformat.v4.new_output("stream", name="stdout", text="a"),
        nbformat.v4.new_output("display_data", data={"text/plain": "b"}),
        nbformat.v4.new_output("stream", name="stdout", text="c"),
    ):
        outputs.append(output)
        if output.output_type == "stream":
            folding.fold(outputs, 0)
    folding.settle()
    assert [output.get("text") for output in outputs] == ["a", None, "c"]


@pytest.mark.parametrize(
    ("messages", "kept"),
    [
        (["10 %", "\r20 %", "\r100 %\n", "done\n"], "100 %\ndone\n"),
        (["10 %\r", "20 %\r", "done\r\n"], "done\r\n"),
        (["a\nb\rc"], "a\nc"),
        (["a\r\nb\r\n"], "a\r\nb\r\n"),
        (["line\n", "\rnext"], "line\nnext"),
        (["a\r\rb", "\r", "\n"], "b\r\n"),
    ],
)
def test_of_a_line_that_is_written_over_the_last_state_stays(tmp_path: Path, messages: list[str], kept: str) -> None:
    assert folded(tmp_path, *(("stdout", text) for text in messages)) == [("stdout", kept)]


def test_a_cell_that_prints_to_both_streams_in_turns_gets_no_more_outputs_than_that(tmp_path: Path) -> None:
    sent = [(("stdout", "stderr")[n % 2], f"{n}\\n") for n in range(5_000)]
    outputs = folded(tmp_path, *sent)
    assert len(outputs) == streams.MOST_OUTPUTS
    for stream in ("stdout", "stderr"):
        assert "".join(text for name, text in outputs if name == stream) == "".join(t for n, t in sent if n == stream)


def test_floods_of_one_cell_share_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEAD", 5)
    monkeypatch.setattr(streams, "TAIL", 5)
    monkeypatch.setattr(streams, "LINE", 5)
    folded(tmp_path, ("stdout", "a" * 30), ("stderr", "b"), ("stdout", "c" * 30))
    assert (tmp_path / "cell-3.stdout.log").read_text(encoding="utf-8") == "a" * 30 + "c" * 30


@given(parts=st.lists(st.text(alphabet="ab\n", max_size=30), max_size=40))
@settings(deadline=None)
def test_a_flood_keeps_its_ends_and_the_log_has_all(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("flood")
    whole = "".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "HEAD", 20)
        patch.setattr(streams, "TAIL", 20)
        patch.setattr(streams, "LINE", 20)
        outputs = folded(folder, *(("stdout", part) for part in parts))
    text = outputs[0][1] if outputs else ""
    cut = re.search(r"\n… ([\d,]+) characters are left out here; cell-3.stdout.log has all …\n", text)
    if cut is None:
        assert text == whole
        assert list(folder.iterdir()) == []
        return
    head, tail = text[: cut.start()], text[cut.end() :]
    assert len(head) == 20
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + len(tail) + int(cut[1].replace(",", "")) == len(whole)
    assert len(tail) <= 80
    assert (folder / "cell-3.stdout.log").read_text(encoding="utf-8") == whole
