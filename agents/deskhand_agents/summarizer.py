"""Summaries of a thread in its own words: the strategy ``extractive``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from deskhand.answers import Answer, Summary
from deskhand.context import RunContext
from deskhand.fencing import fold
from deskhand.tickets import Role
from deskhand.view import TicketView, Turn
from deskhand_agents.injection import neutral_view
from deskhand_agents.questions import is_question
from deskhand_agents.sentences import body_sentences, content_words, count_words

MAX_WORDS = 120

_TRIED = re.compile(
    r"\b(?:i(?:'ve| have)? (?:already |also |even )?(?:tried|checked|restarted|reset|cleaned|replaced|rinsed"
    r"|opened|put"
    r"|swapped|updated|installed|reinstalled|contacted|called|rang|sent|returned|unplugged|changed|cancelled"
    r"|posted|paid)"
    r"|(?:tried|descaled|cleaned|rinsed|unplugged|replaced|updated|installed|reset|restarted|done|moved|checked)\b"
    r"|(?:did|does|do) not help|did ?n.t (?:help|work)|still (?:shows|the same|no|not|broken|nothing)|e07 gone"
    r"|solved)\b"
)
_CORE = re.compile(
    r"\b(?:not|n't|never|no longer|nothing|nobody|without|broken|missing|wrong|damaged|cracked|late|lost|error"
    r"|refund\w*"
    r"|return\w*|cancel\w*|charged|invoice|arrived|delivered|ordered|want|need|would like|prefer|rather|instead"
    r"|must|before"
    r"|until|by|deadline|smoke|burnt|hot|leak\w*|paid|money)\b|n't\b"
)
_OURS = re.compile(
    r"\b(?:sent|send|stopped|cancelled|refunded|issued|booked|ordered|asked|is on its way|will|goes|means|set"
    r"|take|use|please"
    r"|need|could you|can you|do not|don't|by|until|approved|rejected|free|because|there is no|is marked)\b"
)
_PLEASANTRY = re.compile(
    r"^(?:(?:hi|hello|hey|dear|good morning|hiya)\b[^,.!?]{0,30}[,.!]?\s*)?(?:thanks?\b|thank you|sorry|i'm "
    r"sorry|i am sorry"
    r"|apologies|glad|good work|well done|have a|enjoy|hope|that sounds|siento|merci|danke|gracias|bedankt|lovely)"
)
_ADDRESSED = re.compile(
    r"^(?:hi|hello|hey|hiya|dear|good (?:morning|afternoon)) [^\W\d_][\w'-]{1,20}[,:.!]\s+(?=\S)", re.IGNORECASE
)
_ATTACHED = re.compile(r"^(?:\w+ ){0,4}(?:attached|enclosed)\W*$")
_MARK = re.compile(
    r"\b(?:\w*\d[\w.,:/-]*\w|\d)\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:january|february|march"
    r"|april|june|july"
    r"|august|september|october|november|december)\b|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|twice"
    r"|half|first|second|third|last|today|tomorrow|yesterday|tonight|weeks?|months?|days?)\b"
)
_REQUESTED = re.compile(
    r"\bask(?:s|ed|ing)?\b.{0,40}\b(?:if|whether|for|about)\b|\bi(?:'d| would)? (?:prefer|rather|hope)\b"
    r"|\b(?:money back|money please|please (?:no|not)|swap|instead)\b"
)
_FIGURE = re.compile(r"\d")
_LETTERED = re.compile(r"\n(?=[a-h]\) )")
_LISTED = re.compile(r"^(?:[a-h]\)|\d[.)]) ")
_CLAUSE = re.compile(r",? (?:because|since|which|who|so that|although|though|even though|as|but|and) |, | \(")
_NAMES = {Role.customer: "Customer", Role.agent: "We", Role.bot: "Bot"}


@dataclass(frozen=True)
class SummaryTask:
    """A thread to summarise; ``language`` is the customer's."""

    view: TicketView
    language: str | None = None


@dataclass(frozen=True)
class _Pick:
    """A sentence: where it stands, what it is worth by itself, and what it would add."""

    turn: int
    place: int
    text: str
    worth: float
    marks: frozenset[str]
    words: frozenset[str]


class ExtractiveSummary:
    """Picks whole sentences of the thread, at most 120 words with their labels; it adds nothing of its own but labels.

    First comes what the customer wants, then what was said and tried by turn, last what is still open.
    """

    name = "extractive"

    async def __call__(self, task: SummaryTask, ctx: RunContext) -> Answer[Summary]:
        """Return the summary; no value when there is nothing to summarise."""
        calm = neutral_view(task.view)
        turns = [turn for turn in calm.turns if turn.role in _NAMES and turn.text]
        names = fold(calm.requester_name)
        picks = [pick for number, turn in enumerate(turns) for pick in _rate(number, turn, turns, names)]
        chosen = _choose(picks, turns, _subject(calm.subject))
        if not chosen:
            return Answer(value=None, confidence=0.0, strategy=self.name)
        text = _render(chosen, turns)
        return Answer(Summary(text=text, method="extractive", language=task.language), 1.0, self.name)


def _subject(subject: str) -> list[_Pick]:
    """Return the subject where it names something: a number, a code, a day."""
    pick = _Pick(-1, 0, subject, 0.0, _marks(subject), frozenset())
    return [pick] if _FIGURE.search(subject) else []


