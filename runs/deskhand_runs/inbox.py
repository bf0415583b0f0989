"""The inbox: every delivery that was acknowledged and every decision that was taken in, in the order of arrival.

The functions that take a connection work inside a transaction of the caller's.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, cast

from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.sqlite import open_database, store_error
from deskhand.tickets import Event, EventKind, Ticket
from deskhand_runs.rows import SCHEMA, Connection, to_json, to_text

_DECISION = "deskhand:decision:"
_PUT_BACK = "put back by a person"
_OVERTAKEN = 20  # a delivery is overtaken by no more than these


class EntryState(StrEnum):
    """Where an entry stands. Only ``queued`` is at work, or will be; a person may put ``held`` and ``dead`` back."""

    queued = "queued"
    done = "done"
    skipped = "skipped"
    held = "held"
    dead = "dead"
    cancelled = "cancelled"


class Accepted(NamedTuple):
    """A stored delivery's number; ``is_new`` is false when it had been stored before."""

    seq: int
    is_new: bool


@dataclass(frozen=True)
class InboxEntry:
    """One delivery or decision. ``run_id`` is the run that it led to, or that covered it."""

    seq: int
    source: str
    delivery_id: str
    ticket_id: str
    event: Event
    ticket: Ticket | None
    received_at: datetime
    state: EntryState
    reason: str
    run_id: str | None
    graph: str
    n_attempts: int
    updated_at: datetime

    @property
    def is_decision(self) -> bool:
        """Whether it is a person's decision on a run, and no delivery."""
        return self.delivery_id.startswith(_DECISION)

    @property
    def is_put_back(self) -> bool:
        """Whether a person wants it run, whatever the guards say."""
        return self.reason.startswith(_PUT_BACK)

    @property
    def lane(self) -> str:
        """What is worked on one after the other: the ticket."""
        return f"{self.source}:{self.ticket_id}"


@dataclass(frozen=True)
class NewEntry:
    """What is to be stored of a delivery or a decision."""

    event: Event
    ticket: Ticket | None
    graph: str
    now: datetime
    run_id: str | None = None


def decision_entry(run_id: str, ask_id: str, ticket: Ticket, by: str, graph: str, now: datetime) -> NewEntry:
    """Return the entry of a decision, one for each question; the decision itself is in its own table."""
    event = Event(
        source=ticket.source,
        delivery_id=f"{_DECISION}{ask_id}",
        ticket_id=ticket.id,
        kind=EventKind.changed,
        actor=by,
        at=now,
    )
    return NewEntry(event, None, graph, now, run_id)


def insert(tx: Connection, entries: Sequence[NewEntry]) -> list[Accepted]:
    """Store deliveries in their order, each one once, and return what became of each.

    One statement stores them all, and needs no transaction around it: each statement gives the interpreter to the
    threads that compute, and waits to get it back, which takes longer than the statement.
    """
    if not entries:
        return []
    values = [value for entry in entries for value in _values(entry)]
    stored = tx.execute(_INSERT.format(", ".join([_PLACES] * len(entries))), values)
    if stored.rowcount == len(entries):
        last = cast("int", stored.lastrowid)
        return [Accepted(seq, is_new=True) for seq in range(last - len(entries) + 1, last + 1)]
    return _tell_apart([_seq_of(tx, entry.event) for entry in entries], stored.rowcount)


_PLACES = "(?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?)"
_INSERT = (
    "INSERT INTO inbox (source, delivery_id, ticket_id, event, ticket, received_at, state, graph, run_id,"
    " updated_at) VALUES {} ON CONFLICT DO NOTHING"
)


def _values(entry: NewEntry) -> tuple[object, ...]:
    event, at = entry.event, to_text(entry.now)
    ticket = to_json(entry.ticket) if entry.ticket else None
    named = (event.source, event.delivery_id, event.ticket_id)
    return (*named, to_json(event), ticket, at, entry.graph, entry.run_id, at)


def _seq_of(tx: Connection, event: Event) -> int:
    sql = "SELECT seq FROM inbox WHERE source = ? AND delivery_id = ?"
    return int(tx.execute(sql, (event.source, event.delivery_id)).fetchone()["seq"])


def _tell_apart(seqs: Sequence[int], n_new: int) -> list[Accepted]:
    """Return which of these are new: the ``n_new`` highest, each where it comes first."""
    new = set(sorted(set(seqs), reverse=True)[:n_new])
    return [Accepted(seq, seq in new and seq not in seqs[:place]) for place, seq in enumerate(seqs)]


