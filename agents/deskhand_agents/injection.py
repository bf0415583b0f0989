"""Text that tries to give orders to the agent: how sure we are, and the ticket without it."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from deskhand.fencing import fold
from deskhand.tickets import Role
from deskhand.view import TicketView, Turn
from deskhand_agents.disguise import decoded, has_mixed_letters, readings
from deskhand_agents.injection_abroad import OVERRIDES
from deskhand_agents.injection_parts import MIXTURES, PARTS
from deskhand_agents.injection_signs import COMMAND, INJECTION, INJECTION_SPANS, NEEDS_ORDERS, ORDERS_INSIDE, TRAILING
from deskhand_agents.injection_syntax import SYNTAX, SYNTAX_SPANS
from deskhand_agents.sentences import strip_quoted
from deskhand_agents.signals import combine

THRESHOLD = 0.5
"""From this confidence on a ticket is flagged."""

_SIGNS = (*INJECTION, *OVERRIDES, *SYNTAX)
_SPANS = (*INJECTION_SPANS, *SYNTAX_SPANS)
_END = re.compile(r"[.!?…]+[\"')\]]*(?:[ \t]+|(?=\n)|$)|[。\uff01\uff1f]+|\n+")
_WRAPPED = 40
"""A line of this length that ends in no punctuation goes on in the next."""

_QUOTE_MARK = re.compile(r"(?m)^[ \t]*(?:>[ \t]?)+")
_OWN_VOICE = re.compile(
    r"\b(?:i|my|me|we|our|i'm|i've|ich|mein\w*|wir|unser\w*|je|j'|mon|ma|mes|nous|mi|mis|yo|me|ik|mijn|wij)\b"
)
_DANGLING = re.compile(
    r"\b(?:all|of|your|you|must|should|to|please|and|the|now|then|previous|every|any|is|as|these|ignore|will)[ \t]*$"
)
_CODED = re.compile(r"\b(?:[^\W\d_]{1,20}[ ,.:;!?'-]{1,3}){3}[^\W\d_]")
_GREETED_MACHINE = re.compile(r"^(?:dear|hi|hey|hello)\b[^.!?]{0,40}$")


@dataclass(frozen=True)
class Injection:
    """What speaks for an injection: ``confidence`` 0 to 1, the names of the signs, and the text cut out."""

    confidence: float
    signs: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class _Cleaned:
    text: str
    weights: dict[str, float]
    removed: tuple[str, ...]


def find_injection(view: TicketView) -> Injection:
    """Return how likely the ticket tries to instruct the agent, in its text, its subject, a name or a file name."""
    return _read(view)[0]


def neutral_view(view: TicketView) -> TicketView:
    """Return the ticket without what carries an injection; the very same object when there is nothing.

    Agents work on this one, so that an injected order changes no output of theirs. A span is cut whole, quoted mail
    too, and after a sentence that gives orders the commands that follow it go; the customer's own sentences stay.
    """
    return _read(view)[1]


def weigh_text(text: str) -> Injection:
    """Return what speaks for an injection in one text by itself, such as a name in a record."""
    return _combined([_clean(text)])


def neutral_text(view: TicketView) -> str:
    """Return the customer's words without the sentences that carry an injection."""
    return neutral_view(view).customer_text


def customer_words(view: TicketView) -> str:
    """Return the neutral text of the customer without quoted mail."""
    calm = neutral_view(view)
    texts = [strip_quoted(turn.text) for turn in calm.turns if turn.role is Role.customer]
    return "\n\n".join(part for part in (calm.subject, *texts) if part)


@functools.lru_cache(maxsize=64)
def _read(view: TicketView) -> tuple[Injection, TicketView]:
    texts = [_clean(turn.text) for turn in view.turns]
    _close_gaps(view.turns, texts)
    subject, name = _clean(view.subject), _clean(view.requester_name)
    files = [_clean(file) for file in view.attachments]
    injection = _combined([subject, name, *texts, *files])
    if not injection.removed:
        return injection, view
    turns = tuple(
        turn.model_copy(update={"text": cleaned.text}) for turn, cleaned in zip(view.turns, texts, strict=True)
    )
    attachments = tuple(
        _nameless(file) if cleaned.removed else file for file, cleaned in zip(view.attachments, files, strict=True)
    )
    update = {"subject": subject.text, "requester_name": name.text, "turns": turns, "attachments": attachments}
    return injection, view.model_copy(update=update)


def _combined(found: Sequence[_Cleaned]) -> Injection:
    weights: dict[str, float] = {}
    for cleaned in found:
        weights = _merge(weights, cleaned.weights)
    removed = tuple(piece for cleaned in found for piece in cleaned.removed)
    return Injection(combine(list(weights.values())), tuple(sorted(weights)), removed)


def _nameless(file: str) -> str:
    """Return "name (type, size)" without the name."""
    return f"attachment {file[file.rfind('(') :]}"


def _close_gaps(turns: Sequence[Turn], texts: list[_Cleaned]) -> None:
    """Find an order that begins at the end of one message of the customer and ends in the next; cut both halves."""
    mine = [number for number, turn in enumerate(turns) if turn.role is Role.customer and turn.text]
    for first, second in itertools.pairwise(mine):
        head, tail = _units(turns[second].text)[:1], _units(texts[first].text)[-1:]
        if not (head and tail and _DANGLING.search(fold(tail[0]))):
            continue
        found = _weigh(f"{tail[0].strip()} {head[0].strip()}")
        if found:
            kept = texts[first].text.removesuffix(tail[0])
            texts[first] = _Cleaned(_tidy(kept), _merge(texts[first].weights, found), (tail[0].strip(),))
            rest, cut, more = _cut_sentences(turns[second].text, is_open=True)
            texts[second] = _Cleaned(_tidy(rest), _merge(found, more), tuple(cut))


