"""Finding the sentences, lists and table rows of knowledge that answer a question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from deskhand.answers import Passage
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.jsonio import content_hash
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand_agents.conditions import Customer
from deskhand_agents.questions import Question
from deskhand_agents.regions import countries_in
from deskhand_agents.sentences import content_words, count_words
from deskhand_memory.units import Unit, cells_of, cut_units

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_EVIDENCE = 0.74
"""What an article needs to answer: the score of its best passage, and a little for each word of the ticket in it.

Chosen on 79 solved tickets (66 keep an answer) and 25 questions that no article answers (2 get one).
"""

WORD_WORTH = 0.07
MAX_SHARED_WORDS = 6

MIN_COSINE = 0.25
"""Least cosine of question and unit: an article may answer one question of a ticket and not the other."""

OWN_SHARE = 0.2
TICKET_SHARE = 0.1
"""How a unit is scored: its cosines to the question and to the ticket; the rest is its passage's score."""

NEAR_BEST = 0.16
"""How far below a question's best block one of another article may be."""

NEAR_BEST_OWN = 0.30
"""The same for the article of the best block: what else it says mostly belongs to the answer."""

MAX_PASSAGES = 12
MAX_TICKET_CHARS = 300
"""How much of the ticket stands beside each question; alone, "was there an e-mail?" is near anything about e-mail."""

MAX_WHOLE_WORDS = {"sentence": 60, "item": 30}
"""Paragraphs and lists up to this length are quoted whole."""

MAX_ROWS = 2
_NEAR_ROW = 0.06
_NEAR_UNIT = 0.12
_NAMED_ROW = 0.15
_LEANS_BACK = re.compile(
    r"^(?:it|its|this|that|these|those|they|their|them|then|otherwise|if so|if not|after that|there|the second|he|she"
    r"|in that case|such|both|until then|later changes)\b",
    re.I,
)
_LIST_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+(?=\S)")
_MARKS = re.compile(r"\*\*|__|`")
_BARE = re.compile(r"[\d.,\s]*")


@dataclass(frozen=True)
class Line:
    """A line of a reply: what it says, and the words of the passage that it rests on."""

    text: str
    quote: str
    sign: str = ""


@dataclass(frozen=True)
class Block:
    """A paragraph, list or table of a passage, as far as it holds for the customer.

    ``scores`` are those of its units; ``cosine`` is the highest of theirs to the question.
    """

    passage: Passage
    units: tuple[Unit, ...]
    scores: tuple[float, ...]
    cosine: float

    @property
    def score(self) -> float:
        """That of its best unit."""
        return max(self.scores)

    @property
    def place(self) -> tuple[str, int]:
        """What tells it from other blocks."""
        return (self.passage.id, self.units[0].block)

    def choose(self) -> tuple[Unit, ...]:
        """Return what is quoted: all of a short block and of numbered steps, else the best with what they need."""
        if self.units[0].kind == "row":
            return self._rows()
        n_words = sum(count_words(unit.text) for unit in self.units)
        if n_words <= MAX_WHOLE_WORDS[self.units[0].kind] or any(unit.number for unit in self.units):
            return self.units
        near = [i for i, score in enumerate(self.scores) if score >= self.score - _NEAR_UNIT]
        needed = {j for i in near for j in self._leaning(i)}
        return tuple(self.units[i] for i in sorted(needed))

    def _leaning(self, i: int) -> list[int]:
        """The unit with those before it that it leans on: "It ...", "Otherwise ..."."""
        start = i
        while start and self.units[i].kind == "sentence" and _LEANS_BACK.match(plain(self.units[start].text)):
            start -= 1
        return list(range(start, i + 1))

    def _rows(self) -> tuple[Unit, ...]:
        order = sorted(range(len(self.units)), key=lambda i: (-self.scores[i], i))
        best = [i for i in order if self.scores[i] >= self.score - _NEAR_ROW][:MAX_ROWS]
        return tuple(self.units[i] for i in sorted(best))


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
    """The units of the best passages, in one list."""

    passages: Sequence[Passage]

    @cached_property
    def units(self) -> list[tuple[Passage, Unit]]:
        return [(passage, unit) for passage in self.passages for unit in cut_units(passage.text, passage.header)]

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
) -> list[Match]:
    """Return for each question the blocks that answer it, as far as they hold for ``customer``.

    What is compared goes through the recorder, so that a replay needs no encoder.
    """
    ticket = ticket[:MAX_TICKET_CHARS]
    candidates = _Candidates(passages[:MAX_PASSAGES])
    if not candidates.units or not questions:
        return [Match(question, (), 0.0) for question in questions]
    asked = [*(question.query for question in questions), ticket]
    scores = _Scores(await _compare(asked, candidates, encoder, ctx))
    words = frozenset().union(*(content_words(text) for text in asked))

    def match(question: Question, row: int) -> Match:
        # Of several questions each must be answered by what it says itself.
        own = content_words(question.query) if len(questions) > 1 and row < len(questions) else words
        return _match(question, _blocks(candidates, scores, row, words, customer), candidates.passages, own)

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


