"""Chances that a difference is luck: sign flips, McNemar's and a permutation test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deskhand_evals.resampling import DEFAULT, Bootstrap, Cells, Floats, columns

_MAX_STEPS = 40_000
"""The longest exact distribution; beyond it, signs are drawn."""


class Tails(NamedTuple):
    """The chances of a sum as low and as high as the observed one."""

    lower: float
    upper: float

    @property
    def both(self) -> float:
        """The chance of one as far from the middle."""
        return min(1.0, 2 * min(self))


def drawn_tails(drawn: Floats, observed: float) -> Tails:
    """Return the share of drawn sums that are as low and as high, the observed one counted with them.

    Source: Phipson and Smyth 2010, "Permutation p-values should never be zero".
    """
    lower, upper = int((drawn <= observed + 1e-9).sum()), int((drawn >= observed - 1e-9).sum())
    return Tails((1 + lower) / (len(drawn) + 1), (1 + upper) / (len(drawn) + 1))


def sign_flips(cells: Cells, by: Bootstrap) -> Tails:
    """Return the chances of the first numbers' sum when every cluster's sign is a coin; exact where that is short."""
    moved = np.abs(cells.values[:, 0]) > 1e-9
    values, counts = cells.values[moved, 0], cells.counts[moved]
    if not len(values):
        return Tails(1.0, 1.0)
    steps = _as_steps(values, counts)
    if steps is not None:
        return _exact_flips(steps, counts)
    return drawn_tails((counts - 2 * by.coins(counts)) @ values, float((values * counts).sum()))


def _exact_flips(steps: NDArray[np.int64], counts: NDArray[np.int64]) -> Tails:
    magnitudes, places = np.unique(np.abs(steps), return_inverse=True)
    totals = np.bincount(places, weights=counts).astype(int)
    distribution = np.ones(1)
    for magnitude, n in zip(magnitudes, totals, strict=True):
        spread = np.zeros(2 * magnitude * n + 1)
        spread[:: 2 * magnitude] = _coin(int(n))
        distribution = np.convolve(distribution, spread)
    place = int((steps * counts).sum() + (magnitudes * totals).sum())
    return Tails(min(1.0, float(distribution[: place + 1].sum())), min(1.0, float(distribution[place:].sum())))


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


def mcnemar(n_only_a: int, n_only_b: int) -> float:
    """Return the two-sided exact chance of so uneven a split of the cases that only one run got right.

    1 when there are none. Source: McNemar 1947; the exact form is the sign test on the discordant pairs.
    """
    n = n_only_a + n_only_b
    if n_only_a < 0 or n_only_b < 0:
        raise ValueError(f"{n_only_a} and {n_only_b} are not counts")
    return min(1.0, 2 * float(_coin(n)[: min(n_only_a, n_only_b) + 1].sum()))


def permutation_test(a: Sequence[float], b: Sequence[float], by: Bootstrap = DEFAULT) -> float:
    """Return the two-sided chance of so large a difference of means when two independent groups are one.

    For runs over different cases; over the same cases use ``paired_mean``. Source: Fisher 1935; the added one is
    from Phipson and Smyth 2010.
    """
    first, second = columns(a)[:, 0], columns(b)[:, 0]
    together = np.concatenate([first, second])
    observed = abs(first.mean() - second.mean())
    rng = np.random.default_rng(by.seed)
    n_as_large = 0
    for _ in range(by.n_resamples):
        rng.shuffle(together)
        n_as_large += bool(abs(together[: len(first)].mean() - together[len(first) :].mean()) >= observed - 1e-12)
    return (1 + n_as_large) / (by.n_resamples + 1)
