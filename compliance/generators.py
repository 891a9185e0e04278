"""The sources that can be generated, by name: `generated:NAME`."""

from collections.abc import Callable

import pandas as pd

from compliance.generate import connected_car
from compliance.generate_hard import connected_car_challenges, connected_car_hard

GENERATORS: dict[str, Callable[[int, int], pd.DataFrame]] = {
    "connected-car": connected_car,
    "connected-car-hard": connected_car_hard,
    "connected-car-challenges": connected_car_challenges,
}
