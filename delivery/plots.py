"""Figures about versions and deployments, closed before they are given back, so that a notebook shows each once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from delivery.canary import Finding
from delivery.deployment import CanaryReport, Look
from delivery.registry import ModelVersion
from delivery.smoke import Check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


def canary(report: CanaryReport) -> "Figure":
    """Draw where each share of a canary lay, request by request, and what it may be.

    Args:
        report: How the canary went; one without looks gives an empty frame that says so.
    """
    from matplotlib import pyplot as plt

    tests = list(dict.fromkeys(finding.test for look in report.looks for finding in look.judgement.findings))
    height = SIZE[1] if len(tests) <= 1 else 2.2 * len(tests)
    figure, grid = plt.subplots(max(len(tests), 1), figsize=(SIZE[0], height), layout="constrained", squeeze=False)
    for axes, test in zip(grid[:, 0], tests, strict=False):
        _sequences(axes, report, test)
    grid[-1, 0].set_xlabel("requests to the candidate, stage after stage")
    figure.suptitle("where each share lies, at all times together" if tests else "nothing else was live: no canary")
    plt.close(figure)
    return figure


def _sequences(axes: "Axes", report: CanaryReport, test: str) -> None:
    """Draw the confidence sequences of one test, stage beside stage."""
    before, limits = 0, list[float]()
    for end in report.ends:
        looks = [look for look in report.looks if look.stage == end.stage]
        points = [(before + look.requests, finding) for look in looks if (finding := _of(look, test))]
        at, findings = [place for place, _ in points], [finding for _, finding in points]
        low, high = [100 * finding.low for finding in findings], [100 * finding.high for finding in findings]
        if findings:
            axes.fill_between(at, low, high, color=BLUE, alpha=0.3, linewidth=0)
        axes.plot(at, [100 * finding.estimate for finding in findings], color=BLUE)
        limits += [100 * finding.limit for finding in findings]
        before += end.requests
        axes.axvline(before, color=GREY, linewidth=0.8)
        axes.annotate(end.stage.name, (before, 1), xycoords=("data", "axes fraction"), ha="right", va="top", fontsize=8)
    axes.axhline(limits[0], color=RED, linestyle="--")
    axes.set_ylim(0 if test == "disagreement" else -4 * limits[0], 4 * limits[0])
    axes.set_xlim(0, max(before, 1))
    what = "labels that differ" if test == "disagreement" else f"{test}, candidate minus live"
    axes.set_ylabel(f"{what}\nper cent")


def _of(look: Look, test: str) -> Finding | None:
    return next((finding for finding in look.judgement.findings if finding.test == test), None)
