"""Learned weights of several members."""

from __future__ import annotations

import numpy as np
import pytest

from deskhand_agents.fusion import fit_weights, fuse

RNG = np.random.default_rng(5)
CLASSES = RNG.integers(0, 4, 400)
GOOD = 3.0 * np.eye(4)[CLASSES] + RNG.normal(size=(400, 4))
NOISE = 3.0 * RNG.normal(size=(400, 4))


def nll(members, weights) -> float:
    return -float(fuse(members, weights)[np.arange(len(CLASSES)), CLASSES].mean())


def test_member_that_knows_nothing_has_no_say():
    weights = fit_weights([GOOD, NOISE], CLASSES)
    assert weights[1] < 0.1 * weights[0]
    assert nll([GOOD, NOISE], weights) < nll([GOOD, NOISE], np.array([0.5, 0.5]))


def test_scale_of_a_member_is_undone():
    assert fit_weights([GOOD * 8], CLASSES)[0] == pytest.approx(fit_weights([GOOD], CLASSES)[0] / 8, rel=0.1)


def test_fused_rows_are_log_probabilities():
    assert np.allclose(np.exp(fuse([GOOD, NOISE], np.array([0.3, 0.2]))).sum(axis=1), 1.0)
