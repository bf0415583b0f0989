"""Whether a judge agrees with people: Cohen's kappa with its interval, and a pass rate corrected for its errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from deskhand_evals.metrics import Interval

MIN_KAPPA = 0.6
"""A judge may gate when its kappa is surely above this. Landis and Koch 1977 call it substantial."""

MIN_LABELS = 20
"""Fewer say nothing: a bootstrap of few labels that all agree has no width."""


class Agreement(NamedTuple):
    """How a judge and people agree on the same ``n`` answers; ``kappa`` is None when it is not defined."""

    n: int
    observed: float
    kappa: float | None
    interval: Interval | None


def cohen_kappa(human: Sequence[Hashable], judge: Sequence[Hashable]) -> float | None:
    """Return (observed - by chance) / (1 - by chance); None when both always say one and the same thing.

    Raises:
        ValueError: No labels, or different lengths.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    if len(human) != len(judge) or not human:
        raise ValueError(f"{len(human)} human labels and {len(judge)} of the judge; there must be as many, and some")
    n = len(human)
    observed = sum(a == b for a, b in zip(human, judge, strict=True)) / n
    of_human, of_judge = Counter(human), Counter(judge)
    chance = sum(of_human[label] * of_judge[label] for label in of_human) / n**2
    return None if chance >= 1 - 1e-12 else (observed - chance) / (1 - chance)


def agreement(
    human: Sequence[Hashable], judge: Sequence[Hashable], *, confidence: float = 0.95, n_resamples: int = 4_000
) -> Agreement:
    """Return kappa with a bootstrap interval, drawn over the cells of the table. Raises as ``cohen_kappa``."""
    kappa = cohen_kappa(human, judge)
    observed = sum(a == b for a, b in zip(human, judge, strict=True)) / len(human)
    if kappa is None:
        return Agreement(len(human), observed, None, None)
    return Agreement(len(human), observed, kappa, _interval(human, judge, confidence, n_resamples))


def _interval(human: Sequence[Hashable], judge: Sequence[Hashable], confidence: float, n_resamples: int) -> Interval:
    import numpy as np

    labels = sorted({*human, *judge}, key=str)
    place = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    for a, b in zip(human, judge, strict=True):
        table[place[a], place[b]] += 1
    n = len(human)
    drawn = np.random.default_rng(20261).multinomial(n, table.ravel() / n, size=n_resamples)
    tables = drawn.reshape(-1, *table.shape) / n
    observed = np.trace(tables, axis1=1, axis2=2)
    chance = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1)
    # a sample in which only one label is left tells nothing about agreement: it counts as none
    kappas = np.divide(observed - chance, 1 - chance, out=np.zeros_like(observed), where=chance < 1 - 1e-12)
    tail = (1 - confidence) / 2
    low, high = np.quantile(kappas, [tail, 1 - tail])
    return Interval(float(low), float(high))


def corrected_rate(rate: float, true_positive: float, false_positive: float) -> float | None:
    """Return the pass rate that people would give, from a judge's ``rate`` and its measured error rates.

    (rate - false_positive) / (true_positive - false_positive), kept within [0, 1]; None when the judge is no better
    than chance. Source: Rogan and Gladen 1978.
    """
    if true_positive <= false_positive:
        return None
    return min(1.0, max(0.0, (rate - false_positive) / (true_positive - false_positive)))
