"""Intervals of shares by formula. No numpy here: loading it takes longer than most verdicts."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from deskhand_evals.metrics import Interval, wilson

CONFIDENCE = 0.97
"""Of intervals, both sides together. One side, which a gate looks at, errs in at most 1.5 % of runs."""


def share_interval(mean: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's interval of a mean of ``n`` numbers in [0, 1]; too wide, never too narrow, when not 0/1."""
    low = wilson(math.floor(mean * n + 1e-9), n, level=confidence).low
    return Interval(low, wilson(math.ceil(mean * n - 1e-9), n, level=confidence).high)


def single_interval(
    values: Sequence[float], clusters: Sequence[Hashable] | None, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return Wilson's interval where every value is 0 or 1 and every case by itself; None elsewhere."""
    if not values or not {0.0, 1.0}.issuperset(values) or (clusters and len(set(clusters)) < len(values)):
        return None
    return share_interval(sum(values) / len(values), len(values), confidence)
