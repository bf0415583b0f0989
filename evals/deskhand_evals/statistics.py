"""Intervals and paired tests, by the cheap ways: resampling counts of equal clusters instead of cases.

A cluster is what is drawn together: all repeats of a case, or all cases of one ticket. Clusters that contribute the
same numbers are one cell, and a bootstrap is a multinomial over the cells: exact, and hundreds of times quicker than
drawing cases one by one. Every function is seeded, so that a verdict can be recomputed to the digit.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deskhand_evals.metrics import Interval, wilson

SEED = 20261
N_RESAMPLES = 4_000
CONFIDENCE = 0.97
"""Of intervals, both sides together. One side, which a gate looks at, errs in at most 1.5 % of runs."""

_MAX_STEPS = 40_000
"""The longest exact distribution; beyond it, signs are drawn."""

Floats = NDArray[np.float64]
Counts = Mapping[Any, float]
"""How often each label was predicted for a case; with repeats, shares that sum to 1."""


class Paired(NamedTuple):
    """What changed from a baseline to a candidate, on the same cases.

    ``difference`` is candidate minus baseline; ``p_worse`` is the chance of a difference as low as this one, and
    ``p_different`` of one as far from 0, when nothing has changed. ``mean_square`` is that of the cases' differences,
    0 where they are not differences of means.
    """

    baseline: float
    candidate: float
    difference: float
    interval: Interval
    p_worse: float
    p_different: float
    mean_square: float = 0.0


class _Cells(NamedTuple):
    values: Floats  # (cells, numbers): what one cluster of the cell contributes
    counts: NDArray[np.int64]  # (cells,): how many clusters are alike


def _cells(rows: Floats, clusters: Sequence[Hashable] | None) -> _Cells:
    """Sum ``rows`` (cases, numbers) over clusters, and count the clusters that are alike."""
    if clusters is not None:
        places: dict[Hashable, int] = {}
        index = np.array([places.setdefault(name, len(places)) for name in clusters])
        summed = np.zeros((len(places), rows.shape[1]))
        np.add.at(summed, index, rows)
        rows = summed
    values, counts = np.unique(np.round(rows, 9), axis=0, return_counts=True)
    return _Cells(values, counts)


def _resample(cells: _Cells, rng: np.random.Generator, n_resamples: int) -> Floats:
    """Return the sums of ``n_resamples`` bootstrap samples, shape (resamples, numbers)."""
    n = int(cells.counts.sum())
    drawn = rng.multinomial(n, cells.counts / n, size=n_resamples)
    return np.asarray(drawn @ cells.values, dtype=np.float64)


def _percentiles(values: Floats, confidence: float) -> Interval:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _checked(*columns: Sequence[float]) -> Floats:
    rows = np.asarray(columns, dtype=np.float64).T
    if rows.size == 0:
        raise ValueError("no cases; there must be some")
    if not np.isfinite(rows).all():
        raise ValueError("a score is not a finite number; mark its case as unscored")
    return rows


def mean_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
    is_share: bool = True,
) -> Interval:
    """Return the interval of a mean: Wilson's for 0/1 values of single cases, else a cluster bootstrap.

    Args:
        values: One finite number a case; with repeats, their mean.
        clusters: Which cases belong together; every case by itself when left out.
        confidence: Of the interval, in (0, 1).
        n_resamples: Bootstrap samples.
        seed: Of the bootstrap.
        is_share: Values are within [0, 1]; the interval is then at least as wide as Wilson's where all
            clusters are alike, because a bootstrap of equal values has no width.

    Raises:
        ValueError: No values, or one that is not finite.

    Source: Field and Welsh 2007, "Bootstrapping clustered data" (random cluster bootstrap); Wilson 1927.
    """
    rows = np.column_stack([_checked(values), np.ones(len(values))])
    cells = _cells(rows, clusters)
    n_clusters = int(cells.counts.sum())
    mean = float(rows[:, 0].mean())
    is_binary = n_clusters == len(values) and bool(np.isin(rows[:, 0], (0.0, 1.0)).all())
    if is_share and (is_binary or len(cells.counts) == 1):
        return share_interval(mean, n_clusters, confidence)
    sums = _resample(cells, np.random.default_rng(seed), n_resamples)
    return _percentiles(sums[:, 0] / sums[:, 1], confidence)


def share_interval(mean: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's interval of a mean of ``n`` numbers in [0, 1]; too wide, never too narrow, when not 0/1."""
    low = wilson(math.floor(mean * n + 1e-9), n, level=confidence).low
    return Interval(low, wilson(math.ceil(mean * n - 1e-9), n, level=confidence).high)


