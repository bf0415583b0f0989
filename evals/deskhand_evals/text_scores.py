"""Likeness of two texts: ROUGE-1, -2 and -L, and chrF, each on plain strings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

_WORDS = re.compile(r"[a-z0-9]+")
CHRF_ORDER = 6
CHRF_BETA = 2.0


def rouge_l(reference: str, text: str) -> float:
    """Return the F measure of the longest common subsequence of words, in [0, 1]; 0 when either has none.

    Words are runs of ``a-z0-9`` in lower case, not stemmed. Source: Lin 2004, "ROUGE", eq. 2 to 4 with beta 1.
    """
    wanted, found = _WORDS.findall(reference.lower()), _WORDS.findall(text.lower())
    if not wanted or not found:
        return 0.0
    common = _longest_common(wanted, found)
    return 2 * common / (len(wanted) + len(found))


def rouge_n(reference: str, text: str, n: int) -> float:
    """Return the F measure of the runs of ``n`` words that both share, in [0, 1]; 0 when either has none.

    Words are as in ``rouge_l``. Source: Lin 2004, "ROUGE", eq. 1, with precision and beta 1.
    """
    wanted, found = (Counter(_word_runs(_WORDS.findall(one.lower()), n)) for one in (reference, text))
    if not wanted or not found:
        return 0.0
    return 2 * (wanted & found).total() / (wanted.total() + found.total())


def _word_runs(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def _longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the length of the longest common subsequence, in bits of one number. Source: Hyyrö 2004."""
    places: dict[str, int] = {}
    for number, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << number
    mask = (1 << len(a)) - 1
    state = mask
    for word in b:
        matches = state & places.get(word, 0)
        state = ((state + matches) | (state - matches)) & mask
    return len(a) - state.bit_count()


def chrf(reference: str, text: str) -> float:
    """Return chrF2 in [0, 1]: the F measure, recall twice as heavy, of character 1- to 6-grams without white space.

    Precision and recall are averaged over the orders that both texts have. Source: Popović 2015, "chrF".
    """
    wanted, found = "".join(reference.split()), "".join(text.split())
    precisions, recalls = [], []
    for order in range(1, CHRF_ORDER + 1):
        of_wanted, of_found = _grams(wanted, order), _grams(found, order)
        if of_wanted and of_found:
            common = (of_wanted & of_found).total()
            precisions.append(common / of_found.total())
            recalls.append(common / of_wanted.total())
    if not precisions or not (fmean(precisions) + fmean(recalls)):
        return 0.0
    precision, recall = fmean(precisions), fmean(recalls)
    weight = CHRF_BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall)


def _grams(text: str, order: int) -> Counter[str]:
    return Counter(text[place : place + order] for place in range(len(text) - order + 1))
