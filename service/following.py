"""Follows the state of an endpoint: another state is another routing, put in place in one assignment.

The models of a new state are verified and loaded beside those in use, in a thread. A request that began with a slot
ends with it. A state that cannot be followed leaves the routing as it is, is logged, and is looked at again.
"""

import asyncio
import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from compliance.scorer import ModelCorrupt
from service.model import STATE, NoModel, Routing, from_endpoint

PAUSE = 0.1  # seconds between two looks at the state
AGAIN = 20  # looks until a state that could not be followed is tried again
logger = logging.getLogger(__name__)
Stamp = tuple[int, int, int]


class Source(Protocol):
    """Gives the routing to use now."""

    routing: Routing

    def describe(self) -> dict[str, Any]:
        """Give what readiness says of it."""

    async def run(self) -> None:
        """Keep it current until cancelled."""


class Fixed:
    """One routing, for ever.

    Args:
        routing: The routing.
    """

    def __init__(self, routing: Routing):
        self.routing = routing

    def describe(self) -> dict[str, Any]:
        """Say nothing."""
        return {}

    async def run(self) -> None:
        """Have nothing to do."""


class Following:
    """The routing of an endpoint.

    Args:
        folder: The endpoint.
        tell: Hears of each routing by which another model answers, or another share of the requests.

    Raises:
        NoModel, ModelCorrupt: As `from_endpoint` says.
    """

    def __init__(self, folder: Path, tell: Callable[[Routing], None] = lambda _: None):
        self.generation = 1  # counts the states that were followed
        self.fault = ""  # why the state that stands there now is not followed
        self._folder = folder
        self._tell = tell
        self._stamp = _stamp(folder)
        self.routing = from_endpoint(folder)

    def describe(self) -> dict[str, Any]:
        """Give the generation, and the fault where there is one."""
        said: dict[str, Any] = {"generation": self.generation}
        return {"following": said | ({"fault": self.fault} if self.fault else {})}

    async def run(self) -> None:
        """Look at the state a few times a second until cancelled."""
        looks = 0
        while True:
            await asyncio.sleep(PAUSE)
            looks += 1
            if (stamp := _stamp(self._folder)) != self._stamp or (self.fault and looks % AGAIN == 0):
                self._stamp = stamp
                await self._follow()

    async def _follow(self) -> None:
        try:
            routing = await asyncio.get_running_loop().run_in_executor(None, self._load)
        except (NoModel, ModelCorrupt, OSError) as error:
            self._complain(str(error))
        except Exception as error:
            logger.exception("the state of %s cannot be followed", self._folder)
            self.fault = repr(error)
        else:
            before, self.routing = self.routing, routing
            self.generation += 1
            self.fault = ""
            gc.collect()
            gc.freeze()
            if routing.answering() != before.answering():
                self._tell(routing)
            logger.info("follows generation %d of %s: traffic %s", self.generation, self._folder, dict(routing.traffic))

    def _load(self) -> Routing:
        return from_endpoint(self._folder, list(self.routing.models.values()))

    def _complain(self, fault: str) -> None:
        if fault != self.fault:
            logger.error("goes on with what is served, since the new state cannot be followed: %s", fault)
        self.fault = fault


def _stamp(folder: Path) -> Stamp | None:
    """Give what changes when the state is replaced."""
    try:
        found = (folder / STATE).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
