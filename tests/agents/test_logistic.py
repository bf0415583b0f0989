"""The numeric core against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from deskhand_agents.logistic import fit_logistic, fit_temperature, knn_logits, log_softmax, stratified_folds

RNG = np.random.default_rng(3)


def blobs(n: int = 60, n_classes: int = 3):
    centres = RNG.normal(size=(n_classes, 8))
    classes = np.arange(n) % n_classes
    x = centres[classes] + 0.8 * RNG.normal(size=(n, 8))
    return x / np.linalg.norm(x, axis=1, keepdims=True), classes


def test_fit_is_a_minimum_of_the_stated_loss():
    x, y = blobs()
    model = fit_logistic(x, y, 3, c=5.0)

    def loss(weights, bias):
        log_p = log_softmax(x @ weights + bias)
        return -5.0 * log_p[np.arange(len(y)), y].sum() + 0.5 * (weights**2).sum()

    best = loss(model.weights, model.bias)
    for _ in range(30):
        step = 1e-2 * RNG.normal(size=model.weights.shape)
        assert loss(model.weights + step, model.bias + step[0]) > best


def test_fit_is_the_same_every_time():
    x, y = blobs()
    assert np.array_equal(fit_logistic(x, y, 3).weights, fit_logistic(x, y, 3).weights)


def test_single_class_is_certain():
    x, _ = blobs(5)
    model = fit_logistic(x, np.zeros(5, np.int64), 1)
    assert np.allclose(log_softmax(model.logits(x)), 0.0)


def test_knn_votes_for_the_near_ones():
    similarity = np.array([[0.9, 0.88, 0.2, 0.1]])
    votes = knn_logits(similarity, np.array([1, 1, 0, 0]), 2, k=3, width=0.03)
    assert votes[0].argmax() == 1
    assert np.exp(votes).sum() == pytest.approx(1.0, abs=1e-3)


def test_temperature_undoes_a_scale():
    x, y = blobs(600)
    logits = fit_logistic(x, y, 3, c=1.0).logits(x)
    own = fit_temperature(logits, y)
    assert fit_temperature(logits * 4, y) == pytest.approx(4 * own, rel=0.01)


def test_folds_spread_each_class_and_repeat():
    classes = np.repeat([0, 1, 2], [10, 5, 3])
    folds = stratified_folds(classes, 5)
    assert [np.bincount(folds[classes == c], minlength=5).max() for c in range(3)] == [2, 1, 1]
    assert np.array_equal(folds, stratified_folds(classes, 5))
