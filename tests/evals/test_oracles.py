"""Our metrics against the field's own libraries, on random inputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand_evals.agreement import cohen_kappa
from deskhand_evals.calibration import calibration_error, confusion
from deskhand_evals.metrics import (
    accuracy,
    macro_f1,
    macro_scores,
    ndcg_at,
    number_errors,
    per_class,
    recall_at,
    reciprocal_rank,
)
from deskhand_evals.text_scores import chrf, rouge_l, rouge_n

labels = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=60)
words = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mat", "30", "days", "Ünter", "x1"]), max_size=25)
texts = st.one_of(words.map(" ".join), st.text(max_size=60))
numbers = st.lists(
    st.tuples(*[st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)] * 2), min_size=1, max_size=40
)
MANY = settings(deadline=None, max_examples=100)


@cache
def sklearn() -> Any:
    import sklearn.metrics

    return sklearn.metrics


def near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.filterwarnings("ignore:A single label was found")
@MANY
@given(labels)
def test_classification_is_as_in_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    names = sorted({*truth, *predicted})
    options: dict[str, Any] = {"labels": names, "zero_division": 0}
    oracle = sklearn().precision_recall_fscore_support(truth, predicted, **options)
    ours = per_class(truth, predicted)
    assert list(ours) == names
    for place, name in enumerate(names):
        assert all(near(mine, theirs[place]) for mine, theirs in zip(ours[name], oracle, strict=True))
    macro = sklearn().precision_recall_fscore_support(truth, predicted, average="macro", **options)[:3]
    assert all(near(mine, theirs) for mine, theirs in zip(macro_scores(truth, predicted), macro, strict=True))
    assert near(macro_f1(truth, predicted), macro[2])
    assert near(accuracy(truth, predicted), sklearn().accuracy_score(truth, predicted))
    assert confusion(truth, predicted).counts == sklearn().confusion_matrix(truth, predicted, labels=names).tolist()


@MANY
@given(labels)
def test_kappa_is_as_in_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    ours = cohen_kappa(a, b)
    if ours is not None:
        assert near(ours, sklearn().cohen_kappa_score(a, b))
    else:
        assert len({*a, *b}) == 1


@MANY
@given(numbers)
def test_number_errors_are_as_in_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    truth, predicted = [a for a, _ in pairs], [b for _, b in pairs]
    ours = number_errors(truth, predicted)
    assert near(ours.mae, sklearn().mean_absolute_error(truth, predicted))
    assert near(ours.rmse, sklearn().root_mean_squared_error(truth, predicted))


@MANY
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80))
def test_calibration_error_is_that_of_its_formula(pairs: list[tuple[float, bool]]) -> None:
    """ECE with ten bins, closed above, by numpy's own binning."""
    import numpy as np

    confidences, hits = np.array([c for c, _ in pairs]), np.array([h for _, h in pairs], float)
    places = np.digitize(confidences, [n / 10 for n in range(1, 10)], right=True)
    wanted = sum(
        abs(hits[places == b].mean() - confidences[places == b].mean()) * (places == b).mean() for b in set(places)
    )
    assert near(calibration_error(list(confidences), [h for _, h in pairs]), float(wanted))


@MANY
@given(
    st.sets(st.sampled_from("abcdefghij"), min_size=1, max_size=6),
    st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12),
    st.sampled_from([1, 3, 5, 10]),
)
def test_ranking_is_as_in_trec_eval(relevant: set[str], ranked: Sequence[str], k: int) -> None:
    import pytrec_eval

    judged = pytrec_eval.RelevanceEvaluator(
        {"q": dict.fromkeys(relevant, 1)}, {f"ndcg_cut.{k}", f"recall.{k}", "recip_rank"}
    )
    scores = {name: float(len(ranked) - place) for place, name in enumerate(ranked)}
    oracle = judged.evaluate({"q": scores}).get("q") or dict.fromkeys([f"ndcg_cut_{k}", f"recall_{k}", "recip_rank"], 0)
    assert near(ndcg_at(relevant, ranked, k), oracle[f"ndcg_cut_{k}"])
    assert near(recall_at(relevant, ranked, k), oracle[f"recall_{k}"])
    assert near(reciprocal_rank(relevant, ranked), oracle["recip_rank"])


@cache
def rouge() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rouge_score.rouge_scorer import RougeScorer

        return RougeScorer(["rouge1", "rouge2", "rougeL"])


@MANY
@given(texts, texts)
def test_rouge_is_as_in_rouge_score(reference: str, text: str) -> None:
    oracle = rouge().score(reference, text)
    assert near(rouge_n(reference, text, 1), oracle["rouge1"].fmeasure)
    assert near(rouge_n(reference, text, 2), oracle["rouge2"].fmeasure)
    assert near(rouge_l(reference, text), oracle["rougeL"].fmeasure)


@MANY
@given(texts, texts)
def test_chrf_is_as_in_sacrebleu(reference: str, text: str) -> None:
    from sacrebleu.metrics import CHRF

    assert near(chrf(reference, text), CHRF(eps_smoothing=False).sentence_score(text, [reference]).score / 100)


def test_what_has_no_numbers_has_no_error() -> None:
    with pytest.raises(ValueError, match="there must be as many"):
        number_errors([], [])
