"""What every triage strategy shares: its task, the text it reads, and the parts of a Triage that rules decide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from deskhand.answers import Answer, Reason, Triage
from deskhand.config import Taxonomy
from deskhand.interfaces import Encoder
from deskhand.tickets import Priority, Role
from deskhand.view import TicketView
from deskhand_agents.injection import neutral_view
from deskhand_agents.reasons import reason
from deskhand_agents.sentences import body_sentences, nameless
from deskhand_agents.urgency import judge_priority, judge_sentiment

MAX_CHARS = 1_000
"""Longest text that is classified; encoders of this size read about 128 tokens."""

NOT_MAIL = ("spam", "bounce", "auto_reply")
"""Flags of the screening on what is about nothing that a category stands for, and needs no reply."""

_PREFIX = re.compile(r"^(?:\s*(?:re|fwd?|aw|wg|tr|antw)\s*:\s*)+", re.IGNORECASE)


@dataclass(frozen=True)
class TriageTask:
    """A ticket to classify; ``language`` is that of its text, None when undetermined."""

    view: TicketView
    flags: tuple[str, ...] = ()
    language: str | None = None


def classified_text(view: TicketView) -> str:
    """Return what decides the category: subject, opening message and newest message, without courtesies."""
    calm = neutral_view(view)
    bodies = [" ".join(body_sentences(turn.text)) for turn in calm.turns if turn.role is Role.customer and turn.text]
    parts = [_PREFIX.sub("", calm.subject), *bodies[:1], *bodies[1:][-1:]]
    return nameless("\n".join(dict.fromkeys(part for part in parts if part.strip())))[:MAX_CHARS]


def plain_text(text: str) -> str:
    """Return the same of one masked message alone; all of it when there are only courtesies."""
    return nameless(" ".join(body_sentences(text)) or text)[:MAX_CHARS]


def build_triage(
    task: TriageTask,
    taxonomy: Taxonomy,
    category: str | None,
    *,
    confidence: float = 0.0,
    is_certified: bool = False,
    usual_priority: Priority = Priority.normal,
) -> Triage:
    """Return a full Triage around a category; priority, sentiment and team follow from rules and the taxonomy."""
    text = neutral_view(task.view).customer_text
    return Triage(
        category=category,
        priority=judge_priority(text, default=usual_priority, flags=task.flags),
        sentiment=judge_sentiment(text),
        language=task.language,
        team=taxonomy.team_of(category),
        flags=task.flags,
        confidence=confidence,
        certified=is_certified,
    )


def knows_language(encoder: Encoder, language: str | None) -> bool:
    """Tell whether the encoder understands the language; an undetermined one gets the benefit of the doubt."""
    return language is None or language in encoder.languages


def decline(task: TriageTask, taxonomy: Taxonomy, name: str, why: Sequence[Reason]) -> Answer[Triage]:
    """Return an answer without a category that asks for a person."""
    return Answer(
        value=build_triage(task, taxonomy, None),
        confidence=0.0,
        strategy=name,
        needs_human=True,
        reasons=tuple(why),
    )


def unsupported(task: TriageTask, taxonomy: Taxonomy, name: str) -> Answer[Triage]:
    """Return the answer to a ticket in a language that the encoder does not know."""
    return decline(task, taxonomy, name, [reason("unsupported_language", task.language or "")])
