"""Finding the sentences, lists and table rows of knowledge that answer a question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from deskhand.answers import Passage
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand_agents.blocks import Block
from deskhand_agents.conditions import Customer
from deskhand_agents.questions import Question
from deskhand_agents.regions import countries_in
from deskhand_agents.sentences import content_words
from deskhand_memory.units import Unit, cells_of, cut_units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_EVIDENCE = 0.74
"""What an article needs to answer: the score of its best passage, and a little for each word of the ticket in it.

Chosen on 184 answerable development tickets and 25 questions that no article answers (2 get one).
"""

RECORD_WORTH = 0.15
"""What is taken off that for a ticket that names a record of ours: it is hardly ever about what we do not do.

Of 184 answerable development tickets 8 go without an answer so, and 17 without it; of 25 more unanswerable questions
2 get one and not 1.
"""

WORD_WORTH = 0.07
MAX_SHARED_WORDS = 6

MIN_COSINE = 0.25
"""Least cosine of question and unit: an article may answer one question of a ticket and not the other."""

OWN_SHARE = 0.2
TICKET_SHARE = 0.1
"""How a unit is scored: its cosines to the question and to the ticket; the rest is its passage's score."""

OWN_WEIGHT, TICKET_WEIGHT, ARTICLE_WEIGHT, WORD_WEIGHT, PRECEDENT_WEIGHT = 1.0, 3.0, 5.0, 0.5, 0.5
"""What a block is worth, in log-odds that it belongs to the answer: for each point of its best cosine to the question
and to the ticket and of its article's score, for each word of the ticket in it, and for the precedents of its article.

Fitted by logistic regression on one half of 185 development tickets and checked on the other; the optimum is flat.
"""

NEAR_BEST = 3.0
"""How far below a question's best block, in log-odds, one may be, with and without its length."""

MAX_PASSAGES = 12
MAX_TICKET_CHARS = 300
"""How much of the ticket stands beside each question; alone, "was there an e-mail?" is near anything about e-mail."""

_NAMED_ROW = 0.15


@dataclass(frozen=True)
class Match:
    """A question and the blocks that answer it, best first; empty when none is near enough."""

    question: Question
    blocks: tuple[Block, ...]
    similarity: float


@dataclass(frozen=True)
class _Scores:
    """For every question and for the ticket as a whole the cosines to every unit; a row each, the ticket's last."""

    rows: Sequence[Sequence[float]]

    def of(self, question: int, unit: int, passage: Passage) -> float:
        """Return what a unit is worth for a question: its cosines to it and to the ticket, and its passage's score."""
        own = OWN_SHARE * self.rows[question][unit] + TICKET_SHARE * self.rows[-1][unit]
        return own + (1 - OWN_SHARE - TICKET_SHARE) * passage.score


@dataclass(frozen=True)
class _Candidates:
    """The units of the best passages, in one list. ``precedents`` are log-odds by article."""

    passages: Sequence[Passage]
    precedents: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def units(self) -> list[tuple[Passage, Unit]]:
        return [(passage, unit) for passage in self.passages for unit in cut_units(passage.text, passage.header)]

    @cached_property
    def articles(self) -> dict[str, float]:
        """What each article is worth: its best passage, and its precedents."""
        worth: dict[str, float] = {}
        for passage in self.passages:
            own = ARTICLE_WEIGHT * passage.score + PRECEDENT_WEIGHT * self.precedents.get(passage.source_id, 0.0)
            worth[passage.source_id] = max(own, worth.get(passage.source_id, own))
        return worth

    @property
    def texts(self) -> list[str]:
        return [unit.embed_text(passage.title) for passage, unit in self.units]


async def match_questions(
    questions: Sequence[Question],
    ticket: str,
    passages: Sequence[Passage],
    encoder: Encoder,
    ctx: RunContext,
    customer: Customer = Customer(),  # noqa: B008 - frozen
    precedents: Mapping[str, float] = MappingProxyType({}),
) -> list[Match]:
    """Return for each question the blocks that answer it, as far as they hold for ``customer``.

    ``precedents`` says in log-odds how usual each article is for tickets of this category.

    What is compared goes through the recorder, so that a replay needs no encoder.
    """
    ticket = ticket[:MAX_TICKET_CHARS]
    candidates = _Candidates(passages[:MAX_PASSAGES], precedents)
    if not candidates.units or not questions:
        return [Match(question, (), 0.0) for question in questions]
    asked = [*(question.query for question in questions), ticket]
    scores = _Scores(await _compare(asked, candidates, encoder, ctx))
    held = _held_blocks(candidates, customer)
    words = frozenset().union(*(content_words(text) for text in asked))

    def match(question: Question, row: int) -> Match:
        # Of several questions each must be answered by what it says itself.
        own = content_words(question.query) if len(questions) > 1 and row < len(questions) else words
        return _match(
            question, _blocks(candidates, held, scores, row, words), _proven(own, candidates.passages, customer)
        )

    matches = [match(question, n) for n, question in enumerate(questions)]
    if not any(found.blocks for found in matches):
        # "Is that my fault then?" is near nothing; the ticket as a whole may be.
        matches[0] = match(questions[0], len(questions))
    return matches


