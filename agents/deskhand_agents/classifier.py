"""The classifier over labelled tickets: fitted in seconds, calibrated out of fold, kept as arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deskhand.config import Taxonomy
from deskhand.errors import InputError
from deskhand.fencing import fold, normalise
from deskhand.interfaces import Encoder
from deskhand.jsonio import content_hash, read_lines, validate
from deskhand.schema import Model
from deskhand.tickets import Priority, Text
from deskhand.vault import PatternVault
from deskhand_agents.artifacts import Artifact
from deskhand_agents.certificate import certify, novelty_floor
from deskhand_agents.logistic import (
    Logistic,
    fit_logistic,
    fit_temperature,
    knn_logits,
    log_softmax,
    stratified_folds,
)
from deskhand_agents.sentences import nameless

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

RECIPE = 2
"""Changes when fitting changes, so that older artefacts are fitted again."""

N_FOLDS = 5
FEW = 10
"""Up to so many examples per class (median) logistic regression alone is best; beyond it the fusion with kNN is."""

_BATCH = 64
Progress = Callable[[int, int], None]
"""Called with how many texts are encoded and how many there are."""


class LabelledTicket(Model):
    """One line of ``tickets/labelled.jsonl``."""

    text: Text
    label: str
    language: str | None = None
    priority: Priority | None = None
    team: str | None = None


def load_labelled(path: Path, taxonomy: Taxonomy) -> tuple[LabelledTicket, ...]:
    """Return the labelled tickets, personal data masked, exact repetitions left out; empty when there is no file.

    Raises:
        InputError: A line is not a labelled ticket, or its label is not a category of the taxonomy.
    """
    if not path.is_file():
        return ()
    known = {category.id for category in taxonomy.category}
    rows: dict[tuple[str, str], LabelledTicket] = {}
    for where, value in read_lines(path):
        row = validate(LabelledTicket, value, where)
        if known and row.label not in known:
            raise InputError(f"{where}: label {row.label!r} is not a category; correct it or add it to taxonomy.toml")
        masked = row.model_copy(update={"text": nameless(PatternVault().mask(normalise(row.text)))})
        rows.setdefault((fold(masked.text), masked.label), masked)
    return tuple(rows.values())


@dataclass(frozen=True)
class Judgement:
    """What the classifier says to one text. ``similarity`` is the cosine to the nearest labelled ticket."""

    probabilities: dict[str, float]
    nearest: tuple[tuple[int, float], ...]
    similarity: float


@dataclass(frozen=True)
class Classifier:
    """Logistic regression, joined by nearest neighbours when there are many examples.

    ``threshold`` is certified for the target accuracy, None when nothing could be; ``floor`` is the similarity
    below which a ticket counts as new. ``accuracy`` and ``coverage`` are out of fold.
    """

    labels: tuple[str, ...]
    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    model: Logistic
    temperatures: tuple[float, ...]
    neighbours: int
    threshold: float | None
    floor: float
    accuracy: float
    coverage: float

    def judge(self, vector: NDArray[np.float32]) -> Judgement:
        """Return probabilities for one L2-normalised vector, best five labels, and the three nearest tickets."""
        similarity = (self.vectors @ vector)[None, :]
        members = [self.model.logits(vector[None, :])]
        if len(self.temperatures) == 3:
            members.append(_knn(similarity, self.classes, len(self.labels), self.neighbours))
        p = np.exp(log_softmax(_fuse(members, self.temperatures)))[0]
        nearest = np.argsort(-similarity[0], kind="stable")[:3]
        return Judgement(
            {self.labels[i]: round(float(p[i]), 4) for i in np.argsort(-p, kind="stable")[:5]},
            tuple((int(i), round(float(similarity[0, i]), 4)) for i in nearest),
            round(float(similarity[0, nearest[0]]), 4),
        )

    def to_artifact(self, hashes: Sequence[str], encoder_name: str) -> Artifact:
        """Return the classifier as JSON and arrays."""
        meta = {
            "encoder": encoder_name, "labels": list(self.labels), "temperatures": list(self.temperatures),
            "neighbours": self.neighbours, "threshold": self.threshold, "floor": self.floor,
            "accuracy": self.accuracy, "coverage": self.coverage, "hashes": list(hashes),
        }  # fmt: skip
        arrays: dict[str, NDArray[Any]] = {
            "vectors": self.vectors, "classes": self.classes,
            "weights": self.model.weights, "bias": self.model.bias,
        }  # fmt: skip
        return Artifact(meta, arrays)


def from_artifact(artifact: Artifact) -> Classifier:
    """Return the classifier that ``to_artifact`` stored. Raises KeyError when a part is missing."""
    meta, arrays = artifact.meta, artifact.arrays
    return Classifier(
        labels=tuple(meta["labels"]),
        vectors=arrays["vectors"],
        classes=arrays["classes"],
        model=Logistic(arrays["weights"], arrays["bias"]),
        temperatures=tuple(meta["temperatures"]),
        neighbours=meta["neighbours"],
        threshold=meta["threshold"],
        floor=meta["floor"],
        accuracy=meta["accuracy"],
        coverage=meta["coverage"],
    )


@dataclass(frozen=True)
class Hints:
    """Pieces of category descriptions that the regression learns from too, and that nobody is measured on."""

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]


def fit_classifier(
    vectors: NDArray[np.float32],
    labels: Sequence[str],
    *,
    hints: Hints | None = None,
    neighbours: int = 20,
    target: float = 0.97,
) -> Classifier:
    """Fit on all labelled tickets; temperatures and threshold come from out-of-fold answers.

    Args:
        vectors: L2-normalised rows, one per labelled ticket.
        labels: Their labels, at least one.
        hints: What the categories say of themselves; worth three points of accuracy at 30 tickets per category.
        neighbours: How many vote, where neighbours vote.
        target: Accuracy that the threshold must guarantee (chance to be wrong about it: 5%).
    """
    names = tuple(sorted({*labels, *(hints.labels if hints else ())}))
    classes = np.array([names.index(label) for label in labels], np.int64)
    is_few = bool(np.median(list(Counter(labels).values())) <= FEW)

    def fit(train: NDArray[np.bool_]) -> Logistic:
        x, y = vectors[train], classes[train]
        if hints and hints.labels:
            x = np.vstack([x, hints.vectors])
            y = np.concatenate([y, [names.index(label) for label in hints.labels]])
        return fit_logistic(x, y, len(names), c=100.0 if is_few else 50.0)

    p, temperatures = _out_of_fold(vectors, classes, len(names), fit, neighbours=0 if is_few else neighbours)
    confidence, is_correct = p.max(axis=1), p.argmax(axis=1) == classes
    threshold = certify(confidence, is_correct, target) if len(names) > 1 else None
    return Classifier(
        names,
        vectors,
        classes,
        fit(np.ones(len(classes), bool)),
        temperatures,
        neighbours,
        threshold,
        novelty_floor(vectors),
        round(float(is_correct.mean()), 4),
        0.0 if threshold is None else round(float((confidence >= threshold).mean()), 4),
    )


def _out_of_fold(
    vectors: NDArray[np.float32],
    classes: NDArray[np.int64],
    n: int,
    fit: Callable[[NDArray[np.bool_]], Logistic],
    *,
    neighbours: int,
) -> tuple[Matrix, tuple[float, ...]]:
    """Return probabilities that no ticket's own label took part in, and the temperatures fitted on them.

    ``neighbours`` 0 leaves the regression alone.
    """
    folds = stratified_folds(classes, min(N_FOLDS, len(classes)))
    members = [np.zeros((len(classes), n)) for _ in range(2 if neighbours else 1)]
    for number in range(int(folds.max()) + 1):
        test, train = folds == number, folds != number
        if not train.any():  # a single labelled ticket: nothing to learn from
            continue
        members[0][test] = fit(train).logits(vectors[test])
        if neighbours:
            members[1][test] = _knn(vectors[test] @ vectors[train].T, classes[train], n, neighbours)
    own = tuple(fit_temperature(member, classes) for member in members)
    if not neighbours:
        return np.exp(log_softmax(_fuse(members, own))), own
    last = fit_temperature(_fuse(members, (*own, 1.0)), classes)
    return np.exp(log_softmax(_fuse(members, (*own, last)))), (*own, last)


def _knn(similarity: NDArray[np.float32], classes: NDArray[np.int64], n: int, neighbours: int) -> Matrix:
    return knn_logits(similarity, classes, n, k=neighbours, width=0.03)


def _fuse(members: Sequence[Matrix], temperatures: Sequence[float]) -> Matrix:
    """Return logits: one member over its temperature, or the mean log-probability of two over the last one."""
    if len(members) == 1:
        return members[0] / temperatures[0]
    pairs = zip(members, temperatures, strict=False)
    logs = [np.log(np.exp(log_softmax(logits / t)) + 1e-9) for logits, t in pairs]
    return np.asarray(np.mean(logs, axis=0) / temperatures[-1])


def encode_labelled(
    texts: Sequence[str], encoder: Encoder, *, known: Artifact | None, progress: Progress
) -> NDArray[np.float32]:
    """Return one vector per text; those that an older artefact of the same encoder holds are not computed again."""
    hashes = text_hashes(texts)
    stored = _stored_vectors(known, encoder.name)
    missing = [i for i, text_hash in enumerate(hashes) if text_hash not in stored]
    vectors = np.empty((len(texts), encoder.dim), np.float32)
    for i, text_hash in enumerate(hashes):
        if text_hash in stored:
            vectors[i] = stored[text_hash]
    progress(len(texts) - len(missing), len(texts))
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        vectors[batch] = encoder.encode([texts[i] for i in batch])
        progress(len(texts) - len(missing) + start + len(batch), len(texts))
    return vectors


def _stored_vectors(known: Artifact | None, encoder_name: str) -> dict[str, NDArray[np.float32]]:
    if known is None or known.meta.get("encoder") != encoder_name:
        return {}
    return dict(zip(known.meta["hashes"], known.arrays["vectors"], strict=True))


def text_hashes(texts: Sequence[str]) -> list[str]:
    """Return what identifies each text in an artefact, 16 hexadecimal digits."""
    return [content_hash(text)[:16] for text in texts]


def usual_priorities(rows: Sequence[LabelledTicket]) -> dict[str, Priority]:
    """Return the commonest priority per label, the lower one on a tie; labels without any are left out."""
    counts: dict[str, Counter[Priority]] = {}
    for row in rows:
        if row.priority is not None:
            counts.setdefault(row.label, Counter())[row.priority] += 1
    order = list(Priority)
    return {label: max(order, key=lambda p: (found[p], -order.index(p))) for label, found in counts.items()}
