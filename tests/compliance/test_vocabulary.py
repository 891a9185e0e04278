"""Words become numbers: which ones, in which order, and what happens to the rest."""

from pathlib import Path

import numpy as np
import pytest

from compliance.errors import BadInput
from compliance.vocabulary import Vocabulary


def test_the_commonest_words_come_first_and_equals_by_alphabet() -> None:
    vocabulary = Vocabulary.learn(["steel iron", "iron brass", "iron steel zinc"], maximum=10)
    assert vocabulary.words == ("iron", "steel", "brass", "zinc")
    assert vocabulary.numbers == {"iron": 2, "steel": 3, "brass": 4, "zinc": 5}
    assert vocabulary.size == 6


def test_the_order_of_the_texts_does_not_matter() -> None:
    texts = ["b a", "c", "a d", "d e f"]
    assert Vocabulary.learn(texts, 10) == Vocabulary.learn(texts[::-1], 10)


def test_a_repeated_text_counts_as_often_as_it_stands_there() -> None:
    assert Vocabulary.learn(["zinc", "zinc", "iron"], 10).words == ("zinc", "iron")


def test_the_rarest_words_are_left_out() -> None:
    assert Vocabulary.learn(["iron iron steel steel zinc"], maximum=2).words == ("iron", "steel")


def test_texts_without_a_word_teach_nothing() -> None:
    with pytest.raises(BadInput, match="hold no word"):
        Vocabulary.learn(["", "é ß"], 10)


def test_texts_are_cut_padded_and_unknown_words_marked() -> None:
    encoded = Vocabulary(("iron", "steel")).encode(["steel IRON!", "", "brass, iron-steel iron"], tokens=3)
    assert encoded.dtype == np.int32
    assert encoded.tolist() == [[3, 2, 0], [0, 0, 0], [1, 2, 3]]


def test_no_text_gives_no_row() -> None:
    assert Vocabulary(("iron",)).encode([], tokens=4).shape == (0, 4)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("iron", "1995"))
    vocabulary.write(tmp_path / "vocabulary.json")
    assert Vocabulary.read(tmp_path / "vocabulary.json") == vocabulary


@pytest.mark.parametrize("content", ["", "[]", '{"words": "iron"}', '{"words": [1]}'])
def test_something_else_is_no_vocabulary(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match="run the train notebook again"):
        Vocabulary.read(path)


def test_a_missing_vocabulary_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run the train notebook again"):
        Vocabulary.read(tmp_path / "vocabulary.json")


YEARS = tuple(str(year) for year in (*range(1980, 1995), 1999))


def test_a_year_that_training_never_named_is_read_as_the_nearest() -> None:
    vocabulary = Vocabulary(("iron", *YEARS), nearest_year=True)
    [[close, tie, late, early, no_year]] = vocabulary.encode(["1998 1997 2050 1900 2100"], tokens=5)
    known = vocabulary.numbers
    assert (close, late, early, no_year) == (known["1999"], known["1999"], known["1980"], 1)
    assert tie == known["1999"], "1997 is nearer to 1999 than to 1994"
    assert Vocabulary(("1990", "1992"), nearest_year=True).encode(["1991"], 1)[0][0] == 1, "two years are no scale"
    between = Vocabulary((*YEARS, "1996"), nearest_year=True)
    assert between.lookup["1995"] == between.numbers["1994"], "the earlier of two as near"


@pytest.mark.parametrize("slip", ["plstic", "plastc", "plasticc", "palstic", "plasstic", "plastiv"])
def test_a_slip_is_read_as_the_word_it_was_meant_to_be(slip: str) -> None:
    vocabulary = Vocabulary(("plastic", "steel"), misspellings=True)
    assert vocabulary.encode([slip], 1)[0][0] == vocabulary.numbers["plastic"]
    assert Vocabulary(("plastic", "steel")).encode([slip], 1)[0][0] == 1


@pytest.mark.parametrize("word", ["lastic", "plac", "elastic", "stel", "plastic1"])
def test_what_may_be_another_word_is_read_as_unknown(word: str) -> None:
    """Another first letter, two slips, a word of four letters: these are too often something else."""
    assert word not in Vocabulary(("plastic", "stee"), misspellings=True).lookup


def test_a_slip_of_two_words_and_a_known_word_stay_what_they_are() -> None:
    vocabulary = Vocabulary(("brake", "brakes", "drake", "bakes", "beaker", "breaker"), misspellings=True)
    assert vocabulary.lookup["brake"] == vocabulary.numbers["brake"]
    assert Vocabulary(("stable", "staple"), misspellings=True).lookup.get("stale") is None


def test_how_other_words_are_read_is_written_too(tmp_path: Path) -> None:
    vocabulary = Vocabulary(("plastic", *YEARS), nearest_year=True, misspellings=True)
    vocabulary.write(tmp_path / "vocabulary.json")
    again = Vocabulary.read(tmp_path / "vocabulary.json")
    assert again == vocabulary and again.lookup == vocabulary.lookup


def test_a_vocabulary_written_before_there_was_a_choice_reads_no_other_words(tmp_path: Path) -> None:
    (tmp_path / "vocabulary.json").write_text('{"words": ["plastic"]}', encoding="utf-8")
    assert Vocabulary.read(tmp_path / "vocabulary.json") == Vocabulary(("plastic",))