async def _compare(asked: list[str], candidates: _Candidates, encoder: Encoder, ctx: RunContext) -> list[list[float]]:
    """Return the cosine of each text asked and each unit, shape (asked, units)."""
    texts = candidates.texts
    request: Json = {
        "strategy": "quote",
        "encoder": encoder.name,
        "asked": [*asked],
        "passages": [passage.id for passage in candidates.passages],
        "units": content_hash([*texts]),
    }

    async def perform() -> Json:
        return await asyncio.to_thread(_cosines, encoder, asked, texts)

    return cast("list[list[float]]", await ctx.call(CallKind.model, request, perform))


def _cosines(encoder: Encoder, asked: list[str], texts: list[str]) -> Json:
    matrix: NDArray[np.float32] = encoder.encode(asked) @ encoder.encode(texts).T
    return [[round(float(cosine), 4) for cosine in row] for row in matrix]


def _held_blocks(candidates: _Candidates, customer: Customer) -> list[list[int]]:
    """Return the places of the units that hold for the customer, block by block."""
    grouped: dict[tuple[str, int], list[int]] = {}
    for i, (passage, unit) in enumerate(candidates.units):
        grouped.setdefault((passage.id, unit.block), []).append(i)
    blocks = []
    for members in grouped.values():
        held = _for_customer([candidates.units[i][1] for i in members], customer)
        blocks.append([i for i in members if candidates.units[i][1] in held])
    return [block for block in blocks if block]


def _blocks(
    candidates: _Candidates, held: Sequence[Sequence[int]], scores: _Scores, question: int, words: frozenset[str]
) -> list[Block]:
    """Return the blocks at the places ``held``, with their scores for one question."""
    blocks = []
    for members in held:
        passage = candidates.units[members[0]][0]
        units = tuple(candidates.units[i][1] for i in members)
        own = tuple(
            scores.of(question, i, passage) + _row_bonus(unit, words) for i, unit in zip(members, units, strict=True)
        )
        cosine = max(scores.rows[question][i] for i in members)
        worth = (
            candidates.articles[passage.source_id]
            + OWN_WEIGHT * cosine
            + TICKET_WEIGHT * max(scores.rows[-1][i] for i in members)
            + WORD_WEIGHT * _n_shared(units, words)
        )
        blocks.append(Block(passage, units, own, cosine, worth))
    return sorted(blocks, key=lambda block: (-block.worth, block.place))


def _for_customer(units: Sequence[Unit], customer: Customer) -> list[Unit]:
    """Leave out what holds for others; of a table's rows, keep those that name the customer's country if any does."""
    held = [unit for unit in units if customer.is_concerned(_first(unit) if unit.kind == "row" else unit.text)]
    own = [unit for unit in held if unit.kind == "row" and countries_in(_first(unit)) & customer.countries]
    fewest = min((len(countries_in(_first(unit))) for unit in own), default=0)
    return [u for u in held if u not in own or len(countries_in(_first(u))) == fewest] if customer.countries else held


def _first(row: Unit) -> str:
    return cells_of(row.text)[0]


def _row_bonus(unit: Unit, words: frozenset[str]) -> float:
    """A row whose first cell the ticket names: a code, a variety, a plan."""
    return _NAMED_ROW if unit.kind == "row" and words & content_words(_first(unit)) else 0.0


def _n_shared(units: Iterable[Unit], words: frozenset[str]) -> int:
    """Return how many words ticket and block share, at most six."""
    known = frozenset().union(*(content_words(f"{unit.lead} {unit.text}") for unit in units))
    return min(MAX_SHARED_WORDS, len(words & known))


def _match(question: Question, blocks: Sequence[Block], proven: frozenset[str]) -> Match:
    near = [block for block in blocks if block.worth >= blocks[0].worth - NEAR_BEST]
    least = max((block.value for block in near), default=0.0) - NEAR_BEST
    near = sorted((b for b in near if b.value >= least), key=lambda block: (-block.value, block.place))
    is_answered = any(block.passage.source_id in proven and block.cosine >= MIN_COSINE for block in blocks)
    best = max((block.score for block in blocks), default=0.0)
    return Match(question, tuple(near) if is_answered else (), round(max(0.0, best), 4))


def _proven(words: frozenset[str], passages: Sequence[Passage], customer: Customer) -> frozenset[str]:
    """Return the articles that are near enough to answer something of the ticket, which has these words."""
    found: dict[str, list[Passage]] = {}
    for passage in passages:
        found.setdefault(passage.source_id, []).append(passage)
    needed = MIN_EVIDENCE - (RECORD_WORTH if customer.names_record else 0.0)
    return frozenset(article for article, own in found.items() if _evidence(words, own) >= needed)


def _evidence(words: frozenset[str], passages: Sequence[Passage]) -> float:
    known = content_words(" ".join(f"{passage.title} {passage.text}" for passage in passages))
    n_shared = min(MAX_SHARED_WORDS, len(words & known))
    return max(passage.score for passage in passages) + WORD_WORTH * n_shared
