"""Scores copies of requests with the slots that mirror them, beside the answers, and tells the collector alone."""

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from service.collection import Collector, Record
from service.model import ServedModel

LIMIT = 2_000  # copies that may wait; one beyond them is dropped and counted
FAILED = 500
logger = logging.getLogger(__name__)


def record_of(  # noqa: PLR0913 - what a record holds
    model: ServedModel,
    identity: str,
    texts: Sequence[str],
    labels: Sequence[str],
    probabilities: Sequence[float],
    *,
    seconds: float,
    status: int = 200,
    mirrored: bool = False,
) -> Record:
    """Give the record of an answer."""
    return Record(
        correlation_id=identity,
        texts=texts,
        labels=labels,
        probabilities=probabilities,
        model=model.scorer.name,
        version=model.version,
        digest=model.scorer.digest,
        slot=model.slot,
        mirrored=mirrored,
        seconds=seconds,
        status=status,
    )


class Mirror:
    """Takes copies and never waits for them.

    Args:
        collector: What hears of their answers.
    """

    def __init__(self, collector: Collector):
        self.dropped = 0
        self._waiting: deque[None] = deque()  # counts copies: appending and popping are atomic
        self._collector = collector
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mirror")

    def copy(self, models: Iterable[ServedModel], identity: str, texts: Sequence[str]) -> None:
        """Have texts scored by other models as well, some time soon."""
        for model in models:
            if len(self._waiting) >= LIMIT:
                self.dropped += 1
            else:
                self._waiting.append(None)
                self._thread.submit(self._score, model, identity, texts)

    def close(self) -> None:
        """Forget what waits."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _score(self, model: ServedModel, identity: str, texts: Sequence[str]) -> None:
        start = time.perf_counter()
        labels: list[str] = []
        probabilities: Sequence[float] = []
        status = 200
        try:
            found = model.scorer.score(texts)
            labels, probabilities = model.labels(found), found.tolist()
        except Exception:
            logger.exception("slot %s failed a mirrored request", model.slot)
            status = FAILED
        seconds = time.perf_counter() - start
        record = record_of(model, identity, texts, labels, probabilities, seconds=seconds, status=status, mirrored=True)
        self._collector.put(record)
        self._waiting.pop()
