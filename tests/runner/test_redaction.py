import base64
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner import redaction
from runner.redaction import Redactor

from .planted import SECRET, forms

secrets = st.text(min_size=redaction.SHORTEST, max_size=40).filter(lambda text: len(text.strip()) >= 6)


@pytest.mark.parametrize("form", forms(SECRET), ids=lambda form: form[:12])
def test_each_form_is_taken_out(form: str) -> None:
    safe = Redactor({"key": SECRET}).text(f"before {form} after")
    assert safe == "before [redacted: key] after"


@given(secrets, st.binary(max_size=8), st.binary(max_size=8))
def test_no_base64_gives_the_bytes_back(secret: str, before: bytes, after: bytes) -> None:
    raw = secret.encode("utf-8", "surrogatepass")
    safe = Redactor({"key": secret}).text(base64.b64encode(before + raw + after).decode())
    assert "[redacted: key]" in safe


@given(secrets, st.lists(st.integers(0, 60), max_size=4), st.text(max_size=5))
@example("aaaaaab", [1, 6], "aaaa")
def test_a_secret_in_pieces_is_taken_out_of_a_stream(secret: str, cuts: list[int], around: str) -> None:
    text = around + secret + around
    redactor = Redactor({"key": secret})
    stream = redactor.stream()
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    given_out = "".join(stream.add(text[start:end]) for start, end in pairwise(places))
    assert secret not in given_out
    out = given_out + stream.end()
    assert out != text
    assert redactor.text(out) == out


@given(st.lists(st.text(max_size=20)))
def test_a_stream_without_the_secret_comes_out_as_it_went_in(pieces: list[str]) -> None:
    stream = Redactor({"key": SECRET}).stream()
    out = [stream.add(piece) for piece in pieces]
    assert "".join([*out, stream.end()]) == "".join(pieces)


def test_colours_do_not_hide_it() -> None:
    coloured = f"\x1b[31m{SECRET[:4]}\x1b[0m{SECRET[4:]}"
    assert Redactor({"key": SECRET}).text(coloured) == "[redacted: key]"
    assert Redactor({"key": SECRET}).text("\x1b[31mred\x1b[0m") == "\x1b[31mred\x1b[0m"


def test_each_line_of_a_longer_secret_counts() -> None:
    redactor = Redactor({"pem": "-----BEGIN KEY-----\nMIIEvQIBADANBg\n\nab\n-----END KEY-----\n"})
    assert redactor.text("MIIEvQIBADANBg is a line, ab too short") == "[redacted: pem] is a line, ab too short"


def test_nested_values_keys_and_numbers() -> None:
    redactor = Redactor({"key": SECRET, "pin": "12345678"})
    found = redactor.value({SECRET: [{"a": f"x{SECRET}"}, 12345678, 0.12345678, 3, True, None]})
    mark, pin = "[redacted: key]", "[redacted: pin]"
    assert found == {mark: [{"a": f"x{mark}"}, pin, f"0.{pin}", 3, True, None]}
    nothing = Redactor({})
    assert not nothing
    assert nothing.value(value := {"a": [SECRET]}) is value


def test_files_are_looked_through_also_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_BLOCK", 64)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "binary").write_bytes(b"\xff" * 55 + SECRET.encode() + b"\xff" * 80)
    (tmp_path / "twice.json").write_text(json.dumps({"a": json.dumps(SECRET)}), encoding="utf-8")
    (tmp_path / "clean").write_bytes(b"\xff" * 55 + SECRET.encode()[:-1])
    found = [(path.name, mark) for path, mark in Redactor({"key": SECRET}).find(tmp_path)]
    assert found == [("binary", "[redacted: key]"), ("twice.json", "[redacted: key]")]
