from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from deskhand_evals.corrections import benjamini_hochberg, holm
from deskhand_evals.f1_statistics import macro_f1_interval, paired_macro_f1
from deskhand_evals.intervals import share_interval
from deskhand_evals.resampling import Bootstrap
from deskhand_evals.significance import mcnemar, permutation_test
from deskhand_evals.statistics import mean_interval, paired_mean

BITS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=80)


@given(BITS)
@settings(max_examples=40, deadline=None)
def test_paired_chances_of_single_cases_are_those_of_mcnemar(pairs: list[tuple[int, int]]) -> None:
    a, b = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    n_lost, n_won = sum(x > y for x, y in pairs), sum(y > x for x, y in pairs)
    found = paired_mean(a, b, by=Bootstrap(n_resamples=10))
    expected = stats.binomtest(n_won, n_lost + n_won, alternative="less").pvalue if n_lost + n_won else 1.0
    assert found.p_worse == pytest.approx(expected)
    assert found.p_different == pytest.approx(mcnemar(n_lost, n_won))
    both = stats.binomtest(n_won, n_lost + n_won).pvalue if n_lost + n_won else 1.0
    assert mcnemar(n_lost, n_won) == pytest.approx(both)


def test_chances_of_repeated_cases_are_those_of_all_sign_flips() -> None:
    differences = [-1 / 3, -2 / 3, 1 / 3, -1.0, 0.0, -1 / 3, 2 / 3]
    found = paired_mean([0.0] * 7, differences, by=Bootstrap(n_resamples=10))
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in product((1, -1), repeat=7)]
    assert found.p_worse == pytest.approx(np.mean([total <= sum(differences) + 1e-9 for total in sums]))


def test_chances_of_real_numbers_are_drawn_and_near_the_exact_ones() -> None:
    differences = np.random.default_rng(1).normal(-0.2, 1, 12)
    found = paired_mean([0.0] * 12, list(differences), by=Bootstrap(n_resamples=20_000))
    sums = np.array(list(product((1, -1), repeat=12))) @ differences
    assert found.p_worse == pytest.approx((sums <= differences.sum()).mean(), abs=0.01)


def test_interval_of_a_difference_is_that_of_scipys_bootstrap() -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.random(300) < 0.8).astype(float), (rng.random(300) < 0.7).astype(float)
    found = paired_mean(list(a), list(b), by=Bootstrap(0.95, 20_000))
    expected = stats.bootstrap((b - a,), np.mean, method="percentile", n_resamples=20_000, rng=3).confidence_interval
    assert tuple(found.interval) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_clusters_widen_an_interval_when_their_cases_go_together() -> None:
    values = [1.0] * 50 + [0.0] * 50
    tickets = [number // 10 for number in range(100)]
    alone, together = mean_interval(values), mean_interval(values, tickets)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_interval_of_equal_scores_has_a_width() -> None:
    assert mean_interval([1.0] * 20).low < 0.85
    assert mean_interval([1.0] * 20, [n // 2 for n in range(20)]).low < mean_interval([1.0] * 20).low
    assert mean_interval([5.0, 5.0], is_share=False) == (5.0, 5.0)


@given(st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_paired_macro_f1_equals_that_of_scikit_learn(rows: list[tuple[str, str, str]]) -> None:
    truth, before, after = (list(column) for column in zip(*rows, strict=True))
    found = paired_macro_f1(truth, [{x: 1.0} for x in before], [{x: 1.0} for x in after], by=Bootstrap(n_resamples=20))
    labels = sorted({*truth, *before, *after})
    for ours, predicted in ((found.baseline, before), (found.candidate, after)):
        present = [label for label in labels if label in truth or label in predicted]
        theirs = f1_score(truth, predicted, labels=present, average="macro", zero_division=0)
        assert ours == pytest.approx(theirs)


def test_a_clear_loss_of_macro_f1_is_seen_and_none_is_not() -> None:
    truth = ["a", "b"] * 100
    worse = [{"a": 1.0} if n < 60 else {label: 1.0} for n, label in enumerate(truth)]
    right = [{label: 1.0} for label in truth]
    found = paired_macro_f1(truth, right, worse)
    assert found.interval.high < 0
    assert found.p_worse < 0.001
    assert paired_macro_f1(truth, right, right).p_worse == 1.0
    assert macro_f1_interval(truth, worse).high < 0.95


def test_permutation_test_agrees_with_scipys() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, 30), rng.normal(0.5, 1, 25)
    expected = stats.permutation_test((a, b), lambda x, y: x.mean() - y.mean(), n_resamples=4_000, rng=5).pvalue
    assert permutation_test(list(a), list(b)) == pytest.approx(expected, abs=0.03)


def test_corrections_equal_published_ones() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p) == pytest.approx(list(stats.false_discovery_control(p)))
    assert holm([]) == benjamini_hochberg([]) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: paired_mean([], []),
        lambda: paired_mean([1.0], []),
        lambda: mean_interval([float("nan")]),
        lambda: paired_macro_f1([], [], []),
        lambda: macro_f1_interval(["a"], []),
        lambda: mcnemar(-1, 2),
    ],
)
def test_what_cannot_be_computed_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        call()


def test_interval_of_a_share_that_is_no_count_holds_both_neighbours() -> None:
    low, high = share_interval(0.55, 10)
    assert low == pytest.approx(share_interval(0.5, 10).low)
    assert high == pytest.approx(share_interval(0.6, 10).high)
