from datetime import date

import numpy as np
import pytest

from deskhand_memory import Article
from deskhand_memory.index import ExactIndex
from deskhand_memory.search import Wanted, eligible, has_quote, identifiers, rank
from deskhand_memory.store import FileState, NewChunk, Store, StoredArticle

ON = date(2026, 11, 20)


def wanted(**changes) -> Wanted:
    values = {
        "on": ON,
        "audience": "public",
        "language": None,
        "products": frozenset(),
        "top_k": 5,
        "per_article": 2,
        "min_similarity": -1.0,
    }
    return Wanted(**(values | changes))


def stored(pk: int = 1, **changes) -> StoredArticle:
    values = {
        "pk": pk,
        "id": "a",
        "version": 1,
        "title": "T",
        "language": "en",
        "audience": "public",
        "valid_from": None,
        "valid_to": None,
        "products": frozenset(),
    }
    return StoredArticle(**(values | changes))


def shown(*articles: StoredArticle, **changes) -> list[int]:
    return sorted(eligible({article.pk: article for article in articles}, wanted(**changes)))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("error E21 on my Nook", ["E21"]),
        ("order HF-NK3, RMA-12345 and e21?", ["HF-NK3", "RMA-12345", "e21"]),
        ("part 4711-B and 4711-b", ["4711-B"]),
        ("E21 E21", ["E21"]),
        ("number 123456 from 2024", ["123456"]),
        ("since 4.6.1 of 4.6 for 72.10", ["4.6.1"]),
        ("does WELCOME work with SPRING25 in the UK", ["WELCOME", "SPRING25"]),
        ("WHERE IS MY PARCEL", []),
        ("3-pack, 24v, 2nd and 30 days", []),
        ("mail me at [EMAIL_1]", []),
        ("state-of-the-art Wi-Fi", []),
        ("", []),
    ],
)
def test_identifiers_are_told_from_words_and_amounts(query: str, found: list[str]) -> None:
    assert identifiers(query) == found


def test_query_full_of_codes_is_bounded() -> None:
    assert len(identifiers(" ".join(f"E{n}" for n in range(1000)))) == 8


def test_public_search_never_shows_internal_articles() -> None:
    assert shown(stored(1), stored(2, id="b", audience="internal")) == [1]
    assert shown(stored(1), stored(2, id="b", audience="internal"), audience="internal") == [1, 2]


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "is_shown"),
    [
        (None, None, True),
        (ON, ON, True),
        (date(2026, 11, 21), None, False),
        (None, date(2026, 11, 19), False),
    ],
)
def test_only_what_is_valid_on_the_day_is_shown(valid_from, valid_to, is_shown: bool) -> None:
    assert bool(shown(stored(valid_from=valid_from, valid_to=valid_to))) is is_shown


def test_of_valid_versions_the_highest_is_shown() -> None:
    assert shown(stored(1, version=2), stored(2, version=1)) == [1]
    future = stored(2, version=3, valid_from=date(2027, 1, 1))
    assert shown(stored(1, version=2), future) == [1]


def test_internal_version_does_not_hide_the_public_one() -> None:
    assert shown(stored(1), stored(2, version=2, audience="internal")) == [1]


def test_language_and_products_filter() -> None:
    assert shown(stored(1), stored(2, id="b", language="de"), language="de") == [2]
    nook, other = stored(1, products=frozenset({"nook"})), stored(2, id="b", products=frozenset({"shelf"}))
    assert shown(nook, other, stored(3, id="c"), products=frozenset({"nook"})) == [1, 3]


def test_quote_may_differ_in_white_space_only() -> None:
    text = "You can return\nany  product within 30 days."
    assert has_quote(text, "return any product\twithin")
    assert not has_quote(text, "Return any product")
    assert not has_quote(text, "return any products")
    assert not has_quote(text, "  ")


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "knowledge.db")
    yield opened
    opened.close()


def put(store: Store, article_id: str, texts: list[str], similarities: list[float]) -> None:
    """Store an article whose chunks have the given cosine to the query vector (1, 0)."""
    vectors = [np.array([s, np.sqrt(1 - s * s)], np.float32) for s in similarities]
    chunks = [NewChunk(text, f"{article_id}{n}", vectors[n]) for n, text in enumerate(texts)]
    with store.writing() as writer:
        writer.put_file("f", FileState(1, 1))
        writer.put_article(Article(id=article_id, title="T", text="x"), "f", "recipe", chunks)


