"""Loaded models, and which of them answers a request: that of a folder, or those in the slots of an endpoint."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from compliance.scorer import ModelCorrupt, Scorer

STATE = "state.json"
SCHEMA = 1
WHOLE = 100  # per cent
_SLOT = re.compile(r"[A-Za-z0-9._-]+")
TRIES = 5  # a deployment may replace a slot while it is read


class NoModel(Exception):
    """There is nothing to serve; the message says what to type."""


class NoSlot(Exception):
    """A request asks for a slot that holds no model."""


@dataclass(frozen=True)
class ServedModel:
    """A verified, loaded model, with its registered version and its slot where these are known."""

    scorer: Scorer
    version: int | None = None
    slot: str | None = None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Give what every answer says about the model."""
        return {"name": self.scorer.name, "version": self.version, "digest": self.scorer.digest}

    @cached_property
    def fragment(self) -> orjson.Fragment:
        """Give the same as JSON."""
        return orjson.Fragment(orjson.dumps(self.identity))

    @cached_property
    def names(self) -> tuple[str, str]:
        """Give slot and version as labels of a metric."""
        return str(self.slot or ""), str(self.version or "")

    @cached_property
    def _threshold(self) -> float:
        """Give the threshold as a probability of float32 meets it."""
        return float(np.float32(self.scorer.threshold))

    def labels(self, probabilities: np.ndarray) -> list[str]:
        """Give the labels of probabilities, as `Scorer.label` does, but for all at once.

        Raises:
            ValueError: One of them is no probability.
        """
        values = probabilities.tolist()  # few are compared faster in Python than by NumPy
        for value in values:
            if not 0 <= value <= 1:
                self.scorer.label(value)
        names, threshold = self.scorer.labels, self._threshold
        return [names[value >= threshold] for value in values]


@dataclass(frozen=True)
class Routing:
    """Which slot answers which request. Never changed: another state of the endpoint is another routing.

    Attributes:
        models: The slots that hold a model.
        live: The slot that was confirmed last.
        traffic: Per cent of the requests of each slot that has any.
        mirror: Per cent of the requests that a slot gets a copy of.
    """

    models: Mapping[str | None, ServedModel]
    live: str | None
    traffic: Mapping[str | None, int]
    mirror: Mapping[str, int] = field(default_factory=dict)

    def choose(self, identity: str) -> ServedModel:
        """Give the model that answers a request; the same id meets the same slot while the weights stay."""
        if len(self.traffic) == 1:
            return self.models[self.live if self.live in self.traffic else next(iter(self.traffic))]
        point, name = _point(identity, b"slot"), self.live
        for name, weight in self.traffic.items():  # noqa: B007 - the last one takes what is left
            point -= weight
            if point < 0:
                break
        return self.models[name]

    def forced(self, slot: str) -> ServedModel:
        """Give the model of a slot, whatever its share of the traffic.

        Raises:
            NoSlot: It holds none.
        """
        if slot not in self.models:
            raise NoSlot(f"slot {slot[:40]!r} holds no model; these do: {', '.join(sorted(map(str, self.models)))}")
        return self.models[slot]

    def versioned(self, version: str) -> ServedModel:
        """Give the model of a version.

        Raises:
            NoSlot: No slot holds it.
        """
        names = sorted(self.models, key=lambda name: (-self.traffic.get(name, 0), str(name)))
        for name in names:
            if str(self.models[name].version) == version:
                return self.models[name]
        held = sorted({str(model.version) for model in self.models.values()})
        raise NoSlot(f"version {version[:40]!r} is not served here; these are: {', '.join(held)}")

    def mirrors(self, identity: str) -> Iterator[ServedModel]:
        """Give the models that get a copy of a request."""
        for name, percent in self.mirror.items():
            if percent >= WHOLE or _point(identity, b"mirror") < percent:
                yield self.models[name]

    def answering(self) -> list[tuple[int, ServedModel]]:
        """Give the models that answer with their per cent of the requests, the largest share first."""
        return sorted(
            ((weight, self.models[name]) for name, weight in self.traffic.items()),
            key=lambda part: (-part[0], str(part[1].slot)),
        )

    @property
    def name(self) -> str:
        """Give the name of the models."""
        return self.models[self.live].scorer.name


