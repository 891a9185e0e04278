"""Azure ML's data collector as a place for collected lines, as its managed online endpoints offer it.

The package puts payloads into a queue of its own and posts them to a daemon beside the container. It does not tell
whether one arrived, and does not try again: use a folder or blob storage where that matters.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import orjson
import pandas as pd
from azureml.ai.monitoring import Collector
from azureml.ai.monitoring.context import BasicCorrelationContext
from azureml.ai.monitoring.init import teardown

from service.settings import BadSettings
from service.sinks import SinkFault

OFF = "data collection of the deployment is off; set data_collector.collections.{name}.enabled in its YAML"


class DataCollector:
    """A collection of the data collector.

    Args:
        name: The collection's name, as the deployment's YAML has it.

    Raises:
        BadSettings: There is no such collection.
    """

    def __init__(self, name: str):
        self._faults: list[Exception] = []
        self._taken = 0  # requests of the lines at hand that were taken already
        self._collector = Collector(name=name, on_error=self._faults.append)
        if self._faults:
            raise BadSettings(f"SCORING_COLLECT_AZUREML is {name!r}: {self._faults[0]}; {OFF.format(name=name)}")

    def write(self, day: str, lines: Sequence[bytes]) -> None:
        """Hand over lines, those of a request together and under its correlation id."""
        for place, (identity, answers) in enumerate(_requests(lines)):
            if place < self._taken:
                continue
            self._faults.clear()
            self._collector.collect(pd.DataFrame(answers), BasicCorrelationContext(id=identity))
            if self._faults:
                raise SinkFault(f"the data collector takes nothing: {self._faults[0]}")
            self._taken += 1
        self._taken = 0

    def close(self) -> None:
        """Wait until what was handed over is posted."""
        teardown(wait_for_flush=True)


def _requests(lines: Sequence[bytes]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    answers = [orjson.loads(line) for line in lines]
    for identity, group in groupby(answers, key=lambda answer: str(answer["correlation_id"])):
        yield identity, list(group)
