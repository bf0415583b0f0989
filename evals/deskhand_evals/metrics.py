"""Metrics, each on plain values, with its formula. The house has no other scoring."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

from deskhand.fencing import fold
from deskhand_evals.datasets import Fact

_LOOSE = re.compile(r"[\s\u00a0]+")
_MARKS = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2013\u2014", "''\"\"----")


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


class ClassScore(NamedTuple):
    """Precision, recall and F1 of one class, each 0 when it is not defined, and how often it is the truth."""

    precision: float
    recall: float
    f1: float
    support: int


def accuracy(truth: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Return the share of equal pairs, in [0, 1]. Raises ValueError when there are none or lengths differ."""
    _check(truth, predicted)
    return sum(a == b for a, b in zip(truth, predicted, strict=True)) / len(truth)


def per_class(truth: Sequence[Hashable], predicted: Sequence[Hashable]) -> dict[Hashable, ClassScore]:
    """Return the scores of every class that occurs as truth or prediction, in the order of their text."""
    _check(truth, predicted)
    return {label: _class_score(label, truth, predicted) for label in sorted({*truth, *predicted}, key=str)}


def _class_score(label: Hashable, truth: Sequence[Hashable], predicted: Sequence[Hashable]) -> ClassScore:
    hits = sum(a == b == label for a, b in zip(truth, predicted, strict=True))
    n_true, n_predicted = sum(a == label for a in truth), sum(b == label for b in predicted)
    precision = hits / n_predicted if n_predicted else 0.0
    recall = hits / n_true if n_true else 0.0
    f1 = 2 * hits / (n_true + n_predicted)
    return ClassScore(precision, recall, f1, n_true)


def macro_f1(truth: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Return the mean F1 over all classes that occur as truth or prediction, each weighing the same."""
    scores = per_class(truth, predicted)
    return sum(score.f1 for score in scores.values()) / len(scores)


class MacroScore(NamedTuple):
    """Means over all classes that occur as truth or prediction, each class weighing the same."""

    precision: float
    recall: float
    f1: float


def macro_scores(truth: Sequence[Hashable], predicted: Sequence[Hashable]) -> MacroScore:
    """Return macro precision, recall and F1; what is not defined for a class counts as 0."""
    scores = list(per_class(truth, predicted).values())
    n = len(scores)
    precision, recall = sum(s.precision for s in scores) / n, sum(s.recall for s in scores) / n
    return MacroScore(precision, recall, sum(s.f1 for s in scores) / n)


class NumberError(NamedTuple):
    """Mean absolute error and root mean squared error, in the numbers' own unit."""

    mae: float
    rmse: float


def number_errors(truth: Sequence[float], predicted: Sequence[float]) -> NumberError:
    """Return how far numbers are off. Raises ValueError when there are none, or lengths differ."""
    _check(truth, predicted)
    errors = [b - a for a, b in zip(truth, predicted, strict=True)]
    mean_square = math.fsum(error * error for error in errors) / len(errors)
    return NumberError(math.fsum(map(abs, errors)) / len(errors), math.sqrt(mean_square))


def recall_at(relevant: Collection[str], ranked: Sequence[str], k: int) -> float:
    """Return the share of ``relevant`` among the first ``k`` different items of ``ranked``, in [0, 1]."""
    first = _different(ranked)[:k]
    return sum(item in first for item in set(relevant)) / len(set(relevant))


def reciprocal_rank(relevant: Collection[str], ranked: Sequence[str]) -> float:
    """Return 1 / rank of the first relevant item, 0 when there is none."""
    ranks = [rank for rank, item in enumerate(_different(ranked), start=1) if item in relevant]
    return 1 / ranks[0] if ranks else 0.0


def ndcg_at(relevant: Collection[str], ranked: Sequence[str], k: int) -> float:
    """Return the discounted gain of the first ``k`` items over that of the best order, in [0, 1].

    Gains are 0 or 1, the discount is 1 / log2(rank + 1). Source: Järvelin and Kekäläinen 2002.
    """
    gains = [1 / math.log2(rank + 1) for rank, item in enumerate(_different(ranked)[:k], start=1) if item in relevant]
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(set(relevant))) + 1))
    return sum(gains) / best


def _different(ranked: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(ranked))


def wilson(n_hits: int, n: int, *, level: float = 0.95) -> Interval:
    """Return the Wilson score interval of a share ``n_hits / n``. Source: Wilson 1927."""
    if not 0 <= n_hits <= n or n == 0:
        raise ValueError(f"{n_hits} of {n} is not a share")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, spread = n_hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def states(text: str, fact: Fact) -> bool:
    """Tell whether ``text`` contains one of the wordings of ``fact``, at word boundaries."""
    plain = _plain(text)
    return any(_contains(plain, _plain(wording)) for wording in fact.any)


def _contains(text: str, wording: str) -> bool:
    return bool(wording) and re.search(rf"(?<!\w){re.escape(wording)}(?!\w)", text) is not None


def _plain(text: str) -> str:
    return _LOOSE.sub(" ", fold(text).translate(_MARKS)).strip(" .,;:!?\"'")


class FactScore(NamedTuple):
    """How many facts a text states, of how many."""

    n_stated: int
    n: int


def count_stated(text: str, facts: Sequence[Fact]) -> FactScore:
    """Return how many of ``facts`` are stated in ``text``."""
    return FactScore(sum(states(text, fact) for fact in facts), len(facts))


def _check(truth: Sequence[Hashable], predicted: Sequence[Hashable]) -> None:
    if len(truth) != len(predicted) or not truth:
        raise ValueError(f"{len(truth)} truths and {len(predicted)} predictions; there must be as many, and some")
