"""Pre-trained vectors: what a file of them gives, and what is said of one that cannot be used."""

from pathlib import Path

import numpy as np
import pytest

from compliance import vectors
from compliance.errors import BadInput

WORDS = ("iron", "steel", "brass")


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        vectors.read(path, WORDS, 2)
    return str(refused.value)


def test_each_word_gets_its_vector_and_a_word_without_one_zeros(tmp_path: Path) -> None:
    path = written(tmp_path, "the 9 9\nbrass -1.5 2e-1\niron 0.25 1\nİron 7 7\n")
    found = vectors.read(path, WORDS, 2)
    assert found.table.dtype == np.float32
    assert found.table == pytest.approx(np.array([[0.25, 1], [0, 0], [-1.5, 0.2]]))
    assert found.found == 2


def test_of_a_word_that_comes_twice_the_first_counts(tmp_path: Path) -> None:
    assert vectors.read(written(tmp_path, "iron 1 2\niron 3 4\n"), WORDS, 2).table[0].tolist() == [1, 2]


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_ends_of_lines_do_not_matter(tmp_path: Path, end: str) -> None:
    assert vectors.read(written(tmp_path, f"steel 1 2{end}iron 3 4{end}"), WORDS, 2).found == 2


def test_other_white_space_does_not_end_a_line(tmp_path: Path) -> None:
    """The vectors of web pages have words such as U+0085, which ends a line for Python's splitlines."""
    assert vectors.read(written(tmp_path, "\u0085 1 2\n\u2028 1 2\niron 3 4\n"), WORDS, 2).found == 1


def test_a_missing_file_is_told_with_what_to_type(tmp_path: Path) -> None:
    path = tmp_path / "absent.txt"
    assert refusal(path) == (
        f"vectors_path: {path} is no file; give one of lines `word v1 … v2`: "
        "--set train.vectors_path=FILE, or '' for none"
    )


def test_malformed_lines_are_told_together_by_number(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, "iron 1 2\nsteel 1\n\nbrass one 2\nthe 1 2 3\n"))
    assert "4 malformed lines" in said
    assert "line 2 has 1 numbers; line 3 has 0 numbers; line 4: could not convert" in said
    assert "line 5 has 3 numbers" in said and "must be a word and 2 numbers" in said


def test_many_malformed_lines_are_counted_and_some_are_told(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, "iron 1 2\n" + "steel 1\n" * 5_000))
    assert "5,000 malformed lines" in said and len(said) < 500


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
def test_a_number_that_is_not_finite_is_refused(tmp_path: Path, number: str) -> None:
    assert "line 1: a number is not finite" in refusal(written(tmp_path, f"iron 1 {number}\n"))


def test_vectors_of_another_length_are_told_once(tmp_path: Path) -> None:
    path = written(tmp_path, "the 1 2 3\niron 1 2 3\n")
    assert refusal(path).startswith(f"{path} has vectors of 3 numbers; the network reads 2: --set train.vectors_path")


def test_the_head_that_word2vec_writes_is_named(tmp_path: Path) -> None:
    assert "a first line of two counts" in refusal(written(tmp_path, "2 2\niron 1 2\nsteel 1 2\n"))


def test_vectors_of_other_words_are_refused(tmp_path: Path) -> None:
    said = refusal(written(tmp_path, "Iron 1 2\nhaus 1 2\n"))
    assert "a vector for none of the 3 words of the training texts, such as iron, steel, brass" in said
    assert "in lower case" in said


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "for none of the 3 words" in refusal(written(tmp_path, ""))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    assert "is not in UTF-8" in refusal(written(tmp_path, b"iron 1 2\n\xff\xfe 1 2\n"))
