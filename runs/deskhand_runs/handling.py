"""Who handles a ticket, the bot or a person, and when a person takes it over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from deskhand.actions import ReceiptStatus
from deskhand.clock import Clock
from deskhand.errors import InputError
from deskhand.interfaces import Helpdesk
from deskhand.records import RunRecord
from deskhand.tickets import Message, Role, Ticket
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.own_writes import OwnWrites, own_writes_of
from deskhand_runs.rows import to_text

CLOSED = frozenset({"closed", "resolved", "solved", "done", "deleted", "spam", "duplicate"})
"""Words, in lower case, by which helpdesks say that nobody waits for an answer."""


class Who(StrEnum):
    """Who answers a ticket."""

    bot = "bot"
    person = "person"


@dataclass(frozen=True)
class Handling:
    """Who handles a ticket, why, and since when.

    A ticket that nobody ever took over is the bot's, without a reason and a time. One that was given back is the
    bot's again, with both.
    """

    source: str
    ticket_id: str
    who: Who
    reason: str = ""
    at: datetime | None = None

    @property
    def is_given_back(self) -> bool:
        """Whether a person had the ticket and gave it back."""
        return self.who is Who.bot and self.at is not None


def handling_of(tables: GuardTables, source: str, ticket_id: str) -> Handling:
    """Return who handles a ticket."""
    with tables.reading() as connection:
        sql = "SELECT who, reason, at FROM handling WHERE source = ? AND ticket_id = ?"
        row = connection.execute(sql, (source, ticket_id)).fetchone()
    if row is None:
        return Handling(source, ticket_id, Who.bot)
    return Handling(source, ticket_id, Who(row["who"]), row["reason"], datetime.fromisoformat(row["at"]))


def taken_over(tables: GuardTables, *, limit: int = 100) -> tuple[Handling, ...]:
    """Return the tickets that people have taken over, the latest first, at most ``limit``."""
    with tables.reading() as connection:
        sql = "SELECT * FROM handling WHERE who = 'person' ORDER BY at DESC, source, ticket_id LIMIT ?"
        rows = connection.execute(sql, (max(0, limit),)).fetchall()
    return tuple(
        Handling(row["source"], row["ticket_id"], Who.person, row["reason"], datetime.fromisoformat(row["at"]))
        for row in rows
    )


def sources_of(tables: GuardTables, ticket_id: str) -> tuple[str, ...]:
    """Return the helpdesks from which a run or a delivery of a ticket of this id is known, sorted."""
    with tables.reading() as connection:
        sql = (
            "SELECT source FROM runs WHERE ticket_id = :id UNION SELECT source FROM handling WHERE ticket_id = :id"
            " UNION SELECT source FROM inbox WHERE ticket_id = :id ORDER BY source"
        )
        return tuple(row["source"] for row in connection.execute(sql, {"id": ticket_id}))


def take_over(tables: GuardTables, source: str, ticket_id: str, reason: str, at: datetime) -> bool:
    """Give a ticket to a person; False when a person has it already, whose reason and time then stay."""
    return _hand(tables, source, ticket_id, Who.person, reason, at)


def release(tables: GuardTables, source: str, ticket_id: str, reason: str, at: datetime) -> bool:
    """Give a ticket back to the bot; False when no person has it."""
    if handling_of(tables, source, ticket_id).who is Who.bot:
        return False
    return _hand(tables, source, ticket_id, Who.bot, reason, at)


def _hand(tables: GuardTables, source: str, ticket_id: str, who: Who, reason: str, at: datetime) -> bool:
    with tables.changing() as connection:
        changed = connection.execute(
            "INSERT INTO handling (source, ticket_id, who, reason, at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (source, ticket_id) DO UPDATE"
            " SET who = excluded.who, reason = excluded.reason, at = excluded.at WHERE who != excluded.who",
            (source, ticket_id, who.value, reason, to_text(at)),
        )
        return changed.rowcount == 1


def is_closed(ticket: Ticket) -> bool:
    """Tell whether nobody waits for an answer any more, by the ticket's status."""
    return ticket.status.strip().lower() in CLOSED


def new_messages(before: Ticket, now: Ticket) -> tuple[Message, ...]:
    """Return the messages of ``now`` that are not in ``before``, oldest first; a changed text counts as new."""
    seen = {(message.id, message.text) for message in before.messages}
    return tuple(message for message in now.messages if (message.id, message.text) not in seen)


def newer_person_reply(before: Ticket, now: Ticket, own: OwnWrites | None = None) -> Message | None:
    """Return the newest public message that a person on our side wrote since ``before``, or None.

    Args:
        before: The ticket as the run saw it.
        now: The ticket as it is.
        own: What our own writes are known by; helpdesks show them as an agent's.
    """
    ours = own or OwnWrites()
    replies = (m for m in new_messages(before, now) if m.role is Role.agent and m.is_public and not ours.wrote(m))
    return max(replies, key=lambda message: message.at, default=None)


async def reason_to_give_up(
    record: RunRecord,
    helpdesk: Helpdesk,
    tables: GuardTables,
    clock: Clock,
    *,
    reply: str = "",
    actor_ids: tuple[str, ...] = (),
) -> str | None:
    """Look at the ticket as it is now and return why a run must not write to it any more, or None.

    Write-back asks this right before each effect, and skips the effect for the reason. A person's answer makes the
    ticket the person's.

    Args:
        record: The run, with the ticket that it worked on.
        helpdesk: Where the ticket is.
        tables: Of the workspace.
        clock: For the time of the take-over.
        reply: The text we send: after a crash it may stand in the ticket already, and is ours.
        actor_ids: The names under which our own writes come back.

    Raises:
        Unavailable: The helpdesk does not answer, so that nobody knows; try again later.
    """
    before = record.ticket
    if handling_of(tables, before.source, before.id).who is Who.person:
        return "a person has taken the ticket over; 'deskhand tickets release' gives it back"
    try:
        now = await helpdesk.fetch(before.id)
    except InputError:
        return None  # such as a ticket from a file that is nowhere else; the effect itself is refused where need be
    texts = (reply,) if reply else ()
    own = own_writes_of(tables, before.source, before.id, actor_ids=actor_ids, texts=texts)
    answer = newer_person_reply(before, now, own)
    if answer is not None:
        reason = f"{answer.author} answered meanwhile, at {answer.at:%Y-%m-%d %H:%M %Z}"
        take_over(tables, before.source, before.id, reason, clock.now())
        return reason
    # once we have written, the ticket may be closed by ourselves
    receipts = tables.store.load(record.run_id).receipts
    has_written = any(receipt.status in (ReceiptStatus.done, ReceiptStatus.already) for receipt in receipts)
    if is_closed(now) and not is_closed(before) and not has_written:
        return f"the ticket was closed meanwhile ({now.status})"
    return None
