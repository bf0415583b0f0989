"""Summaries of a thread in its own words: the strategy ``extractive``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deskhand.answers import Answer, Summary
from deskhand.context import RunContext
from deskhand.fencing import fold
from deskhand.tickets import Role
from deskhand.view import TicketView, Turn
from deskhand_agents.entities import find_entities
from deskhand_agents.injection import neutral_view
from deskhand_agents.questions import is_question
from deskhand_agents.sentences import body_sentences, content_words, count_words

MAX_WORDS = 120

_TRIED = re.compile(
    r"\b(?:i(?:'ve| have)? (?:already |also )?(?:tried|checked|restarted|reset|cleaned|replaced"
    r"|updated|reinstalled|contacted|called|sent|returned|unplugged|changed)"
    r"|we(?:'ve| have)? (?:sent|replaced|refunded|checked|asked|issued|cancelled|booked|shipped)"
    r"|(?:did|does) not help|did ?n.t (?:help|work)|still (?:shows|the same|no|not|broken))\b"
)
_CORE = re.compile(
    r"\b(?:not|n't|never|no longer|broken|missing|wrong|damaged|cracked|late|lost|error|refund"
    r"|return|cancel|charged|invoice|arrived|ordered|want|need|would like)\b"
)
_NAMES = {Role.customer: "Customer", Role.agent: "We", Role.bot: "Bot"}


@dataclass(frozen=True)
class SummaryTask:
    """A thread to summarise; ``language`` is the customer's."""

    view: TicketView
    language: str | None = None


@dataclass(frozen=True)
class _Pick:
    turn: int
    place: int
    text: str
    score: float


class ExtractiveSummary:
    """Picks whole sentences of the thread, at most 120 words with their labels; it adds nothing of its own but labels.

    First comes what the customer wants, then what was said and tried by turn, last what is still open.
    """

    name = "extractive"

    async def __call__(self, task: SummaryTask, ctx: RunContext) -> Answer[Summary]:
        """Return the summary; no value when there is nothing to summarise."""
        calm = neutral_view(task.view)
        turns = [turn for turn in calm.turns if turn.role in _NAMES and turn.text]
        picks = [pick for number, turn in enumerate(turns) for pick in _rate(number, turn, turns)]
        chosen = _choose(picks, turns)
        if not chosen:
            return Answer(value=None, confidence=0.0, strategy=self.name)
        text = _render(chosen, turns)
        return Answer(Summary(text=text, method="extractive", language=task.language), 1.0, self.name)


def _rate(number: int, turn: Turn, turns: list[Turn]) -> list[_Pick]:
    sentences = body_sentences(turn.text)
    is_newest = not any(later.role is Role.customer for later in turns[number + 1 :])
    is_edge = number == 0 or is_newest
    return [
        _Pick(number, place, text, _score(text, place, turn.role, is_edge=is_edge, is_newest=is_newest))
        for place, text in enumerate(sentences)
    ]


def _score(text: str, place: int, role: Role, *, is_edge: bool, is_newest: bool) -> float:
    folded = fold(text)
    score = 1.0 / (1 + place)
    score += 1.0 if is_question(text) and role is Role.customer else 0.0
    score += 0.8 if _TRIED.search(folded) else 0.0
    score += 0.6 if _CORE.search(folded) else 0.0
    score += 0.4 * min(3, len(find_entities(text)))
    score += 1.0 if is_edge and role is Role.customer else 0.0
    score += 0.5 if is_newest and role is Role.customer else 0.0
    score -= 2.0 if len(content_words(text)) < 2 else 0.0
    score -= 0.6 if role is Role.bot else 0.0
    return score - max(0, count_words(text) - 35) * 0.05


def _choose(picks: list[_Pick], turns: list[Turn]) -> list[_Pick]:
    """Take the best sentences that fit; the opening and the newest customer message always have one each."""
    ranked = sorted(picks, key=lambda pick: (-pick.score, pick.turn, pick.place))
    customer = [number for number, turn in enumerate(turns) if turn.role is Role.customer]
    first = [
        next((pick for pick in ranked if pick.turn == number), None)
        for number in dict.fromkeys((*customer[:1], *customer[-1:]))
    ]
    order = list(dict.fromkeys([pick for pick in first if pick] + [pick for pick in ranked if pick.score > 0.5]))
    chosen: list[_Pick] = []
    for pick in order:
        candidate = sorted([*chosen, pick], key=lambda p: (p.turn, p.place))
        if count_words(_render(candidate, turns)) <= MAX_WORDS:
            chosen = candidate
        elif not chosen:
            return [_Pick(pick.turn, pick.place, _shorten(pick.text), pick.score)]
    return chosen


def _shorten(text: str) -> str:
    return " ".join(text.split()[: MAX_WORDS - 5]) + " …"


def _render(chosen: list[_Pick], turns: list[Turn]) -> str:
    lines = []
    last_customer = max((n for n, turn in enumerate(turns) if turn.role is Role.customer), default=-1)
    for number in dict.fromkeys(pick.turn for pick in chosen):
        role = turns[number].role
        label = "Open" if number == last_customer and number > 0 else _NAMES[role]
        lines.append(f"{label}: {' '.join(pick.text for pick in chosen if pick.turn == number)}")
    return "\n".join(lines)
