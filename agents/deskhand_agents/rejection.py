"""What fits no category: told from four signs, with tickets that people said fit none where there are some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deskhand_agents.logistic import fit_logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

MIN_OUTSIDERS = 20
"""So many tickets without a category are needed before their signs are weighed by learning."""

PLAIN_WEIGHTS = (1.0, 6.0, 0.0, 0.0)
"""Log-probability plus six times the cosine: the best fixed rule on CLINC150."""

QUANTILE = 0.02
"""Share of real tickets that the plain rule may turn away."""


@dataclass(frozen=True)
class Rejection:
    """A score over four signs, and the least score that is answered.

    The signs: log-probability of the best category; cosine to the nearest labelled ticket, to the nearest reference,
    and to the nearest ticket without a category.
    """

    weights: tuple[float, ...]
    threshold: float

    def scores(self, signs: Matrix) -> Matrix:
        """Return the score of each row of ``signs``, shape ``(n, 4)``; more is more familiar."""
        return np.asarray(signs @ np.array(self.weights))


def fit_rejection(signs: Matrix, is_inside: NDArray[np.bool_], is_correct: NDArray[np.bool_]) -> Rejection:
    """Return what to turn away.

    With enough tickets from outside, weights are learned and the threshold is the one with the most right decisions:
    an outsider turned away, or a ticket answered with its category. Else the plain rule turns away its quantile.

    Args:
        signs: Out-of-fold signs, one row per labelled ticket, of which at least one has a category.
        is_inside: Which of them have a category.
        is_correct: Which are given their category; never those from outside.
    """
    if int((~is_inside).sum()) < MIN_OUTSIDERS:
        plain = Rejection(PLAIN_WEIGHTS, 0.0)
        return Rejection(PLAIN_WEIGHTS, float(np.quantile(plain.scores(signs[is_inside]), QUANTILE, method="lower")))
    model = fit_logistic(signs, is_inside.astype(np.int64), 2, c=10.0)
    learned = Rejection(tuple(float(w) for w in model.weights[:, 1] - model.weights[:, 0]), 0.0)
    return Rejection(learned.weights, _best_threshold(learned.scores(signs), is_inside, is_correct))


def _best_threshold(scores: Matrix, is_inside: NDArray[np.bool_], is_correct: NDArray[np.bool_]) -> float:
    order = np.argsort(scores, kind="stable")
    gains = np.where(is_inside[order], -is_correct[order].astype(int), 1)
    # Turning away the n least familiar ones brings the sum of their gains; the middle of the gap is the threshold.
    n_away = int(np.argmax(np.concatenate([[0], np.cumsum(gains)])))
    if n_away == 0:
        return float(scores[order[0]])
    if n_away == len(order):
        return float(scores[order[-1]]) + 1e-9
    return float((scores[order[n_away - 1]] + scores[order[n_away]]) / 2)
