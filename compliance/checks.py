"""What is wrong with the parameters of a phase that no type can tell: found before anything starts, not after training.

A pipeline names these functions (`checks`). The notebook of the phase checks again: what it is given may have come
another way, or have changed since.
"""

from collections.abc import Callable, Mapping
from typing import Any

from compliance import statements
from compliance.errors import BadInput

Parameters = Mapping[str, Mapping[str, Any]]


def of_evaluate(given: Parameters) -> list[str]:
    """Give the faults of the datasheet, the behavioural tests and the challenge sets that *evaluate* is given.

    What stands behind an address is looked at only when it is needed, and of what is generated only the beginning.

    Args:
        given: The parameters of every phase, by name of the phase; of *prepare*, those that say how texts and labels
            are written.
    """
    evaluate, data = given["evaluate"], _described(given["prepare"])
    faults = _faults(lambda: statements.read(evaluate["datasheet"], evaluate["model_name"]))
    if _is_at_hand(evaluate["behaviour_source"]):
        from compliance import behaviour

        faults += _faults(lambda: behaviour.read(evaluate["behaviour_source"], data, rows=1, seed=0))
    if _is_at_hand(evaluate["challenge_source"]):
        from compliance import challenge

        sets, column = evaluate["challenge_source"], evaluate["challenge_column"]
        faults += _faults(lambda: challenge.read(sets, column, data, rows=1, seed=0))
    return faults


def _described(prepare: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the data report will say of how texts and labels are written."""
    values = (prepare["compliant_value"], prepare["noncompliant_value"])
    return {
        "columns": {"text": prepare["text_column"], "label": prepare["label_column"]},
        "labels": [{"label": label, "value": value} for label, value in enumerate(values)],
        "maximum_length": prepare["maximum_length"],
    }


def _is_at_hand(source: str) -> bool:
    return bool(source) and "://" not in source


def _faults(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except BadInput as error:
        return list(error.faults)
    return []
