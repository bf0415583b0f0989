"""What django-helpdesk sends, as tickets, messages and events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deskhand.helpdesk_settings import DjangoHelpdeskSettings
from deskhand.tickets import (
    MAX_MESSAGES,
    Attachment,
    Event,
    EventKind,
    Message,
    Priority,
    Requester,
    Role,
    Ticket,
)
from deskhand_helpdesks.texts import fit, fit_line

PRIORITIES = {Priority.urgent: 1, Priority.high: 2, Priority.normal: 3, Priority.low: 4}
_PRIORITY_OF = {1: Priority.urgent, 2: Priority.high, 3: Priority.normal, 4: Priority.low, 5: Priority.low}
_STATUS_NAMES = {1: "open", 2: "open", 3: "solved", 4: "closed", 5: "closed"}
_Number = Annotated[int, Field(ge=0, le=2**63 - 1)]
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class _Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileRow(_Payload):
    """An attachment of a follow-up."""

    filename: str | None = None
    mime_type: str | None = None
    size: _Number | None = None


class FollowUpRow(_Payload):
    """A comment, a change, or both. ``user`` is None when it came by mail or from the public form."""

    id: _Number
    ticket: _Number | None = None
    user: int | None = None
    title: str | None = None
    comment: str | None = None
    public: bool = False
    new_status: int | None = None
    date: AwareDatetime | None = None
    followupattachment_set: tuple[FileRow, ...] = ()

    @property
    def text(self) -> str:
        """The comment, without white space around it."""
        return (self.comment or "").strip()


class TicketRow(_Payload):
    """A ticket as the REST API and the webhooks give it; custom fields are kept as ``custom_<name>``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: _Number
    queue: int | None = None
    title: str = ""
    description: str | None = None
    submitter_email: str | None = None
    assigned_to: int | None = None
    status: int = 1
    priority: int | None = None
    followup_set: Annotated[tuple[FollowUpRow, ...], Field(max_length=100_000)] = ()

    def opening(self) -> FollowUpRow | None:
        """Return the follow-up that only repeats the description, which most ways of opening a ticket write."""
        first = min(self.followup_set, key=lambda row: row.id, default=None)
        return first if first and first.text == (self.description or "").strip() else None

    def custom(self, name: str) -> Any:
        """Return a custom field; None when there is none of this name."""
        return (self.model_extra or {}).get(f"custom_{name}")


class WebhookRow(_Payload):
    """The body of a webhook; ``followup_id`` is there for follow-ups only."""

    ticket: TicketRow
    queue_slug: str | None = None
    followup_id: _Number | None = None


@dataclass(frozen=True)
class Reader:
    """Turns rows into our types, for the helpdesk ``name``."""

    name: str
    settings: DjangoHelpdeskSettings

    def ticket(self, row: TicketRow, now: datetime) -> Ticket:
        """Return a ticket. The API gives no times of tickets: they are those of the follow-ups, else ``now``."""
        opening = row.opening()
        rows = sorted(row.followup_set, key=lambda one: (one.date or _EARLIEST, one.id))
        dates = [one.date for one in rows if one.date]
        created_at = (opening and opening.date) or min(dates, default=now)
        messages = [self._message(one, row, created_at) for one in rows if one is not opening and one.text]
        if (row.description or "").strip():
            messages = [self._description(row, created_at), *messages[-(MAX_MESSAGES - 1) :]]
        email = fit_line(row.submitter_email or "")
        return Ticket(
            id=str(row.id),
            source=self.name,
            subject=fit_line(row.title),
            messages=tuple(messages[-MAX_MESSAGES:]),
            requester=Requester(
                id=(email or f"ticket-{row.id}")[:200],
                email=email or None,
                is_verified=bool(email) and self.settings.verified_submitters,
            ),
            tags=tuple(split_tags(row.custom(self.settings.tag_field))),
            priority=_PRIORITY_OF.get(row.priority or 0),
            status=self.status(row.status),
            group=str(row.queue) if row.queue is not None else None,
            assignee=str(row.assigned_to) if row.assigned_to is not None else None,
            attachments=tuple(_attachments(rows)),
            created_at=created_at,
            updated_at=max(dates, default=created_at),
        )

    def _description(self, row: TicketRow, at: datetime) -> Message:
        text = fit((row.description or "").strip())
        return Message(
            id=f"ticket-{row.id}", author=fit_line(row.submitter_email or ""), role=Role.customer, text=text, at=at
        )

    def _message(self, row: FollowUpRow, ticket: TicketRow, created_at: datetime) -> Message:
        role = self._role(row)
        author = ticket.submitter_email if role is Role.customer else row.user
        return Message(
            id=f"followup-{row.id}",
            author=fit_line(author if author is not None else ""),
            role=role,
            text=fit(row.text),
            at=row.date or created_at,
            is_public=row.public,
        )

    def _role(self, row: FollowUpRow) -> Role:
        if row.user is None:
            return Role.customer if row.public else Role.system
        return Role.bot if str(row.user) in self.settings.actor_ids else Role.agent

    def status(self, number: int) -> str:
        """Return a status by name; a number of the installation's own is ``status-<n>``, or closed when it is done."""
        own = "closed" if number in self.settings.done_statuses else f"status-{number}"
        return _STATUS_NAMES.get(number, own)

    def created(self, row: TicketRow, now: datetime) -> Event:
        """Return the event of a new ticket; however it is learnt of, its delivery id is the same."""
        opening = row.opening()
        return self._event(f"ticket-{row.id}", row.id, EventKind.created, row.submitter_email, opening, now)

    def followed_up(self, row: FollowUpRow, ticket_id: int, submitter: str | None, now: datetime) -> Event:
        """Return the event of a follow-up; however it is learnt of, its delivery id is the same."""
        kind = EventKind.message if row.text else EventKind.changed
        if row.new_status in self.settings.done_statuses:
            kind = EventKind.closed
        actor = submitter if row.user is None else row.user
        return self._event(f"followup-{row.id}", ticket_id, kind, actor, row, now)

    def _event(
        self,
        delivery_id: str,
        ticket_id: int,
        kind: EventKind,
        actor: str | int | None,
        row: FollowUpRow | None,
        now: datetime,
    ) -> Event:
        return Event(
            source=self.name,
            delivery_id=delivery_id,
            ticket_id=str(ticket_id),
            kind=kind,
            actor=fit_line(actor if actor is not None else ""),
            at=(row.date if row else None) or now,
        )


def split_tags(value: object) -> list[str]:
    """Return the tags in a custom field, which hold no commas."""
    return [fit_line(tag) for tag in str(value or "").split(",") if tag.strip()]


def _attachments(rows: Sequence[FollowUpRow]) -> list[Attachment]:
    return [
        Attachment(
            name=fit_line(file.filename or "unnamed"),
            media_type=fit_line(file.mime_type or "application/octet-stream"),
            size_bytes=file.size or 0,
        )
        for row in rows
        for file in row.followupattachment_set
    ]
