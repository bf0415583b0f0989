"""Scores of what agents say about a golden set, on cases small enough to be counted by hand."""

from __future__ import annotations

import pytest

from deskhand.answers import Citation, Draft
from deskhand.testing import build_passage, build_ticket
from deskhand_evals import (
    DraftSample,
    Fact,
    RetrievalSample,
    TriageSample,
    broken_quotes,
    score_retrieval,
    score_texts,
    score_triage,
)


def fact(name: str, *wordings: str) -> Fact:
    return Fact(fact=name, any=wordings or (name,))


def sample(name: str, *must: Fact, must_not: tuple[Fact, ...] = ()) -> DraftSample:
    return DraftSample(id=name, ticket=build_ticket(), must=must, must_not=must_not)


def test_texts_are_scored_by_the_facts_that_they_state_and_must_not_state() -> None:
    samples = [
        sample("a", fact("30 days", "30 days", "a month"), fact("free label"), must_not=(fact("refund of EUR 5"),)),
        sample("b", fact("5 days")),
    ]
    score = score_texts(samples, ["You have A MONTH, and a refund  of EUR 5.", ""])
    assert (score.n, score.n_facts, score.stated) == (2, 3, pytest.approx(1 / 3))
    assert score.missing == (("a", "free label"), ("b", "5 days"))
    assert score.forbidden == (("a", "refund of EUR 5"),)


def test_texts_of_which_nothing_is_required_state_all_of_it() -> None:
    assert score_texts([sample("a")], ["anything"]).stated == 1.0
    with pytest.raises(ValueError, match="shorter"):
        score_texts([sample("a"), sample("b")], ["one text"])


def test_triage_names_each_wrong_one_and_counts_none_as_a_category() -> None:
    samples = [
        TriageSample(id=f"s{n}", text="x", label=label, priority="normal", team=None, language="en")
        for n, label in enumerate(("delivery", "returns", None, "returns"))
    ]
    score = score_triage(samples, ["delivery", None, None, "returns"])
    assert (score.n, score.accuracy, score.wrong) == (4, 0.75, (("s1", "returns", None),))
    assert score.interval.low < 0.75 < score.interval.high


def test_retrieval_is_scored_by_place_and_kind_and_an_article_counts_once() -> None:
    found = {"first": ["a", "a", "b"], "second": ["b", "a"], "never": [*"cdefg", "a"]}
    samples = [
        RetrievalSample(id=text, text=text, relevant=("a",), kind="hard" if text == "never" else "plain")
        for text in found
    ]
    score = score_retrieval(samples, found.__getitem__)
    assert score.recall_at_5 == pytest.approx(2 / 3)
    assert score.mrr == pytest.approx((1 + 1 / 2 + 1 / 6) / 3)
    assert score.by_kind == {"hard": 0.0, "plain": 1.0}
    assert score.missed == (("never", ("a",), tuple("cdefg")),)


def test_quotes_that_their_passage_does_not_have_are_broken() -> None:
    passage = build_passage("You can return any  product within 30 days.")

    def cite(quote: str, passage_id: str = passage.id) -> Citation:
        return Citation(sentence="x", passage_id=passage_id, quote=quote)

    citations = (cite("any product within 30 days"), cite("90 days"), cite("30 days", "gone@1#0"), cite("", "record:o"))
    assert broken_quotes(Draft(text="x", citations=citations), [passage]) == ["90 days", "30 days"]
