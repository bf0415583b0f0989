"""Likeness in meaning, by the encoder that knowledge is searched with."""

from __future__ import annotations

from pydantic import PrivateAttr

from deskhand.interfaces import Encoder
from deskhand_evals.scorers import Case, Compared, Output, Scored, Unscored


class Similarity(Compared):
    """The cosine similarity of output and expected text, negative as 0; 0 for an empty output.

    The encoder reads English only; its name is part of the scorer's version.
    """

    _encoder: Encoder | None = PrivateAttr(default=None)

    def extra_version(self) -> str:
        """Return the encoder's name."""
        return self._loaded().name

    def score(self, case: Case, output: Output) -> Scored:
        """Compare two texts."""
        wanted, found = self.wanted_text(case), self.text(output)
        if not wanted.strip():
            raise Unscored(f"{self.expected!r} of the case is empty")
        if not found.strip():
            return Scored({"": 0.0}, note="empty")
        first, second = self._loaded().encode([wanted, found])
        return Scored({"": min(1.0, max(0.0, float(first @ second)))})

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            from deskhand_memory import load_encoder

            self._encoder = load_encoder()
        return self._encoder
