"""Collects records as fast as they are stored, and says which are, until it is killed.

Usage: python -m tests.service.kill_collection FOLDER
"""

import sys
import time
from itertools import count

from service.collection import from_settings
from service.collection_settings import CollectionSettings
from tests.service.records import record

if __name__ == "__main__":
    collector = from_settings(CollectionSettings(dir=sys.argv[1], flush_seconds=0.05), "parts", "staging")
    for number in count():
        collector.put(record(f"r-{number}", [f"text {number} " + "x" * 2_000] * 3))
        if number % 50 == 0:
            print(number, collector.stored, flush=True)  # noqa: T201 - read by the test
            time.sleep(0.005)
