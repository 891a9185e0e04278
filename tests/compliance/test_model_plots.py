"""Every figure is labelled, and drawn without a warning where there is little or nothing to draw."""

import warnings
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from compliance import metrics, model_plots, reliability

LABELS = np.array([1, 1, 0, 0, 0])
SCORES = np.array([0.9, 0.4, 0.6, 0.2, 0.1])
HISTORY = pd.DataFrame(
    {
        "epoch": range(1, 31),
        "loss": 0.1,
        "accuracy": 0.9,
        "validation_loss": 0.2,
        "validation_accuracy": 0.8,
    }
)

FIGURES: dict[str, Callable[[], Figure]] = {
    "learning": lambda: model_plots.learning_curves(HISTORY, 7),
    "learning, one epoch": lambda: model_plots.learning_curves(HISTORY[:1], 1),
    "scores": lambda: model_plots.score_distribution(LABELS, SCORES, 0.5),
    "scores, one label": lambda: model_plots.score_distribution(np.ones(5), SCORES, 0.5),
    "scores, no number": lambda: model_plots.score_distribution(LABELS, np.full(5, np.nan), 0.5),
    "confusion": lambda: model_plots.confusion_matrix(metrics.Confusion.count(LABELS, SCORES >= 0.5)),
    "confusion, one label": lambda: model_plots.confusion_matrix(metrics.Confusion(0, 0, 3, 4)),
    "operating curve": lambda: model_plots.operating_curve(LABELS, SCORES, 0.5),
    "operating curve, no number": lambda: model_plots.operating_curve(LABELS, np.full(5, np.nan), 0.5),
    "costs": lambda: model_plots.costs(LABELS, SCORES, 10, 0.2),
    "costs, no number": lambda: model_plots.costs(LABELS, np.full(5, np.nan), 10, 0.2),
    "reliability": lambda: model_plots.reliability(reliability.table(LABELS, SCORES)),
    "reliability, one bin": lambda: model_plots.reliability(reliability.table(LABELS, np.full(5, 0.3))),
    "reliability, no number": lambda: model_plots.reliability(reliability.table(LABELS, np.full(5, np.nan))),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_every_axis_is_labelled(draw: Callable[[], Figure]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw()
        figure.canvas.draw()
    assert all(axes.get_xlabel() and axes.get_ylabel() and axes.get_title() for axes in figure.axes)
    assert plt.get_fignums() == []
