import pytest

from runner import engines
from runner.engines.local import LocalEngine
from runner.errors import BadRequest


def test_an_engine_is_a_name_and_a_class() -> None:
    assert isinstance(engines.choose("local"), LocalEngine)


def test_an_unknown_engine_is_refused_with_the_names_that_are_allowed() -> None:
    with pytest.raises(BadRequest) as fault:
        engines.choose("azure")
    assert str(fault.value) == "there is no engine 'azure'; allowed are local, azureml\nnext: trey run --engine local"
