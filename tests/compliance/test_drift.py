import math

import matplotlib
import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from compliance import drift, drift_plots
from compliance.drift import DRIFT, NONE, SMALL, TOO_LITTLE

matplotlib.use("agg")
WORDS = [f"w{n}" for n in range(40)]


def texts(count: int, seed: int, words=WORDS, share: float = 0.5) -> pd.DataFrame:
    """Draw texts of eight words, flagged with a probability around `share`."""
    random = np.random.default_rng(seed)
    drawn = [" ".join(random.choice(words, 8)) for _ in range(count)]
    probability = np.clip(random.normal(share, 0.3, count), 0, 1).round(6)
    return pd.DataFrame({"normalized": drawn, "probability": probability, "flagged": probability >= 0.5})


def compare(reference: pd.DataFrame, window: pd.DataFrame) -> dict[str, drift.Signal]:
    return drift.compare(reference, window, WORDS, seed=7)


def test_no_difference_is_seen_in_texts_drawn_alike():
    signals = compare(texts(600, seed=1), texts(600, seed=2))
    assert {signal.verdict(600) for signal in signals.values()} == {NONE}
    assert drift.verdict(signals, 600) == NONE
    assert drift.verdict(signals, 50) == TOO_LITTLE


def test_false_alarms_stay_near_the_level():
    alarms = 0
    for seed in range(60):
        signals = compare(texts(200, 2 * seed), texts(200, 2 * seed + 1))
        alarms += any(signal.adjusted < drift.LEVEL for signal in signals.values())
    assert alarms <= 8  # 3 are expected; more than 8 of 60 have a chance of 1 in 300 at 5 %


def test_each_signal_finds_its_own_drift():
    reference = texts(600, seed=1)
    flagged = compare(reference, texts(600, seed=2, share=0.7))
    assert flagged["flagged"].verdict(600) == flagged["scores"].verdict(600) == DRIFT
    assert flagged["unknown_words"].verdict(600) == flagged["wording"].verdict(600) == NONE
    assert flagged["flagged"].effect.low > 0.05

    new = compare(reference, texts(600, seed=3, words=[*WORDS, "new"]))
    assert new["unknown_words"].verdict(600) == DRIFT
    assert new["unknown_words"].reference == 0
    assert new["flagged"].verdict(600) == new["scores"].verdict(600) == NONE

    rarer = compare(reference, texts(600, seed=4, words=WORDS[:30]))
    assert rarer["wording"].verdict(600) == DRIFT
    assert rarer["unknown_words"].verdict(600) == NONE
    assert drift.verdict(rarer, 600) == DRIFT


def test_a_difference_that_does_not_matter_is_no_drift():
    reference, window = texts(20_000, seed=1), texts(20_000, seed=2, share=0.52)
    signal = compare(reference, window)["flagged"]
    assert signal.adjusted < drift.LEVEL
    assert signal.verdict(20_000) == SMALL


def test_scores_that_are_equal_are_no_drift():
    same = texts(300, seed=1)
    assert compare(same, same)["scores"].effect.value == 0
    assert {signal.verdict(300) for signal in compare(same, same).values()} == {NONE}


def test_a_window_too_small_to_learn_from_says_nothing_of_its_wording():
    signals = compare(texts(300, seed=1), texts(1, seed=2))
    assert signals["wording"].p == 1
    assert drift.verdict(signals, 1) == TOO_LITTLE


@pytest.mark.parametrize("values", [[0.01, 0.04, 0.03, 0.5], [0.2], [0.0, 0.0, 1.0], [0.05, 0.05, 0.05]])
def test_holm_steps_down(values):
    adjusted = drift.holm(values)
    order = np.argsort(values, kind="stable")
    expected = np.maximum.accumulate([min(1.0, values[p] * (len(values) - n)) for n, p in enumerate(order)])
    assert [adjusted[place] for place in order] == pytest.approx(list(expected))
    assert all(a >= p for a, p in zip(adjusted, values, strict=True))
    assert all(
        a >= f - 1e-12 for a, f in zip(adjusted, false_discovery_control(values), strict=True)
    )  # Holm is stricter


def test_words_are_ordered_by_how_much_their_share_differs():
    reference = pd.Series(["iron part", "iron iron box", "steel part"])
    table = drift.words(reference, pd.Series(["steel part", "zinc part", "zinc box"]), ["iron", "part", "steel", "box"])
    assert table.index.tolist() == ["iron", "zinc", "box", "part", "steel"]
    assert table.loc["iron", ["reference", "window"]].tolist() == [pytest.approx(2 / 3), 0]
    assert table["known"].to_dict() == {"iron": True, "zinc": False, "box": True, "part": True, "steel": True}


def test_a_table_and_json_tell_the_same():
    signals = compare(texts(600, seed=1), texts(600, seed=3, words=[*WORDS, "new"]))
    table, found = drift.table(signals, 600), drift.as_dict(signals, 600)
    assert table["says"].tolist() == [signal["verdict"] for signal in found.values()]
    assert table.loc["unknown words", "p, adjusted"] == "< 0.0001"
    assert found["scores"]["reference"] is None
    assert not any(isinstance(v, float) and math.isnan(v) for signal in found.values() for v in signal.values())


def test_figures_are_closed_and_say_what_they_show():
    import matplotlib.pyplot as plt

    reference, window = texts(50, seed=1), texts(50, seed=2, words=[*WORDS, "new"])
    days = pd.DataFrame({"rows": [3, 5], "flagged": [1, 4]}, index=["2026-01-01", "2026-01-02"])
    (volumes,) = drift_plots.volumes(days).axes
    assert [bar.get_height() for bar in volumes.patches] == [1, 4, 2, 1]
    (scores,) = drift_plots.scores(reference, window).axes
    assert [round(patch.get_data().values.sum(), 6) for patch in scores.patches] == [1, 1]
    (words,) = drift_plots.words(drift.words(reference["normalized"], window["normalized"], WORDS).head(5)).axes
    assert "new *" in [label.get_text() for label in words.get_yticklabels()]
    assert all(axes.get_title() for axes in (volumes, scores, words))
    (nothing,) = drift_plots.volumes(days.iloc[:0]).axes
    assert nothing.texts[0].get_text() == drift_plots.NO_DAYS
    assert plt.get_fignums() == []
