"""Figures about a model, closed before they are given back, so that a notebook shows each once, where it says so."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from compliance import calibration
from compliance.figures import COMPLIANT, NONCOMPLIANT, blank
from compliance.metrics import Confusion, Evaluation, wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEUTRAL = "#7f7f7f"
BINS = 40
THRESHOLDS = np.linspace(0.01, 0.99, 99)


def learning_curves(history: pd.DataFrame, best_epoch: int) -> "Figure":
    """Draw loss and accuracy by epoch, training against validation.

    Args:
        history: epoch, loss, accuracy, validation_loss, validation_accuracy.
        best_epoch: The epoch whose weights were kept.
    """
    figure, (left, right) = blank(2)
    for axes, measure, title in ((left, "loss", "cross-entropy"), (right, "accuracy", "accuracy")):
        axes.plot(history["epoch"], history[measure], "o--", color=NEUTRAL, label="training")
        axes.plot(history["epoch"], history[f"validation_{measure}"], "o-", color=COMPLIANT, label="validation")
        axes.axvline(best_epoch, color=NONCOMPLIANT, linewidth=1, label="weights kept")
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{title} of rows")
        axes.set_title(title)
        axes.set_xticks(_whole_ticks(history["epoch"]))
    right.legend(framealpha=1, edgecolor="none")
    return figure


def score_distribution(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> "Figure":
    """Draw how the probabilities of distinct texts lie on both sides of the threshold, by true label."""
    figure, (axes,) = blank()
    edges = np.linspace(0, 1, BINS + 1)
    for label, colour, name in ((0, COMPLIANT, "compliant"), (1, NONCOMPLIANT, "non-compliant")):
        held = probabilities[(labels == label) & np.isfinite(probabilities)]
        axes.hist(held, bins=edges.tolist(), color=colour, alpha=0.7, label=name)
    axes.axvline(threshold, color="black", linewidth=1, label=f"threshold {threshold:.3g}")
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("probability of non-compliance")
    axes.set_ylabel("distinct texts (log above 10)")
    axes.set_title("probabilities by true label")
    axes.legend(framealpha=1, edgecolor="none", loc="upper center")
    return figure


def confusion_matrix(confusion: Confusion) -> "Figure":
    """Draw how many distinct texts of each label were flagged and passed."""
    figure, (axes,) = blank()
    counts = np.array([[confusion.passed, confusion.false_alarms], [confusion.missed, confusion.caught]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        shade = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004  legible on the colour below it
        text = f"{counts[row, column]:,}\n{shares[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color=shade)
    axes.set_xticks([0, 1], ["passed", "flagged"])
    axes.set_yticks([0, 1], ["compliant", "non-compliant"])
    axes.set_xlabel("the model's answer")
    axes.set_ylabel("truth")
    axes.set_title("distinct texts, and share of each true label")
    return figure


def operating_curve(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> "Figure":
    """Draw recall and precision of non-compliant texts at every threshold, with Wilson's 95 % intervals."""
    figure, (axes,) = blank()
    positive = labels == 1
    curves = pd.DataFrame([_operating_point(positive, probabilities >= cut, cut) for cut in THRESHOLDS])
    for name, colour in (("recall", NONCOMPLIANT), ("precision", COMPLIANT)):
        axes.plot(curves["cut"], curves[name], color=colour, label=name)
        axes.fill_between(curves["cut"], curves[f"{name}_low"], curves[f"{name}_high"], color=colour, alpha=0.2, lw=0)
    axes.axvline(threshold, color="black", linewidth=1, label=f"threshold {threshold:.3g}")
    axes.set_xlabel("threshold on the probability")
    axes.set_ylabel("share of distinct texts")
    axes.set_title("what another threshold would cost")
    axes.legend(framealpha=1, edgecolor="none", loc="lower left")
    return figure


