"""Scoring what agents say about a golden set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from deskhand.answers import Draft, Passage
from deskhand.fencing import fold
from deskhand_evals.datasets import DraftSample, Fact, RetrievalSample, SummarySample, TriageSample
from deskhand_evals.metrics import Interval, accuracy, macro_f1, ndcg_at, recall_at, reciprocal_rank, states, wilson

TOP_K = 5


@dataclass(frozen=True)
class TriageScore:
    """How often the category is right; all shares in [0, 1]. ``wrong`` holds (id, truth, predicted)."""

    n: int
    accuracy: float
    interval: Interval
    macro_f1: float
    wrong: tuple[tuple[str, str | None, str | None], ...]


def score_triage(samples: Sequence[TriageSample], predicted: Sequence[str | None]) -> TriageScore:
    """Return the scores of one predicted category a sample, None for "no category"."""
    truth = [sample.label for sample in samples]
    n_right = sum(a == b for a, b in zip(truth, predicted, strict=True))
    wrong = [
        (sample.id, sample.label, guess)
        for sample, guess in zip(samples, predicted, strict=True)
        if guess != sample.label
    ]
    interval = wilson(n_right, len(samples))
    return TriageScore(len(samples), accuracy(truth, predicted), interval, macro_f1(truth, predicted), tuple(wrong))


@dataclass(frozen=True)
class RetrievalScore:
    """Means over the questions, in [0, 1]. ``missed`` holds (id, relevant, found) where recall is not 1."""

    n: int
    recall_at_5: float
    mrr: float
    ndcg_at_5: float
    by_kind: dict[str, float]
    missed: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]


def score_retrieval(samples: Sequence[RetrievalSample], search: Callable[[str], Sequence[str]]) -> RetrievalScore:
    """Return the scores of ``search``, which gives article ids, best first, for a question."""
    found = {sample.id: tuple(dict.fromkeys(search(sample.text))) for sample in samples}
    recalls = {sample.id: recall_at(sample.relevant, found[sample.id], TOP_K) for sample in samples}
    kinds = sorted({sample.kind for sample in samples})
    return RetrievalScore(
        n=len(samples),
        recall_at_5=fmean(recalls.values()),
        mrr=fmean(reciprocal_rank(sample.relevant, found[sample.id]) for sample in samples),
        ndcg_at_5=fmean(ndcg_at(sample.relevant, found[sample.id], TOP_K) for sample in samples),
        by_kind={kind: fmean(recalls[sample.id] for sample in samples if sample.kind == kind) for kind in kinds},
        missed=tuple(
            (sample.id, sample.relevant, found[sample.id][:TOP_K]) for sample in samples if recalls[sample.id] < 1
        ),
    )


@dataclass(frozen=True)
class TextScore:
    """Facts over all texts. ``stated`` is a share in [0, 1]; ``missing`` and ``forbidden`` hold (id, fact)."""

    n: int
    n_facts: int
    stated: float
    missing: tuple[tuple[str, str], ...]
    forbidden: tuple[tuple[str, str], ...]


def score_texts(samples: Sequence[DraftSample | SummarySample], texts: Sequence[str]) -> TextScore:
    """Return how many required facts the texts state, and every forbidden one. A missing text is ``""``."""
    missing: list[tuple[str, str]] = []
    forbidden: list[tuple[str, str]] = []
    n_facts = sum(len(sample.must) for sample in samples)
    for sample, text in zip(samples, texts, strict=True):
        missing += [(sample.id, fact.fact) for fact in sample.must if not states(text, fact)]
        forbidden += _stated(sample.id, text, sample.must_not)
    stated = 1 - len(missing) / n_facts if n_facts else 1.0
    return TextScore(len(samples), n_facts, stated, tuple(missing), tuple(forbidden))


def _stated(sample_id: str, text: str, facts: Sequence[Fact]) -> list[tuple[str, str]]:
    return [(sample_id, fact.fact) for fact in facts if states(text, fact)]


def broken_quotes(draft: Draft, passages: Sequence[Passage]) -> list[str]:
    """Return the quotes of a draft that are not, white space aside, in the passage they name.

    Citations of records (``record:...``) have no passage and are not looked at.
    """
    texts = {passage.id: fold(passage.text) for passage in passages}
    return [
        citation.quote
        for citation in draft.citations
        if not citation.passage_id.startswith("record:")
        and fold(citation.quote) not in texts.get(citation.passage_id, "")
    ]
