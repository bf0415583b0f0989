"""When a local answer may stand: Learn-then-Test thresholds and a floor for what was never seen.

Angelopoulos et al. 2021, "Learn then Test". Numbers measured with it are in the docs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DELTA = 0.05
"""The chance that a certified threshold misses its target."""


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for ``a``, ``b`` > 0 and ``x`` in [0, 1].

    The continued fraction of Abramowitz & Stegun 26.5.8, evaluated by Lentz's method.
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):  # where the fraction converges slowly, its mirror image is fast
        return 1.0 - beta_cdf(1.0 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float, *, tiny: float = 1e-300) -> float:
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0), tiny)
    value = d
    for m in range(1, 1_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d, tiny)
            c = _away_from_zero(1.0 + term / c, tiny)
            value *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return value


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def lower_bound(n_correct: int, n: int, delta: float = DELTA) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a share: its true value is above with chance 1 - ``delta``.

    The ``delta`` quantile of Beta(k, n - k + 1), found by bisection to 1e-12. 0 when nothing was correct.
    """
    if n_correct <= 0:
        return 0.0
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if beta_cdf(middle, n_correct, n - n_correct + 1) < delta:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def certify(
    confidence: NDArray[np.float64],
    is_correct: NDArray[np.bool_],
    target: float,
    *,
    delta: float = DELTA,
    start: float = 0.50,
    steps: int = 100,
) -> float | None:
    """Return the lowest threshold whose accuracy is ``target`` or better with chance 1 - ``delta``; None when none is.

    Args:
        confidence: Out-of-fold confidence per labelled ticket, 0 to 1.
        is_correct: Whether that answer was right.
        target: Accuracy asked of the answers that pass.
        delta: Chance to be wrong about it.
        start: Share of tickets that the strictest threshold keeps. A stricter start makes one early error end it all.
        steps: Thresholds tried; made from ``confidence`` alone, or the guarantee would be void.
    """
    best = None
    for threshold in np.quantile(confidence, np.linspace(1 - start, 0, steps)) if len(confidence) else ():
        taken = confidence >= threshold
        if lower_bound(int(is_correct[taken].sum()), int(taken.sum()), delta) < target:
            break
        best = float(threshold)
    return best


def novelty_floor(vectors: NDArray[np.float32], *, q: float = 0.10, block: int = 512) -> float:
    """Return the ``q`` quantile of each labelled ticket's similarity to its nearest other one.

    A ticket less like all of them than this is not answered. ``vectors`` are L2-normalised rows. With fewer than
    two rows the floor is 1: everything is new.
    """
    if len(vectors) < 2:
        return 1.0
    best = np.empty(len(vectors))
    for start in range(0, len(vectors), block):
        similarity = vectors[start : start + block] @ vectors.T
        rows = np.arange(len(similarity))
        similarity[rows, rows + start] = -1.0  # leave one out
        best[start : start + block] = similarity.max(axis=1)
    return float(np.quantile(best, q))
