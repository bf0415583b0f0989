"""What is turned away."""

from __future__ import annotations

import numpy as np
import pytest

from deskhand_agents.rejection import PLAIN_WEIGHTS, Rejection, fit_rejection

RNG = np.random.default_rng(7)


def signs(n: int, *, cosine: float, strange: float) -> np.ndarray:
    level = np.array([-0.5, cosine, cosine, strange])
    return level + np.array([0.3, 0.08, 0.08, 0.08]) * RNG.normal(size=(n, 4))


def test_few_outsiders_leave_the_plain_rule_and_its_quantile():
    inside = signs(200, cosine=0.6, strange=0.2)
    rejection = fit_rejection(inside, np.ones(200, bool), np.ones(200, bool))
    assert rejection.weights == PLAIN_WEIGHTS
    assert (rejection.scores(inside) < rejection.threshold).mean() == pytest.approx(0.02, abs=0.01)
    assert (rejection.scores(signs(100, cosine=0.2, strange=0.2)) < rejection.threshold).mean() > 0.9


def test_outsiders_teach_what_is_strange():
    known = np.vstack([signs(200, cosine=0.5, strange=0.2), signs(40, cosine=0.45, strange=0.5)])
    is_inside = np.arange(240) < 200
    rejection = fit_rejection(known, is_inside, is_inside)
    is_away = rejection.scores(known) < rejection.threshold
    assert is_away[~is_inside].mean() > 0.8
    assert is_away[is_inside].mean() < 0.03
    assert rejection.weights[3] < 0 < rejection.weights[1]


def test_tickets_answered_wrong_are_no_reason_to_keep_the_door_open():
    known = np.vstack([signs(60, cosine=0.5, strange=0.2), signs(60, cosine=0.5, strange=0.2)])
    is_inside = np.arange(120) < 60
    rejection = fit_rejection(known, is_inside, np.zeros(120, bool))
    assert (rejection.scores(known) >= rejection.threshold).sum() <= 1


def test_outsiders_like_all_others_are_not_told_apart():
    known = np.zeros((60, 4))
    is_inside = np.arange(60) < 40
    rejection = fit_rejection(known, is_inside, is_inside)
    assert (rejection.scores(known) >= rejection.threshold).all()


def test_all_are_turned_away_where_none_would_be_right():
    known = np.vstack([signs(40, cosine=0.2, strange=0.2), signs(40, cosine=0.6, strange=0.2)])
    is_inside = np.arange(80) < 40
    known[-1] += 5  # the most familiar one of all is an outsider
    rejection = fit_rejection(known, is_inside, np.zeros(80, bool))
    assert (rejection.scores(known) < rejection.threshold)[~is_inside].all()


def test_score_is_the_weighted_sum():
    assert Rejection((1.0, 6.0, 0.0, 0.0), 0.0).scores(np.array([[-1.0, 0.5, 9.0, 9.0]])).tolist() == [2.0]
