"""Declared traffic: texts that were evaluated, sent to the live model and to the candidate as people would send them.

Each request is a text drawn at random, with replacement and by a seed, so that shares of requests estimate shares of
those texts. Where the traffic is shared, a request goes to a slot by the endpoint's weights; where it is mirrored, it
goes to both. What came of it is written as the lines that a service collects.
"""

import http.client
import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from delivery.endpoint import Endpoint, Slot
from delivery.observations import Observation, Reader
from delivery.process import scoring_process

SLOT_HEADER = "azureml-model-deployment"  # asks for one slot, as on Azure
IDENTITY_HEADER = "x-correlation-id"
BATCH = 100  # requests between two looks
TIMEOUT = 10.0  # seconds for an answer
UNANSWERED = 503  # what a request without any answer is recorded as
UNSOUND = 500  # the same for an answer without a label


class Replay:
    """Sends a batch of requests at each call.

    Args:
        endpoint: Says how the traffic is shared.
        urls: Where each slot answers.
        texts: What may be sent.
        folder: Where the lines go.
        seed: Decides what is sent, and which slot answers it.
        batch: Requests of one call.
    """

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        endpoint: Endpoint,
        urls: Mapping[str, str],
        texts: Sequence[str],
        folder: Path,
        seed: int = 7,
        batch: int = BATCH,
    ):
        self.endpoint = endpoint
        self.texts = texts
        self.random = random.Random(seed)  # noqa: S311 - a draw of texts, no secret
        self.batch = batch
        self.slots = {slot.name: slot for slot in (endpoint.live(), endpoint.standby()) if slot}
        now = datetime.now(UTC)
        self.path = folder / f"{now:%Y/%m/%d}" / "replay.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.reader = Reader(folder, now)
        self.connections = {
            name: http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT) for name, url in urls.items()
        }

    def more(self) -> Sequence[Observation]:
        """Send a batch, and give what was observed."""
        state = self.endpoint.state()
        names, weights = zip(*state["traffic"].items(), strict=True)
        with self.path.open("a", encoding="utf-8") as file:
            for _ in range(self.batch):
                text, identity = self.random.choice(self.texts), str(uuid.UUID(int=self.random.getrandbits(128)))
                file.write(self._sent(text, identity, self.random.choices(names, weights)[0], mirrored=False))
                for name, percent in state["mirror"].items():
                    if self.random.random() * 100 < percent:
                        file.write(self._sent(text, identity, name, mirrored=True))
        return self.reader.read()

    def close(self) -> None:
        """Close the connections."""
        for connection in self.connections.values():
            connection.close()

    def _sent(self, text: str, identity: str, name: str, *, mirrored: bool) -> str:
        """Send one text to a slot, and give the line that says what came of it."""
        started = time.perf_counter()
        status, answer = self._answer(text, identity, name)
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "correlation_id": identity,
            "item": 0,
            "slot": name,
            "mirrored": mirrored,
            "version": self.slots[name].version,
            "digest": self.slots[name].digest,
            "latency_ms": 1000 * (time.perf_counter() - started),
            "status": status,
        }
        return json.dumps(line | answer) + "\n"

    def _answer(self, text: str, identity: str, name: str) -> tuple[int, dict[str, Any]]:
        headers = {"content-type": "application/json", SLOT_HEADER: name, IDENTITY_HEADER: identity}
        connection = self.connections[name]
        try:
            connection.request("POST", "/score", json.dumps([text]), headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it again
            return UNANSWERED, {}
        if answer.status != http.client.OK:
            return answer.status, {}
        try:
            result = json.loads(content)["results"][0]
            return answer.status, {"text": text, "label": result["label"], "probability": result["probability"]}
        except (ValueError, LookupError, TypeError):
            return UNSOUND, {}


@contextmanager
def replayed(endpoint: Endpoint, texts: Sequence[str], *, seed: int = 7, batch: int = BATCH) -> Iterator[Replay]:
    """Start what answers for both slots, and give traffic that replays texts to them; all of it ends with the block.

    Args:
        endpoint: The endpoint, with a live slot and a candidate beside it.
        texts: What may be sent.
        seed: Decides what is sent.
        batch: Requests between two looks.

    Raises:
        ScoringProcessFailed: A slot's model cannot be served.
    """
    with TemporaryDirectory(prefix="trey-replay-") as folder, _answering(endpoint) as urls:
        traffic = Replay(endpoint, urls, texts, Path(folder), seed, batch)
        with closing(traffic):
            yield traffic


@contextmanager
def _answering(endpoint: Endpoint) -> Iterator[Mapping[str, str]]:
    """Serve the model of each filled slot in a process of its own, and give their URLs by slot."""
    slots: list[Slot] = [slot for slot in (endpoint.live(), endpoint.standby()) if slot]
    with ExitStack() as processes:
        yield {slot.name: processes.enter_context(scoring_process(slot.folder)) for slot in slots}
