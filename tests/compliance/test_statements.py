"""What people say of a model is taken word for word, of that model alone, and never made up."""

import pytest

from compliance.errors import BadInput
from compliance.statements import FIELDS, read


def test_texts_are_taken_as_they_are() -> None:
    said = read({"contact": " quality@plant-7.example\n", "model": "parts"}, "parts")
    assert said["contact"] == "quality@plant-7.example"
    assert said.missing == [field for field in FIELDS if field != "contact"]


@pytest.mark.parametrize("given", [{}, {"contact": "  "}])
def test_a_missing_text_says_what_to_give(given: dict[str, str]) -> None:
    assert read(given, "parts")["contact"] == "not stated: give `contact` in evaluate.datasheet"


def test_texts_of_another_model_are_left_out() -> None:
    said = read({"model": "connected-car", "primary_use": "To flag components."}, "pumps")
    assert said.missing == list(FIELDS)
    assert said["primary_use"] == (
        "not stated: evaluate.datasheet speaks of connected-car; give one of this model, with `primary_use` in it"
    )


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        read({"contat": "a", "motivation": 3, "zzz": "b"}, "parts")  # type: ignore[dict-item]
    assert refused.value.faults == (
        "evaluate.datasheet has no field 'contat'; did you mean contact?",
        "evaluate.datasheet: motivation is 3; give a text, in quotes",
        "evaluate.datasheet has no field 'zzz'; known are model, " + ", ".join(FIELDS),
    )
