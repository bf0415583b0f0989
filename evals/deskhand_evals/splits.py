"""Splits and folds of a dataset: seeded, and the same whatever order the rows stand in.

A group (a customer, a ticket, a set of near duplicates) is never cut: all its rows land on one side.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

SEED = 20261
T = TypeVar("T")
C = TypeVar("C")


class Fold(NamedTuple):
    """The places (in the sequence that was cut) of the rows to fit on, and of those that are held out."""

    fit: tuple[int, ...]
    held_out: tuple[int, ...]


class _Group(NamedTuple):
    key: str
    places: list[int]
    strata: Counter[Hashable]


def split(
    ids: Sequence[str],
    shares: Mapping[str, float],
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = SEED,
) -> dict[str, list[int]]:
    """Return the places of the rows in each part, such as ``{"train": 0.6, "dev": 0.2, "test": 0.2}``.

    A row's part depends on its own group and the seed and on nothing else: rows that come later never move one from
    ``test`` to ``train``. The price is that parts have their shares only on average.

    Args:
        ids: One unique id a row.
        shares: More than 0 each, summing to 1.
        groups: What rows belong to; every row is its own group when left out. None is no group.
        seed: Another seed gives another split.

    Raises:
        ValueError: Shares that do not sum to 1, ids that repeat, or lengths that differ.
    """
    if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"the shares {dict(shares)} are not above 0 with the sum 1")
    parts: dict[str, list[int]] = {name: [] for name in shares}
    for place, key in enumerate(_keys(ids, groups)):
        parts[_part_of(_chance(seed, key), shares)].append(place)
    return parts


def _part_of(chance: float, shares: Mapping[str, float]) -> str:
    reached = 0.0
    for name, share in shares.items():
        reached += share
        if chance < reached:
            return name
    return name


def _chance(seed: int, key: str) -> float:
    """Return a number in [0, 1) that only the seed and the key decide."""
    return int(_hash(seed, key)[:13], 16) / 16**13


def _hash(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).hexdigest()


def _keys(ids: Sequence[str], groups: Sequence[Hashable] | None) -> list[str]:
    if len(set(ids)) != len(ids):
        raise ValueError(f"id {Counter(ids).most_common(1)[0][0]!r} stands there twice; ids must be unique")
    if groups is None:
        return [f"row {name}" for name in ids]
    pairs = zip(ids, groups, strict=True)
    return [f"row {name}" if group is None else f"group {group}" for name, group in pairs]


def folds(
    ids: Sequence[str],
    n: int,
    *,
    strata: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
    seed: int = SEED,
) -> list[Fold]:
    """Return ``n`` folds; every row is held out in exactly one, and no group in two.

    With ``strata`` (one class a row) each fold holds as even a share of every class as groups allow: the largest
    groups are placed first, each where its classes are rarest. Folds are the same for any order of the rows.

    Raises:
        ValueError: Less than 2 folds, fewer groups than folds, ids that repeat, or lengths that differ.
    """
    keys = _keys(ids, groups)
    labels = list(strata) if strata is not None else [None] * len(keys)
    found = _groups(keys, labels, seed)
    if n < 2 or len(found) < n:
        raise ValueError(f"{n} folds of {len(found)} groups: there must be at least 2 folds, and a group for each")
    held: list[list[int]] = [[] for _ in range(n)]
    counts: list[Counter[Hashable]] = [Counter() for _ in range(n)]
    for group in found:
        chosen = min(range(n), key=lambda number: _crowding(group, counts[number], number))
        held[chosen] += group.places
        counts[chosen] += group.strata
    everything = set(range(len(keys)))
    return [Fold(tuple(sorted(everything - set(places))), tuple(sorted(places))) for places in held]


def _groups(keys: Sequence[str], labels: Sequence[Hashable], seed: int) -> list[_Group]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for (place, key), _ in zip(enumerate(keys), labels, strict=True):
        places[key].append(place)
    groups = [_Group(key, found, Counter(labels[place] for place in found)) for key, found in places.items()]
    return sorted(groups, key=lambda group: (-len(group.places), _hash(seed, group.key)))


def _crowding(group: _Group, counts: Counter[Hashable], number: int) -> tuple[int, int, int]:
    """Return how full a fold already is of the group's classes, then of anything."""
    return (sum(n * counts[label] for label, n in group.strata.items()), counts.total(), number)


class Tuned(NamedTuple, Generic[C]):
    """What came of choosing on some folds and measuring on others.

    ``chosen`` is the candidate of each fold; ``held_out`` its scores on the rows that it was not chosen on, by place;
    ``fit_mean`` is the mean score on the rows that it was chosen on: what is above the held-out mean is optimism.
    """

    chosen: list[C]
    held_out: list[float]
    fit_mean: float

    @property
    def mean(self) -> float:
        """The mean of the held-out scores: what a gate should look at."""
        return sum(self.held_out) / len(self.held_out)

    @property
    def optimism(self) -> float:
        """How much better the choice looks where it was made."""
        return self.fit_mean - self.mean


def tune_and_gate(
    candidates: Sequence[C], rows: Sequence[T], score: Callable[[C, T], float], cut: Sequence[Fold]
) -> Tuned[C]:
    """Choose the best candidate on the fit rows of each fold, and score it on the held-out ones.

    ``held_out`` has one score a row that no choice has seen: give it to ``mean_interval`` or ``paired_mean``. The
    first of equally good candidates is chosen. Each candidate scores each row once.

    Raises:
        ValueError: No candidates, or folds that do not hold out every row exactly once.
    """
    if not candidates or sorted(place for fold in cut for place in fold.held_out) != list(range(len(rows))):
        raise ValueError("there must be candidates, and folds that hold out every row exactly once")
    table = [[score(candidate, row) for row in rows] for candidate in candidates]
    held_out = [0.0] * len(rows)
    chosen, fits = [], []
    for fold in cut:
        means = [sum(scores[place] for place in fold.fit) / len(fold.fit) for scores in table]
        best = max(range(len(candidates)), key=lambda number: (means[number], -number))
        chosen.append(candidates[best])
        fits.append(means[best])
        for place in fold.held_out:
            held_out[place] = table[best][place]
    return Tuned(chosen, held_out, sum(fits) / len(fits))


def slices(rows: Sequence[T], value: Callable[[T], Hashable]) -> Iterator[tuple[Hashable, list[int]]]:
    """Yield each value that a field of the rows has, in the order of its text, with the places of its rows."""
    found: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        found[value(row)].append(place)
    for name in sorted(found, key=str):
        yield name, found[name]
