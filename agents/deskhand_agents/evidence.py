"""What of a text points where: its sentences one by one, against category descriptions and knowledge articles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deskhand.interfaces import Encoder
from deskhand.jsonio import content_hash
from deskhand_agents.sentences import split_sentences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MAX_SENTENCES = 3
"""A text is encoded whole and by its first sentences; five or seven were no better, and cost more."""

SCALE = 2.0
"""Similarities vary less than the vectors beside which they stand."""

_BATCH = 64
_N_THREADS = 2
Progress = Callable[[int, int], None]
"""Called with how many texts are encoded and how many there are."""


class Reference(NamedTuple):
    """A text that says something about one subject; ``group`` is the subject, such as an article's id."""

    group: str
    text: str


def parts_of(text: str) -> list[str]:
    """Return what is encoded of a text: all of it, then its first sentences; a single sentence stands once."""
    return list(dict.fromkeys([text, *split_sentences(text)[:MAX_SENTENCES]]))


@dataclass(frozen=True)
class Reading:
    """One text as its encoder saw it: ``parts`` has a row for the whole and one for each sentence."""

    parts: Floats

    @property
    def whole(self) -> Floats:
        """The vector of the whole text, shape ``(dim,)``."""
        return np.asarray(self.parts[0])

    @property
    def sentences(self) -> Floats:
        """The vectors of its sentences, at least one row."""
        return self.parts[1:] if len(self.parts) > 1 else self.parts

    @property
    def mean(self) -> Floats:
        """The normalised mean of its sentences: short ones count like long ones."""
        total = self.sentences.sum(axis=0)
        return np.asarray(total / (float(np.linalg.norm(total)) or 1.0), np.float32)


def read(text: str, encoder: Encoder) -> Reading:
    """Return one text as the encoder sees it."""
    whole, *sentences = parts_of(text)
    # Apart, because texts encoded together are padded to the longest.
    return Reading(np.vstack([encoder.encode([whole]), encoder.encode(sentences)]))


@dataclass(frozen=True)
class References:
    """Vectors of reference texts, those of one group beside each other; ``starts`` is where each group begins."""

    vectors: Floats
    starts: NDArray[np.int64]

    def similarities(self, vectors: Floats) -> Floats:
        """Return the similarity of each vector to the nearest text of each group, shape ``(n, n_groups)``."""
        if not len(self.starts):
            return np.zeros((len(vectors), 0), np.float32)
        return np.maximum.reduceat(vectors @ self.vectors.T, self.starts, axis=1)

    def features(self, reading: Reading) -> Floats:
        """Return both vectors of a text, and per group the similarity of its best sentence and of all of it."""
        best = self.similarities(reading.sentences).max(axis=0)
        whole = self.similarities(reading.whole[None, :])[0]
        return np.concatenate([reading.whole, reading.mean, SCALE * best, SCALE * whole])

    def nearest(self, reading: Reading) -> float:
        """Return the similarity of the best sentence to the nearest reference; 0 without references."""
        return float((reading.parts @ self.vectors.T).max()) if len(self.starts) else 0.0


def build_references(references: Sequence[Reference], vectors: Mapping[str, Floats]) -> References:
    """Return the references by group, from the vectors of their texts."""
    ordered = sorted(references)
    groups = [reference.group for reference in ordered]
    starts = [i for i, group in enumerate(groups) if i == 0 or groups[i - 1] != group]
    if not ordered:
        return References(np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    return References(np.stack([vectors[r.text] for r in ordered]), np.array(starts, np.int64))


def encode_all(
    texts: Sequence[str], encoder: Encoder, known: Mapping[str, Floats], progress: Progress
) -> dict[str, Floats]:
    """Return a vector per text. ``known`` has those of an earlier time, by ``text_hash``: they are not made again."""
    wanted = list(dict.fromkeys(texts))
    found = {text: known[text_hash(text)] for text in wanted if text_hash(text) in known}
    # Texts of about the same length share a batch: each is padded to the longest one.
    missing = sorted((text for text in wanted if text not in found), key=len)
    progress(len(found), len(wanted))
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    with ThreadPoolExecutor(_N_THREADS) as pool:
        for batch, vectors in zip(batches, pool.map(encoder.encode, batches), strict=True):
            found.update(zip(batch, vectors, strict=True))
            progress(len(found), len(wanted))
    return {text: found[text] for text in wanted}


def text_hash(text: str) -> str:
    """Return what identifies a text in an artefact, 16 hexadecimal digits."""
    return content_hash(text)[:16]