def load_entry(tx: Connection, seq: int) -> InboxEntry:
    """Return one entry. Raises InputError when there is none."""
    is_possible = 0 < seq < 2**63  # SQLite has no larger ones
    row = tx.execute("SELECT * FROM inbox WHERE seq = ?", (seq,)).fetchone() if is_possible else None
    if row is None:
        raise InputError(f"{seq}: no such entry in the inbox; list them with 'deskhand runs list --inbox'")
    return _entry(row)


def begin_attempt(tx: Connection, seq: int, now: datetime) -> InboxEntry:
    """Count an attempt on a queued entry before anything is done, so that one that kills the process is counted."""
    tx.execute(
        "UPDATE inbox SET n_attempts = n_attempts + 1, updated_at = ? WHERE seq = ? AND state = 'queued'",
        (to_text(now), seq),
    )
    return load_entry(tx, seq)


def move(
    tx: Connection,
    seq: int,
    state: EntryState,
    now: datetime,
    *,
    reason: str = "",
    run_id: str | None = None,
    of: Sequence[EntryState] = (EntryState.queued,),
) -> bool:
    """Bring an entry from one of the states ``of`` to another; False when it is in none of them."""
    states = json.dumps([each.value for each in of])
    changed = tx.execute(
        "UPDATE inbox SET state = ?, reason = ?, run_id = COALESCE(?, run_id), updated_at = ?"
        " WHERE seq = ? AND state IN (SELECT value FROM json_each(?))",
        (state.value, reason, run_id, to_text(now), seq, states),
    )
    return changed.rowcount == 1


def note(
    tx: Connection, seq: int, reason: str, now: datetime, *, run_id: str | None = None, uncount: bool = False
) -> None:
    """Say why a queued entry goes on later; ``uncount`` takes the attempt back, which was none."""
    tx.execute(
        "UPDATE inbox SET reason = CASE WHEN substr(reason, 1, ?) = ? THEN ? ELSE '' END || ?,"
        " run_id = COALESCE(?, run_id), n_attempts = n_attempts - ?, updated_at = ?"
        " WHERE seq = ? AND state = 'queued'",
        (len(_PUT_BACK), _PUT_BACK, f"{_PUT_BACK}; ", reason, run_id, int(uncount), to_text(now), seq),
    )


def put_back(tx: Connection, seq: int, now: datetime, *, by_person: bool) -> bool:
    """Queue an entry again from the start of its attempts; False when it is neither held nor dead."""
    changed = tx.execute(
        "UPDATE inbox SET state = 'queued', reason = ?, n_attempts = 0, updated_at = ?"
        " WHERE seq = ? AND state IN ('held', 'dead')",
        (_PUT_BACK if by_person else "", to_text(now), seq),
    )
    return changed.rowcount == 1


def newest_of_lane(tx: Connection, entry: InboxEntry) -> int:
    """Return the number of the newest entry on the same ticket."""
    row = tx.execute(
        "SELECT MAX(seq) AS newest FROM inbox WHERE source = ? AND ticket_id = ?", (entry.source, entry.ticket_id)
    ).fetchone()
    return int(row["newest"])


def newest_ticket(tx: Connection, entry: InboxEntry) -> Ticket | None:
    """Return the newest state of the ticket that deliveries of the lane brought, None when none did.

    Deliveries overtake each other: the last ones are compared by the ticket's own time.
    """
    rows = tx.execute(
        "SELECT ticket FROM inbox WHERE source = ? AND ticket_id = ? AND ticket IS NOT NULL ORDER BY seq DESC LIMIT ?",
        (entry.source, entry.ticket_id, _OVERTAKEN),
    ).fetchall()
    brought = [Ticket.model_validate_json(row["ticket"]) for row in rows]
    return max(brought, key=lambda ticket: ticket.updated_at, default=None)  # of equal ones the last to arrive


def cover(tx: Connection, entry: InboxEntry, up_to: int, ticket: Ticket, run_id: str, now: datetime) -> int:
    """Mark the waiting messages that a run has already seen as done, and return how many they are.

    Args:
        tx: The transaction.
        entry: The entry whose run it was.
        up_to: The newest entry of the lane before the ticket was fetched.
        ticket: As it was fetched.
        run_id: The run.
        now: When.

    A message that arrived before the fetch and is not newer than the ticket is in it.
    """
    rows = tx.execute(
        "SELECT * FROM inbox WHERE source = ? AND ticket_id = ? AND seq <= ? AND seq != ? AND state = 'queued'"
        " AND graph = ? ORDER BY seq",
        (entry.source, entry.ticket_id, up_to, entry.seq, entry.graph),
    ).fetchall()
    seen = [
        row["seq"]
        for row, other in ((row, _entry(row)) for row in rows)
        if not other.is_decision
        and other.event.kind in (EventKind.created, EventKind.message)
        and other.event.at <= ticket.updated_at
    ]
    for seq in seen:
        move(tx, seq, EntryState.done, now, reason=f"covered by run {run_id}", run_id=run_id)
    return len(seen)


