"""Triage without labelled tickets: the strategy ``descriptions`` reads what each category says of itself."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from deskhand.answers import Answer, Evidence, Triage
from deskhand.config import Category, Taxonomy
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand_agents.logistic import log_softmax
from deskhand_agents.reasons import reason
from deskhand_agents.sentences import split_sentences
from deskhand_agents.triage import TriageTask, build_triage, classified_text, decline, knows_language, unsupported

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SIMILARITY = 0.15
"""Below it no description fits; unrelated texts score about 0.07."""

TEMPERATURE = 0.07
"""Cosines over this are logits; an uncalibrated choice, which is why nothing here is ever certified."""

_EXCLUSION = ("not for", "except", "but not", "does not include")


class DescriptionsTriage:
    """Classifies by similarity to the descriptions in ``taxonomy.toml``; always a suggestion."""

    name = "descriptions"

    def __init__(self, taxonomy: Taxonomy, encoder: Encoder) -> None:
        self._taxonomy, self._encoder = taxonomy, encoder
        self._lock = threading.Lock()
        self._vectors: NDArray[np.float32] | None = None
        self._texts = [describe(category) for category in taxonomy.category]

    async def __call__(self, task: TriageTask, ctx: RunContext) -> Answer[Triage]:
        """Return the category whose description is nearest, marked ``needs_human``."""
        if not knows_language(self._encoder, task.language):
            return unsupported(task, self._taxonomy, self.name)
        text = classified_text(task.view)
        if not self._texts or not text:
            return decline(task, self._taxonomy, self.name, [reason("no_category", "nothing to compare")])
        request: Json = {
            "strategy": self.name,
            "artifact": content_hash(cast("Json", self._texts)),
            "encoder": self._encoder.name,
            "text": text,
        }

        async def perform() -> Json:
            return await asyncio.to_thread(self._similarities, text)

        return self._answer(task, cast("list[float]", await ctx.call(CallKind.model, request, perform)))

    def _similarities(self, text: str) -> Json:
        with self._lock:
            if self._vectors is None:
                self._vectors = self._encoder.encode(self._texts)
        scores: Any = self._vectors @ self._encoder.encode([text])[0]
        return [round(float(score), 4) for score in scores]

    def _answer(self, task: TriageTask, scores: list[float]) -> Answer[Triage]:
        best = int(np.argmax(scores))
        if scores[best] < MIN_SIMILARITY:
            return decline(task, self._taxonomy, self.name, [reason("no_category", f"nearest: {scores[best]:.2f}")])
        confidence = round(float(np.exp(log_softmax(np.array(scores) / TEMPERATURE))[best]), 4)
        category = self._taxonomy.category[best]
        return Answer(
            value=build_triage(task, self._taxonomy, category.id, confidence=confidence),
            confidence=confidence,
            strategy=self.name,
            evidence=(Evidence(kind="category", ref=category.id, text=self._texts[best], score=scores[best]),),
            needs_human=True,
            reasons=(reason("uncertified_triage"),),
        )


def describe(category: Category) -> str:
    """Return what a category is about. Sentences that say what it is not are left out: an encoder reads no "not"."""
    kept = [s for s in split_sentences(category.description) if not s.lower().startswith(_EXCLUSION)]
    return f"{category.name}. {' '.join(kept)}"


def hint_texts(category: Category) -> list[str]:
    """Return the pieces of a description, each like something a customer may say; single words are left out."""
    return [piece.strip() for piece in re.split(r"[.,;]", describe(category)) if len(piece.split()) > 1]
