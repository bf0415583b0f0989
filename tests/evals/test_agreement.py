from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from deskhand_evals.agreement import agreement, cohen_kappa, corrected_rate


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=50))
def test_kappa_equals_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    human, judge = [a for a, _ in pairs], [b for _, b in pairs]
    ours = cohen_kappa(human, judge)
    if ours is None:
        assert len({*human, *judge}) == 1
    else:
        assert ours == pytest.approx(cohen_kappa_score(human, judge))


def test_interval_of_kappa_holds_it_and_narrows_with_more_labels() -> None:
    few = agreement(["1", "0"] * 20, ["1", "0"] * 18 + ["0", "1"] * 2)
    many = agreement(["1", "0"] * 200, ["1", "0"] * 180 + ["0", "1"] * 20)
    for found in (few, many):
        assert found.interval is not None
        assert found.kappa is not None
        assert found.interval.low < found.kappa < found.interval.high
    assert many.interval.high - many.interval.low < (few.interval.high - few.interval.low) / 2


def test_a_judge_by_chance_has_no_agreement() -> None:
    rng = np.random.default_rng(1)
    found = agreement(list(map(str, rng.integers(0, 2, 200))), list(map(str, rng.integers(0, 2, 200))))
    assert found.interval.low < 0.1
    assert found.interval.high < 0.3


def test_one_label_only_has_no_kappa_and_none_at_all_is_refused() -> None:
    assert agreement(["1"] * 5, ["1"] * 5).kappa is None
    with pytest.raises(ValueError, match="as many"):
        cohen_kappa([], [])


def test_a_pass_rate_is_corrected_for_the_judges_errors() -> None:
    assert corrected_rate(0.9 * 0.7 + 0.2 * 0.3, 0.9, 0.2) == pytest.approx(0.7)
    assert corrected_rate(0.5, 0.5, 0.5) is None
    assert corrected_rate(0.1, 0.9, 0.2) == 0.0
