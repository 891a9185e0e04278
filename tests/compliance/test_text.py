import string

from hypothesis import given
from hypothesis import strategies as st

from compliance.text import normalize, tokenize

TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aZ09 .-İK")), max_size=40)


def test_words_are_runs_of_ascii_letters_and_digits_in_lower_case():
    assert tokenize("Iron component, manufactured-in 1998!") == ["iron", "component", "manufactured", "in", "1998"]


def test_only_ascii_letters_change_case():
    # U+0130 and U+212A lower-case to i and k in Unicode, and to nothing the graph knows
    assert tokenize("\u0130ron bra\u212ae") == ["ron", "bra", "e"]


def test_texts_without_a_word_normalize_to_nothing():
    assert [normalize(text) for text in ("", " \t\n", "—…!", "брак", "不合格", "\0")] == [""] * 6


@given(TEXT)
def test_normalizing_twice_changes_nothing(text):
    assert normalize(normalize(text)) == normalize(text)


@given(TEXT)
def test_words_hold_lower_case_ascii_letters_and_digits_alone(text):
    assert set("".join(tokenize(text))) <= set(string.ascii_lowercase + string.digits)


@given(TEXT, TEXT)
def test_texts_are_equal_when_and_only_when_the_model_sees_the_same_words(one, other):
    assert (normalize(one) == normalize(other)) == (tokenize(one) == tokenize(other))


@given(st.lists(st.text(string.ascii_letters + string.digits, min_size=1), min_size=1))
def test_spelling_the_model_cannot_see_does_not_tell_texts_apart(words):
    assert normalize(" ".join(words)) == normalize(" -- ".join(words).upper() + ".")
