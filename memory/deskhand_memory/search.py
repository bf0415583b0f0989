"""Which passages answer a query: filtering, ranking, and codes that must match to the letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from deskhand.answers import Passage
from deskhand_memory.articles import Audience
from deskhand_memory.cases import NO_CASES, Cases
from deskhand_memory.coverage import pick
from deskhand_memory.index import Index
from deskhand_memory.store import Store, StoredArticle, StoredChunk, Vector

Matrix = NDArray[np.float32]

DEFAULT_PER_ARTICLE = 2

ARTICLE_SHARE = 0.5
"""How much of the similarity is the whole article's, the rest being the passage's own.

A customer's words are often nearer to the article than to the sentence in it that answers. Chosen on 79 solved tickets.
"""

LEXICAL_WEIGHT = 0.15
"""What the passage with the most and rarest words of the query gains; the others gain in proportion to their BM25."""

IDENTIFIER_BONUS = 0.3
"""What a passage gains that has an identifier of the query to the letter."""

CASE_WEIGHT = 0.2
"""What each point of cosine to the nearest solved ticket is worth in the order to the articles that answered it.

It is no part of a score, which says how near the passage itself is. On 146 development tickets, asked in up to three
ways and each without itself among the solved ones, recall@5 rose from 85.1 to 87.7 %.
"""

CATEGORY_WEIGHT = 0.3
"""What an article gains in the order that answered every solved ticket of the category; the others in proportion.

