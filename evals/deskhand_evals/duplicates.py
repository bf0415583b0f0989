"""Near duplicates between texts, and texts that stand word for word in others: exact, no sampling."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from deskhand.fencing import fold

if TYPE_CHECKING:
    from deskhand.interfaces import Encoder

NEAR = 0.80
"""Likeness from which two texts are one: rewritten tickets about one thing stay below 0.7."""

RUN_WORDS = 8
"""As many words in the same order are no chance."""

MIN_CONTAINED = 0.5
"""Share of a text's runs that stand in another from which it is copied."""

_WORD = re.compile(r"\w+")
_CHUNK = 512


class Pair(NamedTuple):
    """Two places that are alike, in [0, 1]."""

    a: int
    b: int
    likeness: float


def plain(text: str) -> str:
    """Return the words of a text, folded and separated by single spaces."""
    return " ".join(_WORD.findall(fold(text)))


def near_pairs(a: Sequence[str], b: Sequence[str] | None = None, *, least: float = NEAR) -> list[Pair]:
    """Return the pairs of texts whose words are alike, of ``a`` and ``b``, or within ``a``, in their order.

    Likeness is 1 - insertions and deletions / characters of both, on folded words (rapidfuzz's normalised Indel
    similarity). Empty texts are like nothing. 400 by 900 tickets take 0.3 s.
    """
    from rapidfuzz.distance import Indel
    from rapidfuzz.process import cdist

    first = [plain(text) for text in a]
    second = first if b is None else [plain(text) for text in b]
    pairs = []
    for start in range(0, len(first), _CHUNK):
        table = cdist(first[start : start + _CHUNK], second, scorer=Indel.normalized_similarity, score_cutoff=least)
        for row, column in zip(*table.nonzero(), strict=True):
            place, other = start + int(row), int(column)
            if first[place] and second[other] and (b is not None or place < other):
                pairs.append(Pair(place, other, float(table[row, column])))
    return pairs


def contained_pairs(a: Sequence[str], b: Sequence[str], *, least: float = MIN_CONTAINED) -> list[Pair]:
    """Return the pairs where ``least`` of the runs of 8 words of a text in ``a`` stand in one text of ``b``.

    A text of less than 8 words has no run; a whole short text is found by ``near_pairs`` or not at all.
    """
    places: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for place, text in enumerate(b):
        for run in _runs(text):
            places[run].add(place)
    pairs = []
    for place, text in enumerate(a):
        runs = _runs(text)
        counts: defaultdict[int, int] = defaultdict(int)
        for run in runs:
            for other in places.get(run, ()):
                counts[other] += 1
        pairs += [Pair(place, other, n / len(runs)) for other, n in sorted(counts.items()) if n / len(runs) >= least]
    return pairs


def _runs(text: str) -> set[tuple[str, ...]]:
    words = plain(text).split()
    return {tuple(words[start : start + RUN_WORDS]) for start in range(len(words) - RUN_WORDS + 1)}


def alike_pairs(a: Sequence[str], b: Sequence[str] | None, encoder: Encoder, *, least: float = 0.9) -> list[Pair]:
    """Return the pairs that an encoder finds alike (cosine similarity): the same meaning in other words."""
    import numpy as np

    first = encoder.encode([text or " " for text in a])
    second = first if b is None else encoder.encode([text or " " for text in b])
    table = first @ second.T
    rows, columns = np.nonzero(table >= least)
    return [
        Pair(int(row), int(column), float(min(1.0, table[row, column])))
        for row, column in zip(rows, columns, strict=True)
        if b is not None or row < column
    ]


def duplicate_groups(texts: Sequence[str], *, least: float = NEAR) -> list[int]:
    """Return a group number for each text: those that are alike, also over others between them, share one."""
    parents = list(range(len(texts)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for pair in near_pairs(texts, least=least):
        a, b = sorted((root(pair.a), root(pair.b)))
        parents[b] = a
    return [root(place) for place in range(len(texts))]
