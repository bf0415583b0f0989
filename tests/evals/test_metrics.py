from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, ndcg_score, precision_recall_fscore_support

from deskhand_evals import (
    Fact,
    accuracy,
    count_stated,
    macro_f1,
    ndcg_at,
    per_class,
    recall_at,
    reciprocal_rank,
    states,
    wilson,
)

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=60)


@given(PAIRS)
def test_classification_scores_equal_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    assert accuracy(truth, predicted) == pytest.approx(accuracy_score(truth, predicted))
    assert macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    expected = precision_recall_fscore_support(truth, predicted, zero_division=0)
    for row, score in zip(zip(*expected, strict=True), per_class(truth, predicted).values(), strict=True):
        assert tuple(score) == pytest.approx(row)


@given(
    st.lists(st.integers(0, 12), unique=True, min_size=2), st.sets(st.integers(0, 12), min_size=1), st.integers(1, 12)
)
def test_ndcg_equals_that_of_scikit_learn(ranked: list[int], relevant: set[int], k: int) -> None:
    items = ranked + sorted(relevant - set(ranked))
    shown = min(k, len(ranked))
    gains = np.array([[float(item in relevant) for item in items]])
    scores = np.array([[float(len(items) - place) for place in range(len(items))]])
    expected = ndcg_score(gains, scores, k=shown) if len(items) > 1 else None
    ours = ndcg_at({str(item) for item in relevant}, [str(item) for item in ranked[:shown]], shown)
    assert ours == pytest.approx(expected)


def test_retrieval_scores_count_an_article_once() -> None:
    ranked = ["a", "a", "b", "c"]
    assert recall_at({"b", "z"}, ranked, 2) == 0.5
    assert reciprocal_rank({"c"}, ranked) == pytest.approx(1 / 3)
    assert reciprocal_rank({"z"}, ranked) == 0.0
    assert ndcg_at({"a"}, ranked, 5) == 1.0


def test_wilson_equals_the_published_example() -> None:
    low, high = wilson(81, 263)  # Newcombe 1998, table I, without continuity correction
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 20).low == pytest.approx(0.0, abs=1e-12)
    assert wilson(20, 20).high == pytest.approx(1.0)


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_of_no_share_is_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        wilson(k, n)


@pytest.mark.parametrize("metric", [accuracy, per_class, macro_f1])
def test_nothing_to_score_is_refused(metric) -> None:
    with pytest.raises(ValueError, match="as many"):
        metric([], [])
    with pytest.raises(ValueError, match="as many"):
        metric(["a"], ["a", "b"])


def test_a_fact_is_stated_at_word_boundaries_whatever_its_typography() -> None:
    fact = Fact(fact="the window", any=("30 days", "thirty days"))
    assert states("You have\u00a030\n days to send it back.", fact)
    assert states("Within THIRTY DAYS.", fact)
    assert not states("You have 130 days.", fact)
    assert not states("You have 30 dayspan.", fact)
    assert states("we don\u2019t", Fact(fact="x", any=("don't",)))
    assert count_stated("30 days", [fact, Fact(fact="y", any=("free",))]) == (1, 2)
