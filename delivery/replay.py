"""Declared traffic: texts that were evaluated, sent to a service that follows the endpoint, as people would send them.

Each request is a text drawn at random, with replacement and by a seed, so that shares of requests estimate shares of
those texts. The service shares and mirrors them as the endpoint's state says, and what it collects is observed.
"""

import http.client
import json
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from delivery.endpoint import Endpoint
from delivery.observations import Observation, Reader
from delivery.process import scoring_process

COLLECT = "SCORING_COLLECT_DIR"
BATCH = 100  # requests between two looks
TIMEOUT = 10.0  # seconds for an answer


class Replay:
    """Sends a batch of requests at each call.

    Args:
        url: Where the service answers.
        texts: What may be sent.
        collected: Where the service collects what it was asked, in folders by day.
        seed: Decides what is sent.
        batch: Requests of one call.
    """

    def __init__(self, url: str, texts: Sequence[str], collected: Path, seed: int = 7, batch: int = BATCH):
        self.texts = texts
        self.random = random.Random(seed)  # noqa: S311 - a draw of texts, no secret
        self.batch = batch
        self.unanswered = 0
        self.reader = Reader(collected, datetime.now(UTC))
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)

    def more(self) -> Sequence[Observation]:
        """Send a batch, and give what was collected since the last call: the newest lines come with the next."""
        for _ in range(self.batch):
            self._send(self.random.choice(self.texts), str(uuid.UUID(int=self.random.getrandbits(128))))
        return self.reader.read()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _send(self, text: str, identity: str) -> None:
        headers = {"content-type": "application/json", "x-correlation-id": identity}
        try:
            self.connection.request("POST", "/score", json.dumps([text]), headers)
            self.connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self.connection.close()  # the next request opens it again
            self.unanswered += 1


@contextmanager
def replayed(endpoint: Endpoint, texts: Sequence[str], *, seed: int = 7, batch: int = BATCH) -> Iterator[Replay]:
    """Start a service that follows the endpoint, and give traffic that replays texts to it; both end with the block.

    Args:
        endpoint: The endpoint, with a live slot and a candidate beside it.
        texts: What may be sent.
        seed: Decides what is sent.
        batch: Requests between two looks.

    Raises:
        ScoringProcessFailed: The endpoint cannot be served.
    """
    with TemporaryDirectory(prefix="trey-replay-") as folder:
        model_name, environment = endpoint.folder.parts[-2:]
        collected = Path(folder) / model_name / environment
        service = scoring_process(endpoint.folder, follow=True, settings={COLLECT: folder})
        with service as url, closing(Replay(url, texts, collected, seed, batch)) as traffic:
            yield traffic
