"""Counts requests and gives the counts as Prometheus reads them (text format 0.0.4)."""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
Labels = Mapping[str, object]


class Metrics:
    """What was answered since the start. Written by the event loop alone."""

    def __init__(self) -> None:
        self.started = time.time()
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)  # by route and status
        self.texts: defaultdict[tuple[str, str], int] = defaultdict(int)  # by slot and version
        self.under_way = 0
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BOUNDS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.requests[route, status] += 1
        self._buckets[route][bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] += seconds

    def lines(self) -> Iterator[str]:
        """Give the counts."""
        yield from family(
            "scoring_requests_total",
            "counter",
            "Requests that were answered.",
            (({"route": route, "status": status}, count) for (route, status), count in self.requests.items()),
        )
        yield from family(
            "scoring_texts_total",
            "counter",
            "Texts that were scored for an answer.",
            (({"slot": slot, "version": version}, count) for (slot, version), count in self.texts.items()),
        )
        yield from family(
            "scoring_requests_under_way", "gauge", "Requests that are being answered.", [({}, self.under_way)]
        )
        yield from family("process_start_time_seconds", "gauge", "Start of the service.", [({}, self.started)])
        yield from self._histogram()

    def _histogram(self) -> Iterator[str]:
        name = "scoring_request_seconds"
        yield from (f"# HELP {name} Time from a request's head to its answer.", f"# TYPE {name} histogram")
        for route, buckets in self._buckets.items():
            total = 0
            for bound, count in zip([*map(str, BOUNDS), "+Inf"], buckets, strict=True):
                total += count
                yield sample(f"{name}_bucket", {"route": route, "le": bound}, total)
            yield sample(f"{name}_sum", {"route": route}, self._seconds[route])
            yield sample(f"{name}_count", {"route": route}, total)


def family(name: str, kind: str, says: str, samples: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    """Give the lines of a metric."""
    yield f"# HELP {name} {says}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield sample(name, labels, value)


def sample(name: str, labels: Labels, value: float) -> str:
    """Give one line."""
    inner = ",".join(f'{key}="{_escaped(str(label))}"' for key, label in labels.items())
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
