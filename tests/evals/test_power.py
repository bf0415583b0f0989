from __future__ import annotations

import pytest

from deskhand_evals.power import (
    detectable_drop,
    detection_power,
    flip_variance,
    needed_cases,
    needed_repeats,
    pass_hat_k,
    seen_share,
    within_variance,
)
from deskhand_evals.selftest import simulate

RIGHT = [1.0] * 340 + [0.0] * 60


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_a_gate_rarely_fails_when_nothing_changed_and_sees_a_drop_with_the_repeats_it_asks_for(noise: float) -> None:
    repeats = needed_repeats(0.05, len(RIGHT), flip_variance(noise))
    assert repeats is not None
    assert simulate(RIGHT, noise, n=400).failed <= 0.03
    assert simulate(RIGHT, noise, repeats=repeats, n=400).failed <= 0.03
    planted = simulate(RIGHT, noise, repeats=repeats, drop=0.05, n=400)
    assert planted.failed >= 0.87
    assert planted.passed <= 0.01


def test_with_too_few_repeats_a_planted_drop_stays_open_and_does_not_pass() -> None:
    found = simulate(RIGHT, 0.1, drop=0.05, n=400)
    assert found.inconclusive > 0.6
    assert found.passed < 0.02


def test_a_deterministic_suite_passes_against_itself() -> None:
    assert simulate(RIGHT, 0.0, n=20).passed == 1.0


def test_more_dropped_cases_than_right_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="right ones"):
        simulate([0.0, 1.0], 0.1, drop=1.0)


def test_power_grows_with_cases_and_repeats_and_shrinks_with_noise() -> None:
    base = detection_power(0.05, 400, 2, 0.05)
    assert detection_power(0.05, 800, 2, 0.05) > base
    assert detection_power(0.05, 400, 6, 0.05) > base
    assert detection_power(0.05, 400, 2, 0.09) < base
    assert detection_power(0.05, 400, 1, 0.0) == 1.0
    assert detection_power(0.05, 60, 1, 0.0) == 0.0


def test_needs_agree_with_each_other() -> None:
    cases = needed_cases(0.05, 2, 0.05)
    assert cases is not None
    assert needed_repeats(0.05, cases, 0.05) == 2
    assert detectable_drop(cases, 2, 0.05) == pytest.approx(0.05, abs=0.001)
    assert needed_repeats(0.01, 50, 0.2) is None
    assert needed_cases(0.05, 1, 0.25) is None
    assert detectable_drop(3, 1, 0.0) is None


def test_noise_is_measured_between_repeats() -> None:
    assert within_variance([[1, 0], [1, 1]]) == pytest.approx(0.25)
    assert within_variance([[1], [0]]) is None
    assert seen_share(2 * flip_variance(0.1), (1, 1)) == pytest.approx(0.8)
    assert seen_share(1.0, (1, 1)) == 0.0
    with pytest.raises(ValueError, match="noise"):
        flip_variance(0.7)


def test_pass_hat_k_is_the_share_of_draws_that_all_pass() -> None:
    assert pass_hat_k(5, 4, 2) == pytest.approx(6 / 10)
    assert pass_hat_k(3, 3, 3) == 1.0
    with pytest.raises(ValueError, match="at least 4 repeats"):
        pass_hat_k(3, 1, 4)