def costs(labels: np.ndarray, probabilities: np.ndarray, missed_cost: float, threshold: float) -> "Figure":
    """Draw what each threshold costs per 1,000 texts, in false alarms: by their labels, and as expected of them.

    Args:
        labels: 1 is non-compliant.
        probabilities: Of non-compliance. Without a finite one for each text, nothing can be drawn.
        missed_cost: What it costs to pass a non-compliant text, where flagging a compliant one costs 1.
        threshold: The one that was chosen.
    """
    figure, (axes,) = blank()
    if np.isfinite(probabilities).all():
        scores, each = probabilities.astype(np.float64), 1_000 / len(labels)
        by_label = calibration.cost(labels, scores, THRESHOLDS, missed_cost) * each
        expected = calibration.expected_cost(scores, THRESHOLDS, missed_cost) * each
        axes.plot(THRESHOLDS, expected, color=NEUTRAL, label="as the probabilities expect")
        axes.plot(THRESHOLDS, by_label, color=COMPLIANT, label="by the labels")
    axes.axvline(threshold, color="black", linewidth=1, label=f"chosen: {threshold:.3g}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("threshold on the probability")
    axes.set_ylabel("cost of 1,000 texts, in false alarms")
    axes.set_title(f"what a threshold costs, where passing one costs {missed_cost:g}")
    axes.legend(framealpha=1, edgecolor="none")
    return figure


def reliability(table: pd.DataFrame) -> "Figure":
    """Draw what the model promises against what came true.

    Args:
        table: As `compliance.reliability.table` gives it.
    """
    figure, (axes,) = blank()
    promised, observed, low, high = (table[name].to_numpy() for name in ("promised", "observed", "low", "high"))
    axes.plot([0, 1], [0, 1], color=NEUTRAL, linewidth=1, label="promise kept")
    axes.vlines(promised, low, high, color=COMPLIANT, linewidth=1.5, label="95 % interval")
    axes.plot(promised, observed, "o", color=COMPLIANT, label="observed")
    axes.set_xlabel("mean probability in the bin")
    axes.set_ylabel("share that is non-compliant")
    axes.set_title("promised and observed")
    axes.legend(framealpha=1, edgecolor="none")
    return figure


def estimates(sets: Mapping[str, Evaluation], measures: tuple[str, ...]) -> "Figure":
    """Draw the estimates of several sets of texts beside each other, with their 95 % intervals.

    Args:
        sets: What was measured, by name of the set of texts.
        measures: Which estimates to draw.
    """
    figure, (axes,) = blank()
    colours = (COMPLIANT, NONCOMPLIANT, NEUTRAL)
    for number, (name, evaluation) in enumerate(sets.items()):
        found = [evaluation[measure] for measure in measures]
        places = np.arange(len(measures)) + (number - (len(sets) - 1) / 2) * 0.2
        values = np.array([estimate.value for estimate in found])
        reach = np.array([[e.value - e.low, e.high - e.value] for e in found]).T.clip(min=0)
        label = f"{name} ({evaluation.confusion.texts:,} texts)"
        axes.errorbar(places, values, reach, fmt="o", capsize=3, color=colours[number % len(colours)], label=label)
    axes.set_xticks(np.arange(len(measures)), [measure.replace("_", " ") for measure in measures])
    axes.set_ylabel("estimate with 95 % interval")
    axes.set_title("the same model on different texts")
    figure.legend(loc="outside lower center", ncols=len(sets), edgecolor="none", fontsize="small")
    return figure


def _operating_point(positive: np.ndarray, flags: np.ndarray, cut: float) -> dict[str, float]:
    caught, noncompliant, flagged = int((positive & flags).sum()), int(positive.sum()), int(flags.sum())
    point = {"cut": cut}
    for name, trials in (("recall", noncompliant), ("precision", flagged)):
        low, high = wilson(caught, trials)
        point |= {name: caught / trials if trials else np.nan, f"{name}_low": low, f"{name}_high": high}
    return point


def _whole_ticks(epochs: pd.Series, most: int = 10) -> range:
    return range(1, int(epochs.max()) + 1, max(1, -(-len(epochs) // most)))
