"""Replies made of quotes from knowledge and facts from records: the strategy ``quote``. It never says more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from deskhand.answers import Answer, Citation, Draft, Evidence, Finding, Passage, Reason, Triage
from deskhand.config import Brand
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.view import TicketView
from deskhand_agents import replies
from deskhand_agents.entities import EntityKind
from deskhand_agents.injection import neutral_view
from deskhand_agents.questions import find_questions
from deskhand_agents.quotes import Match, Unit, match_questions, plain, quote_of
from deskhand_agents.reasons import reason
from deskhand_agents.resolver import named_records, topic_of
from deskhand_agents.triage import classified_text, knows_language

MAX_UNITS = 6
MAX_QUESTION_CHARS = 160


@dataclass(frozen=True)
class DraftTask:
    """What a reply is written from. Passages must be fit for the customer's eyes; search with audience "public"."""

    view: TicketView
    passages: tuple[Passage, ...] = ()
    findings: tuple[Finding, ...] = ()
    triage: Triage | None = None
    not_found: tuple[str, ...] = ()
    language: str | None = None


@dataclass
class _Reply:
    """A reply in the making."""

    paragraphs: list[str] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    quoted: set[tuple[str, str]] = field(default_factory=set)
    reasons: list[Reason] = field(default_factory=list)


class QuoteDraft:
    """Answers each question with sentences of the passages, word for word, and states what our records say.

    Where nothing answers, it says so and asks for a person.
    """

    name = "quote"

    def __init__(self, brand: Brand, encoder: Encoder) -> None:
        self._brand, self._encoder = brand, encoder

    async def __call__(self, task: DraftTask, ctx: RunContext) -> Answer[Draft]:
        """Return the draft; confidence is the mean similarity of what answers times the share answered."""
        language = task.language or "en"
        if not knows_language(self._encoder, task.language) or language not in replies.LANGUAGES:
            why = reason("unsupported_language", language)
            return Answer(None, 0.0, self.name, needs_human=True, reasons=(why,))
        questions = find_questions(task.view)
        matches = await match_questions(questions, classified_text(task.view), task.passages, self._encoder, ctx)
        return self._compose(task, matches, language)

    def _compose(self, task: DraftTask, matches: Sequence[Match], language: str) -> Answer[Draft]:
        reply = _Reply()
        name = neutral_view(task.view).requester_name
        reply.paragraphs += [replies.greet(self._brand, name, language), replies.THANKS]
        _add_records(reply, task)
        answered = [match for match in matches if match.units and _add_units(reply, match.units)]
        _add_open(reply, [match for match in matches if match not in answered], has_answers=bool(answered))
        _add_request(reply, task)
        reply.paragraphs += [part for part in (replies.NEXT_STEP, self._brand.signature or self._brand.name) if part]
        draft = Draft(text="\n\n".join(reply.paragraphs), citations=tuple(reply.citations), language=language)
        codes = {found.code for found in reply.reasons}
        return Answer(
            value=draft,
            confidence=_confidence(matches, answered),
            strategy=self.name,
            evidence=_evidence(answered),
            needs_human=bool(codes & {"no_knowledge", "partly_answered"}),
            reasons=tuple(reply.reasons),
        )


def _confidence(matches: Sequence[Match], answered: Sequence[Match]) -> float:
    if not answered:
        return 0.0
    mean = sum(match.similarity for match in answered) / len(answered)
    return round(min(1.0, max(0.0, mean)) * len(answered) / len(matches), 4)


def _evidence(answered: Sequence[Match]) -> tuple[Evidence, ...]:
    found: dict[str, Evidence] = {}
    for match in answered:
        for unit in match.units:
            found.setdefault(unit.passage.id, Evidence(
                kind="passage", ref=unit.passage.id, text=unit.text[:200], score=match.similarity
            ))  # fmt: skip
    return tuple(found.values())


def _add_records(reply: _Reply, task: DraftTask) -> None:
    sentences = []
    for finding in task.findings:
        sentence = replies.state_record(finding)
        if sentence:
            sentences.append(sentence)
            where = f"record:{finding.tool}:{finding.subject}"
            reply.citations.append(Citation(sentence=sentence, passage_id=where, quote=finding.subject))
    if sentences:
        reply.paragraphs.append("\n".join(sentences))


def _add_units(reply: _Reply, units: Sequence[Unit]) -> bool:
    """Quote what was not quoted yet; True when the units stand in the reply, new or from before."""
    lines: list[str] = []
    for unit in units:
        if len(reply.quoted) >= MAX_UNITS * 3:
            break
        lines += _quote(reply, unit)
    if lines:
        reply.paragraphs.append("\n".join(lines))
    return bool(lines) or all((u.passage.id, quote_of(line)) in reply.quoted for u in units for line in u.lines)


def _quote(reply: _Reply, unit: Unit) -> list[str]:
    sentences, number = [], 0
    is_list = len(unit.lines) > 1 and any(quote_of(line) != line for line in unit.lines)
    for line in unit.lines:
        quote = quote_of(line)
        if (unit.passage.id, quote) in reply.quoted:
            continue
        reply.quoted.add((unit.passage.id, quote))
        reply.citations.append(Citation(sentence=plain(line), passage_id=unit.passage.id, quote=quote))
        number += quote != line
        sign = "" if quote == line or not is_list else f"{number}. " if unit.is_numbered else "- "
        sentences.append(f"{sign}{plain(line)}")
    return sentences if is_list else [" ".join(sentences)] if sentences else []


def _add_open(reply: _Reply, unanswered: Sequence[Match], *, has_answers: bool) -> None:
    """Say plainly what is not answered."""
    if not has_answers:
        reply.paragraphs.append(f"{replies.HOLDING} {replies.HANDED_ON}")
        best = max((match.similarity for match in unanswered), default=0.0)
        reply.reasons.append(reason("no_knowledge", f"nearest: {best:.2f}"))
        return
    if unanswered:
        asked = [_shown(match.question.text) for match in unanswered]
        lines = [replies.OPEN_QUESTION.format(question=text) for text in dict.fromkeys(asked)]
        reply.paragraphs.append("\n".join([*lines, replies.HANDED_ON]))
        reply.reasons.append(reason("partly_answered", f"{len(unanswered)} open"))


def _shown(question: str) -> str:
    text = re.sub(r"([!?])[!?]+", r"\1", " ".join(question.split()))
    return text if len(text) <= MAX_QUESTION_CHARS else f"{text[: MAX_QUESTION_CHARS - 1].rstrip()}…"


def _add_request(reply: _Reply, task: DraftTask) -> None:
    """Ask for the one thing that is missing, if any."""
    if task.not_found:
        ids = ", ".join(task.not_found)
        reply.paragraphs.append(f"{replies.NOT_FOUND.format(ids=ids)} {replies.ASK_ID}")
        reply.reasons.append(reason("missing_fact", ids))
        return
    topic = topic_of(task.triage.category if task.triage else None)
    if topic is EntityKind.order and not task.findings and not named_records(task.view):
        reply.paragraphs.append(replies.ASK_ORDER)
        reply.reasons.append(reason("missing_fact", "order number"))
