"""Texts as weighted words and letter sequences: names, codes and misspellings that a sentence encoder reads over.

TF-IDF over one and two words, and three to five letters within a word. N-grams are known by a hash, so that a fitted
vocabulary is two arrays and holds no text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deskhand.fencing import fold
from deskhand_agents.logistic import Logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MAX_LANDMARKS = 1_500
"""Texts that span the space that is learned in; with more texts than this, evenly spaced ones stand for all."""

_WORD = re.compile(r"\w\w+")
_LONG_NUMBER = re.compile(r"\d{3,}")
_LETTERS = (3, 4, 5)
_BLOCK = 4_096


class Bag(NamedTuple):
    """N-grams of one text: their ids, or positions in a vocabulary, ascending, and their weights."""

    ids: NDArray[np.int64]
    weights: Floats


def count_ngrams(text: str) -> Bag:
    """Return the n-grams of ``text`` with 1 + ln(count). An odd id is one of letters; an order number is just a number.

    Two n-grams share an id about once in a hundred thousand.
    """
    folded = _LONG_NUMBER.sub("0", fold(text))
    words = _WORD.findall(folded)
    of_words = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
    padded = [f" {word} " for word in folded.split()]
    of_letters = [word[i : i + n] for word in padded for n in _LETTERS for i in range(len(word) - n + 1)]
    hashes = [zlib.crc32(gram.encode()) & ~1 for gram in of_words] + [zlib.crc32(g.encode()) | 1 for g in of_letters]
    ids, counts = np.unique(np.array(hashes, np.int64), return_counts=True)
    return Bag(ids, (1 + np.log(counts)).astype(np.float32))


@dataclass(frozen=True)
class Vocabulary:
    """The ids that are known, ascending, and how much each says (inverse document frequency)."""

    ids: NDArray[np.int64]
    idf: Floats

    def weigh(self, counted: Bag) -> Bag:
        """Return the known n-grams by position; words and letters each have the norm 1, or none at all."""
        if not len(self.ids):
            return Bag(np.zeros(0, np.int64), np.zeros(0, np.float32))
        places = np.minimum(np.searchsorted(self.ids, counted.ids), len(self.ids) - 1)
        is_known = self.ids[places] == counted.ids
        places, weights = places[is_known], (counted.weights * self.idf[places])[is_known]
        for block in (0, 1):
            mine = (self.ids[places] & 1) == block
            norm = float(np.linalg.norm(weights[mine]))
            weights[mine] /= norm or 1.0
        return Bag(places, weights)


def fit_vocabulary(counted: Sequence[Bag]) -> Vocabulary:
    """Return the vocabulary of texts; letters that stand in one text only are left out."""
    if not counted:
        return Vocabulary(np.zeros(0, np.int64), np.zeros(0, np.float32))
    ids, n_texts = np.unique(np.concatenate([bag.ids for bag in counted]), return_counts=True)
    kept = (ids & 1 == 0) | (n_texts > 1)
    idf = np.log((1 + len(counted)) / (1 + n_texts[kept])) + 1
    return Vocabulary(ids[kept], idf.astype(np.float32))


@dataclass(frozen=True)
class WordSpace:
    """Texts as ``rows`` of few dimensions with the same inner products as their n-grams, and the way back."""

    vocabulary: Vocabulary
    rows: NDArray[np.float64]
    landmarks: tuple[Bag, ...]
    basis: NDArray[np.float64]

    def unfold(self, model: Logistic) -> Logistic:
        """Return a model over ``rows`` as one over the vocabulary."""
        per_landmark = self.basis @ model.weights
        weights = np.zeros((len(self.vocabulary.ids), model.weights.shape[1]))
        for bag, shares in zip(self.landmarks, per_landmark, strict=True):
            weights[bag.ids] += bag.weights[:, None] * shares
        return Logistic(weights.astype(np.float32), model.bias)


def fit_words(texts: Sequence[str]) -> WordSpace:
    """Return the word space of ``texts``: exact up to ``MAX_LANDMARKS``, beyond it Nystroem's approximation.

    Williams & Seeger 2001, "Using the Nystroem Method to Speed Up Kernel Machines".
    """
    counted = [count_ngrams(text) for text in texts]
    vocabulary = fit_vocabulary(counted)
    bags = [vocabulary.weigh(bag) for bag in counted]
    chosen = np.unique(np.linspace(0, len(bags) - 1, min(len(bags), MAX_LANDMARKS)).astype(np.int64))
    landmarks = tuple(bags[i] for i in chosen)
    products = inner_products(bags, landmarks, len(vocabulary.ids))
    values, vectors = np.linalg.eigh(products[chosen])
    kept = values > 1e-6
    basis = vectors[:, kept] / np.sqrt(values[kept])
    return WordSpace(vocabulary, products @ basis, landmarks, basis)


def inner_products(left: Sequence[Bag], right: Sequence[Bag], n_ids: int) -> NDArray[np.float64]:
    """Return the inner product of every bag of ``left`` with every one of ``right``, a block of columns at a time."""
    products = np.zeros((len(left), len(right)))
    for start in range(0, n_ids, _BLOCK):
        products += _dense(left, start) @ _dense(right, start).T
    return products


def _dense(bags: Sequence[Bag], start: int) -> Floats:
    rows = np.zeros((len(bags), _BLOCK), np.float32)
    for row, bag in zip(rows, bags, strict=True):
        low, high = np.searchsorted(bag.ids, (start, start + _BLOCK))
        row[bag.ids[low:high] - start] = bag.weights[low:high]
    return rows


def word_logits(vocabulary: Vocabulary, model: Logistic, text: str) -> NDArray[np.float64]:
    """Return one row of logits for a text that need not have been fitted on."""
    bag = vocabulary.weigh(count_ngrams(text))
    return np.asarray(bag.weights @ model.weights[bag.ids] + model.bias, np.float64)[None, :]
