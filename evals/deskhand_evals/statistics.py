"""Intervals and paired tests of means, over the same cases or clusters of them. All are seeded."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from deskhand_evals.intervals import share_interval, single_interval
from deskhand_evals.metrics import Interval
from deskhand_evals.resampling import DEFAULT, Bootstrap, cells_of, columns
from deskhand_evals.significance import sign_flips


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


def mean_interval(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    by: Bootstrap = DEFAULT,
    *,
    is_share: bool = True,
) -> Interval:
    """Return the interval of a mean: Wilson's for 0/1 values of single cases, else a cluster bootstrap.

    Args:
        values: One finite number a case; with repeats, their mean.
        clusters: Which cases belong together; every case by itself when left out.
        by: Confidence, samples and seed.
        is_share: Values are within [0, 1]; the interval is then at least as wide as Wilson's where all
            clusters are alike, because a bootstrap of equal values has no width.

    Raises:
        ValueError: No values, or one that is not finite.

    Source: Field and Welsh 2007, "Bootstrapping clustered data" (random cluster bootstrap); Wilson 1927.
    """
    found = single_interval(values, clusters, by.confidence) if is_share else None
    if found is not None:
        return found
    rows = np.column_stack([columns(values), np.ones(len(values))])
    cells = cells_of(rows, clusters)
    if is_share and len(cells.counts) == 1:
        return share_interval(float(rows[:, 0].mean()), int(cells.counts.sum()), by.confidence)
    sums = by.sums(cells)
    return by.interval(sums[:, 0] / sums[:, 1])


def paired_mean(
    baseline: Sequence[float],
    candidate: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    by: Bootstrap = DEFAULT,
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
    rows = columns(baseline, candidate)
    differences = rows[:, 1] - rows[:, 0]
    cells = cells_of(np.column_stack([differences, np.ones(len(rows))]), clusters)
    sums = by.sums(cells)
    before, after = rows.mean(axis=0)
    tails = sign_flips(cells, by)
    interval, mean_square = by.interval(sums[:, 0] / sums[:, 1]), float((differences**2).mean())
    return Paired(float(before), float(after), float(after - before), interval, tails.lower, tails.both, mean_square)


def paired_root_mean(
    baseline: Sequence[float],
    candidate: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    by: Bootstrap = DEFAULT,
) -> Paired:
    """Compare two roots of mean squares, such as RMSE, over the same cases; less is better, so both are negative.

    The interval is a cluster bootstrap of the difference of roots; the chances are those of the squares' means.

    Raises:
        ValueError: No cases, different lengths, or a square that is negative or not finite.
    """
    if min([*baseline, *candidate], default=0.0) < 0:
        raise ValueError("a square is negative")
    means = paired_mean([-value for value in baseline], [-value for value in candidate], clusters, by)
    rows = np.column_stack([columns(baseline, candidate), np.ones(len(baseline))])
    sums = by.sums(cells_of(rows, clusters))
    # rounding in a cell may leave a sum of squares just below 0
    drawn = -np.sqrt(np.maximum(sums[:, :2], 0) / sums[:, 2:])
    before, after = -math.sqrt(-means.baseline or 0.0), -math.sqrt(-means.candidate or 0.0)
    interval = by.interval(drawn[:, 1] - drawn[:, 0])
    return Paired(before, after, after - before, interval, means.p_worse, means.p_different)


def by_case(cases: Sequence[Hashable], values: Sequence[float]) -> dict[Hashable, list[float]]:
    """Return the values of each case, in the order in which cases come first."""
    found: defaultdict[Hashable, list[float]] = defaultdict(list)
    for case, value in zip(cases, values, strict=True):
        found[case].append(value)
    return dict(found)
