"""The classifier over labelled tickets: fitted in seconds, calibrated out of fold, kept as arrays.

Four members read a ticket in different ways: its vector; its sentences beside descriptions and articles; its words;
and, where there are many labelled tickets, its nearest ones. Their weights, the certificate and what is turned away are
all learned from answers in which a ticket's own label took no part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deskhand_agents.certificate import certify, novelty_floor
from deskhand_agents.evidence import Reading, References
from deskhand_agents.fusion import fit_weights, fuse
from deskhand_agents.logistic import Logistic, fit_logistic, knn_logits, stratified_folds
from deskhand_agents.rejection import Rejection, fit_rejection
from deskhand_agents.words import Vocabulary, fit_words, word_logits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Matrix = NDArray[np.float64]

N_FOLDS = 5
FEW = 10
"""Up to so many examples per class (median) the regression is penalised less and neighbours have no vote."""

OUTSIDE = -1
"""The class of a labelled ticket that fits no category."""


@dataclass(frozen=True)
class Samples:
    """Texts to learn from, what the encoder made of them, and their labels; None is no category."""

    texts: tuple[str, ...]
    readings: tuple[Reading, ...]
    labels: tuple[str | None, ...]


@dataclass(frozen=True)
class Hints:
    """Pieces of category descriptions that two members learn from too, and that nobody is measured on."""

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    vectors: Floats | None = None


@dataclass(frozen=True)
class Judgement:
    """What the classifier says to one text.

    ``nearest`` are labelled tickets by number with their cosine; ``is_familiar`` is False for what fits no category.
    """

    probabilities: dict[str, float]
    nearest: tuple[tuple[int, float], ...]
    similarity: float
    is_familiar: bool


class Members(NamedTuple):
    """The regressions: over vectors, over evidence, over words."""

    vector: Logistic
    evidence: Logistic
    words: Logistic


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    ``vectors`` and ``classes`` are those of all labelled tickets, outsiders included. ``threshold`` is certified for
    the target accuracy, None when nothing could be; ``floor`` is the similarity below which a ticket counts as new.
    ``accuracy``, of all decisions, and ``coverage``, of certified ones, are out of fold.
    """

    labels: tuple[str, ...]
    vectors: Floats
    classes: NDArray[np.int64]
    members: Members
    weights: NDArray[np.float64]
    centre: Floats
    references: References
    vocabulary: Vocabulary
    rejection: Rejection
    neighbours: int
    threshold: float | None
    floor: float
    accuracy: float
    coverage: float

    def judge(self, text: str, reading: Reading) -> Judgement:
        """Return the best five categories with their probabilities, and the three nearest tickets that have one."""
        similarity = self.vectors @ reading.whole
        inside = np.flatnonzero(self.classes != OUTSIDE)
        members = [
            self.members.vector.logits(reading.whole[None, :]),
            self.members.evidence.logits((self.references.features(reading) - self.centre)[None, :]),
            word_logits(self.vocabulary, self.members.words, text),
        ]
        if len(self.weights) > len(members):
            votes = similarity[inside][None, :]
            members.append(_knn(votes, self.classes[inside], len(self.labels), self.neighbours))
        log_p = fuse(members, self.weights)[0]
        nearest = inside[np.argsort(-similarity[inside], kind="stable")[:3]]
        best = float(similarity[nearest[0]])
        strange = similarity[self.classes == OUTSIDE].max(initial=0.0)
        signs = np.array([[log_p.max(), best, self.references.nearest(reading), strange]])
        return Judgement(
            {self.labels[i]: round(float(np.exp(log_p[i])), 4) for i in np.argsort(-log_p, kind="stable")[:5]},
            tuple((int(i), round(float(similarity[i]), 4)) for i in nearest),
            round(best, 4),
            bool(self.rejection.scores(signs)[0] >= self.rejection.threshold),
        )


class _Space(NamedTuple):
    """What one regression sees: a row per sample, a row per hint (or none at all), and its freedom."""

    rows: NDArray[np.floating]
    hints: NDArray[np.floating]
    c: float


@dataclass(frozen=True)
class _Lesson:
    """All that the members learn from. ``neighbours`` is 0 where they have no vote."""

    spaces: tuple[_Space, ...]
    vectors: Floats
    classes: NDArray[np.int64]
    hint_classes: NDArray[np.int64]
    n_classes: int
    neighbours: int

    def fit(self, space: _Space, train: NDArray[np.bool_]) -> Logistic:
        """Return the regression learned from the samples in ``train`` that have a category, and from hints."""
        kept = train & (self.classes != OUTSIDE)
        x = np.vstack([space.rows[kept], space.hints])
        y = np.concatenate([self.classes[kept], self.hint_classes[: len(space.hints)]])
        return fit_logistic(x, y, self.n_classes, c=space.c)

    def out_of_fold(self) -> list[Matrix]:
        """Return, per member, logits in which no sample's own label took part."""
        folds = stratified_folds(self.classes, min(N_FOLDS, len(self.classes)))
        members = [np.zeros((len(folds), self.n_classes)) for _ in range(len(self.spaces) + bool(self.neighbours))]
        for number in range(int(folds.max()) + 1):
            test, train = folds == number, folds != number
            inside = train & (self.classes != OUTSIDE)
            if not inside.any():  # a single labelled ticket: nothing to learn from
                continue
            for member, space in zip(members, self.spaces, strict=False):
                member[test] = self.fit(space, train).logits(space.rows[test])
            if self.neighbours:
                similarity = self.vectors[test] @ self.vectors[inside].T
                members[-1][test] = _knn(similarity, self.classes[inside], self.n_classes, self.neighbours)
        return members


