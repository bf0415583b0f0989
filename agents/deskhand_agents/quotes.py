"""Finding the sentences of knowledge that answer a question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from deskhand.answers import Passage
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand_agents.questions import Question
from deskhand_agents.sentences import content_words, split_sentences

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SIMILARITY = 0.45
"""Mean of a unit's cosines to the question and to the whole ticket from which it is quoted."""

MAX_TICKET_CHARS = 300
"""How much of the ticket stands beside each question; alone, "was there an e-mail?" is near anything about e-mail."""

MAX_CANDIDATES = 10
"""Units that are encoded per ticket: about 4 ms of CPU each."""

MAX_UNIT_CHARS = 200
"""How much of a unit is compared: a list's lead and its first items say what it is about."""

MAX_PER_QUESTION = 2
_NEAR_BEST = 0.08
_BATCH = 4
_MAX_UNIT_LINES = 10
_LIST_ITEM = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+(?=\S)")
_NUMBERED = re.compile(r"^\s*\d{1,2}[.)]\s")
_SKIPPED = re.compile(r"^\s*(?:\||#|\[\^|!\[|```|<)")
_LEANS_BACK = re.compile(
    r"^(?:it|its|this|that|these|those|they|their|then|otherwise|if so|if not|after that|there"
    r"|in that case|such|both)\b",
    re.I,
)
_MARKS = re.compile(r"\*\*|__|`")


@dataclass(frozen=True)
class Unit:
    """What is quoted as one: a sentence, or a list with the line that leads to it, as they stand in the passage."""

    passage: Passage
    lines: tuple[str, ...]
    is_numbered: bool = False

    @property
    def text(self) -> str:
        """The lines as one text, for comparing."""
        return " ".join(self.lines)


@dataclass(frozen=True)
class Match:
    """A question and the units that answer it, best first; empty when none is near enough."""

    question: Question
    units: tuple[Unit, ...]
    similarity: float


def split_units(passage: Passage) -> list[Unit]:
    """Return what can be quoted of a passage; tables, headings and pictures cannot."""
    units: list[Unit] = []
    for block in re.split(r"\n\s*\n", passage.text):
        lines = [line for line in block.split("\n") if line.strip() and not _SKIPPED.match(line)]
        items = [line for line in lines if _LIST_ITEM.match(line)]
        if items:
            units.append(_list_unit(passage, lines, units))
        else:
            units += _sentence_units(passage, lines)
    return [unit for unit in units if len(content_words(unit.text)) > 1]


def _list_unit(passage: Passage, lines: list[str], before: list[Unit]) -> Unit:
    """A list, led by the line that ends with a colon, be it in its block or the sentence before."""
    joined: list[str] = []
    for line in lines:
        if joined and not _LIST_ITEM.match(line) and _LIST_ITEM.match(joined[-1]):
            joined[-1] = f"{joined[-1]} {line.strip()}"
        else:
            joined.append(line.strip())
    if before and before[-1].lines[-1].rstrip("*_ ").endswith(":") and before[-1].passage is passage:
        joined.insert(0, before.pop().lines[-1])
    return Unit(passage, tuple(joined[:_MAX_UNIT_LINES]), any(_NUMBERED.match(line) for line in joined))


def _sentence_units(passage: Passage, lines: list[str]) -> list[Unit]:
    """Each sentence with the one before it where it leans on that: "It ...", "Otherwise ..."."""
    sentences = split_sentences(" ".join(line.strip() for line in lines))
    units = []
    for i, sentence in enumerate(sentences):
        start = i - 1 if i and _LEANS_BACK.match(_MARKS.sub("", sentence)) else i
        units.append(Unit(passage, tuple(sentences[start : i + 1])))
    return units


async def match_questions(
    questions: Sequence[Question], ticket: str, passages: Sequence[Passage], encoder: Encoder, ctx: RunContext
) -> list[Match]:
    """Return for each question the units that answer it. One batch is encoded, through the recorder."""
    ticket = ticket[:MAX_TICKET_CHARS]
    words = frozenset().union(content_words(ticket), *(content_words(question.query) for question in questions))
    units = _candidates(words, passages)
    if not units or not questions:
        return [Match(question, (), 0.0) for question in questions]
    asked = [*(question.query for question in questions), ticket]
    texts = [
        *asked,
        *(f"{unit.passage.title}: {unit.text}"[:MAX_UNIT_CHARS] for unit in units),
    ]
    request: Json = {"strategy": "quote", "encoder": encoder.name, "n_questions": len(asked), "texts": [*texts]}

    async def perform() -> Json:
        return await asyncio.to_thread(_similarities, encoder, texts, len(asked))

    rows = cast("list[list[float]]", await ctx.call(CallKind.model, request, perform))
    return [_match(q, units, row, rows[-1], words) for q, row in zip(questions, rows[:-1], strict=True)]


def _similarities(encoder: Encoder, texts: list[str], n_questions: int) -> Json:
    vectors = _encode_by_length(encoder, texts)
    return [[round(float(score), 4) for score in row] for row in vectors[:n_questions] @ vectors[n_questions:].T]


def _encode_by_length(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    """Encode in small batches of like length: a batch is padded to its longest text, which doubled the cost."""
    import numpy as np

    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors = np.empty((len(texts), encoder.dim), np.float32)
    for start in range(0, len(order), _BATCH):
        batch = order[start : start + _BATCH]
        vectors[batch] = encoder.encode([texts[i] for i in batch])
    return vectors


def _candidates(words: frozenset[str], passages: Sequence[Passage]) -> list[Unit]:
    """The units worth encoding: those that share most words with the ticket, of the best passages."""
    units = [unit for passage in passages for unit in split_units(passage)]

    def worth(unit: Unit) -> float:
        own = content_words(f"{unit.passage.title} {unit.text}")
        return float(len(words & own) / (3 + len(own)) ** 0.5 + 2 * unit.passage.score)

    ranked = sorted(range(len(units)), key=lambda i: (-worth(units[i]), i))
    return [units[i] for i in sorted(ranked[:MAX_CANDIDATES])]


def _match(
    question: Question, units: Sequence[Unit], own: Sequence[float], ticket: Sequence[float], words: frozenset[str]
) -> Match:
    scores = [round((first + second) / 2, 4) for first, second in zip(own, ticket, strict=True)]
    order = [i for i in range(len(units)) if scores[i] >= MIN_SIMILARITY and _shares_words(units[i], words)]
    order.sort(key=lambda i: (-scores[i], i))
    if not order:
        return Match(question, (), max(0.0, *scores))
    best = scores[order[0]]
    chosen = [i for i in order[:MAX_PER_QUESTION] if scores[i] >= best - _NEAR_BEST]
    return Match(question, tuple(units[i] for i in chosen), best)


def _shares_words(unit: Unit, words: frozenset[str]) -> bool:
    """Tell whether ticket and unit share two words: a title alone makes all units of an article look near."""
    return len(words & content_words(unit.text)) >= 2


def plain(line: str) -> str:
    """Return a line of Markdown as it stands in a reply: without marks of emphasis and list signs."""
    return _MARKS.sub("", _LIST_ITEM.sub("", line)).strip()


def quote_of(line: str) -> str:
    """Return the part of a line that is quoted: without its list sign, marks kept, word for word."""
    return _LIST_ITEM.sub("", line).strip()
