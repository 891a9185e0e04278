"""Settings are read from the environment that is given, and nothing else."""

import pytest

from service.settings import BadSettings, Settings


def test_defaults() -> None:
    assert Settings.from_environment({"UNRELATED": "x"}) == Settings()


def test_values_are_cast() -> None:
    assert Settings.from_environment({"SCORING_MAXIMUM_TEXTS": "5"}).maximum_texts == 5


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "ten", "٣x"])
def test_other_values_are_refused(value: str) -> None:
    with pytest.raises(BadSettings, match="give a whole number above 0"):
        Settings.from_environment({"SCORING_INLINE_TEXTS": value})
