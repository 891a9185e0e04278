"""Figures about versions and deployments, closed before they are given back, so that a notebook shows each once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from delivery.registry import ModelVersion
from delivery.smoke import Check

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#4c78a8", "#e45756", "#7f7f7f"
COLOURS = {"health": GREY, "contract": RED, "texts": BLUE}
MOST_VERSIONS = 12
SIZE = (7.0, 3.6)  # inches


def versions(registered: Sequence[ModelVersion], figures: Sequence[str]) -> "Figure":
    """Draw figures of the newest versions with their intervals.

    Args:
        registered: Versions of one model, the oldest first.
        figures: Names of metrics; `<name>_low` and `<name>_high` are the ends of their intervals.
    """
    from matplotlib import pyplot as plt

    newest = registered[-MOST_VERSIONS:]
    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    for place, (name, colour) in enumerate(zip(figures, (BLUE, RED, GREY), strict=False)):
        known = [(at, entry.metrics) for at, entry in enumerate(newest) if name in entry.metrics]
        values = [metrics[name] for _, metrics in known]
        bars = [
            [value - metrics.get(f"{name}_low", value) for value, (_, metrics) in zip(values, known, strict=True)],
            [metrics.get(f"{name}_high", value) - value for value, (_, metrics) in zip(values, known, strict=True)],
        ]
        places = [at + 0.15 * (place - (len(figures) - 1) / 2) for at, _ in known]
        axes.errorbar(places, values, yerr=bars, fmt="o", color=colour, capsize=4, label=name.replace("_", " "))
    axes.set_xticks(range(len(newest)), [f"version {entry.version}" for entry in newest])
    axes.set_xlim(-0.5, len(newest) - 0.5)
    axes.set_ylabel("share of distinct texts, with 95 % interval")
    axes.set_title("registered versions, each on the test split of its own run")
    axes.legend(framealpha=1, edgecolor="none")
    plt.close(figure)
    return figure


def latencies(checks: Sequence[Check]) -> "Figure":
    """Draw how long each request of a smoke test took, in the order in which they were sent."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
    for group, colour in COLOURS.items():
        found = [(at, 1000 * check.seconds) for at, check in enumerate(checks, start=1) if check.group == group]
        axes.plot([at for at, _ in found], [ms for _, ms in found], "o", color=colour, label=group, markersize=4)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("request")
    axes.set_ylabel("milliseconds until answered")
    axes.set_title(f"{len(checks)} requests through the scoring process, one after another")
    axes.legend(framealpha=1, edgecolor="none")
    plt.close(figure)
    return figure
