"""Collects what was asked and answered, without ever delaying an answer.

`put` adds a record to a queue in memory, which is bounded, and returns; one thread turns records into lines and gives
them to a sink a few times a second. Where the sink is slow or gone, the queue fills and further records are dropped and
counted: scoring goes on. A process that is killed loses what it was given since the last write.
"""

import logging
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import Any, Protocol

import orjson

from service.collection_settings import CollectionSettings
from service.redaction import Redactor
from service.sinks import Sink, SinkFault, place, sinks

logger = logging.getLogger(__name__)

FAILED = 500  # status codes from here on are failures of the service: always collected, without texts
OVERHEAD = 300  # characters that a record counts for besides its texts
BLOCK = 1_000_000  # bytes of lines that are written together, a line more or less
TURN = 64  # lines that are made in one go: in between, the threads that answer have their turn
PAUSE = 0.0002  # seconds of each of these turns
FIRST_WAIT, LONGEST_WAIT = 0.25, 15.0  # seconds until what failed is tried again; doubled each time
LAST_SECONDS = 5.0  # for what still waits when the service ends
SECONDS_OF_A_DAY = 86_400
DECIMALS = 6  # of a probability, as in scored files


@dataclass(slots=True)
class Record:
    """A request and its answer. One that failed has a status from 500 on; its texts are not stored.

    Attributes:
        seconds: Time that the answer took.
        time: When it was given, in seconds since 1970.
    """

    correlation_id: str
    texts: Sequence[str]
    labels: Sequence[str]
    probabilities: Sequence[float]
    model: str
    version: int | None
    digest: str
    slot: str | None
    mirrored: bool
    seconds: float
    status: int = 200
    time: float = field(default_factory=time.time)


class Collector(Protocol):
    """Takes records."""

    @property
    def dropped(self) -> int:
        """Give how many records were lost."""

    def put(self, record: Record) -> bool:
        """Take a record at once, and give False where it is lost."""

    def close(self) -> None:
        """Store what waits, within seconds, and take no more."""


class Nothing:
    """Collects nothing."""

    dropped = 0

    def put(self, record: Record) -> bool:
        """Forget a record."""
        return True

    def close(self) -> None:
        """Do nothing."""


class Several:
    """Gives each record to several collectors."""

    def __init__(self, collectors: Sequence[Collector]):
        self._collectors = collectors

    @property
    def dropped(self) -> int:
        """Give how many records were lost, in each place counted."""
        return sum(collector.dropped for collector in self._collectors)

    def put(self, record: Record) -> bool:
        """Give a record to each, and False where one of them lost it."""
        return all([collector.put(record) for collector in self._collectors])

    def close(self) -> None:
        """Close each."""
        for collector in self._collectors:
            collector.close()


@dataclass
class Batch:
    """Lines of one day, and how many records end with them, of which size."""

    day: int = 0  # since 1970
    lines: list[bytes] = field(default_factory=list)
    length: int = 0  # bytes
    records: int = 0
    size: int = 0

    @property
    def date(self) -> str:
        """Give the day as `YYYY-MM-DD`."""
        return _moment(self.day * SECONDS_OF_A_DAY)[:10]

    def add(self, line: bytes) -> None:
        """Add a line."""
        self.lines.append(line)
        self.length += len(line)

    def end(self, record: Record) -> None:
        """Count a record whose last line was added."""
        self.records += 1
        self.size += _size(record)


