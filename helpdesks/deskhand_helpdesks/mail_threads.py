"""Which mails belong together, and what ticket they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from deskhand.helpdesk_settings import EmailSettings
from deskhand.tickets import Message, Requester, Role, Ticket
from deskhand_helpdesks.mail_parse import Mail
from deskhand_helpdesks.mailbox import quoted
from deskhand_helpdesks.texts import fit_line, short_hash

_MAX_ID = 180
_OUR_ID = re.compile(r"dh\.[0-9a-f]{12}\.[0-9a-f]{16}@(.+)")
_TAG = re.compile(r"\[#([0-9a-f]{12})\]")
_ANSWER = re.compile(r"(?:\s*(?:re|aw|wg|sv|vs|antw|fw|fwd)\s*:)+\s*", re.IGNORECASE)


class Kept(NamedTuple):
    """A mail that could be read, and where it is kept. ``at`` is the server's time: senders forge theirs."""

    mail: Mail
    uid: int
    at: datetime
    flags: frozenset[str]


def token_of(ticket_id: str) -> str:
    """Return 12 hexadecimal digits that stand for a ticket in subjects and in our Message-IDs."""
    return short_hash(ticket_id, 12)


def own_message_id(ticket_id: str, key: str, address: str) -> str:
    """Return the Message-ID of the reply with this key: the same whenever it is asked for."""
    return f"dh.{token_of(ticket_id)}.{short_hash(key)}@{address.rpartition('@')[2]}"


def is_own_id(message_id: str, address: str) -> bool:
    """Tell whether a Message-ID is one of ours."""
    match = _OUR_ID.fullmatch(message_id)
    return bool(match) and match[1] == address.rpartition("@")[2] if match else False


def subject_token(subject: str) -> str:
    """Return the token of the last tag in a subject, '' when there is none."""
    return next(iter(_TAG.findall(subject)[::-1]), "")


def reply_subject(subject: str, ticket_id: str) -> str:
    """Return the subject of a reply: one ``Re:``, and the tag by which a thread is found without its headers."""
    tag = f"[#{token_of(ticket_id)}]"
    plain = _TAG.sub("", _ANSWER.sub("", subject, count=1) if _ANSWER.match(subject) else subject).strip()
    return f"Re: {plain[:900]} {tag}" if plain else f"Re: {tag}"


def message_id_of(kept: Kept, validity: int) -> str:
    """Return what a mail is known by: its Message-ID, cut to 180 characters, or its place in the mailbox."""
    return kept.mail.message_id[:_MAX_ID] or f"uid-{validity}-{kept.uid}"


def thread_search(ticket_id: str) -> str:
    """Return the IMAP criteria for the mails of a ticket: by its first Message-ID, our own ids, and the tag."""
    token = token_of(ticket_id)
    ours, root = quoted(f"<dh.{token}."), quoted(f"<{ticket_id}")
    criteria = [
        f"HEADER MESSAGE-ID {root}",
        f"HEADER REFERENCES {root}",
        f"HEADER IN-REPLY-TO {root}",
        f"HEADER MESSAGE-ID {ours}",
        f"HEADER REFERENCES {ours}",
        f"HEADER IN-REPLY-TO {ours}",
        f"SUBJECT {quoted(f'[#{token}]')}",
    ]
    return _any_of(criteria)


def answers_search(message_ids: Sequence[str]) -> str:
    """Return the IMAP criteria for the mails that answer one of these, at least one."""
    ids = [quoted(f"<{message_id}>") for message_id in message_ids]
    return _any_of([f"HEADER {name} {one}" for one in ids for name in ("REFERENCES", "IN-REPLY-TO")])


def _any_of(criteria: Sequence[str]) -> str:
    joined = criteria[-1]
    for one in criteria[-2::-1]:
        joined = f"OR {one} {joined}"
    return joined


def last_of_customer(thread: Sequence[Kept], address: str) -> Mail:
    """Return the newest mail of a thread that is not from us."""
    return next(kept.mail for kept in reversed(thread) if kept.mail.from_address != address.lower())


def ticket_from(thread: Sequence[Kept], ticket_id: str, source: str, settings: EmailSettings) -> Ticket:
    """Return a thread, oldest mail first, as a ticket.

    Its customer is who wrote the first mail. They are verified when every mail from outside is theirs and proven.
    """
    ours = settings.address.lower()
    received = [kept for kept in thread if kept.mail.from_address != ours]
    first, last = received[0].mail, received[-1].mail
    customer = first.from_address
    is_verified = all(kept.mail.is_verified and kept.mail.from_address == customer for kept in received)
    return Ticket(
        id=ticket_id,
        source=source,
        subject=fit_line(_TAG.sub("", first.subject)),
        messages=tuple(_message(kept, settings) for kept in thread),
        requester=Requester(
            id=customer or "unknown", name=first.from_name, email=customer or None, is_verified=is_verified
        ),
        fields={"headers": dict(last.headers)},
        attachments=tuple(attachment for kept in received for attachment in kept.mail.attachments),
        created_at=thread[0].at,
        updated_at=thread[-1].at,
    )


def _message(kept: Kept, settings: EmailSettings) -> Message:
    mail = kept.mail
    role = Role.customer
    if mail.from_address == settings.address.lower():
        role = Role.bot if is_own_id(mail.message_id, settings.address) else Role.agent
    return Message(
        id=mail.message_id[:_MAX_ID] or f"uid-{kept.uid}",
        author=fit_line(mail.from_name or mail.from_address),
        role=role,
        text=mail.text,
        at=kept.at,
    )
