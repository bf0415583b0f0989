"""Screening: is there anything to answer, and what must everyone after this know about the text?"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from deskhand.answers import Reason
from deskhand.fencing import fold
from deskhand.tickets import Message, Role, Ticket
from deskhand.view import TicketView
from deskhand_agents.injection import customer_words, find_injection, neutral_view
from deskhand_agents.reasons import reason
from deskhand_agents.signals import (
    ACKNOWLEDGEMENT,
    AUTO_REPLY,
    AUTO_REPLY_SUBJECT,
    BOUNCE,
    CHURN,
    FRAUD,
    ORDER_RELATED,
    SAFETY,
    SPAM,
    THREAT,
    Signal,
    combine,
)

FLAGGED = 0.5
"""Confidence from which a flag is set."""

CERTAIN = 0.85
"""Confidence from which spam, an automatic reply or a bounce is not answered; below it a person looks."""

_FINAL = frozenset({"closed", "archived", "deleted", "merged", "trash", "spam"})
_SECRET = re.compile(r"\[(CARD|IBAN)_\d+\]")
_LOOP_COPIES = 3
_LOOP_PAUSE = timedelta(minutes=5)
_PARKING = ("injection", "safety", "threat", "fraud_sign", "spam", "auto_reply", "bounce")


@dataclass(frozen=True)
class Flag:
    """Something noticed, with how sure we are (0 to 1) and the names of the signs."""

    name: str
    confidence: float
    signs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Screening:
    """``go``: answer it; ``nothing``: there is nothing to answer; ``park``: work on it, but a person decides."""

    decision: Literal["go", "nothing", "park"]
    reasons: tuple[Reason, ...] = ()
    flags: tuple[Flag, ...] = ()

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags by name, surest first."""
        return tuple(flag.name for flag in self.flags)


def screen(ticket: Ticket, view: TicketView) -> Screening:
    """Return whether a ticket needs an answer, and its flags.

    ``nothing`` only where it is certain: a real customer is never dropped, in doubt the ticket is parked.

    Args:
        ticket: For its status, authors and times.
        view: The same ticket, masked.
    """
    flags = find_flags(view, ticket)
    settled = _settled(ticket, view, flags)
    if settled is not None:
        return Screening("nothing", (settled,), flags)
    reasons = [reason(flag.name, ", ".join(flag.signs)) for flag in flags if flag.name in _PARKING]
    if not view.customer_text.strip():
        reasons.append(reason("attachment_only", ", ".join(view.attachments)))
    if _n_copies(ticket) >= _LOOP_COPIES:
        reasons.append(reason("loop", "the same text came several times"))
    return Screening("park" if reasons else "go", tuple(reasons), flags)


def find_flags(view: TicketView, ticket: Ticket | None = None) -> tuple[Flag, ...]:
    """Return what is noticed in the customer's text, surest first; only flags of 0.5 and more."""
    text = fold(customer_words(view))
    calm = neutral_view(view)
    newest = fold(f"{calm.subject}\n{calm.last_customer_text}")
    injection = find_injection(view)
    found = [
        Flag("injection", injection.confidence, injection.signs),
        _weigh_mail("auto_reply", AUTO_REPLY, newest, _auto_reply_weights(calm, ticket)),
        _weigh_mail("bounce", BOUNCE, _with_sender(newest, calm), []),
        _weigh_mail("spam", SPAM, text, []),
        _weigh("safety", SAFETY, text),
        _weigh("threat", THREAT, text),
        _weigh("churn_risk", CHURN, text),
        _weigh("fraud_sign", FRAUD, text),
        _personal_data(calm),
    ]
    kept = [flag for flag in found if flag.confidence >= FLAGGED]
    if any(flag.name == "spam" for flag in kept):
        kept = [flag for flag in kept if flag.name != "threat"]  # a false bill threatens too
    return tuple(sorted(kept, key=lambda flag: (-flag.confidence, flag.name)))


def _weigh(name: str, signals: Sequence[Signal], text: str, extra: Sequence[tuple[str, float]] = ()) -> Flag:
    hits = {signal.name: signal.weight for signal in reversed(signals) if signal.pattern.search(text)} | dict(extra)
    return Flag(name, combine(list(hits.values())), tuple(sorted(hits)))


def _weigh_mail(name: str, signals: Sequence[Signal], text: str, extra: Sequence[tuple[str, float]]) -> Flag:
    """Weigh, and halve where the writer speaks of an order: then a customer may be behind it."""
    flag = _weigh(name, signals, text, extra)
    if ORDER_RELATED.search(text):
        return Flag(name, round(flag.confidence / 2, 3), flag.signs)
    return flag


def _auto_reply_weights(view: TicketView, ticket: Ticket | None) -> list[tuple[str, float]]:
    found = []
    if AUTO_REPLY_SUBJECT.search(fold(view.subject)):
        found.append(("subject", 0.88))
    header = str((ticket.fields if ticket else {}).get("auto_submitted", "no")).lower()
    if header not in ("no", "", "none", "false"):
        found.append(("header", 0.9))
    return found


def _with_sender(text: str, view: TicketView) -> str:
    return f"{text}\n{fold(view.requester_name)}"


def _personal_data(view: TicketView) -> Flag:
    kinds = sorted({match[1].lower() for match in _SECRET.finditer(view.customer_text)})
    return Flag("personal_data", 1.0 if kinds else 0.0, tuple(kinds))


def _settled(ticket: Ticket, view: TicketView, flags: Sequence[Flag]) -> Reason | None:
    """Return why there is nothing to answer, or None."""
    if ticket.status.lower() in _FINAL:
        return reason("closed", f"status {ticket.status}")
    if not view.customer_text.strip() and not view.attachments:
        return reason("empty")
    if _is_answered(ticket):
        return reason("already_answered")
    if _is_loop(ticket):
        return reason("loop", f"{_n_copies(ticket)} equal messages within minutes of ours")
    for flag in flags:
        if flag.name in ("bounce", "auto_reply", "spam") and flag.confidence >= CERTAIN:
            return reason(flag.name, ", ".join(flag.signs))
    return None


def _is_answered(ticket: Ticket) -> bool:
    """Tell whether we spoke last. A bot that only says "we received your message" has not answered."""
    for message in reversed(_public(ticket)):
        if message.role is Role.customer:
            return False
        if message.role is Role.agent or not ACKNOWLEDGEMENT.search(fold(message.text)):
            return True
    return False


def _public(ticket: Ticket) -> list[Message]:
    return [m for m in ticket.messages if m.is_public and m.role is not Role.system]


def _n_copies(ticket: Ticket) -> int:
    """How often the newest customer text stands in the thread."""
    texts = [fold(m.text) for m in _public(ticket) if m.role is Role.customer and m.text.strip()]
    return Counter(texts)[texts[-1]] if texts else 0


def _is_loop(ticket: Ticket) -> bool:
    """Two machines answering each other: equal texts, each within minutes of a message of ours."""
    messages = _public(ticket)
    newest = messages[-1] if messages else None
    if newest is None:
        return False
    prompt = [
        after
        for before, after in itertools.pairwise(messages)
        if before.role in (Role.agent, Role.bot)
        and after.role is Role.customer
        and fold(after.text) == fold(newest.text)
        and after.at - before.at <= _LOOP_PAUSE
    ]
    return len(prompt) >= _LOOP_COPIES
