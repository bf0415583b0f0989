"""Whether confidences mean what they say, and which classes are taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Bin(NamedTuple):
    """Predictions of like confidence: their mean confidence, the share that is right, and how many there are."""

    confidence: float
    hit_rate: float
    n: int


def reliability(confidences: Sequence[float], hits: Sequence[bool], *, n_bins: int = 10) -> list[Bin]:
    """Return the filled bins of equal width over [0, 1], each closed at its upper end.

    Raises:
        ValueError: There is nothing, lengths differ, or a confidence is not within [0, 1].
    """
    if len(confidences) != len(hits) or not hits:
        raise ValueError(f"{len(confidences)} confidences and {len(hits)} hits; there must be as many, and some")
    if not all(0 <= confidence <= 1 for confidence in confidences):
        raise ValueError("a confidence is not within 0 to 1")
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in zip(confidences, hits, strict=True):
        place = next(number for number in range(n_bins) if confidence <= (number + 1) / n_bins)
        bins.setdefault(place, []).append((confidence, hit))
    return [
        Bin(sum(c for c, _ in found) / len(found), sum(h for _, h in found) / len(found), len(found))
        for _, found in sorted(bins.items())
    ]


def calibration_error(confidences: Sequence[float], hits: Sequence[bool], *, n_bins: int = 10) -> float:
    """Return the mean distance of confidence and hit rate over bins, weighed by their size, in [0, 1].

    Raises ValueError as ``reliability``. Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    bins = reliability(confidences, hits, n_bins=n_bins)
    return sum(found.n * abs(found.hit_rate - found.confidence) for found in bins) / len(hits)


class Confusion(NamedTuple):
    """``counts[i][j]`` is how often class ``i`` was predicted as class ``j``, in the order of ``labels``."""

    labels: list[Hashable]
    counts: list[list[int]]


def confusion(truth: Sequence[Hashable], predicted: Sequence[Hashable]) -> Confusion:
    """Return the confusion matrix over every class that occurs. Raises ValueError when lengths differ."""
    pairs = Counter(zip(truth, predicted, strict=True))
    labels = sorted({*truth, *predicted}, key=str)
    return Confusion(labels, [[pairs[a, b] for b in labels] for a in labels])
