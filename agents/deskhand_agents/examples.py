"""Triage from labelled tickets: the strategy ``examples``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from deskhand.answers import Answer, Evidence, Reason, Triage
from deskhand.config import Taxonomy
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand.tickets import Priority
from deskhand_agents.artifacts import ArtifactStore
from deskhand_agents.classifier import Classifier, Hints, Samples, fit_classifier
from deskhand_agents.classifier_artifact import from_artifact, stored_vectors, to_artifact
from deskhand_agents.descriptions import hint_texts
from deskhand_agents.evidence import Progress, Reading, Reference, build_references, encode_all, parts_of, read
from deskhand_agents.labelled import LabelledTicket, usual_priorities
from deskhand_agents.reasons import reason
from deskhand_agents.triage import (
    NOT_MAIL,
    TriageTask,
    build_triage,
    classified_text,
    decline,
    knows_language,
    plain_text,
    unsupported,
)

RECIPE = 3
"""Changes when fitting changes, so that older artefacts are fitted again."""

TARGET = 0.97
"""Accuracy that answers without a person must have."""

MIN_SIMILARITY = 0.2
"""Below it nothing is alike: unrelated texts score about 0.07."""


def _silent(n_done: int, n_total: int) -> None:
    return None


@dataclass(frozen=True)
class Library:
    """Articles that a ticket's sentences are compared with.

    ``key`` is a hash that changes when they do; ``load`` reads them, and is only called to fit.
    """

    key: str
    load: Callable[[], Sequence[Reference]]


NO_ARTICLES = Library("", tuple)


class ExamplesTriage:
    """Classifies by what people labelled before.

    It is certified only where a Learn-then-Test threshold exists and the ticket is like one seen before; every
    other answer is a suggestion. Fitting happens at first use, once per content of the inputs; the fitted arrays
    are kept. On replay neither encoder nor arrays are touched.
    """

    name = "examples"

    def __init__(
        self,
        labelled: Sequence[LabelledTicket],
        taxonomy: Taxonomy,
        encoder: Encoder,
        store: ArtifactStore,
        *,
        library: Library = NO_ARTICLES,
        neighbours: int = 20,
        target: float = TARGET,
    ) -> None:
        known = tuple(row for row in labelled if knows_language(encoder, row.language))
        self._rows = known if any(row.label is not None for row in known) else ()
        self._taxonomy, self._encoder, self._store, self._library = taxonomy, encoder, store, library
        self._neighbours, self._target = neighbours, target
        self._priorities = usual_priorities(labelled)
        self._lock = threading.Lock()
        self._fitted: Classifier | None = None
        self.key = self._content_key()

    def _content_key(self) -> str:
        """The hash of all that the fitted model depends on."""
        rows: list[Json] = [[row.text, row.label] for row in self._rows]
        categories: list[Json] = [[c.id, c.name, c.description] for c in self._taxonomy.category]
        settings: list[Json] = [RECIPE, self._encoder.name, self._neighbours, self._target, self._library.key]
        return content_hash([settings, categories, rows])

    def prepare(self, progress: Progress = _silent) -> Classifier:
        """Return the fitted classifier, from its artefact where there is one.

        Raises:
            StoreError: The artefact cannot be written.
        """
        with self._lock:
            if self._fitted is None:
                self._fitted = self._load() or self._fit(progress)
            return self._fitted

    def _load(self) -> Classifier | None:
        artifact = self._store.load(self.key)
        try:
            return from_artifact(artifact) if artifact else None
        except KeyError:
            return None  # damaged; fitting again replaces it

    def _fit(self, progress: Progress) -> Classifier:
        texts = [plain_text(row.text) for row in self._rows]
        parts = [parts_of(text) for text in texts]
        hints = [Reference(c.id, piece) for c in self._taxonomy.category for piece in hint_texts(c)]
        # A category and an article may have the same id; the mark keeps them apart.
        references = [*hints, *(Reference(f"article:{group}", text) for group, text in self._library.load())]
        wanted = [*(part for found in parts for part in found), *(reference.text for reference in references)]
        current = self._store.current()
        known = stored_vectors(self._store.load(current) if current else None, self._encoder.name)
        vectors = encode_all(wanted, self._encoder, known, progress)
        readings = tuple(Reading(np.stack([vectors[part] for part in found])) for found in parts)
        fitted = fit_classifier(
            Samples(tuple(texts), readings, tuple(row.label for row in self._rows)),
            build_references(references, vectors),
            hints=_build_hints(hints, vectors),
            neighbours=self._neighbours,
            target=self._target,
        )
        self._store.save(self.key, to_artifact(fitted, self._encoder.name, vectors))
        return fitted

    async def __call__(self, task: TriageTask, ctx: RunContext) -> Answer[Triage]:
        """Return the category with its calibrated probability, and the nearest labelled tickets as evidence."""
        if not knows_language(self._encoder, task.language):
            return unsupported(task, self._taxonomy, self.name)
        kind = next((flag for flag in NOT_MAIL if flag in task.flags), None)
        if kind is not None:
            return decline(task, self._taxonomy, self.name, [reason("no_category", kind)])
        text = classified_text(task.view)
        if not self._rows or not text:
            return decline(task, self._taxonomy, self.name, [reason("no_category", "nothing to compare")])
        request: Json = {"strategy": self.name, "artifact": self.key, "encoder": self._encoder.name, "text": text}

        async def perform() -> Json:
            return await asyncio.to_thread(self._judge, text)

        return self._answer(task, cast("dict[str, Any]", await ctx.call(CallKind.model, request, perform)))

    def _judge(self, text: str) -> Json:
        classifier = self.prepare()
        judged = classifier.judge(text, read(text, self._encoder))
        return {
            "probabilities": dict(judged.probabilities),
            "nearest": [[row, score] for row, score in judged.nearest],
            "similarity": judged.similarity,
            "is_familiar": judged.is_familiar,
            "threshold": classifier.threshold,
            "floor": round(classifier.floor, 4),
        }

    def _answer(self, task: TriageTask, judged: dict[str, Any]) -> Answer[Triage]:
        probabilities: dict[str, float] = judged["probabilities"]
        category = max(probabilities, key=lambda label: (probabilities[label], label))
        confidence = probabilities[category]
        shortfall = _shortfall(confidence, judged)
        is_known = judged["is_familiar"] and judged["similarity"] >= MIN_SIMILARITY
        triage = build_triage(
            task,
            self._taxonomy,
            category if is_known else None,
            confidence=confidence if is_known else 0.0,
            is_certified=not shortfall,
            usual_priority=self._priorities.get(category if is_known else None, Priority.normal),
        )
        return Answer(
            value=triage,
            confidence=triage.confidence,
            strategy=self.name,
            evidence=tuple(self._evidence(row, score) for row, score in judged["nearest"]),
            needs_human=bool(shortfall),
            reasons=tuple(shortfall),
        )

    def _evidence(self, row: int, score: float) -> Evidence:
        labelled = self._rows[row]
        ref = f"labelled:{labelled.label}#{row}"
        return Evidence(kind="labelled_ticket", ref=ref, text=labelled.text[:200], score=score)


def _shortfall(confidence: float, judged: dict[str, Any]) -> list[Reason]:
    found = []
    if judged["threshold"] is None:
        found.append(reason("uncertified_triage"))
    elif confidence < judged["threshold"]:
        found.append(reason("low_confidence", f"triage: {confidence:.2f} is below {judged['threshold']:.2f}"))
    if not judged["is_familiar"] or judged["similarity"] < judged["floor"]:
        found.append(reason("novel_ticket", f"nearest labelled ticket: {judged['similarity']:.2f}"))
    return found


def _build_hints(hints: Sequence[Reference], vectors: dict[str, Any]) -> Hints | None:
    if not hints:
        return None
    pieces = tuple(hint.text for hint in hints)
    return Hints(pieces, tuple(hint.group for hint in hints), np.stack([vectors[piece] for piece in pieces]))
