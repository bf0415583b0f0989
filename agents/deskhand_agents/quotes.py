"""Finding the sentences of knowledge that answer a question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from deskhand.answers import Passage
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.recorder import CallKind
from deskhand.schema import Json
from deskhand_agents.questions import Question
from deskhand_agents.sentences import content_words, split_sentences

MIN_SIMILARITY = 0.5
"""Cosine of a question and a unit of knowledge from which the unit is quoted."""

MAX_CANDIDATES = 10
"""Units that are encoded per ticket: about 4 ms of CPU each."""

MAX_UNIT_CHARS = 240
"""How much of a unit is compared: a list's lead and its first items say what it is about."""

MAX_PER_QUESTION = 2
_NEAR_BEST = 0.08
_SURE = 0.65
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
    questions: Sequence[Question], passages: Sequence[Passage], encoder: Encoder, ctx: RunContext
) -> list[Match]:
    """Return for each question the units that answer it. One batch is encoded, through the recorder."""
    units = _candidates(questions, passages)
    if not units or not questions:
        return [Match(question, (), 0.0) for question in questions]
    texts = [
        *(question.query for question in questions),
        *(f"{unit.passage.title}: {unit.text}"[:MAX_UNIT_CHARS] for unit in units),
    ]
    request: Json = {"strategy": "quote", "encoder": encoder.name, "n_questions": len(questions), "texts": [*texts]}

    async def perform() -> Json:
        return await asyncio.to_thread(_similarities, encoder, texts, len(questions))

    rows = cast("list[list[float]]", await ctx.call(CallKind.model, request, perform))
    return [_match(question, units, row) for question, row in zip(questions, rows, strict=True)]


def _similarities(encoder: Encoder, texts: list[str], n_questions: int) -> Json:
    vectors = encoder.encode(texts)
    return [[round(float(score), 4) for score in row] for row in vectors[:n_questions] @ vectors[n_questions:].T]


def _candidates(questions: Sequence[Question], passages: Sequence[Passage]) -> list[Unit]:
    """The units worth encoding: those that share most words with a question, and the first of the best passages."""
    words = frozenset().union(*(content_words(question.query) for question in questions))
    units = [unit for passage in passages for unit in split_units(passage)]

    def worth(unit: Unit) -> float:
        own = content_words(f"{unit.passage.title} {unit.text}")
        return float(len(words & own) / (3 + len(own)) ** 0.5 + 2 * unit.passage.score)

    ranked = sorted(range(len(units)), key=lambda i: (-worth(units[i]), i))
    return [units[i] for i in sorted(ranked[:MAX_CANDIDATES])]


def _match(question: Question, units: Sequence[Unit], scores: Sequence[float]) -> Match:
    order = sorted(range(len(units)), key=lambda i: (-scores[i], i))
    order = [i for i in order if scores[i] >= MIN_SIMILARITY and _is_about(question, units[i], scores[i])]
    if not order:
        return Match(question, (), max(scores))
    best = scores[order[0]]
    chosen = [i for i in order[:MAX_PER_QUESTION] if scores[i] >= best - _NEAR_BEST]
    return Match(question, tuple(units[i] for i in chosen), best)


def _is_about(question: Question, unit: Unit, score: float) -> bool:
    """Tell whether question and unit share words: a title alone can make all units of an article look near."""
    shared = content_words(question.query) & content_words(unit.text)
    return len(shared) >= (1 if score >= _SURE else 2)


def plain(line: str) -> str:
    """Return a line of Markdown as it stands in a reply: without marks of emphasis and list signs."""
    return _MARKS.sub("", _LIST_ITEM.sub("", line)).strip()


def quote_of(line: str) -> str:
    """Return the part of a line that is quoted: without its list sign, marks kept, word for word."""
    return _LIST_ITEM.sub("", line).strip()
