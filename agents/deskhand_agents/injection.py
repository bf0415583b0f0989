"""Text that tries to give orders to the agent: how sure we are, and the ticket without it."""

from __future__ import annotations

import base64
import binascii
import functools
import re
import unicodedata
from dataclasses import dataclass

from deskhand.fencing import fold
from deskhand.view import TicketView
from deskhand_agents.sentences import strip_quoted
from deskhand_agents.signals import COMMAND, INJECTION, INJECTION_SPANS, NEEDS_ORDERS, ORDERS_INSIDE, combine

THRESHOLD = 0.5
"""From this confidence on a ticket is flagged."""

_LOOKALIKE = str.maketrans(
    "аеорсухіјѕԁһӏкмтвнгпиαεορτυικνхηωѵʟɪᴏꜱℓı",
    "aeopcyxijsdhlkmtbhrnuaeoptuiknxnwvliosli",
)
_LEET = (str.maketrans("0134578@$", "oieastbas"), str.maketrans("0134578@$", "oleastbas"))
_LEET_WORD = re.compile(r"(?<![\w-])(?=\w*[a-z])(?=\w*[0134578@$])[a-z0134578@$]{5,}(?![\w-])")
_SPACED = re.compile(r"(?<!\w)(?:\w[ .\-_*]){4,}\w(?!\w)")
_BASE64 = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{40,}={0,2}(?![\w+/])")
_PIECE = re.compile(r"[^.!?\n。\uff01\uff1f]+(?:[.!?。\uff01\uff1f]+|\n|$)")
_OWN_VOICE = re.compile(
    r"\b(?:i|my|me|we|our|i'm|i've|ich|mein\w*|wir|unser\w*|je|j'|mon|ma|mes|nous|mi|mis|yo|me|ik|mijn|wij)\b"
)


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
    """Return how likely the customer's side of the thread tries to instruct the agent."""
    weights: dict[str, float] = {}
    removed: list[str] = []
    for text in (view.subject, view.requester_name, *(turn.text for turn in view.turns), *view.attachments):
        cleaned = _clean(text)
        removed += cleaned.removed
        for name, weight in cleaned.weights.items():
            weights[name] = max(weight, weights.get(name, 0.0))
    return Injection(combine(list(weights.values())), tuple(sorted(weights)), tuple(removed))


def neutral_view(view: TicketView) -> TicketView:
    """Return the ticket without what carries an injection; the very same object when there is nothing.

    Agents work on this one, so that an injected order changes no output of theirs. A span is cut whole, and after
    a sentence that gives orders the commands that follow it go too; the customer's own sentences stay.
    """
    return _neutral(view)


@functools.lru_cache(maxsize=64)
def _neutral(view: TicketView) -> TicketView:
    if not find_injection(view).removed:
        return view
    turns = tuple(turn.model_copy(update={"text": _clean(turn.text).text}) for turn in view.turns)
    update = {"subject": _clean(view.subject).text, "requester_name": _clean(view.requester_name).text, "turns": turns}
    return view.model_copy(update=update)


def neutral_text(view: TicketView) -> str:
    """Return the customer's words without the sentences that carry an injection."""
    return neutral_view(view).customer_text


@functools.lru_cache(maxsize=512)
def _clean(text: str) -> _Cleaned:
    weights: dict[str, float] = {}
    removed: list[str] = []
    for signal in INJECTION_SPANS:
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


def _cut_sentences(text: str) -> tuple[str, list[str], dict[str, float]]:
    kept, cut = list[str](), list[str]()
    weights: dict[str, float] = {}
    is_carried = False
    for piece in _PIECE.findall(text) or [text]:
        found = _weigh(piece)
        is_carried = bool(found) or (is_carried and _carries_on(piece))
        if is_carried and piece.strip():
            cut.append(piece.strip())
            kept.append("\n" if piece.endswith("\n") else "")
        else:
            kept.append(piece)
        weights = _merge(weights, found)
    return "".join(kept), cut, weights


def _carries_on(piece: str) -> bool:
    folded = fold(piece)
    if not folded:
        return "\n\n" not in piece
    if piece.rstrip().endswith("?"):
        return False
    return bool(COMMAND.search(folded)) or (bool(ORDERS_INSIDE.search(folded)) and not _OWN_VOICE.search(folded))


def _tidy(text: str) -> str:
    text = re.sub(r"[ \t]{2,}", " ", text)
    text = re.sub(r"[ \t]*\n[ \t]*", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _weigh(text: str) -> dict[str, float]:
    """Return the weight of each sign in ``text``, read in every way in which it may be disguised."""
    weights: dict[str, float] = {}
    readings = _readings(text)
    for signal in INJECTION:
        if any(signal.pattern.search(reading) for reading in readings):
            weights[signal.name] = max(signal.weight, weights.get(signal.name, 0.0))
    return weights


def _readings(text: str) -> list[str]:
    plain = fold(text)
    bare = "".join(char for char in unicodedata.normalize("NFD", plain) if not unicodedata.combining(char))
    undisguised = bare.translate(_LOOKALIKE)
    undisguised = _SPACED.sub(lambda match: re.sub(r"[ .\-_*]", "", match[0]), undisguised)
    unleeted = (_without_leet(undisguised, table) for table in _LEET)
    readings = [plain, bare, undisguised, *unleeted, *_decoded(text)]
    return list(dict.fromkeys(readings))


def _without_leet(text: str, table: dict[int, int]) -> str:
    return _LEET_WORD.sub(lambda match: match[0].translate(table), text)


def _decoded(text: str) -> list[str]:
    found = []
    for match in _BASE64.finditer(text):
        try:
            found.append(fold(base64.b64decode(match[0] + "=" * (-len(match[0]) % 4)).decode("utf-8")))
        except (binascii.Error, UnicodeDecodeError):
            continue  # a tracking code or a key, not hidden text
    return found


def customer_words(view: TicketView) -> str:
    """Return the neutral text of the customer without quoted mail."""
    calm = neutral_view(view)
    texts = [strip_quoted(turn.text) for turn in calm.turns if turn.role.value == "customer"]
    return "\n\n".join(part for part in (calm.subject, *texts) if part)