def run(store: Store, query: str, **changes) -> list[str]:
    want = wanted(**changes)
    vectors = np.array([[1, 0]], np.float32)
    index = ExactIndex(store.vectors())
    return [p.id for p in rank(store, index, eligible(store.articles(), want), query, vectors, want)]


def test_equal_passages_have_a_fixed_order(store: Store) -> None:
    for article_id in ("b", "a", "c"):
        put(store, article_id, ["x", "y"], [0.5, 0.5])
    assert run(store, "q") == ["a@1#1", "a@1#2", "b@1#1", "b@1#2", "c@1#1"]


def test_one_article_gives_at_most_its_share(store: Store) -> None:
    put(store, "big", ["x"] * 200, [0.9] * 200)
    put(store, "small", ["y"], [0.1])
    assert run(store, "q") == ["big@1#1", "big@1#2", "small@1#1"]
    assert run(store, "q", per_article=3, top_k=3) == ["big@1#1", "big@1#2", "big@1#3"]


def test_passages_below_the_least_similarity_are_left_out(store: Store) -> None:
    put(store, "a", ["x", "y"], [0.36, 0.34])
    assert run(store, "q", min_similarity=0.35) == ["a@1#1"]


def test_passage_with_the_code_comes_first_whatever_its_similarity(store: Store) -> None:
    put(store, "near", ["about pumps"], [0.9])
    put(store, "far", ["E21 is it"], [0.1])
    assert run(store, "what is E21", min_similarity=0.35) == ["far@1#1", "near@1#1"]


def test_more_codes_win_and_three_lexical_at_most(store: Store) -> None:
    for number in range(5):
        put(store, f"one-{number}", ["E21 alone"], [0.1])
    put(store, "both", ["E21 and HF-NK3"], [0.1])
    put(store, "near", ["about pumps"], [0.9])
    found = run(store, "E21 on HF-NK3", min_similarity=0.35)
    assert found == ["both@1#1", "one-0@1#1", "one-1@1#1", "near@1#1"]


def test_code_in_every_article_is_no_hint(store: Store) -> None:
    for number in range(25):
        put(store, f"a-{number:02}", ["about HF-NK3"], [0.01 * number])
    assert run(store, "HF-NK3 pump", top_k=1) == ["a-24@1#1"]


def test_article_as_a_whole_counts_half(store: Store) -> None:
    put(store, "near", ["x", "y"], [0.6, 0.6])
    put(store, "spread", ["x", "y"], [0.7, -0.3])
    assert run(store, "q")[0] == "near@1#1"


def test_words_shared_with_the_query_lift_a_passage(store: Store) -> None:
    put(store, "a", ["about pumps"], [0.5])
    put(store, "b", ["the colander is blue"], [0.45])
    assert run(store, "is my colander in there") == ["b@1#1", "a@1#1"]
    assert run(store, "what is it")[0] == "a@1#1"


def test_words_find_a_passage_that_is_far(store: Store) -> None:
    for number in range(40):
        put(store, f"n-{number:02}", ["about pumps"], [0.5])
    put(store, "far", ["a colander"], [0.45])
    assert run(store, "colander", top_k=1) == ["far@1#1"]


def test_passage_knows_products_and_the_header_of_its_table(store: Store) -> None:
    with store.writing() as writer:
        writer.put_file("f", FileState(1, 1))
        article = Article(id="a", title="T", text="x", products=("nook",))
        writer.put_article(article, "f", "recipe", [NewChunk("| 1 |", "h", np.array([1, 0], np.float32), "| n |")])
    want = wanted()
    vectors = np.array([[1, 0]], np.float32)
    (found,) = rank(store, ExactIndex(store.vectors()), eligible(store.articles(), want), "q", vectors, want)
    assert (found.header, found.products) == ("| n |", ("nook",))


def test_only_what_may_be_shown_sets_the_scale_of_words(store: Store) -> None:
    put(store, "a", ["a blue colander"], [0.5])
    with store.writing() as writer:
        secret = Article(id="z", title="T", text="x", audience="internal")
        writer.put_article(secret, "f", "recipe", [NewChunk("colander", "h", np.array([0, 1], np.float32))])
    want = wanted()
    vectors = np.array([[1, 0]], np.float32)
    (found,) = rank(store, ExactIndex(store.vectors()), eligible(store.articles(), want), "colander", vectors, want)
    assert found.score == pytest.approx(0.5 + 0.15)
