"""Scores the texts of many requests: those of one turn of the event loop together, large ones in a thread.

Requests that arrived in the same turn are scored in one call, with no waiting for more of them: a busy service scores
many at once, an idle one answers at once. What is large goes to one thread, so that small requests pass it.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from compliance.scorer import Contribution, Scorer, explanation_cost
from service.problems import busy
from service.settings import Settings

LATE = "the answer took longer than {seconds} seconds; ask again, with fewer texts"
FULL = "{waiting:,} texts wait to be scored; ask again later"
T = TypeVar("T")
Found = Callable[[np.ndarray | Exception], None]  # hears the probabilities, or why there are none


@dataclass
class _Turn:
    """What arrived for one model in this turn of the event loop."""

    texts: list[str] = field(default_factory=list)
    waiting: list[tuple[int, int, Found]] = field(default_factory=list)  # first, behind last


class Desk:
    """Takes texts and gives probabilities.

    Args:
        settings: What is small, how much may wait, and for how long.
    """

    def __init__(self, settings: Settings):
        self.waiting = 0  # texts that wait for the thread, or are scored in it
        self._settings = settings
        self._turns: dict[int, tuple[Scorer, _Turn]] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score")

    def close(self) -> None:
        """Let go of the thread, after what it does now."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def is_small(self, texts: Sequence[str]) -> bool:
        """Tell whether texts are few and short enough to be scored without leaving the event loop."""
        settings = self._settings
        if len(texts) == 1:
            return len(texts[0]) <= settings.inline_characters
        return len(texts) <= settings.inline_texts and sum(map(len, texts)) <= settings.inline_characters

    async def score(self, scorer: Scorer, texts: Sequence[str]) -> np.ndarray:
        """Give the probability of each text.

        Raises:
            Problem: 429 where too many texts wait, 503 where the answer comes too late.
        """
        if not self.is_small(texts):
            return await self._apart(len(texts), lambda: scorer.score(texts))
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()

        def found(probabilities: np.ndarray | Exception) -> None:
            if future.done():  # whoever asked is gone
                return
            if isinstance(probabilities, Exception):
                future.set_exception(probabilities)
            else:
                future.set_result(probabilities)

        self.score_soon(scorer, texts, found)
        return await future

    def score_soon(self, scorer: Scorer, texts: Sequence[str], found: Found) -> None:
        """Score a few texts at the end of this turn of the event loop, and say what was found."""
        key = id(scorer)
        held = self._turns.get(key)
        if held is None:
            held = self._turns[key] = scorer, _Turn()
            asyncio.get_running_loop().call_soon(self._flush, key)
        turn = held[1]
        first = len(turn.texts)
        turn.texts.extend(texts)
        turn.waiting.append((first, len(turn.texts), found))

    async def explain(self, scorer: Scorer, texts: Sequence[str]) -> list[list[Contribution]]:
        """Give the contributions of the words of each text. It counts as many texts as are scored for that.

        Raises:
            Problem: As `score` says.
        """
        cost = sum(map(explanation_cost, texts))
        return await self._apart(cost, lambda: [scorer.explain(text) for text in texts])

    def _flush(self, key: int) -> None:
        """Score what this turn brought. A request whose client is gone by now is scored with the others."""
        scorer, turn = self._turns.pop(key)
        try:
            probabilities = scorer.score(turn.texts)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            for _, _, found in turn.waiting:
                found(error)
            return
        for first, behind, found in turn.waiting:
            found(probabilities[first:behind])

    async def _apart(self, texts: int, work: Callable[[], T]) -> T:
        """Do work in the thread, if not too much waits for it."""
        if self.waiting and self.waiting + texts > self._settings.queue_texts:
            raise busy(429, FULL.format(waiting=self.waiting))
        loop = asyncio.get_running_loop()
        self.waiting += texts
        job = self._thread.submit(work)
        job.add_done_callback(lambda job: self._done(loop, job, texts))
        try:
            async with asyncio.timeout(self._settings.deadline_seconds):
                return await asyncio.wrap_future(job)
        except TimeoutError as error:
            raise busy(503, LATE.format(seconds=self._settings.deadline_seconds)) from error

    def _done(self, loop: asyncio.AbstractEventLoop, _job: Future, texts: int) -> None:
        """Count, on the event loop: this is called where the job ends, or where it is given up before it began."""
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._leave, texts)

    def _leave(self, texts: int) -> None:
        self.waiting -= texts