def _rate(number: int, turn: Turn, turns: list[Turn], names: str) -> list[_Pick]:
    is_newest = not any(later.role is Role.customer for later in turns[number + 1 :])
    is_opening = not any(earlier.role is Role.customer for earlier in turns[:number])
    sentences = [_ADDRESSED.sub("", text) for text in body_sentences(_LETTERED.sub("\n\n", turn.text))]
    kept = [text for place, text in enumerate(sentences) if not (place and _is_signature(text, names))]
    return [
        _Pick(
            number,
            place,
            text,
            _worth(text, place, turn.role, is_newest, is_opening),
            _marks(text),
            content_words(text),
        )
        for place, text in enumerate(kept)
    ]


def _is_signature(text: str, names: str) -> bool:
    """Tell whether a "sentence" is only a name: a few capitalised words, or one with a word of the writer's name."""
    words = text.split()
    if len(words) > 4 or _FIGURE.search(text) or text.rstrip()[-1:] in "?!":
        return False
    has_name = any(word.strip(" .,-") in names.split() for word in fold(text).split())
    return has_name or (len(words) <= 2 and text[-1:].isalpha() and all(word[:1].isupper() for word in words))


def _marks(text: str) -> frozenset[str]:
    return frozenset(match.strip(".,:") for match in _MARK.findall(fold(text)))


def _worth(text: str, place: int, role: Role, is_newest: bool, is_opening: bool) -> float:
    folded = fold(text)
    worth = (1.2 if is_opening and role is Role.customer else 0.5) if place == 0 else 0.2
    worth -= 1.5 if _PLEASANTRY.search(folded) and not _marks(text) else 0.0
    worth -= 0.6 if _ATTACHED.search(folded) else 0.0
    if role is Role.bot:
        return worth - 0.8
    if role is Role.agent:
        return worth + (0.7 if _OURS.search(folded) else 0.0) - (0.2 if is_question(text) else 0.0)
    worth += 0.7 if _TRIED.search(folded) else 0.0
    worth += 0.5 if _CORE.search(folded) else 0.0
    worth += 0.8 if is_newest or is_opening else 0.0
    if is_question(text) or _LISTED.search(text) or _REQUESTED.search(folded):
        worth += 1.8 if is_newest else 0.7
    return worth


def _choose(picks: list[_Pick], turns: list[Turn], subject: list[_Pick]) -> list[_Pick]:
    """Take the sentence that adds most for its words, again and again, until no more fit.

    The opening and the newest customer message have one each first. What is said a second time adds nothing.
    """
    customer = [number for number, turn in enumerate(turns) if turn.role is Role.customer]
    chosen: list[_Pick] = []
    left = [*picks, *subject]
    for number in dict.fromkeys((*customer[:1], *customer[-1:])):
        own = [pick for pick in left if pick.turn == number]
        if own:
            _take(max(own, key=lambda pick: (_gain(pick, chosen), -pick.place)), chosen, left, turns)
    while left:
        best = max(left, key=lambda pick: (_gain(pick, chosen), -pick.turn, -pick.place))
        if _gain(best, chosen) <= 0:
            break
        _take(best, chosen, left, turns)
    return sorted(chosen, key=lambda pick: (pick.turn, pick.place))


def _take(pick: _Pick, chosen: list[_Pick], left: list[_Pick], turns: list[Turn]) -> None:
    """Add a sentence, or its first clauses, if it fits; the very first is cut until it does."""
    left.remove(pick)
    for text in (pick.text, *_beginnings(pick.text)):
        candidate = sorted([*chosen, replace(pick, text=text)], key=lambda p: (p.turn, p.place))
        if count_words(_render(candidate, turns)) <= MAX_WORDS:
            chosen.append(replace(pick, text=text, marks=_marks(text), words=content_words(text)))
            return
    if not chosen and pick.turn >= 0:
        chosen.append(replace(pick, text=_shorten(pick.text)))


def _beginnings(text: str) -> list[str]:
    """Return what stands before each clause of a long sentence, longest first, at least eight words."""
    ends = [match.start() for match in _CLAUSE.finditer(text)]
    return [f"{text[:end]} …" for end in reversed(ends) if count_words(text[:end]) >= 8]


def _gain(pick: _Pick, chosen: list[_Pick]) -> float:
    """Return what a sentence adds to the chosen ones, for each word to the power of 0.6."""
    known_marks = frozenset[str]().union(*(other.marks for other in chosen))
    known_words = frozenset[str]().union(*(other.words for other in chosen))
    new_marks, new_words = pick.marks - known_marks, len(pick.words - known_words)
    if pick.turn < 0:
        return 0.5 if any(_FIGURE.search(mark) for mark in new_marks) else 0.0
    n_figures = sum(1 for mark in new_marks if _FIGURE.search(mark))
    gain = pick.worth + 0.8 * min(n_figures, 4) + 0.3 * min(len(new_marks) - n_figures, 2) + 0.1 * min(new_words, 12)
    return float(gain / (4 + count_words(pick.text)) ** 0.6)


def _shorten(text: str) -> str:
    return " ".join(text.split()[: MAX_WORDS - 5]) + " …"


def _render(chosen: list[_Pick], turns: list[Turn]) -> str:
    lines = []
    last_customer = max((n for n, turn in enumerate(turns) if turn.role is Role.customer), default=-1)
    for number in dict.fromkeys(pick.turn for pick in chosen):
        text = " ".join(pick.text for pick in chosen if pick.turn == number)
        lines.append(f"{_label(number, last_customer, turns)}: {text}")
    return "\n".join(lines)


def _label(number: int, last_customer: int, turns: list[Turn]) -> str:
    if number < 0:
        return "About"
    return "Open" if number == last_customer and number > 0 else _NAMES[turns[number].role]
