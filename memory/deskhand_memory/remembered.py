"""An encoder that need not run for what was embedded at ingest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deskhand.interfaces import Encoder
from deskhand_memory.ingest import recipe_of, text_hash
from deskhand_memory.store import Store, Vector

MAX_RECENT = 512
"""Texts that are not stored, whose vectors are kept for a while: a question is searched for, then answered."""


class RememberedTexts:
    """``encoder`` with the vectors in ``store`` at hand. May be used from many threads at once.

    The results are the encoder's, whether a text is stored or not.
    """

    def __init__(self, encoder: Encoder, store: Store) -> None:
        self._encoder, self._store = encoder, store
        self._recent: OrderedDict[str, Vector] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """See Encoder."""
        return self._encoder.name

    @property
    def dim(self) -> int:
        """See Encoder."""
        return self._encoder.dim

    @property
    def max_tokens(self) -> int:
        """See Encoder."""
        return self._encoder.max_tokens

    @property
    def languages(self) -> frozenset[str]:
        """See Encoder."""
        return self._encoder.languages

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        return self._encoder.count_tokens(text)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See Encoder."""
        recipe = recipe_of(self._encoder)
        keys = [text_hash(recipe, text) for text in texts]
        with self._lock:
            known = {key: self._recent[key] for key in keys if key in self._recent}
        known |= self._store.known_vectors([key for key in keys if key not in known])
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            made = dict(zip(missing, self._encoder.encode(list(missing.values())), strict=True))
            self._keep(made)
            known |= made
        return np.array([known[key] for key in keys], np.float32).reshape(len(texts), self.dim)

    def _keep(self, vectors: dict[str, Vector]) -> None:
        with self._lock:
            self._recent |= vectors
            while len(self._recent) > MAX_RECENT:
                self._recent.popitem(last=False)