class Queue:
    """A bounded queue, and the thread that empties it into a sink.

    Args:
        sink: Where lines go.
        settings: Share, bounds, and time between two writes.
        redactor: What takes out of texts what must not be stored.
    """

    def __init__(self, sink: Sink, settings: CollectionSettings, redactor: Redactor):
        self.stored = 0
        self._sink = sink
        self._settings = settings
        self._redactor = redactor
        self._lock = threading.Lock()
        self._waiting: list[Record] = []
        self._held = self._held_size = 0  # what waits, and what the thread has taken and not yet stored
        self._dropped = 0
        self._made = 0  # lines
        self._ends = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="collect", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Give how many records were lost."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Give how many records are not yet stored."""
        return self._held

    def put(self, record: Record) -> bool:
        """Take a record at once, and give False where it is lost; one outside of the sample is not lost."""
        settings = self._settings
        if settings.share < 1 and record.status < FAILED and not is_sampled(record.correlation_id, settings.share):
            return True
        size = _size(record)
        with self._lock:
            full = self._held >= settings.queue or self._held_size + size > settings.queue_characters
            if full or self._closing.is_set():
                self._dropped += 1
                return False
            self._waiting.append(record)
            self._held += 1
            self._held_size += size
        return True

    def close(self) -> None:
        """Store what waits, as far as the sink takes it within seconds; the rest counts as dropped."""
        with self._lock:
            if not self._closing.is_set():
                self._ends = time.monotonic() + LAST_SECONDS
                self._closing.set()
        self._thread.join(2 * LAST_SECONDS)
        with self._lock:
            if self._thread.is_alive():  # in a write that does not return
                self._dropped += self._held
                self._held = self._held_size = 0
        if self._dropped:
            logger.warning("%d records were dropped, %d stored", self._dropped, self.stored)

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(self._settings.flush_seconds)
            with self._lock:
                taken, self._waiting = self._waiting, []
            for batch in self._batches(taken):
                if batch.lines:
                    self._release(batch.records, batch.size, stored=self._store(batch))
        self._sink.close()

    def _release(self, records: int, size: int, *, stored: bool) -> None:
        with self._lock:
            self._held -= records
            self._held_size -= size
            self.stored += records if stored else 0
            self._dropped += 0 if stored else records

    def _batches(self, records: list[Record]) -> Iterator[Batch]:
        """Turn records into batches, one at a time, and let other threads run in between."""
        batch = Batch()
        for record in records:
            day = int(record.time // SECONDS_OF_A_DAY)
            if day != batch.day:
                yield batch
                batch = Batch(day)
            try:
                for line in lines_of(record, self._redactor):
                    if batch.length > BLOCK:
                        yield batch
                        batch = Batch(day)
                    batch.add(line)
                    self._give_way()
            except (TypeError, ValueError):
                logger.exception("the record of %s cannot be written as JSON", record.correlation_id)
                self._release(1, _size(record), stored=False)
            else:
                batch.end(record)
        yield batch

    def _give_way(self) -> None:
        self._made += 1
        if self._made % TURN == 0 and not self._closing.is_set():
            time.sleep(PAUSE)

    def _store(self, batch: Batch) -> bool:
        """Give a batch to the sink until it is stored; give False where the service ends before that."""
        wait = FIRST_WAIT
        for attempt in count():
            if self._is_over():
                break
            try:
                self._sink.write(batch.date, batch.lines)
            except SinkFault as fault:
                if attempt == 0:
                    logger.warning("collected records cannot be stored, and are tried again: %s", fault)
            except Exception:
                logger.exception("collected records cannot be stored")
                break
            else:
                if attempt:
                    logger.warning("collected records are stored again; %d were dropped so far", self._dropped)
                return True
            self._wait(wait * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            wait = min(2 * wait, LONGEST_WAIT)
        return False

    def _wait(self, seconds: float) -> None:
        """Wait before the next attempt; not for long where the service is about to end."""
        if self._closing.is_set() or self._closing.wait(seconds):
            time.sleep(FIRST_WAIT)

    def _is_over(self) -> bool:
        return self._closing.is_set() and time.monotonic() > self._ends


def lines_of(record: Record, redactor: Redactor) -> Iterator[bytes]:
    """Give the lines of a record: one a text, or one without a text where the request failed."""
    moment, latency = _moment(record.time), round(1_000 * record.seconds, 3)
    if record.status >= FAILED:
        yield _line(record, moment, latency, 0, {})
        return
    answers = zip(record.texts, record.labels, record.probabilities, strict=True)
    for item, (text, label, probability) in enumerate(answers):
        answer = {
            "text": redactor.text(text),
            "label": label,
            "probability": round(float(probability), DECIMALS),
        }
        yield _line(record, moment, latency, item, answer)


def _line(record: Record, moment: str, latency: float, item: int, answer: dict[str, Any]) -> bytes:
    content = {
        "time": moment,
        "correlation_id": record.correlation_id,
        "item": item,
        **answer,
        "model": record.model,
        "version": record.version,
        "digest": record.digest,
        "slot": record.slot,
        "mirrored": record.mirrored,
        "latency_ms": latency,
        "status": record.status,
    }
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


def is_sampled(correlation_id: str, share: float) -> bool:
    """Decide whether a request is in the sample; the same id is always decided alike.

    The hash is keyed: the service chooses slots by a hash of the same id, and a sample must not prefer a slot.
    """
    digest = blake2b(correlation_id.encode(), digest_size=8, person=b"collect").digest()
    return int.from_bytes(digest, "big") < share * 2**64


def from_settings(settings: CollectionSettings, model: str, environment: str) -> Collector:
    """Give the collector that the settings ask for.

    Args:
        settings: Where to collect.
        model: The model's name: the first folder.
        environment: Where it is served: the second folder.

    Raises:
        BadSettings: A place cannot be used, or a package that it needs is not installed.
    """
    redactor = Redactor(settings.redact)
    places = sinks(settings, place(model, environment))
    collectors: list[Collector] = [Queue(sink, settings, redactor) for sink in places]
    return collectors[0] if len(collectors) == 1 else Several(collectors) if collectors else Nothing()


def _size(record: Record) -> int:
    texts = record.texts
    return OVERHEAD + (len(texts[0]) if len(texts) == 1 else sum(map(len, texts)) + OVERHEAD * len(texts))


def _moment(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{int(1_000 * (seconds - whole)):03d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
