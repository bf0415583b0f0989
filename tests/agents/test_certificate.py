"""The guarantee: its numbers against known values, and its behaviour on data with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from deskhand_agents.certificate import beta_cdf, certify, lower_bound, novelty_floor


@pytest.mark.parametrize(
    ("n_correct", "n", "bound"),
    [(99, 99, 0.97019), (98, 98, 0.96989), (485, 500, 0.95418), (1480, 1500, 0.98068), (0, 10, 0.0)],
)
def test_lower_bound_has_its_published_values(n_correct, n, bound):
    assert lower_bound(n_correct, n) == pytest.approx(bound, abs=6e-6)


@pytest.mark.parametrize(
    ("x", "a", "b", "value"), [(0.5, 1, 1, 0.5), (0.3, 2, 1, 0.09), (0.0, 2, 2, 0.0), (1.0, 2, 2, 1.0)]
)
def test_beta_cdf_in_closed_form(x, a, b, value):
    assert beta_cdf(x, a, b) == pytest.approx(value, abs=1e-12)


def test_all_correct_certifies_everything():
    confidence = np.linspace(0.5, 1.0, 400)
    assert certify(confidence, np.ones(400, bool), 0.97) == pytest.approx(0.5)


def test_too_few_tickets_certify_nothing():
    assert certify(np.linspace(0, 1, 60), np.ones(60, bool), 0.97) is None
    assert certify(np.array([]), np.array([], bool), 0.97) is None


def test_certified_threshold_misses_its_target_rarely():
    rng = np.random.default_rng(7)
    n_missed = n_certified = 0
    for _ in range(300):
        confidence = rng.uniform(size=1_000)
        threshold = certify(confidence, rng.uniform(size=1_000) < 0.85 + 0.15 * confidence, 0.95)
        if threshold is not None:
            n_certified += 1
            n_missed += 0.85 + 0.15 * (1 + threshold) / 2 < 0.95
    assert n_certified > 60
    assert n_missed <= 0.08 * 300  # 5% by construction, and three points of noise


def test_novelty_floor_leaves_each_row_out():
    vectors = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    assert novelty_floor(vectors, block=2) == pytest.approx(1.0)
    assert novelty_floor(np.eye(4, dtype=np.float32)) == pytest.approx(0.0)
    assert novelty_floor(vectors[:1]) == 1.0
