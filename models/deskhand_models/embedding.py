"""Embeddings as callers get them and as recordings keep them: one unit vector a text, in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from deskhand.answers import Usage
from deskhand.errors import InputError
from deskhand.schema import Json

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TEXTS = 256
"""Most texts of one request."""


@dataclass(frozen=True)
class Embedding:
    """The vectors of some texts, all by one model; those of another model cannot be compared with them.

    Args:
        vectors: One L2-normalised row a text, in their order, shape ``(len(texts), dim)``.
        model: Which model made them.
        usage: What it took.
    """

    vectors: NDArray[np.float32]
    model: str
    usage: Usage = field(default_factory=Usage)


def check_texts(texts: Sequence[str]) -> None:
    """Raise InputError for texts that no model would embed."""
    if not texts or len(texts) > MAX_TEXTS:
        raise InputError(f"{len(texts)} texts to embed; give 1 to {MAX_TEXTS} at a time")
    for place, text in enumerate(texts):
        if not text.strip():
            raise InputError(f"text {place + 1} of {len(texts)} to embed is empty; leave it out")


def pack(vectors: Sequence[Sequence[float]]) -> Json:
    """Return vectors as a recording keeps them, normalised: exact, and a fifth as long as numbers in JSON."""
    rows = np.asarray(vectors, dtype=np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {"n": len(rows), "float32": base64.b64encode(rows.astype("<f4").tobytes()).decode()}


def unpack(packed: Json) -> NDArray[np.float32]:
    """Return what ``pack`` was given, as rows."""
    stored = cast("dict[str, Any]", packed)
    flat = np.frombuffer(base64.b64decode(stored["float32"]), dtype="<f4").astype(np.float32)
    return flat.reshape(stored["n"], -1)
