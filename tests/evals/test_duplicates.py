from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deskhand_evals.duplicates import alike_pairs, contained_pairs, duplicate_groups, near_pairs
from deskhand_memory import load_encoder

A = "My parcel HF-2041 has not moved since Monday, where is it?"
B = "my parcel HF-2041 has not moved since Tuesday -- where is it??"
C = "The lamp does not switch on any more since the update."


def test_rewritten_texts_are_near_and_others_are_not() -> None:
    (pair,) = near_pairs([A, B, C, "", " "])
    assert (pair.a, pair.b) == (0, 1)
    assert 0.85 < pair.likeness < 1
    assert near_pairs([A], [C, B])[0].b == 1
    assert near_pairs([A, B], least=0.99) == []


@given(st.lists(st.text(alphabet="abc ", max_size=12), max_size=12))
def test_likeness_is_one_exactly_for_equal_words(texts: list[str]) -> None:
    words = [" ".join(text.split()) for text in texts]
    wanted = {(i, j) for i, a in enumerate(words) for j, b in enumerate(words) if i < j and a and a == b}
    assert {(p.a, p.b) for p in near_pairs(texts) if p.likeness == 1} == wanted


def test_many_texts_are_compared_over_the_edge_of_a_chunk() -> None:
    texts = [f"{n} {n * 7919} {n * 104729}" for n in range(700)]
    pairs = near_pairs([*texts, texts[3]], least=0.999)
    assert [(p.a, p.b) for p in pairs] == [(3, 700)]


def test_a_text_copied_into_a_longer_one_is_found() -> None:
    article = f"Questions. {A} Answers follow, and they are much longer than the question itself was, by far."
    (pair,) = contained_pairs([A, C], ["nothing of it", article])
    assert (pair.a, pair.b, pair.likeness) == (0, 1, 1.0)
    assert contained_pairs(["too short to tell"], ["too short to tell"]) == []


def test_alike_over_another_is_one_group() -> None:
    chain = ["abcdefghij one", "abcdefghij two", C]
    assert duplicate_groups([A, B, C, A.upper()]) == [0, 0, 2, 0]
    assert duplicate_groups(chain, least=0.7)[:2] == [0, 0]


def test_the_encoder_finds_the_same_meaning() -> None:
    texts = ["How can I send this back for a refund?", "How do I return this and get a refund?", C, ""]
    pairs = alike_pairs(texts, None, load_encoder(), least=0.75)
    assert [(p.a, p.b) for p in pairs] == [(0, 1)]
    assert alike_pairs(texts[:1], texts[1:], load_encoder(), least=0.75)[0].b == 0
