"""Reconcile polls: what a webhook lost is found again, through the same inbox and its memory of deliveries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from deskhand.interfaces import Helpdesk
from deskhand.tickets import Event
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.rows import to_text

OVERLAP = timedelta(minutes=2)
"""Each poll goes back this far: a helpdesk may commit in another order than its clock says. Events that come again
are known by their delivery ids."""

_MAX_PAGES = 100
_KEPT_CURSORS = 50


class Polled(NamedTuple):
    """What one poll found: events in all, and those that nobody had delivered."""

    n_events: int
    n_new: int


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
    accept: Callable[[Event], Awaitable[bool]],
    now: datetime,
) -> Polled:
    """Take in what happened in a helpdesk since the last poll, page by page.

    The cursor is stored after the page's events are, so that a crash repeats a page and loses none.

    Args:
        source: The helpdesk's name.
        helpdesk: Where to ask.
        tables: Of the workspace; the cursor is kept there.
        accept: Stores an event in the inbox, and tells whether it was new.
        now: The time of this poll.

    Raises:
        Unavailable: The helpdesk does not answer; the next poll goes on from here.
        InputError: It refuses, such as for a wrong token.
        StoreError: An event could not be stored; the next poll finds it again.
    """
    place = _load(tables, source)
    cursor, n_events, n_new = place.start(now), 0, 0
    for _ in range(_MAX_PAGES):
        page = await helpdesk.poll(cursor)
        for event in page.events:
            n_new += await accept(event)
        n_events += len(page.events)
        place = place.after(page.cursor, now)
        _save(tables, source, place, now)
        if page.cursor == cursor or not page.events:
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