The category is what labelled tickets like the query have. On 230 development questions recall@5 rose from 89.1 to
90.7 % with the weight chosen on the other folds (5 folds by ticket, six seeds, standard deviation 0.3).
"""

_WORD = re.compile(r"[^\W_]+(?:[-./_][^\W_]+)*")
_PLACEHOLDER = re.compile(r"\[[A-Z]+(?:_\d+)?\]")
_VERSION = re.compile(r"\d+(?:\.\d+){2,}")
_MAX_IDENTIFIERS = 8
_MAX_WORDS = 64
_MAX_MATCHED = 64
# A code in more chunks than this says nothing about which one is meant: it is the name of the product, not an error.
_COMMON_SHARE = 0.1
_COMMON_CHUNKS = 20
# The rest of the places is for what the query says besides its code.
_MAX_LEXICAL = 3
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a about after also am an and any are as at be been but by can could did do does "
        "for from get got had has have hello hi how i if in is it its just m me my "
        "no not of on one only or our out please re s so some t than thank thanks that the "
        "their them then there they this to too up us ve was we were what when where which who why "
        "will with would you your ",
    )
)


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
    chunk: StoredChunk
    n_identifiers: int
    worth: float

    @property
    def order(self) -> tuple[int, float, str, int, int]:
        """Most identifiers first, then the best; equal ones by article, newest version and place."""
        return (-self.n_identifiers, -self.worth, self.article.id, -self.article.version, self.chunk.n)


def identifiers(query: str) -> list[str]:
    """Return what looks like an identifier in ``query``, in order, each once: ``E21``, ``RMA-12345``, ``4711-B``.

    That is a word of letters and digits that begins with a letter, one with a hyphen and a capital, a number of five
    digits and more, a version such as ``4.6.1``, or a word of five capitals and more (``WELCOME10`` and ``WELCOME``)
    in a text that is not all capitals. Placeholders of masked personal data are none.
    """
    text = _PLACEHOLDER.sub(" ", query)
    is_loud = sum(char.isupper() for char in text) > sum(char.islower() for char in text)
    words = _WORD.findall(text)
    return list(dict.fromkeys(word for word in words if _is_identifier(word, is_loud=is_loud)))[:_MAX_IDENTIFIERS]


def _is_identifier(word: str, *, is_loud: bool) -> bool:
    if not any(char.isdigit() for char in word):
        return len(word) >= 5 and word.isupper() and word.isalpha() and not is_loud
    if _VERSION.fullmatch(word):
        return True
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
    store: Store,
    index: Index,
    articles: Mapping[int, StoredArticle],
    query: str,
    vectors: Matrix,
    wanted: Wanted,
    cases: Cases = NO_CASES,
) -> list[Passage]:
    """Return the passages for ``query``, best first. ``articles`` are those that may be shown.

    Ranked are the chunks nearest to the query and to each of its sentences, and those that share most words with it.
    ``vectors`` holds a row for the query and then one for each of its sentences, if it has several.
    """
    scorers = [_Scorer(articles, vector, {}, _signposts(cases, vector)) for vector in vectors]
    scorer = replace(scorers[0], words=_shared_words(store, articles, query))
    lexical = _lexical(store, scorer, query, wanted)
    known = {hit.chunk.pk for hit in lexical}
    n = 4 * wanted.top_k + len(lexical) + 16
    while True:
        pks = index.nearest(vectors[0], n, articles.keys())
        found = scorer.hits(store.chunks(pks))
        near = [hit for hit in found if hit.passage.score >= wanted.min_similarity]
        parted = {pk for vector in vectors[1:] for pk in index.nearest(vector, wanted.top_k, articles.keys())}
        others = scorer.hits(store.chunks(list((scorer.words.keys() | parted) - set(pks))))
        fit = [hit for hit in (*near, *others) if hit.passage.score >= wanted.min_similarity]
        hits = [*lexical, *sorted((hit for hit in fit if hit.chunk.pk not in known), key=lambda hit: hit.order)]
        best = _picked(hits, max(1, len(lexical)), scorers[1:], wanted)
        if len(best) >= wanted.top_k or len(pks) < n or len(near) < len(found):
            return [hit.passage for hit in best]
        n *= 4


def _picked(hits: Sequence[_Hit], n_first: int, parts: Sequence[_Scorer], wanted: Wanted) -> list[_Hit]:
    """Return the hits to show: the first ``n_first``, then so that each part of the query has its own."""
    needs = np.array([[part.worth(hit.chunk) for part in parts] for hit in hits], np.float64)
    places = pick(
        [hit.worth for hit in hits],
        needs.reshape(len(hits), len(parts)),
        [hit.article.id for hit in hits],
        n_first=n_first,
        top_k=wanted.top_k,
        per_group=wanted.per_article,
    )
    return [hits[place] for place in places]


def _signposts(cases: Cases, vector: Vector) -> dict[str, float]:
    """Return what articles gain in the order by what answered earlier tickets."""
    near, likely = cases.similarities(vector), cases.likelihoods(vector)
    return {
        article: CASE_WEIGHT * near.get(article, 0.0) + CATEGORY_WEIGHT * likely.get(article, 0.0)
        for article in near.keys() | likely.keys()
    }


def _shared_words(store: Store, articles: Mapping[int, StoredArticle], query: str) -> dict[int, float]:
    """Return how well chunks match the words of the query, the best one 1, by primary key."""
    words = dict.fromkeys(word.casefold() for word in re.findall(r"[^\W_]+", _PLACEHOLDER.sub(" ", query)))
    wanted = [word for word in words if word not in _STOP][:_MAX_WORDS]
    matched = store.match_words(wanted, _MAX_MATCHED)
    shown = {chunk.pk: matched[chunk.pk] for chunk in store.chunks(list(matched)) if chunk.article in articles}
    highest = max(shown.values(), default=0.0)
    return {pk: score / highest for pk, score in shown.items()} if highest > 0 else {}


def _lexical(store: Store, scorer: _Scorer, query: str, wanted: Wanted) -> list[_Hit]:
    """Return the best chunks that have identifiers of the query: most identifiers first, then the best score."""
    counts: dict[int, int] = {}
    limit = max(_COMMON_CHUNKS, int(_COMMON_SHARE * store.count_chunks()))
    for identifier in identifiers(query):
        pks = store.find_phrase(identifier, limit + 1)
        for pk in pks if len(pks) <= limit else ():
            counts[pk] = counts.get(pk, 0) + 1
    hits = sorted(scorer.hits(store.chunks(list(counts)), counts), key=lambda hit: hit.order)
    return _capped(hits, min(wanted.top_k, _MAX_LEXICAL), wanted.per_article)


@dataclass(frozen=True)
class _Scorer:
    """Scores chunks for one query.

    ``words`` holds how well some of them match its words, ``gains`` what articles gain in the order besides the score.
    """

    articles: Mapping[int, StoredArticle]
    vector: Vector
    words: Mapping[int, float]
    gains: Mapping[str, float]

    def hits(self, chunks: Iterable[StoredChunk], counts: Mapping[int, int] | None = None) -> list[_Hit]:
        """Return those of articles that may be shown. ``counts`` says how many identifiers each has."""
        return [self.hit(chunk, (counts or {}).get(chunk.pk, 0)) for chunk in chunks if chunk.article in self.articles]

    def hit(self, chunk: StoredChunk, n_identifiers: int = 0) -> _Hit:
        article = self.articles[chunk.article]
        score = self._score(chunk) + IDENTIFIER_BONUS * bool(n_identifiers)
        found_by = "lexical" if n_identifiers else "dense"
        passage = build_passage(chunk, article, max(-1.0, min(1.0, round(score, 6))), found_by)
        return _Hit(passage, article, chunk, n_identifiers, passage.score + self.gains.get(article.id, 0.0))

    def worth(self, chunk: StoredChunk) -> float:
        """Return what a chunk is worth in the order, identifiers aside."""
        return self._score(chunk) + self.gains.get(self.articles[chunk.article].id, 0.0)

    def _score(self, chunk: StoredChunk) -> float:
        article = self.articles[chunk.article]
        own = _cosine(chunk.vector, self.vector)
        whole = own if article.vector is None else _cosine(article.vector, self.vector)
        return (1 - ARTICLE_SHARE) * own + ARTICLE_SHARE * whole + LEXICAL_WEIGHT * self.words.get(chunk.pk, 0.0)


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
        header=chunk.header,
        products=tuple(sorted(article.products)),
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
