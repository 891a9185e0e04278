"""Figures show every value once, with labels."""

from delivery import plots
from delivery.registry import ModelVersion
from delivery.smoke import Check


def test_versions_have_points_with_intervals() -> None:
    metrics = {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95}
    registered = [ModelVersion("parts", number, "d", metrics=metrics if number > 1 else {}) for number in range(1, 16)]
    [axes] = plots.versions(registered, ["accuracy", "recall"]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"version {number}" for number in range(4, 16)]
    assert axes.get_ylabel()
    assert len(axes.containers[0].lines[0].get_xdata()) == 12


def test_latencies_show_each_request() -> None:
    checks = [Check(group, "x", True, "", 0.002) for group in ("health", "texts", "texts")]
    [axes] = plots.latencies(checks).axes
    assert sorted(len(line.get_xdata()) for line in axes.lines) == [0, 1, 2]
    assert axes.get_ylabel() == "milliseconds until answered"
