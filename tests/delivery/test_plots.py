"""Figures show every value once, with labels."""

from delivery import plots
from delivery.canary import Plan, Side, Tally, judge
from delivery.deployment import CanaryReport, Look
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


def test_the_sequences_of_a_canary_are_drawn_test_by_test_and_stage_by_stage() -> None:
    plan, looks = Plan(shares=(10,)), []
    for stage in plan.stages:
        for requests in (0, 100, 400):
            side = Side(requests, 1 if requests else 0, requests, 0)
            tally = Tally(side, side, requests if stage.mirrored else 0, 0)
            looks.append(Look(stage, 1.0, requests, judge(tally, stage, plan, seconds=1.0)))
    figure = plots.canary(CanaryReport(tuple(looks), ""))
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == [
        "errors, candidate minus live",
        "latency, candidate minus live",
        "labels that differ",
    ]
    assert [len(axes.collections) for axes in figure.axes] == [2, 2, 1]
    assert figure.axes[-1].get_xlabel() == "requests to the candidate, stage after stage"


def test_without_a_canary_the_figure_says_so() -> None:
    figure = plots.canary(CanaryReport((), ""))
    assert figure.get_suptitle() == "nothing else was live: no canary"
