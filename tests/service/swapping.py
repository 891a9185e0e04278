"""Load on a service whose endpoint changes its live slot again and again; also run at length by benchmarks/swaps.py."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from .endpoints import write_state

CONNECTIONS = 4
FAILURES_KEPT = 20


@dataclass
class Outcome:
    """What a client saw."""

    versions: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    swaps: int = 0
    seconds: float = 0.0


async def swap_under_load(  # noqa: PLR0913 - one call, named
    url: str, endpoint: Path, *, swaps: int, seconds: float, text: str, labels: Mapping[int, str], rate: float = 300.0
) -> Outcome:
    """Ask at a steady rate while the live slot changes, and hold each label to the version that the answer claims.

    Args:
        url: Of the service.
        endpoint: Its folder, with version 1 in blue and 2 in green.
        swaps: Changes of the live slot.
        seconds: Time that they take together.
        text: What to ask.
        labels: What each version says of it.
        rate: Requests a second, all connections together.
    """
    outcome, done = Outcome(), asyncio.Event()
    begin = time.monotonic()
    pause = CONNECTIONS / rate
    clients = [asyncio.create_task(_client(url, text, labels, outcome, done, pause)) for _ in range(CONNECTIONS)]
    for swap in range(swaps):
        await asyncio.sleep(seconds / swaps)
        write_state(endpoint, {"blue": 1, "green": 2}, {("green", "blue")[swap % 2]: 100})
        outcome.swaps += 1
    await asyncio.sleep(seconds / swaps)
    done.set()
    await asyncio.gather(*clients)
    outcome.seconds = time.monotonic() - begin
    return outcome


async def _client(  # noqa: PLR0913, PLR0917 - what a client needs
    url: str, text: str, labels: Mapping[int, str], outcome: Outcome, done: asyncio.Event, pause: float
) -> None:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    body = orjson.dumps([text])
    head = f"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    due = time.monotonic()
    while not done.is_set():
        writer.write(head.encode() + body)
        status, answer = await read_answer(reader)
        version = answer.get("model", {}).get("version")
        label = answer.get("results", [{}])[0].get("label")
        if status == 200 and labels.get(version) == label:
            outcome.versions[version] += 1
        elif len(outcome.failures) < FAILURES_KEPT:
            outcome.failures.append(f"{status}: {answer}")
        due += pause
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict]:
    """Read an answer with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split(" ", 2)[1]), orjson.loads(await reader.readexactly(length))
