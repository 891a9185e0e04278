"""Which model the service answers with: that of a folder, or the one that is live on an endpoint."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.scorer import ModelCorrupt, Scorer

STATE = "state.json"
TRIES = 5  # a deployment may replace the slot while it is read


class NoModel(Exception):
    """There is nothing to serve; the message says what to type."""


@dataclass(frozen=True)
class ServedModel:
    """A verified, loaded model and the version it is registered under, where that is known."""

    scorer: Scorer
    version: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Give what every answer says about the model."""
        return {"name": self.scorer.name, "version": self.version, "digest": self.scorer.digest}


def from_folder(model_dir: Path) -> ServedModel:
    """Load the model of a folder.

    Raises:
        ModelCorrupt: The folder is not what its model.json says.
    """
    return _warm(ServedModel(Scorer.load(model_dir)))


def from_endpoint(folder: Path) -> ServedModel:
    """Load the model in an endpoint's live slot.

    Raises:
        NoModel: Nothing is live there.
        ModelCorrupt: The slot does not hold what the endpoint's state says.
    """
    for attempt in range(TRIES):
        state = _state(folder)
        name, live = state["live"], state["slots"][state["live"]]
        try:
            return _warm(ServedModel(Scorer.load(folder / name, live["digest"]), live["version"]))
        except ModelCorrupt:
            if attempt == TRIES - 1 or _state(folder) == state:
                raise
    raise AssertionError("unreachable")


def _state(folder: Path) -> dict[str, Any]:
    path = folder / STATE
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
        if state["live"] is not None and state["slots"][state["live"]]["digest"]:
            return state
    except FileNotFoundError as error:
        raise NoModel(f"{folder} is no endpoint: it has no {STATE}. Deploy a model first: trey run") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NoModel(f"{path} is no state of an endpoint: {error!r}. Deploy again: trey run --from deploy") from error
    raise NoModel(f"nothing is live in {folder}. Deploy a model first: trey run")


def _warm(model: ServedModel) -> ServedModel:
    """Score once, so that the first client does not wait for what the runtime does on first use."""
    model.scorer.score([""])
    return model
