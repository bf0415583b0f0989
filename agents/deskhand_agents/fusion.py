"""Several classifiers as one: a weighted sum of their log-probabilities, its weights learned out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deskhand_agents.logistic import log_softmax, minimise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

_SHRINK = 1e-3


def fuse(members: Sequence[Matrix], weights: NDArray[np.float64]) -> Matrix:
    """Return log-probabilities, shape ``(n, n_classes)``, from each member's logits of that shape.

    Weights are positive; those of one member alone amount to an inverse temperature.
    """
    mixed = sum(w * log_softmax(logits) for w, logits in zip(weights, members, strict=True))
    return log_softmax(np.asarray(mixed))


def fit_weights(members: Sequence[Matrix], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights that make ``classes`` most likely, for out-of-fold logits.

    Equal weights that sum to 1 are the start, and what a slight penalty on their logarithms pulls to.
    """
    logs = [log_softmax(logits) for logits in members]
    rows = np.arange(len(classes))
    prior = -np.log(len(members))

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = np.exp(np.clip(theta, -10.0, 4.0))
        log_p = fuse(logs, weights)
        p = np.exp(log_p)
        slopes = [float(((p * log).sum(axis=1) - log[rows, classes]).mean()) for log in logs]
        value = -float(log_p[rows, classes].mean()) + _SHRINK * float(((theta - prior) ** 2).sum())
        return value, weights * np.array(slopes) + 2 * _SHRINK * (theta - prior)

    theta = minimise(loss, np.full(len(members), prior))
    return np.exp(np.clip(theta, -10.0, 4.0))
