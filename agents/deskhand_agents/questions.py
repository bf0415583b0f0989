"""What a customer wants to know: a ticket cut into its questions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deskhand.fencing import fold
from deskhand.tickets import Role
from deskhand.view import TicketView
from deskhand_agents.injection import neutral_view
from deskhand_agents.sentences import body_sentences, content_words, nameless

MAX_QUESTIONS = 4
MAX_QUERY_CHARS = 300

_ASKS = re.compile(
    r"^(?:(?:and|but|also|so|or|then|hi|hello|oh|a\)|b\)|c\)|d\)|\d\)|first|second|secondly"
    r"|finally|please|thanks)[,:]?\s+)*"
    r"(?:how|what|when|where|which|who|why|can|could|do|does|did|is|are|was|were|will|would|should"
    r"|may|has|have|shall|am i|any news)\b"
)
_WANTS = re.compile(
    r"\b(?:i(?:'d| would)? (?:like|want|need|wish) (?:to|an?|the|my)|please (?:send|tell|cancel"
    r"|refund|change|confirm|let me know|help|take|stop|delete"
    r"|replace|check|explain)|let me know (?:if|whether|how|what|when)|i(?:'m| am) (?:wondering"
    r"|asking|trying to|looking for)|wondering (?:if|whether|how)"
    r"|tell me|i do ?n[o']t (?:know|understand) (?:how|what|why|if|whether))\b"
)
_CHATTER = re.compile(
    r"^(?:how are you|what i did|when i (?:was|did|had)|attention\b|if it was|hope (?:you|this)"
    r"|can you help(?: me)?\??$|could you help(?: me)?\??$"
    r"|right\?$|ok\?$|really\?$|any idea\w*\?$)"
)


@dataclass(frozen=True)
class Question:
    """One thing asked. ``text`` is the customer's sentence; ``query`` adds what is needed to understand it alone."""

    text: str
    query: str


def find_questions(view: TicketView) -> tuple[Question, ...]:
    """Return what is asked since our last answer, at most four; the problem itself when nothing is asked outright.

    Injected text is left out. Empty when the customer wrote nothing.
    """
    calm = neutral_view(view)
    sentences = [sentence for text in _open_messages(calm) for sentence in body_sentences(text)]
    asked = [i for i, sentence in enumerate(sentences) if is_question(sentence)]
    if not asked:
        return _problem(calm.subject, list(dict.fromkeys([*_opening(calm)[:3], *sentences])))
    return tuple(_question(calm.subject, sentences, i) for i in asked[:MAX_QUESTIONS])


def search_queries(view: TicketView) -> tuple[str, ...]:
    """Return what to look up in knowledge: each question, and the ticket's opening, where its topic is named."""
    calm = neutral_view(view)
    topic = _query([part for part in (calm.subject, *_opening(calm)[:4]) if part])
    queries = [question.query for question in find_questions(view)]
    return tuple(dict.fromkeys(query for query in (*queries, topic) if query))


def is_question(sentence: str) -> bool:
    """Tell whether a sentence asks or requests something (English; elsewhere the question mark decides)."""
    folded = fold(sentence)
    if _CHATTER.match(folded):
        return False
    return (
        sentence.rstrip(" \"')").endswith(("?", "\uff1f"))
        or bool(_ASKS.match(folded) and len(folded.split()) > 3 and folded[-1:] != "!")
        or bool(_WANTS.search(folded))
    )


def _opening(view: TicketView) -> list[str]:
    """The sentences of the customer's first message, where the topic is named."""
    first = next((turn.text for turn in view.turns if turn.role is Role.customer and turn.text), "")
    return body_sentences(first)


def _open_messages(view: TicketView) -> list[str]:
    """The customer's messages since a person of ours wrote."""
    texts: list[str] = []
    for turn in view.turns:
        if turn.role is Role.agent:
            texts = []
        elif turn.role is Role.customer and turn.text:
            texts.append(turn.text)
    return texts or [view.last_customer_text]


def _problem(subject: str, sentences: list[str]) -> tuple[Question, ...]:
    parts = [part for part in (subject, *sentences[:5]) if part.strip()]
    if not parts:
        return ()
    return (Question(sentences[0] if sentences else subject, _query(parts)),)


def _question(subject: str, sentences: list[str], i: int) -> Question:
    """Give a short question its subject and the sentence before it, or it would mean nothing alone."""
    text = sentences[i]
    parts = [text]
    if len(content_words(text)) < 6:
        parts = [*sentences[max(0, i - 1) : i], text]
    if len(content_words(" ".join(parts))) < 8 and subject:
        parts = [subject, *parts]
    return Question(text, _query(parts))


def _query(parts: list[str]) -> str:
    return nameless(" ".join(parts))[:MAX_QUERY_CHARS]
