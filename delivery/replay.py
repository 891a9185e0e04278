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
from urllib.parse import urlsplit

from delivery.endpoint import Endpoint
from delivery.observations import Observation, Observations
from delivery.target import Target

BATCH = 100  # requests between two looks
TIMEOUT = 10.0  # seconds for an answer


class Replay:
    """Sends a batch of requests at each call.

    Args:
        target: Where the service answers.
        texts: What may be sent.
        observed: What the service collects of it.
        seed: Decides what is sent.
        batch: Requests of one call.
    """

    def __init__(self, target: Target, texts: Sequence[str], observed: Observations, seed: int = 7, batch: int = BATCH):
        self.target = target
        self.texts = texts
        self.random = random.Random(seed)  # noqa: S311 - a draw of texts, no secret
        self.batch = batch
        self.unanswered = 0
        self.observed = observed
        self.path = f"{urlsplit(target.url).path}/score"
        self.connection = _connection(target)

    def more(self) -> Sequence[Observation]:
        """Send a batch, and give what was collected since the last call: the newest lines come with the next."""
        for _ in range(self.batch):
            self._send(self.random.choice(self.texts), str(uuid.UUID(int=self.random.getrandbits(128))))
        return self.observed.read()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _send(self, text: str, identity: str) -> None:
        headers = {"content-type": "application/json", "x-correlation-id": identity, **self.target.headers()}
        try:
            self.connection.request("POST", self.path, json.dumps([text]), headers)
            self.connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self.connection.close()  # the next request opens it again
            self.unanswered += 1


@contextmanager
def replayed(endpoint: Endpoint, texts: Sequence[str], *, seed: int = 7, batch: int = BATCH) -> Iterator[Replay]:
    """Give traffic that replays texts to an endpoint; it ends with the block.

    Args:
        endpoint: The endpoint, with a live slot and a candidate beside it.
        texts: What may be sent.
        seed: Decides what is sent.
        batch: Requests between two looks.

    Raises:
        ScoringProcessFailed: The endpoint cannot be served.
    """
    with endpoint.answering() as (target, observed), closing(Replay(target, texts, observed, seed, batch)) as traffic:
        yield traffic


def _connection(target: Target) -> http.client.HTTPConnection:
    address = urlsplit(target.url)
    if address.scheme == "https":
        return http.client.HTTPSConnection(address.netloc, timeout=TIMEOUT, context=target.trust())
    return http.client.HTTPConnection(address.netloc, timeout=TIMEOUT)
