"""Intervals and paired tests of macro F1, by the same counts of equal clusters as those of means."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from deskhand_evals.metrics import Interval
from deskhand_evals.resampling import DEFAULT, Bootstrap, Cells, Floats, cells_of
from deskhand_evals.significance import drawn_tails
from deskhand_evals.statistics import Paired

Counts = Mapping[Any, float]
"""How often each label was predicted for a case; with repeats, shares that sum to 1."""


def paired_macro_f1(
    truth: Sequence[Hashable],
    baseline: Sequence[Counts],
    candidate: Sequence[Counts],
    clusters: Sequence[Hashable] | None = None,
    by: Bootstrap = DEFAULT,
) -> Paired:
    """Compare two macro F1 over the same cases; the chances come from swapping the runs within clusters.

    Raises:
        ValueError: No cases, or different lengths.
    """
    if not len(truth) == len(baseline) == len(candidate) or not truth:
        raise ValueError(f"{len(truth)} truths, {len(baseline)} and {len(candidate)} predictions cannot be paired")
    classes = _classes(truth, [*baseline, *candidate])
    before, after = (_contributions(truth, predicted, classes) for predicted in (baseline, candidate))
    cells = cells_of(np.hstack([before, after]), clusters)
    drawn_before, drawn_after = np.hsplit(by.sums(cells), 2)
    f1_before, f1_after = (float(_macro(part.sum(axis=0)[None])[0]) for part in (before, after))
    tails = drawn_tails(_swapped(cells, by), f1_after - f1_before)
    interval = by.interval(_macro(drawn_after) - _macro(drawn_before))
    return Paired(f1_before, f1_after, f1_after - f1_before, interval, tails.lower, tails.both)


def macro_f1_of(truth: Sequence[Hashable], predicted: Sequence[Counts]) -> float:
    """Return the macro F1 of predictions."""
    return float(_macro(_contributions(truth, predicted, _classes(truth, predicted)).sum(axis=0)[None])[0])


def macro_f1_interval(
    truth: Sequence[Hashable],
    predicted: Sequence[Counts],
    clusters: Sequence[Hashable] | None = None,
    by: Bootstrap = DEFAULT,
) -> Interval:
    """Return the interval of a macro F1 by a cluster bootstrap. Raises ValueError as ``paired_macro_f1``."""
    if len(truth) != len(predicted) or not truth:
        raise ValueError(f"{len(truth)} truths and {len(predicted)} predictions; there must be as many, and some")
    rows = _contributions(truth, predicted, _classes(truth, predicted))
    return by.interval(_macro(by.sums(cells_of(rows, clusters))))


def _classes(truth: Sequence[Hashable], predicted: Sequence[Counts]) -> list[Hashable]:
    return sorted({*truth, *(label for counts in predicted for label in counts)}, key=str)


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


def _macro(sums: Floats) -> Floats:
    """Return the macro F1 of every row of sums. Classes are those of the whole set: they never drop out of a mean."""
    n = sums.shape[1] // 3
    hits, predicted, true = sums[:, :n], sums[:, n : 2 * n], sums[:, 2 * n :]
    total = predicted + true
    f1 = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    present = (total > 0).sum(axis=1)
    return np.asarray(f1.sum(axis=1) / np.maximum(present, 1), dtype=np.float64)


def _swapped(cells: Cells, by: Bootstrap) -> Floats:
    """Return the differences when the runs of clusters are swapped at random."""
    before, after = np.hsplit(cells.values, 2)
    swapped = by.coins(cells.counts)
    kept = cells.counts - swapped
    return _macro(kept @ after + swapped @ before) - _macro(kept @ before + swapped @ after)
