"""Which passages answer a query: filtering, ranking, and codes that must match to the letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from deskhand.answers import Passage
from deskhand_memory.articles import Audience
from deskhand_memory.index import Index
from deskhand_memory.store import Store, StoredArticle, StoredChunk, Vector

DEFAULT_PER_ARTICLE = 2

_WORD = re.compile(r"[^\W_]+(?:[-./_][^\W_]+)*")
_PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]")
_MAX_IDENTIFIERS = 8
# A code in more chunks than this says nothing about which one is meant: it is the name of the product, not an error.
_COMMON_SHARE = 0.1
_COMMON_CHUNKS = 20
# The rest of the places is for what the query says besides its code.
_MAX_LEXICAL = 3


@dataclass(frozen=True)
class Wanted:
    """What passages may come back, and how many. See ``Knowledge.search``."""

    on: date
    audience: Audience
    language: str | None
    products: frozenset[str]
    top_k: int
    per_article: int
    min_similarity: float


@dataclass(frozen=True)
class _Hit:
    passage: Passage
    article: StoredArticle
    pk: int
    n: int
    n_identifiers: int

    @property
    def order(self) -> tuple[int, float, str, int, int]:
        """Most identifiers first, then the most similar; equal ones by article, newest version and place."""
        return (-self.n_identifiers, -self.passage.score, self.article.id, -self.article.version, self.n)


def identifiers(query: str) -> list[str]:
    """Return what looks like an identifier in ``query``, in order, each once: ``E21``, ``RMA-12345``, ``4711-B``.

    That is a word of letters and digits that begins with a letter, one with a hyphen and a capital, or a number of five
    digits and more. Placeholders of masked personal data are none.
    """
    words = _WORD.findall(_PLACEHOLDER.sub(" ", query))
    return list(dict.fromkeys(word for word in words if _is_identifier(word)))[:_MAX_IDENTIFIERS]


def _is_identifier(word: str) -> bool:
    if not any(char.isdigit() for char in word):
        return False
    if word.isdigit():
        return len(word) >= 5
    is_coded = "-" in word and any(char.isupper() for char in word)
    return word[0].isalpha() or is_coded


def eligible(articles: Mapping[int, StoredArticle], wanted: Wanted) -> dict[int, StoredArticle]:
    """Return the articles that may be shown: of each id only the highest version valid on that day."""
    newest: dict[str, StoredArticle] = {}
    for article in articles.values():
        if _may_be_shown(article, wanted) and (
            article.id not in newest or article.version > newest[article.id].version
        ):
            newest[article.id] = article
    return {article.pk: article for article in newest.values()}


def _may_be_shown(article: StoredArticle, wanted: Wanted) -> bool:
    return (
        (article.audience == "public" or wanted.audience == "internal")
        and (article.valid_from is None or article.valid_from <= wanted.on)
        and (article.valid_to is None or wanted.on <= article.valid_to)
        and (wanted.language is None or article.language == wanted.language)
        and (not wanted.products or not article.products or not wanted.products.isdisjoint(article.products))
    )


def rank(
    store: Store, index: Index, articles: Mapping[int, StoredArticle], query: str, vector: Vector, wanted: Wanted
) -> list[Passage]:
    """Return the passages for ``query``, best first. ``articles`` are those that may be shown."""
    lexical = _lexical(store, articles, query, vector, wanted)
    n = 4 * wanted.top_k + len(lexical) + 16
    while True:
        pks = index.nearest(vector, n, articles.keys())
        found = [_hit(chunk, articles, vector) for chunk in store.chunks(pks)]
        near = [hit for hit in found if hit.passage.score >= wanted.min_similarity]
        dense = sorted(
            (hit for hit in near if hit.pk not in {first.pk for first in lexical}), key=lambda hit: hit.order
        )
        best = _capped([*lexical, *dense], wanted.top_k, wanted.per_article)
        if len(best) >= wanted.top_k or len(pks) < n or len(near) < len(found):
            return [hit.passage for hit in best]
        n *= 4


def _lexical(
    store: Store, articles: Mapping[int, StoredArticle], query: str, vector: Vector, wanted: Wanted
) -> list[_Hit]:
    """Return the best chunks that have identifiers of the query: most identifiers first, then the most similar."""
    counts: dict[int, int] = {}
    limit = max(_COMMON_CHUNKS, int(_COMMON_SHARE * store.count_chunks()))
    for identifier in identifiers(query):
        pks = store.find_phrase(identifier, limit + 1)
        for pk in pks if len(pks) <= limit else ():
            counts[pk] = counts.get(pk, 0) + 1
    chunks = [chunk for chunk in store.chunks(list(counts)) if chunk.article in articles]
    hits = sorted((_hit(chunk, articles, vector, counts[chunk.pk]) for chunk in chunks), key=lambda hit: hit.order)
    return _capped(hits, min(wanted.top_k, _MAX_LEXICAL), wanted.per_article)


def _hit(chunk: StoredChunk, articles: Mapping[int, StoredArticle], vector: Vector, n_identifiers: int = 0) -> _Hit:
    article = articles[chunk.article]
    passage = build_passage(chunk, article, _cosine(chunk.vector, vector), "lexical" if n_identifiers else "dense")
    return _Hit(passage, article, chunk.pk, chunk.n, n_identifiers)


def _cosine(a: Vector, b: Vector) -> float:
    """Return the cosine in the precision in which every index agrees on it."""
    return max(-1.0, min(1.0, round(float(a.astype("float64") @ b.astype("float64")), 6)))


def build_passage(chunk: StoredChunk, article: StoredArticle, score: float, found_by: str) -> Passage:
    """Return a chunk as the rest of deskhand sees it."""
    return Passage(
        id=f"{article.key}#{chunk.n}",
        source_id=article.id,
        source_version=article.version,
        title=article.title,
        text=chunk.text,
        score=score,
        found_by=found_by,
        valid_to=article.valid_to,
    )


def _capped(hits: Iterable[_Hit], top_k: int, per_article: int) -> list[_Hit]:
    """Return the first ``top_k`` hits with at most ``per_article`` of each article."""
    counts: dict[str, int] = {}
    best: list[_Hit] = []
    for hit in hits:
        if counts.get(hit.article.id, 0) < per_article and len(best) < top_k:
            counts[hit.article.id] = counts.get(hit.article.id, 0) + 1
            best.append(hit)
    return best


def has_quote(text: str, quote: str) -> bool:
    """Return whether ``text`` contains ``quote``, which is not empty; only white space may differ."""
    plain = " ".join(quote.split())
    return bool(plain) and plain in " ".join(text.split())