def fit_classifier(
    samples: Samples,
    references: References,
    *,
    hints: Hints | None = None,
    neighbours: int = 20,
    target: float = 0.97,
) -> Classifier:
    """Fit on all labelled tickets, of which at least one must have a category.

    Args:
        samples: The labelled tickets.
        references: Descriptions and articles that sentences are compared with; may be empty.
        hints: What the categories say of themselves; worth three points of accuracy at 30 tickets per category.
        neighbours: How many vote, where neighbours vote.
        target: Accuracy that the threshold must guarantee (chance to be wrong about it: 5%).
    """
    hints = hints or Hints()
    names = tuple(sorted({*(label for label in samples.labels if label is not None), *hints.labels}))
    classes = np.array([OUTSIDE if label is None else names.index(label) for label in samples.labels], np.int64)
    is_inside = classes != OUTSIDE
    is_few = bool(np.median(np.unique(classes[is_inside], return_counts=True)[1]) <= FEW)
    vectors = np.stack([reading.whole for reading in samples.readings])
    features = np.stack([references.features(reading) for reading in samples.readings])
    centre = _centre(features, vectors.shape[1])
    words = fit_words([*samples.texts, *hints.texts])
    spaces = (
        _Space(vectors, vectors[:0] if hints.vectors is None else hints.vectors, 100.0 if is_few else 20.0),
        _Space(features - centre, features[:0], 5.0),
        _Space(words.rows[: len(classes)], words.rows[len(classes) :], 10.0),
    )
    hint_classes = np.array([names.index(label) for label in hints.labels], np.int64)
    lesson = _Lesson(spaces, vectors, classes, hint_classes, len(names), 0 if is_few else neighbours)
    vector, evidence, unfolded = (lesson.fit(space, np.ones(len(classes), bool)) for space in spaces)
    logits = lesson.out_of_fold()
    weights = fit_weights([member[is_inside] for member in logits], classes[is_inside])
    measured = _measure(lesson, [references.nearest(reading) for reading in samples.readings], fuse(logits, weights))
    threshold = certify(measured.confidence[measured.is_taken], measured.is_right[measured.is_taken], target)
    return Classifier(
        labels=names,
        vectors=vectors,
        classes=classes,
        members=Members(vector, evidence, words.unfold(unfolded)),
        weights=weights,
        centre=centre,
        references=references,
        vocabulary=words.vocabulary,
        rejection=measured.rejection,
        neighbours=neighbours,
        threshold=threshold if len(names) > 1 else None,
        floor=novelty_floor(vectors[is_inside]),
        accuracy=round(float(measured.is_right.mean()), 4),
        coverage=_coverage(measured, threshold),
    )


def _centre(features: Floats, dim: int) -> Floats:
    """Return the mean of the similarities, and zeros for the two vectors before them."""
    centre = np.asarray(features.mean(axis=0), np.float32)
    centre[: 2 * dim] = 0.0
    return centre


class _Measured(NamedTuple):
    """Out of fold, per sample: the confidence, whether it would be given a category, and whether that is right."""

    rejection: Rejection
    confidence: Matrix
    is_taken: NDArray[np.bool_]
    is_right: NDArray[np.bool_]


def _measure(lesson: _Lesson, nearest_reference: Sequence[float], log_p: Matrix) -> _Measured:
    is_inside = lesson.classes != OUTSIDE
    similarity = lesson.vectors @ lesson.vectors.T
    np.fill_diagonal(similarity, -1.0)  # leave one out
    nearest = similarity[:, is_inside].max(axis=1, initial=-1.0)
    strange = similarity[:, ~is_inside].max(axis=1, initial=0.0)
    signs = np.column_stack([log_p.max(axis=1), nearest, nearest_reference, strange])
    is_correct = log_p.argmax(axis=1) == lesson.classes
    rejection = fit_rejection(signs, is_inside, is_correct)
    is_taken = rejection.scores(signs) >= rejection.threshold
    return _Measured(rejection, np.exp(signs[:, 0]), is_taken, np.where(is_inside, is_correct & is_taken, ~is_taken))


def _coverage(measured: _Measured, threshold: float | None) -> float:
    if threshold is None:
        return 0.0
    return round(float((measured.is_taken & (measured.confidence >= threshold)).mean()), 4)


def _knn(similarity: Floats, classes: NDArray[np.int64], n: int, neighbours: int) -> Matrix:
    return knn_logits(similarity, classes, n, k=neighbours, width=0.03)
