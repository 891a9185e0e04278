"""What the service says of itself: its metadata in the Open Inference Protocol, and its metrics."""

from collections.abc import Iterator
from typing import Any

from service.answers import Core
from service.following import Following
from service.inference import INPUT, OUTPUTS
from service.metrics import family
from service.model import Routing, ServedModel

EXTENSIONS = ["binary_tensor_data"]


def server(version: str) -> dict[str, Any]:
    """Give the metadata of the server."""
    return {"name": "trey", "version": version, "extensions": EXTENSIONS}


def model(routing: Routing, found: ServedModel) -> dict[str, Any]:
    """Give the metadata of a model, and the versions that its slots hold."""
    return {
        "name": found.scorer.name,
        "versions": sorted({str(held.version) for held in routing.models.values() if held.version is not None}),
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in OUTPUTS.items()],
    }


def metrics(core: Core) -> Iterator[str]:
    """Give all metrics."""
    yield from core.metrics.lines()
    routing = core.source.routing
    yield from family(
        "scoring_model_info",
        "gauge",
        "Models that are loaded.",
        (({**held.identity, "slot": held.slot or ""}, 1) for held in routing.models.values()),
    )
    yield from family(
        "scoring_traffic_percent",
        "gauge",
        "Share of the requests that a slot answers.",
        (({"slot": name or ""}, weight) for name, weight in routing.traffic.items()),
    )
    yield from family(
        "scoring_mirror_percent",
        "gauge",
        "Share of the requests that a slot gets a copy of.",
        (({"slot": name}, weight) for name, weight in routing.mirror.items()),
    )
    yield from family("scoring_queue_texts", "gauge", "Texts that wait for the thread.", [({}, core.desk.waiting)])
    yield from family("scoring_draining", "gauge", "1 while the service is about to end.", [({}, int(core.draining))])
    dropped = ({"of": "collector"}, core.collector.dropped), ({"of": "mirror"}, core.mirror.dropped)
    yield from family("scoring_dropped_total", "counter", "Records and copies that were lost.", dropped)
    if isinstance(core.source, Following):
        generation, fault = core.source.generation, int(bool(core.source.fault))
        yield from family("scoring_generation", "counter", "States of the endpoint followed.", [({}, generation)])
        yield from family("scoring_following_fault", "gauge", "1 while the state cannot be followed.", [({}, fault)])
