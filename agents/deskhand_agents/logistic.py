"""Multinomial logistic regression in plain numpy, the same optimum as scikit-learn's, and kNN votes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

MAX_ITER = 300
TOLERANCE = 1e-5
_HISTORY = 10
_MAX_HALVINGS = 30
_KNN_FLOOR = 1e-4


def log_softmax(logits: Matrix) -> Matrix:
    """Return log-probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class Logistic:
    """Weights of shape ``(dim, n_classes)`` and one bias per class."""

    weights: Matrix
    bias: Matrix

    def logits(self, vectors: NDArray[np.floating]) -> Matrix:
        """Return one row of logits per vector."""
        return np.asarray(vectors @ self.weights + self.bias, dtype=np.float64)


def fit_logistic(
    vectors: NDArray[np.floating], classes: NDArray[np.int64], n_classes: int, *, c: float = 50.0
) -> Logistic:
    """Fit by L-BFGS from zero: deterministic, no random start.

    Minimises the summed negative log-likelihood times ``c`` plus half the squared norm of the weights; the bias
    is not penalised. It ends when no element of the mean gradient is above 1e-5, or after 300 iterations.
    """
    x = np.hstack([vectors.astype(np.float64), np.ones((len(vectors), 1))])
    onehot = np.zeros((len(x), n_classes))
    onehot[np.arange(len(x)), classes] = 1.0
    penalty = np.full((x.shape[1], 1), 1.0 / (c * len(x)))
    penalty[-1] = 0.0

    def loss(theta: Matrix) -> tuple[float, Matrix]:
        w = theta.reshape(x.shape[1], n_classes)
        log_p = log_softmax(x @ w)
        value = -(log_p * onehot).sum() / len(x) + 0.5 * float((penalty * w * w).sum())
        return value, (x.T @ (np.exp(log_p) - onehot) / len(x) + penalty * w).ravel()

    w = minimise(loss, np.zeros(x.shape[1] * n_classes)).reshape(x.shape[1], n_classes)
    return Logistic(w[:-1], w[-1])


def minimise(loss: Callable[[Matrix], tuple[float, Matrix]], theta: Matrix) -> Matrix:
    """Return where ``loss``, a value and a gradient, is least; ``theta`` is where to begin.

    L-BFGS (Nocedal & Wright, algorithm 7.4) with a backtracking line search (Armijo, 1e-4).
    """
    history: deque[tuple[Matrix, Matrix]] = deque(maxlen=_HISTORY)
    value, gradient = loss(theta)
    for _ in range(MAX_ITER):
        if np.abs(gradient).max() < TOLERANCE:
            break
        direction = -_apply_inverse_hessian(history, gradient)
        slope = float(direction @ gradient)
        step = 1.0 if history else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        for _ in range(_MAX_HALVINGS):
            new_theta = theta + step * direction
            new_value, new_gradient = loss(new_theta)
            if new_value <= value + 1e-4 * step * slope:
                break
            step /= 2
        else:
            break  # no step lowers the loss: this is the optimum to machine precision
        change, bend = new_theta - theta, new_gradient - gradient
        if float(change @ bend) > 1e-12:
            history.append((change, bend))
        theta, value, gradient = new_theta, new_value, new_gradient
    return theta


def _apply_inverse_hessian(history: deque[tuple[Matrix, Matrix]], gradient: Matrix) -> Matrix:
    q = gradient.copy()
    alphas = []
    for change, bend in reversed(history):
        alpha = float(change @ q) / float(change @ bend)
        alphas.append(alpha)
        q -= alpha * bend
    if history:
        change, bend = history[-1]
        q *= float(change @ bend) / float(bend @ bend)
    for (change, bend), alpha in zip(history, reversed(alphas), strict=True):
        q += change * (alpha - float(bend @ q) / float(change @ bend))
    return q


def knn_logits(
    similarity: NDArray[np.floating], classes: NDArray[np.int64], n_classes: int, *, k: int, width: float
) -> Matrix:
    """Return log votes of the ``k`` nearest labelled tickets per row.

    Args:
        similarity: Cosine to every labelled ticket, shape ``(n, n_labelled)``.
        classes: The class of each labelled ticket.
        n_classes: How many classes there are.
        k: Neighbours that vote.
        width: A neighbour votes exp((cos - best cos) / width): 0.03 with many examples, 0.05 with few.
    """
    k = min(k, similarity.shape[1])
    nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    cosines = np.take_along_axis(similarity, nearest, axis=1).astype(np.float64)
    votes = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / width)
    shares = np.zeros((len(similarity), n_classes))
    np.add.at(shares, (np.arange(len(similarity))[:, None], classes[nearest]), votes)
    return np.asarray(np.log(shares / shares.sum(axis=1, keepdims=True) + _KNN_FLOOR))


def fit_temperature(logits: Matrix, classes: NDArray[np.int64]) -> float:
    """Return the temperature, 0.05 to 20, that makes ``logits`` most likely; found by golden-section search."""
    rows = np.arange(len(logits))

    def nll(log_t: float) -> float:
        return -float(log_softmax(logits / np.exp(log_t))[rows, classes].mean())

    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5.0) - 1) / 2
    while high - low > 1e-3:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if nll(left) < nll(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def stratified_folds(classes: NDArray[np.int64], n_folds: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return a fold number per row: shuffled within each class, spread evenly, the same for the same input."""
    order = np.random.default_rng(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    folds = np.empty(len(classes), np.int64)
    folds[order] = np.arange(len(classes)) % n_folds
    return folds
