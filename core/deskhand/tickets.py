"""What comes from a helpdesk: tickets, their messages, and events about them.

All text in here was written outside. It is untrusted, always: see ``deskhand.fencing``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from deskhand.schema import Json, Model

MAX_MESSAGE_CHARS = 200_000
"""Longest message text, in characters; longer mail is cut by no one silently, it is refused."""

MAX_MESSAGES = 2_000
"""Most messages in one ticket."""

Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An identifier given by somebody else: any printable text of 1 to 200 characters."""

Text = Annotated[str, Field(max_length=MAX_MESSAGE_CHARS)]
ShortText = Annotated[str, Field(max_length=2_000)]


class Role(StrEnum):
    """Who wrote a message."""

    customer = "customer"
    agent = "agent"
    bot = "bot"
    system = "system"


class Priority(StrEnum):
    """How soon a ticket must be answered, lowest first."""

    low = "low"
    normal = "normal"
    high = "high"
    urgent = "urgent"


class Requester(Model):
    """The person a ticket belongs to; ``is_verified`` means the helpdesk knows the address is theirs."""

    id: Id
    name: ShortText = ""
    email: ShortText | None = None
    is_verified: bool = False


class Message(Model):
    """One message of a thread, as plain text."""

    id: Id
    author: ShortText
    role: Role
    text: Text
    at: AwareDatetime
    is_public: bool = True


class Attachment(Model):
    """A file that came with a ticket, known by name, type and size; its content is not read."""

    name: ShortText
    media_type: ShortText = "application/octet-stream"
    size_bytes: Annotated[int, Field(ge=0)] = 0


class Ticket(Model):
    """A support request with its whole thread, oldest message first."""

    id: Id
    source: ShortText = "file"
    subject: ShortText = ""
    messages: Annotated[tuple[Message, ...], Field(max_length=MAX_MESSAGES)]
    requester: Requester
    tags: tuple[ShortText, ...] = ()
    priority: Priority | None = None
    status: ShortText = "open"
    group: ShortText | None = None
    assignee: ShortText | None = None
    fields: dict[str, Json] = {}
    attachments: tuple[Attachment, ...] = ()
    created_at: AwareDatetime
    updated_at: AwareDatetime

    def customer_text(self) -> str:
        """Return the subject and every customer message, oldest first, separated by blank lines."""
        parts = [self.subject, *(m.text for m in self.messages if m.role is Role.customer)]
        return "\n\n".join(part for part in parts if part.strip())


class EventKind(StrEnum):
    """What happened to a ticket."""

    created = "created"
    message = "message"
    changed = "changed"
    closed = "closed"


class Event(Model):
    """One delivery from a helpdesk: a hint that a ticket should be looked at."""

    source: ShortText
    delivery_id: Id
    ticket_id: Id
    kind: EventKind
    actor: ShortText = ""
    at: AwareDatetime
    raw: Text = ""