def earlier_write_back(tx: Connection, entry: InboxEntry) -> InboxEntry | None:
    """Return the earlier entry of the lane whose approved reply is still to be sent, or None."""
    row = tx.execute(
        "SELECT inbox.* FROM inbox JOIN runs ON runs.run_id = inbox.run_id WHERE inbox.source = ?"
        " AND inbox.ticket_id = ? AND inbox.seq < ? AND inbox.state = 'queued' AND runs.write_back = 'open'"
        " AND runs.run_id IS NOT ? ORDER BY inbox.seq LIMIT 1",
        (entry.source, entry.ticket_id, entry.seq, entry.run_id),
    ).fetchone()
    return _entry(row) if row else None


def _entry(row: sqlite3.Row) -> InboxEntry:
    return InboxEntry(
        seq=row["seq"],
        source=row["source"],
        delivery_id=row["delivery_id"],
        ticket_id=row["ticket_id"],
        event=Event.model_validate_json(row["event"]),
        ticket=Ticket.model_validate_json(row["ticket"]) if row["ticket"] else None,
        received_at=datetime.fromisoformat(row["received_at"]),
        state=EntryState(row["state"]),
        reason=row["reason"],
        run_id=row["run_id"],
        graph=row["graph"],
        n_attempts=row["n_attempts"],
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )


@dataclass(frozen=True)
class InboxCounts:
    """What is not at its end; ``oldest_queued`` is when the oldest queued entry arrived."""

    n_queued: int
    n_held: int
    n_dead: int
    n_parked: int
    oldest_queued: datetime | None
    paused: tuple[str, ...]


class Inbox:
    """Reads the inbox. May be used from several threads; close it."""

    def __init__(self, path: Path) -> None:
        """Open ``runs.db``. Raises StoreError."""
        self._path = path
        self._connection = open_database(path, SCHEMA)
        self._connection.row_factory = sqlite3.Row
        self._guard = threading.Lock()

    def close(self) -> None:
        """Close the database."""
        with self._guard:
            self._connection.close()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return the rows of a question. Raises StoreError."""
        with self._guard:
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as exc:
                raise store_error(self._path, exc) from exc

    def load(self, seq: int) -> InboxEntry:
        """Return one entry. Raises InputError when there is none."""
        with self._guard:
            return load_entry(self._connection, seq)

    def entries(self, *, state: str | None = None, ticket_id: str | None = None, limit: int = 100) -> list[InboxEntry]:
        """Return the newest entries first, at most ``limit``."""
        given = {"state = ?": state, "ticket_id = ?": ticket_id}
        tests = {test: value for test, value in given.items() if value is not None}
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        sql = f"SELECT * FROM inbox{where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - the tests are the two above
        return [_entry(row) for row in self.query(sql, (*tests.values(), max(0, limit)))]

    def of_run(self, run_id: str) -> list[InboxEntry]:
        """Return the entries that led to a run, or that it covered, oldest first."""
        sql = (
            "SELECT inbox.* FROM runs JOIN inbox ON inbox.source = runs.source AND inbox.ticket_id = runs.ticket_id"
            " AND inbox.run_id = runs.run_id WHERE runs.run_id = ? ORDER BY inbox.seq"
        )
        return [_entry(row) for row in self.query(sql, (run_id,))]

    def counts(self) -> InboxCounts:
        """Return how much is not at its end; does not look at what is, however much that is."""
        rows = self.query(
            "SELECT state, COUNT(*) AS n FROM inbox WHERE state IN ('queued', 'held', 'dead') GROUP BY state"
        )
        n = {row["state"]: row["n"] for row in rows}
        oldest = self.query("SELECT received_at FROM inbox WHERE state = 'queued' ORDER BY seq LIMIT 1")
        parked = self.query("SELECT COUNT(*) AS n FROM runs WHERE status = 'parked' AND waits")
        return InboxCounts(
            n_queued=n.get("queued", 0),
            n_held=n.get("held", 0),
            n_dead=n.get("dead", 0),
            n_parked=parked[0]["n"],
            oldest_queued=datetime.fromisoformat(oldest[0]["received_at"]) if oldest else None,
            paused=tuple(row["source"] for row in self.query("SELECT source FROM pauses ORDER BY source")),
        )


@contextmanager
def open_inbox(folder: WorkspaceFolder) -> Iterator[Inbox]:
    """Yield the inbox of a workspace for reading, from any process. Raises StoreError."""
    inbox = Inbox(folder.state / "runs.db")
    try:
        yield inbox
    finally:
        inbox.close()