def from_folder(model_dir: Path, version: int | None = None, slot: str | None = None) -> ServedModel:
    """Load the model of a folder.

    Args:
        model_dir: The folder.
        version: Its registered version, where it is known.
        slot: Its slot, where it stands in one.

    Raises:
        ModelCorrupt: The folder is not what its model.json says.
    """
    return ServedModel(_warmed(Scorer.load(model_dir)), version, slot)


def alone(model: ServedModel) -> Routing:
    """Give the routing of one model that answers everything."""
    return Routing({model.slot: model}, model.slot, {model.slot: WHOLE})


def from_endpoint(folder: Path, loaded: Sequence[ServedModel] = ()) -> Routing:
    """Load the models in an endpoint's slots.

    Args:
        folder: Holds state.json and the slots.
        loaded: Models that are in use: a slot that holds one of these is not loaded again.

    Raises:
        NoModel: Nothing is live there.
        ModelCorrupt: A slot does not hold what the endpoint's state says.
    """
    for attempt in range(TRIES):
        state = _state(folder)
        try:
            return _routing(folder, state, loaded)
        except ModelCorrupt:
            if attempt == TRIES - 1 or _state(folder) == state:
                raise
    raise AssertionError("unreachable")


def _routing(folder: Path, state: dict[str, Any], loaded: Sequence[ServedModel]) -> Routing:
    scorers = {model.scorer.digest: model.scorer for model in loaded}
    models: dict[str | None, ServedModel] = {}
    for name, held in state["slots"].items():
        if held:
            scorer = scorers.get(held["digest"]) or _warmed(Scorer.load(folder / name, held["digest"]))
            models[name] = ServedModel(scorer, held["version"], name)
    traffic = {name: weight for name, weight in state["traffic"].items() if weight}
    return Routing(models, state["live"], traffic, {name: weight for name, weight in state["mirror"].items() if weight})


def _state(folder: Path) -> dict[str, Any]:
    path = folder / STATE
    try:
        state: dict[str, Any] = json.loads(path.read_bytes())
        if state["live"] is not None:
            _check(state)
            return state
    except FileNotFoundError as error:
        raise NoModel(f"{folder} is no endpoint: it has no {STATE}. Deploy a model first: trey run") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoModel(f"{path} is no state of an endpoint: {error!r}. Deploy again: trey run --from deploy") from error
    except OSError as error:
        raise NoModel(f"{path} cannot be read: {error.strerror}") from error
    raise NoModel(f"nothing is live in {folder}. Deploy a model first: trey run")


def _check(state: dict[str, Any]) -> None:
    """Refuse a state that could not be followed.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It has another form.
    """
    if state["schema"] != SCHEMA:
        raise ValueError(f"schema {state['schema']!r} instead of {SCHEMA}")
    held = {name: slot for name, slot in state["slots"].items() if slot}
    if odd := [name for name in held if not _SLOT.fullmatch(name)]:
        raise ValueError(f"slot {odd[0]!r}: a name has letters, digits and . _ -, for it goes into a header")
    if not all(isinstance(slot["digest"], str) and isinstance(slot["version"], int) for slot in held.values()):
        raise ValueError("a slot holds a model without a version or a digest")
    weights, mirror = state["traffic"], state["mirror"]
    if not all(type(weight) is int and 0 <= weight <= WHOLE for weight in [*weights.values(), *mirror.values()]):
        raise ValueError("a share of the traffic is no whole number of per cents")
    if sum(weights.values()) != WHOLE:
        raise ValueError(f"the shares of the traffic add up to {sum(weights.values())}, not {WHOLE}")
    used = {state["live"], *(name for name, weight in [*weights.items(), *mirror.items()] if weight)}
    if not used <= held.keys():
        raise ValueError(f"traffic leads to slots without a model: {sorted(used - held.keys())}")


def _point(identity: str, purpose: bytes) -> int:
    """Give a number from 0 to 99 that follows from an id, and for another purpose has nothing to do with this one."""
    digest = hashlib.blake2b(identity.encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest, "big") % WHOLE


def _warmed(scorer: Scorer) -> Scorer:
    """Score once, so that the first client does not wait for what the runtime does on first use."""
    scorer.score([""])
    return scorer
