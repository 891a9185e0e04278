"""What the patterns match is taken out, and patterns that could hold up the service are refused."""

import re

import pytest

from service.redaction import LONGEST, Redactor, fault


@pytest.mark.parametrize(
    ("patterns", "text", "safe"),
    [
        ([], "call 0175 1234567", "call 0175 1234567"),
        ([r"\d{4,}"], "call 0175 1234567, part 12", "call [redacted] [redacted], part 12"),
        ([r"[\w.+-]{1,64}@[\w-]{1,64}\.\w+"], "ask jo.doe@example.org now", "ask [redacted] now"),
        ([r"(?i)vin:? ?[a-z0-9]{17}", r"\bJo\b"], "VIN 1HGCM82633A004352 by Jo", "[redacted] by [redacted]"),
    ],
)
def test_matches_are_taken_out(patterns: list[str], text: str, safe: str) -> None:
    assert all(fault(pattern) is None for pattern in patterns)
    assert Redactor(patterns).text(text) == safe


def test_of_a_long_text_the_beginning_is_kept_and_no_half_of_a_match() -> None:
    secret = "1234567890123456"
    for ahead in range(LONGEST - 20, LONGEST + 5):
        safe = Redactor([r"\d{16}"]).text("x" * ahead + secret + "y" * 1_000)
        assert len(safe) <= LONGEST
        assert "1" not in safe
    assert Redactor().text("x" * (LONGEST + 5)) == "x" * LONGEST


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(unclosed", r"it is no regular expression: missing \)"),
        ("a{99999999999}", "it is no regular expression"),
        ("", "it matches the empty text"),
        (r"\d*", "it matches the empty text"),
        (r"(a+)+$", "a repeat or a choice inside of a repeat"),
        (r"(?:\w+\s?)*!", "it matches the empty text|a repeat or a choice inside of a repeat"),
        (r"x(?:ab|a|b)*y", "a repeat or a choice inside of a repeat"),
        (r"(\w+)-\1", "a back-reference"),
        (r"\w*\w*\w*\w*\w*#", r"it takes more than 50 ms for a text of 10,000 characters \('a' repeated\)"),
        (r"\s+\s+\s+x", "it takes more than 50 ms"),
    ],
)
def test_other_patterns_are_refused(pattern: str, said: str) -> None:
    assert re.search(said, fault(pattern) or "")


@pytest.mark.parametrize("pattern", [r"\d+[ -]?\d+", r"[A-Z]{2}\d{6}", r"(?:Mr|Mrs|Ms)\.? [A-Z][a-z]+", r"\b\d{1,3}\b"])
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    assert fault(pattern) is None


def test_a_trial_ends_whatever_the_pattern() -> None:
    assert "bound its repeats" in (fault(r"\w+\w+\w+\w+\w+\w+\w+\w+#") or "")