def _blocks(
    candidates: _Candidates, scores: _Scores, question: int, words: frozenset[str], customer: Customer
) -> list[Block]:
    """Return the blocks that hold for the customer, with their scores for one question."""
    grouped: dict[tuple[str, int], list[int]] = {}
    for i, (passage, unit) in enumerate(candidates.units):
        grouped.setdefault((passage.id, unit.block), []).append(i)
    blocks = []
    for members in grouped.values():
        passage = candidates.units[members[0]][0]
        held = _for_customer([candidates.units[i][1] for i in members], customer)
        kept = [
            (unit, i)
            for unit, i in zip([candidates.units[i][1] for i in members], members, strict=True)
            if unit in held
        ]
        if kept and _shares_words(passage, (unit for unit, _ in kept), words):
            worth = tuple(scores.of(question, i, passage) + _row_bonus(unit, words) for unit, i in kept)
            cosine = max(scores.rows[question][i] for _, i in kept)
            blocks.append(Block(passage, tuple(unit for unit, _ in kept), worth, cosine))
    return sorted(blocks, key=lambda block: (-block.score, block.place))


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


def _shares_words(passage: Passage, units: Iterable[Unit], words: frozenset[str]) -> bool:
    """Tell whether ticket and block share two words: a title alone makes all units of an article look near.

    Where an identifier of the ticket found the passage, one is enough.
    """
    known = frozenset().union(*(content_words(f"{unit.lead} {unit.text}") for unit in units))
    return len(words & known) >= (1 if passage.found_by == "lexical" else 2)


def _match(question: Question, blocks: Sequence[Block], passages: Sequence[Passage], words: frozenset[str]) -> Match:
    best = blocks[0].score if blocks else 0.0
    proven = _proven(words, passages)
    near = [block for block in blocks if block.score >= best - _leeway(block, blocks[0])]
    is_answered = any(block.passage.source_id in proven and block.cosine >= MIN_COSINE for block in near)
    return Match(question, tuple(near) if is_answered else (), round(max(0.0, best), 4))


def _leeway(block: Block, best: Block) -> float:
    return NEAR_BEST_OWN if block.passage.source_id == best.passage.source_id else NEAR_BEST


def _proven(words: frozenset[str], passages: Sequence[Passage]) -> frozenset[str]:
    """Return the articles that are near enough to answer something of the ticket, which has these words."""
    found: dict[str, list[Passage]] = {}
    for passage in passages:
        found.setdefault(passage.source_id, []).append(passage)
    return frozenset(article for article, own in found.items() if _evidence(words, own) >= MIN_EVIDENCE)


def _evidence(words: frozenset[str], passages: Sequence[Passage]) -> float:
    known = content_words(" ".join(f"{passage.title} {passage.text}" for passage in passages))
    n_shared = min(MAX_SHARED_WORDS, len(words & known))
    return max(passage.score for passage in passages) + WORD_WORTH * n_shared


def lines_of(units: Sequence[Unit], customer: Customer) -> list[Line]:
    """Return units as lines of a reply, in the customer's terms; a list begins with the line that leads to it."""
    lines: list[Line] = []
    lead = units[0].lead if units[0].kind == "item" else ""
    if lead:
        lines.append(Line(plain(lead), lead))
    for unit in units:
        text = _row_text(unit, customer) if unit.kind == "row" else customer.shorten(plain(unit.text))
        if text:
            lines.append(Line(text, unit.text, _sign(unit)))
    return lines


def _sign(unit: Unit) -> str:
    return f"{unit.number} " if unit.number else "- " if unit.kind == "item" else ""


def _row_text(unit: Unit, customer: Customer) -> str:
    """Return a table row as a sentence: "Shelf: EUR 199, Pods: 9". "" when figures in it have no header."""
    first, *cells = [plain(cell) for cell in unit.text.strip().strip("|").split("|")]
    headers = [plain(cell) for cell in unit.lead.strip().strip("|").split("|")][1:] if unit.lead else []
    if len(headers) != len(cells):
        return "" if any(_BARE.fullmatch(cell) for cell in cells) else f"{first}: {'; '.join(cells)}."
    pairs = [(h, c) for h, c in zip(headers, cells, strict=True) if c and not customer.column_is_for_others(h)]
    return f"{first}: {'; '.join(_cell(header, cell) for header, cell in pairs)}." if pairs else ""


def _cell(header: str, cell: str) -> str:
    is_currency = len(header) == 3 and header.isupper()
    return f"{header} {cell}" if is_currency and cell[:1].isdigit() else f"{header}: {cell}" if header else cell


def plain(text: str) -> str:
    """Return a line of Markdown as it stands in a reply: without marks of emphasis and list signs."""
    return _MARKS.sub("", _LIST_ITEM.sub("", text)).strip()
