"""The sources that can be generated, by name: `generated:NAME`, and what belongs to them."""

from collections.abc import Callable

import pandas as pd

from compliance.generate import connected_car
from compliance.generate_behaviour import connected_car_behaviour, connected_car_hard_behaviour
from compliance.generate_hard import connected_car_challenges, connected_car_hard

GENERATED = "generated:"
GENERATORS: dict[str, Callable[[int, int], pd.DataFrame]] = {
    "connected-car": connected_car,
    "connected-car-hard": connected_car_hard,
    "connected-car-challenges": connected_car_challenges,
    "connected-car-behaviour": connected_car_behaviour,
    "connected-car-hard-behaviour": connected_car_hard_behaviour,
}
_SLICES = {
    "connected-car": ("material", "condition", "decade"),
    "connected-car-hard": ("material", "condition", "decade"),
}
_BEHAVIOUR = {
    "connected-car": "connected-car-behaviour",
    "connected-car-hard": "connected-car-hard-behaviour",
}


def slices_of(source: str) -> list[str]:
    """Give the columns to report quality by that a generated source brings; none for any other."""
    return list(_SLICES.get(source.removeprefix(GENERATED), ())) if source.startswith(GENERATED) else []


def behaviour_of(source: str) -> str:
    """Give the behavioural tests that belong to a generated source; "" for any other."""
    name = _BEHAVIOUR.get(source.removeprefix(GENERATED)) if source.startswith(GENERATED) else None
    return f"{GENERATED}{name}" if name else ""