@functools.lru_cache(maxsize=512)
def _clean(text: str) -> _Cleaned:
    own = strip_quoted(text)
    whole = _clean_all(text)
    if not whole.removed or own == text.strip():
        return whole
    cleaned = _clean_all(own)
    is_quote_clean = len(cleaned.removed) == len(whole.removed)
    return whole if is_quote_clean else _Cleaned(cleaned.text, whole.weights, whole.removed)


def _clean_all(text: str) -> _Cleaned:
    weights: dict[str, float] = {}
    removed: list[str] = []
    for signal in _SPANS:
        for match in signal.pattern.finditer(text):
            inner = max(_weigh(match[0]).values(), default=0.0)
            is_harmless = signal.name in NEEDS_ORDERS and not inner and not ORDERS_INSIDE.search(fold(match[0]))
            if is_harmless:
                continue
            weights[signal.name] = max(signal.weight, inner, weights.get(signal.name, 0.0))
            removed.append(match[0].strip())
            text = text.replace(match[0], "\n\n" if "\n" in match[0] else " ")
    kept, cut, found = _cut_sentences(text)
    return _Cleaned(_tidy(kept) if cut or removed else text, _merge(weights, found), (*removed, *cut))


def _merge(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    return {name: max(first.get(name, 0.0), second.get(name, 0.0)) for name in {**first, **second}}


def _cut_sentences(text: str, *, is_open: bool = False) -> tuple[str, list[str], dict[str, float]]:
    """Return what stays, what was cut and why. ``is_open``: the first sentence goes on with an order begun before."""
    kept, cut = list[str](), list[str]()
    weights: dict[str, float] = {}
    is_carried, is_same_paragraph = False, True
    for number, unit in enumerate(_units(text)):
        found = _weigh(unit)
        is_carried = (
            bool(found) or (is_open and number == 0) or (is_carried and _carries_on(unit, near=is_same_paragraph))
        )
        if is_carried and unit.strip():
            if found and number and _greets_machine(kept[-1]):
                cut.append(kept[-1].strip())
                kept[-1] = "\n"
            cut.append(unit.strip())
            kept.append("\n" * (len(unit) - len(unit.rstrip("\n"))))
        else:
            kept.append(unit)
        is_same_paragraph = not unit.endswith("\n\n")
        weights = _merge(weights, found)
    return "".join(kept), cut, weights


def _units(text: str) -> list[str]:
    """Cut a text into sentences and lines, separators included; a wrapped line is joined with the next."""
    units: list[str] = []
    start, is_open = 0, False
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        piece = text[start:end]
        if is_open:
            units[-1] += piece
        elif piece:
            units.append(piece)
        is_open = bool(piece) and piece.endswith("\n") and not piece.endswith("\n\n") and _is_wrapped(piece)
        start = end
    return units


def _is_wrapped(piece: str) -> bool:
    line = piece.rstrip().rsplit("\n", 1)[-1]
    return len(line) >= _WRAPPED and line[-1] not in ".!?:;…>"


def _greets_machine(text: str) -> bool:
    folded = fold(text)
    return bool(_GREETED_MACHINE.match(folded) and PARTS["machine"].search(folded))


def _carries_on(unit: str, *, near: bool) -> bool:
    """Tell whether a sentence after an injected one belongs to it; ``near``: in the same paragraph."""
    folded = fold(unit)
    if not folded:
        return near
    if unit.rstrip().endswith("?"):
        return False
    has_own_voice = bool(_OWN_VOICE.search(folded))
    is_command = bool(COMMAND.search(folded))
    if not near:
        return is_command and not has_own_voice and not folded.startswith("please") and _is_demand(folded)
    if PARTS["secrecy"].search(folded) or TRAILING.search(folded):
        return True
    return is_command or (not has_own_voice and bool(ORDERS_INSIDE.search(folded)))


def _is_demand(folded: str) -> bool:
    return bool(PARTS["demand"].search(folded))


def _tidy(text: str) -> str:
    text = re.sub(r"[ \t]{2,}", " ", text)
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _weigh(text: str) -> dict[str, float]:
    """Return the weight of each sign in ``text``, read in every way in which it may be disguised."""
    weights: dict[str, float] = {}
    plain = _QUOTE_MARK.sub("", text)
    for reading in readings(plain):
        for name, weight in _signs(reading):
            weights[name] = max(weight, weights.get(name, 0.0))
    if any(_CODED.search(hidden) for hidden in decoded(plain)):
        weights["encoded"] = max(0.6, weights.get("encoded", 0.0))
    if has_mixed_letters(plain):
        weights["disguised"] = 0.6
    return weights


def _signs(reading: str) -> list[tuple[str, float]]:
    found = [(signal.name, signal.weight) for signal in _SIGNS if signal.pattern.search(reading)]
    parts = {name for name, pattern in PARTS.items() if pattern.search(reading)}
    return found + [(name, weight) for name, weight, needed in MIXTURES if needed <= parts]
