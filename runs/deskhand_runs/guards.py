"""Loop guards: whether an event may start a run, is left alone, or is held for a person.

Three layers, since each alone has been seen to fail: who did it, what we know to have written, and a breaker for
each ticket. No run starts that no customer or person started.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import ValidationError

from deskhand.clock import Clock
from deskhand.helpdesk_settings import HelpdeskBase
from deskhand.service_settings import RunsSettings
from deskhand.tickets import Event, EventKind, Message, Role, Ticket
from deskhand_runs.auto_replies import automatic_reason
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.handling import Who, handling_of, is_closed, new_messages, newer_person_reply, take_over
from deskhand_runs.own_writes import OwnWrites, knows, own_writes_of
from deskhand_runs.rows import to_text

_N_REPLIES = 5


class Judgement(NamedTuple):
    """What to do with an event, and why; ``hold`` waits for a person, who may have it run all the same."""

    verdict: Literal["run", "skip", "hold"]
    reason: str


def judge_event(
    event: Event,
    ticket: Ticket | None,
    *,
    helpdesk_settings: HelpdeskBase | None,
    tables: GuardTables,
    clock: Clock,
    settings: RunsSettings,
) -> Judgement:
    """Tell whether an event starts a run; the first guard that objects gives the reason.

    Nothing a customer wrote is dropped for who sent the event: a message that no run has seen goes on to one, or to
    a person. It changes nothing but this: a ticket that a person has answered since our last run becomes the
    person's. Do not ask for an entry that a person wants run: they may.

    Args:
        event: What arrived.
        ticket: The ticket as it is now; None before it is fetched, when only what the event itself tells is judged.
        helpdesk_settings: Of the event's source, for ``actor_ids``; None when it has none.
        tables: Of the workspace.
        clock: For the breaker's window.
        settings: The breaker's limits.
    """
    actor_ids = helpdesk_settings.actor_ids if helpdesk_settings else ()
    case = _Case(event, ticket, tables, clock, settings, actor_ids)
    for guard in _GUARDS:
        judged = guard(case)
        if judged is not None:
            return judged
    return Judgement("run", "")


@dataclass(frozen=True)
class _Case:
    """One event, and what is needed to judge it."""

    event: Event
    ticket: Ticket | None
    tables: GuardTables
    clock: Clock
    settings: RunsSettings
    actor_ids: Collection[str]

    @cached_property
    def own(self) -> OwnWrites:
        """What our writes on the ticket are known by."""
        source, ticket_id = self.event.source, self.event.ticket_id
        texts = replies_of(self.tables, source, ticket_id)
        return own_writes_of(self.tables, source, ticket_id, actor_ids=self.actor_ids, texts=texts)

    @cached_property
    def seen(self) -> Ticket | None:
        """The ticket as the newest run saw it."""
        return last_seen(self.tables, self.ticket) if self.ticket else None

    @cached_property
    def unseen(self) -> tuple[Message, ...]:
        """What customers wrote that no run has seen."""
        if self.ticket is None:
            return ()
        messages = new_messages(self.seen, self.ticket) if self.seen else self.ticket.messages
        return tuple(m for m in messages if m.role is Role.customer and not self.own.wrote(m))


def _own_write(case: _Case) -> Judgement | None:
    """The second layer first: a delivery that is named after a write of ours is ours, whoever did it."""
    if knows(case.tables, case.event.source, case.event.ticket_id, case.event.delivery_id):
        return Judgement("skip", "our own write came back")
    return None


def _own_actor(case: _Case) -> Judgement | None:
    """The first layer: the event is of our own doing, and the ticket holds nothing unseen of a customer."""
    if case.event.actor not in case.actor_ids or case.unseen:
        return None
    return Judgement("skip", f"our own doing (actor {case.event.actor})")


def _automatic(case: _Case) -> Judgement | None:
    reason = automatic_reason(case.event, case.ticket)
    if reason is None:
        return None
    # the headers of a ticket are those of its newest mail, and an older one may still wait
    return Judgement("skip" if len(case.unseen) < 2 else "hold", reason)


def _persons(case: _Case) -> Judgement | None:
    """A ticket that a person has, or has answered since our last run, is left alone."""
    event, ticket = case.event, case.ticket
    if handling_of(case.tables, event.source, event.ticket_id).who is Who.person:
        return Judgement("skip", "a person has taken the ticket over")
    if ticket is None:
        return None
    answer = newer_person_reply(case.seen, ticket, case.own) if case.seen else None
    if answer is not None and not _was_given_back_after(case, answer):
        take_over(case.tables, event.source, event.ticket_id, f"{answer.author} answered", case.clock.now())
        return Judgement("skip", f"a person has taken the ticket over ({answer.author} answered)")
    public = [message for message in ticket.messages if message.is_public and message.role is not Role.system]
    if public and public[-1].role is Role.agent and not case.own.wrote(public[-1]):
        return Judgement("skip", f"{public[-1].author} has answered already")
    return None


def _was_given_back_after(case: _Case, answer: Message) -> bool:
    """Tell whether the ticket was released after a person's answer, which then counts no more."""
    handling = handling_of(case.tables, case.event.source, case.event.ticket_id)
    return handling.at is not None and handling.is_given_back and handling.at >= answer.at


