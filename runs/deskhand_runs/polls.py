"""Reconcile polls: what a webhook lost is found again, through the same inbox and its memory of deliveries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from deskhand.interfaces import Helpdesk, Page
from deskhand.tickets import Event
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.inbox import EntryState
from deskhand_runs.rows import to_text

OVERLAP = timedelta(minutes=2)
"""Each poll goes back this far: a helpdesk may commit in another order than its clock says. Events that come again
are known by their delivery ids."""

BACKLOG_AGE = timedelta(hours=1)
"""What is older than this at the first poll of all is the backlog. Younger messages count as new: they may have come
while deskhand was being switched on, and clocks differ."""

_BACKLOG = "older than deskhand's first look here; backlog = \"run\" in the helpdesk's table would have taken it in"
_MAX_PAGES = 100
_MAX_FIRST_PAGES = 10_000
_KEPT_CURSORS = 50


class Polled(NamedTuple):
    """What one poll found: events in all, and those that nobody had delivered."""

    n_events: int
    n_new: int


@dataclass(frozen=True)
class Intake:
    """Where a poll puts what it finds. Each tells whether it was new.

    Attributes:
        accept: Stores an event in the inbox, to be worked on.
        set_aside: Stores an event that is not worked on, with its state and the reason.
    """

    accept: Callable[[Event], Awaitable[bool]]
    set_aside: Callable[[Event, EntryState, str], Awaitable[bool]]

    async def take(self, page: Page, skip_before: datetime | None) -> int:
        """Take in what is on a page, and return how much of it was new."""
        n_new = 0
        for event in page.events:
            if skip_before is not None and event.at < skip_before:
                n_new += await self.set_aside(event, EntryState.skipped, _BACKLOG)
            else:
                n_new += await self.accept(event)
        for event, why in page.unreadable:
            is_backlog = skip_before is not None and event.at < skip_before
            n_new += await self.set_aside(event, EntryState.skipped if is_backlog else EntryState.held, why)
        return n_new


@dataclass(frozen=True)
class _Place:
    """Where a source's polls have been: the cursors of the last minutes, oldest first."""

    cursors: tuple[tuple[datetime, str], ...]

    def start(self, now: datetime) -> str:
        """Return the newest cursor that lies at least ``OVERLAP`` back, or the oldest kept."""
        old = [cursor for at, cursor in self.cursors if at <= now - OVERLAP]
        kept = [cursor for _, cursor in self.cursors]
        return old[-1] if old else kept[0] if kept else ""

    def after(self, cursor: str, now: datetime) -> _Place:
        """Return the place after a poll that came to ``cursor``, without what no poll will go back to."""
        if self.cursors and self.cursors[-1][1] == cursor:
            return self
        fresh = [entry for entry in self.cursors if entry[0] > now - OVERLAP]
        last_old = [entry for entry in self.cursors if entry[0] <= now - OVERLAP][-1:]
        return _Place((*last_old, *fresh, (now, cursor))[-_KEPT_CURSORS:])


async def poll(
    source: str,
    helpdesk: Helpdesk,
    tables: GuardTables,
    intake: Intake,
    now: datetime,
    *,
    backlog: Literal["skip", "run"] = "run",
) -> Polled:
    """Take in what happened in a helpdesk since the last poll, page by page.

    The cursor is stored after the page's events are, so that a crash repeats a page and loses none. The first poll of
    all stores it when it has come to the end: until then, a crash leaves it the first one.

    Args:
        source: The helpdesk's name.
        helpdesk: Where to ask.
        tables: Of the workspace; the cursor is kept there.
        intake: Stores what is found.
        now: The time of this poll.
        backlog: Whether the first poll of all has what is older than ``BACKLOG_AGE`` worked on.

    Raises:
        Unavailable: The helpdesk does not answer; the next poll goes on from here.
        InputError: It refuses, such as for a wrong token.
        StoreError: An event could not be stored; the next poll finds it again.
    """
    place = _load(tables, source)
    skip_before = now - BACKLOG_AGE if backlog == "skip" and not place.cursors else None
    cursor, n_events, n_new = place.start(now), 0, 0
    for _ in range(_MAX_FIRST_PAGES if skip_before else _MAX_PAGES):
        page = await helpdesk.poll(cursor)
        n_new += await intake.take(page, skip_before)
        n_events += len(page.events) + len(page.unreadable)
        place = place.after(page.cursor, now)
        is_last = page.cursor == cursor
        if is_last or not skip_before:
            _save(tables, source, place, now)
        if is_last:
            break
        cursor = page.cursor
    return Polled(n_events, n_new)


def _load(tables: GuardTables, source: str) -> _Place:
    with tables.reading() as connection:
        row = connection.execute("SELECT cursor FROM cursors WHERE source = ?", (source,)).fetchone()
    entries = json.loads(row["cursor"]) if row else []
    return _Place(tuple((datetime.fromisoformat(at), cursor) for at, cursor in entries))


def _save(tables: GuardTables, source: str, place: _Place, now: datetime) -> None:
    text = json.dumps([(to_text(at), cursor) for at, cursor in place.cursors])
    with tables.changing() as connection:
        connection.execute(
            "INSERT INTO cursors (source, cursor, at) VALUES (?, ?, ?)"
            " ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, at = excluded.at",
            (source, text, to_text(now)),
        )
