"""What a test of this size can show: the chance that a sound model passes its gates.

A gate that asks for an interval within a margin stops bad models whatever the size of the test, but a small test stops
good ones as well. These chances say how often, so that "inconclusive" can be told from "bad".
"""

import bisect
import math

from compliance.metrics import CONFIDENCE, clopper_pearson

WANTED = 0.8  # chance with which a sound model should pass
MOST_TEXTS = 10_000_000


def of_missed_rate(texts: int, limit: float, true: float) -> float:
    """Give the chance that the upper end of the missed rate stays within its limit.

    Args:
        texts: Distinct non-compliant texts in the test.
        limit: What the upper end may be.
        true: Share of non-compliant texts that the model really passes.
    """
    from scipy.stats import binom

    allowed = most_missed(texts, limit)
    return 0.0 if allowed < 0 else float(binom.cdf(allowed, texts, true))


def most_missed(texts: int, limit: float) -> int:
    """Give how many non-compliant texts may be passed with the upper end still within its limit; -1: not even none."""
    if texts == 0:
        return -1
    return bisect.bisect_right(range(texts + 1), limit, key=lambda missed: clopper_pearson(missed, texts)[1]) - 1


def of_difference(texts: int, discordant: float, margin: float) -> float:
    """Give the chance that a model exactly as good as another is shown to be no worse by more than a margin.

    By the normal approximation, as of a paired comparison of proportions.

    Args:
        texts: Distinct texts that both answered.
        discordant: Share of them on which exactly one is right.
        margin: By how much the accuracy may be lower, above 0.
    """
    from scipy.stats import norm

    if texts == 0:
        return 0.0
    spread = math.sqrt((discordant * texts + 1) / (texts + 2) / texts)  # with the half texts that the comparison adds
    return float(norm.cdf(margin / spread - norm.ppf((1 + CONFIDENCE) / 2)))


def texts_for_difference(discordant: float, margin: float) -> int:
    """Give how many distinct texts it takes to show, with a chance of 80 %, that an equal model is no worse.

    About (z_(1-α/2) + z_power)² · discordant / margin², for pairs (J. Nam, Biometrics 53, 1997), and some more for the
    half texts that the comparison adds.
    """
    asked = range(1, MOST_TEXTS)
    return bisect.bisect_left(asked, WANTED, key=lambda texts: of_difference(texts, discordant, margin)) + 1