def paired_mean(
    baseline: Sequence[float],
    candidate: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> Paired:
    """Compare two means over the same cases, in their order.

    The interval is a cluster bootstrap of the differences; for 0/1 scores a multinomial over three cells. The
    chances come from flipping the signs of the clusters' differences: for single 0/1 cases, exactly McNemar's test.

    Raises:
        ValueError: No cases, different lengths, or a number that is not finite.

    Source: Good 2005, "Permutation, Parametric and Bootstrap Tests of Hypotheses", ch. 3 (sign flips).
    """
    if len(baseline) != len(candidate):
        raise ValueError(f"{len(baseline)} and {len(candidate)} scores cannot be paired; score the same cases")
    rows = _checked(baseline, candidate)
    differences = rows[:, 1] - rows[:, 0]
    cells = _cells(np.column_stack([differences, np.ones(len(rows))]), clusters)
    sums = _resample(cells, np.random.default_rng(seed), n_resamples)
    before, after = rows.mean(axis=0)
    lower, upper = _sign_flips(cells.values[:, 0], cells.counts, n_resamples, seed)
    interval = _percentiles(sums[:, 0] / sums[:, 1], confidence)
    p_different, mean_square = min(1.0, 2 * min(lower, upper)), float((differences**2).mean())
    return Paired(float(before), float(after), float(after - before), interval, lower, p_different, mean_square)


def paired_root_mean(
    baseline: Sequence[float],
    candidate: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> Paired:
    """Compare two roots of mean squares, such as RMSE, over the same cases; less is better, so both are negative.

    The interval is a cluster bootstrap of the difference of roots; the chances are those of the squares' means.

    Raises:
        ValueError: No cases, different lengths, or a square that is negative or not finite.
    """
    if min([*baseline, *candidate], default=0.0) < 0:
        raise ValueError("a square is negative")
    means = paired_mean(
        [-value for value in baseline], [-value for value in candidate], clusters,
        confidence=confidence, n_resamples=n_resamples, seed=seed,
    )  # fmt: skip
    rows = np.column_stack([_checked(baseline, candidate), np.ones(len(baseline))])
    sums = _resample(_cells(rows, clusters), np.random.default_rng(seed), n_resamples)
    # rounding in a cell may leave a sum of squares just below 0
    drawn = -np.sqrt(np.maximum(sums[:, :2], 0) / sums[:, 2:])
    before, after = -math.sqrt(-means.baseline or 0.0), -math.sqrt(-means.candidate or 0.0)
    interval = _percentiles(drawn[:, 1] - drawn[:, 0], confidence)
    return Paired(before, after, after - before, interval, means.p_worse, means.p_different)


class _Tails(NamedTuple):
    lower: float
    upper: float


def _sign_flips(values: Floats, counts: NDArray[np.int64], n_resamples: int, seed: int) -> _Tails:
    """Return the chances of a sum as low and as high as observed, when every sign is a coin."""
    moved = np.abs(values) > 1e-9
    values, counts = values[moved], counts[moved]
    if not len(values):
        return _Tails(1.0, 1.0)
    steps = _as_steps(values, counts)
    if steps is None:
        return _drawn_flips(values, counts, n_resamples, seed)
    magnitudes, places = np.unique(np.abs(steps), return_inverse=True)
    totals = np.bincount(places, weights=counts).astype(int)
    distribution = np.ones(1)
    for magnitude, n in zip(magnitudes, totals, strict=True):
        spread = np.zeros(2 * magnitude * n + 1)
        spread[:: 2 * magnitude] = _coin(int(n))
        distribution = np.convolve(distribution, spread)
    place = int((steps * counts).sum() + (magnitudes * totals).sum())
    return _Tails(min(1.0, float(distribution[: place + 1].sum())), min(1.0, float(distribution[place:].sum())))


def _as_steps(values: Floats, counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return values as whole numbers of a common step, or None when there is none or the sum is too long."""
    for denominator in range(1, 61):
        scaled = values * denominator
        steps = np.rint(scaled).astype(np.int64)
        if np.abs(scaled - steps).max() < 1e-6:
            return steps if int((np.abs(steps) * counts).sum()) <= _MAX_STEPS else None
    return None


def _coin(n: int) -> Floats:
    """Return the chances of 0 to ``n`` heads."""
    logs = np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])
    return np.asarray(np.exp(logs - n * math.log(2)), dtype=np.float64)


def _drawn_flips(values: Floats, counts: NDArray[np.int64], n_resamples: int, seed: int) -> _Tails:
    rng = np.random.default_rng(seed + 1)
    flipped = rng.binomial(counts, 0.5, size=(n_resamples, len(counts)))
    sums = (counts - 2 * flipped) @ values
    observed = float((values * counts).sum())
    lower = (1 + int((sums <= observed + 1e-9).sum())) / (n_resamples + 1)
    return _Tails(lower, (1 + int((sums >= observed - 1e-9).sum())) / (n_resamples + 1))


def paired_macro_f1(
    truth: Sequence[Hashable],
    baseline: Sequence[Counts],
    candidate: Sequence[Counts],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> Paired:
    """Compare two macro F1 over the same cases; the chances come from swapping the runs within clusters.

    Raises:
        ValueError: No cases, or different lengths.
    """
    if not len(truth) == len(baseline) == len(candidate) or not truth:
        raise ValueError(f"{len(truth)} truths, {len(baseline)} and {len(candidate)} predictions cannot be paired")
    classes = sorted({*truth, *(label for counts in (*baseline, *candidate) for label in counts)}, key=str)
    before, after = (_contributions(truth, predicted, classes) for predicted in (baseline, candidate))
    width = before.shape[1]
    cells = _cells(np.hstack([before, after]), clusters)
    sums = _resample(cells, np.random.default_rng(seed), n_resamples)
    drawn = _macro(sums[:, width:], before) - _macro(sums[:, :width], before)
    f1_before, f1_after = (float(_macro(part.sum(axis=0)[None], before)[0]) for part in (before, after))
    swaps = _swapped(cells, width, np.random.default_rng(seed + 1), n_resamples)
    observed = f1_after - f1_before
    lower = (1 + int((swaps <= observed + 1e-9).sum())) / (n_resamples + 1)
    upper = (1 + int((swaps >= observed - 1e-9).sum())) / (n_resamples + 1)
    interval = _percentiles(drawn, confidence)
    return Paired(f1_before, f1_after, observed, interval, lower, min(1.0, 2 * min(lower, upper)))


def _contributions(truth: Sequence[Hashable], predicted: Sequence[Counts], classes: Sequence[Hashable]) -> Floats:
    """Return for each case its hits, then its predictions, then its truths, by class."""
    place = {label: number for number, label in enumerate(classes)}
    n = len(classes)
    rows = np.zeros((len(truth), 3 * n))
    for row, label, counts in zip(rows, truth, predicted, strict=True):
        row[2 * n + place[label]] = 1.0
        row[place[label]] = counts.get(label, 0.0)
        for guess, share in counts.items():
            row[n + place[guess]] = share
    return rows


def _macro(sums: Floats, contributions: Floats) -> Floats:
    """Return the macro F1 of every row of sums. Classes are those of the whole set: they never drop out of a mean."""
    n = contributions.shape[1] // 3
    hits, predicted, true = sums[:, :n], sums[:, n : 2 * n], sums[:, 2 * n :]
    total = predicted + true
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    present = (total > 0).sum(axis=1)
    return np.asarray(f1.sum(axis=1) / np.maximum(present, 1), dtype=np.float64)


def _swapped(cells: _Cells, width: int, rng: np.random.Generator, n_resamples: int) -> Floats:
    before, after = cells.values[:, :width], cells.values[:, width:]
    swapped = rng.binomial(cells.counts, 0.5, size=(n_resamples, len(cells.counts)))
    kept = cells.counts - swapped
    return _macro(kept @ after + swapped @ before, before) - _macro(kept @ before + swapped @ after, before)


def macro_f1_interval(
    truth: Sequence[Hashable],
    predicted: Sequence[Counts],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """Return the interval of a macro F1 by a cluster bootstrap. Raises ValueError as ``paired_macro_f1``."""
    if len(truth) != len(predicted) or not truth:
        raise ValueError(f"{len(truth)} truths and {len(predicted)} predictions; there must be as many, and some")
    classes = sorted({*truth, *(label for counts in predicted for label in counts)}, key=str)
    rows = _contributions(truth, predicted, classes)
    sums = _resample(_cells(rows, clusters), np.random.default_rng(seed), n_resamples)
    return _percentiles(_macro(sums, rows), confidence)


def mcnemar(n_only_a: int, n_only_b: int) -> float:
    """Return the two-sided exact chance of so uneven a split of the cases that only one run got right.

    1 when there are none. Source: McNemar 1947; the exact form is the sign test on the discordant pairs.
    """
    n = n_only_a + n_only_b
    if n_only_a < 0 or n_only_b < 0:
        raise ValueError(f"{n_only_a} and {n_only_b} are not counts")
    return min(1.0, 2 * float(_coin(n)[: min(n_only_a, n_only_b) + 1].sum()))


def permutation_test(
    a: Sequence[float], b: Sequence[float], *, n_resamples: int = N_RESAMPLES, seed: int = SEED
) -> float:
    """Return the two-sided chance of so large a difference of means when two independent groups are one.

    For runs over different cases; over the same cases use ``paired_mean``. Source: Fisher 1935; the added one is
    from Phipson and Smyth 2010.
    """
    first, second = _checked(a)[:, 0], _checked(b)[:, 0]
    together = np.concatenate([first, second])
    observed = abs(first.mean() - second.mean())
    rng = np.random.default_rng(seed)
    n_as_large = 0
    for _ in range(n_resamples):
        rng.shuffle(together)
        n_as_large += bool(abs(together[: len(first)].mean() - together[len(first) :].mean()) >= observed - 1e-12)
    return (1 + n_as_large) / (n_resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted so that the chance of any false alarm is kept. Source: Holm 1979."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted so that the share of false alarms is kept. Source: Benjamini and Hochberg 1995."""
    adjusted = [0.0] * len(p_values)
    lowest, n = 1.0, len(p_values)
    for rank, place in reversed(list(enumerate(sorted(range(n), key=p_values.__getitem__), start=1))):
        lowest = min(lowest, p_values[place] * n / rank)
        adjusted[place] = lowest
    return adjusted


def by_case(cases: Sequence[Hashable], values: Sequence[float]) -> dict[Hashable, list[float]]:
    """Return the values of each case, in the order in which cases come first."""
    found: defaultdict[Hashable, list[float]] = defaultdict(list)
    for case, value in zip(cases, values, strict=True):
        found[case].append(value)
    return dict(found)