def _closed(case: _Case) -> Judgement | None:
    if case.ticket is None:
        return None
    is_over = case.event.kind is EventKind.closed or is_closed(case.ticket)
    if not is_over:
        return None
    if case.seen is not None and case.unseen:
        return Judgement("hold", "a customer wrote to a closed ticket")
    return Judgement("skip", "the ticket is closed")


def _nothing_new(case: _Case) -> Judgement | None:
    """Nothing that a customer wrote is new: the event is an echo of ours, or of a person's work on the ticket."""
    if case.ticket is None or case.unseen:
        return None
    return Judgement("skip", "nothing new from a customer")


def _breaker(case: _Case) -> Judgement | None:
    """The third layer: too many runs on one ticket in a short time, for whatever reason."""
    since = case.clock.now() - timedelta(minutes=case.settings.breaker_minutes)
    n_runs = count_runs(case.tables, case.event.source, case.event.ticket_id, to_text(since))
    if n_runs < case.settings.breaker_runs:
        return None
    return Judgement("hold", f"{n_runs} runs in {case.settings.breaker_minutes} minutes: a loop?")


_GUARDS: tuple[Callable[[_Case], Judgement | None], ...] = (
    _own_write,
    _own_actor,
    _automatic,
    _persons,
    _closed,
    _nothing_new,
    _breaker,
)


def count_runs(tables: GuardTables, source: str, ticket_id: str, since: str) -> int:
    """Return how many runs of a ticket began at ``since`` or later, a text of ``rows.to_text``."""
    with tables.reading() as connection:
        sql = "SELECT COUNT(*) FROM runs WHERE ticket_id = ? AND source = ? AND created_at >= ?"
        return int(connection.execute(sql, (ticket_id, source, since)).fetchone()[0])


def last_seen(tables: GuardTables, ticket: Ticket) -> Ticket | None:
    """Return the ticket as the newest run that came to something saw it, or None when there is no such run.

    Runs that failed or were cut off do not count: what they saw has still to be answered.
    """
    with tables.reading() as connection:
        sql = (
            "SELECT ticket FROM runs WHERE ticket_id = ? AND source = ? AND status IN ('parked', 'done')"
            " ORDER BY seq DESC LIMIT 1"
        )
        row = connection.execute(sql, (ticket.id, ticket.source)).fetchone()
    if row is None:
        return None
    try:
        return Ticket.model_validate_json(row["ticket"])
    except ValidationError:
        return None  # a damaged row must not stop what a customer writes


def replies_of(tables: GuardTables, source: str, ticket_id: str) -> tuple[str, ...]:
    """Return the texts of the last replies that runs sent to a ticket, newest first."""
    with tables.reading() as connection:
        sql = (
            "SELECT r.review, r.result, (SELECT d.decision FROM decisions d WHERE d.run_id = r.run_id"
            " ORDER BY d.seq DESC LIMIT 1) AS decision FROM runs r WHERE r.ticket_id = ? AND r.source = ?"
            " AND r.write_back != 'none' ORDER BY r.seq DESC LIMIT ?"
        )
        rows = connection.execute(sql, (ticket_id, source, _N_REPLIES)).fetchall()
    return tuple(text for row in rows if (text := _reply_text(row)))


def _reply_text(row: sqlite3.Row) -> str:
    try:
        decision = json.loads(row["decision"] or "{}")
        asked = json.loads(row["review"] or row["result"] or "{}")
    except ValueError:
        return ""
    return str(decision.get("text") or (asked.get("draft") or {}).get("text") or "")
