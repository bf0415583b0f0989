"""The ways into the engine, for its own process and for others: everything here only stores and enqueues."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deskhand.actions import Decision
from deskhand.clock import Clock, SystemClock
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.records import RunRecord
from deskhand.tickets import Event, Ticket
from deskhand_runs.dbos_setup import QUEUE, build_client, build_database, check_sqlite
from deskhand_runs.inbox import (
    Accepted,
    EntryState,
    Inbox,
    InboxEntry,
    NewEntry,
    decision_entry,
    insert,
    load_entry,
    move,
    put_back,
)
from deskhand_runs.ownership import is_owned
from deskhand_runs.rows import to_text
from deskhand_runs.store import RunStore, cancel_in, decide_in, load_in
from deskhand_runs.waking import enqueue, wake
from deskhand_runs.write_back import give_up
from deskhand_runs.writer import Transaction, Writer

_STILL = (EntryState.queued, EntryState.held, EntryState.dead)


@dataclass(frozen=True)
class EngineStatus:
    """How much there is to do.

    Attributes:
        n_queued: Deliveries and decisions that are not at their end, those at work included.
        n_at_work: Those that are worked on now; as another process sees it, also those about to be.
        n_parked: Runs that wait for a person.
        n_dead: Entries that failed too often and wait for ``retry`` or ``skip``.
        n_held: Entries that a guard or a pause holds.
        oldest_queued_s: The age of the oldest queued entry in seconds, None when nothing is queued.
        is_paused: Whether any write-back is paused.
        paused_sources: The helpdesks whose write-back is paused; '' is all of them.
        owner: Whether a process executes runs now.
    """

    n_queued: int
    n_at_work: int
    n_parked: int
    n_dead: int
    n_held: int
    oldest_queued_s: float | None
    is_paused: bool
    paused_sources: tuple[str, ...]
    owner: bool


class Door:
    """What any process may ask of the engine of a workspace; the process that owns it executes."""

    def __init__(self, folder: WorkspaceFolder, store: RunStore, writer: Writer, inbox: Inbox, clock: Clock) -> None:
        self.folder = folder
        self.store = store
        self.clock = clock
        self._writer = writer
        self._inbox = inbox

    async def accept(self, event: Event, ticket: Ticket | None = None, *, graph: str | None = None) -> Accepted:
        """Store a delivery and have it worked on; when this returns, nothing but the loss of the disk loses it.

        Args:
            event: What arrived. A second one of the same source and delivery id is not stored again.
            ticket: The ticket, where the delivery brings all of it; otherwise it is fetched when its turn comes.
            graph: The graph to run; the workspace's default when left out.

        Raises:
            StoreError: It could not be stored; the sender must send it again.
        """
        return await self._take_in(
            NewEntry(event, ticket, graph or self.folder.config.graphs.default, self.clock.now())
        )

    async def _take_in(self, entry: NewEntry) -> Accepted:
        return await self._writer.write(lambda tx: _insert_and_wake(tx, entry))

    async def set_aside(self, event: Event, state: EntryState, reason: str) -> Accepted:
        """Store a delivery that is not worked on: ``skipped``, or ``held`` for a person. One that is known stays.

        Raises:
            StoreError: It could not be stored.
        """
        entry = NewEntry(event, None, self.folder.config.graphs.default, self.clock.now())

        def job(tx: Transaction) -> Accepted:
            (accepted,) = insert(tx, [entry])
            if accepted.is_new:
                move(tx, accepted.seq, state, entry.now, reason=reason)
            return accepted

        return await self._writer.write(job)

    async def decide(self, run_id: str, decision: Decision) -> RunRecord:
        """Store a person's decision and have the run go on; the very same decision again changes nothing.

        Returns the run as it is stored now, before it goes on.

        Raises:
            InputError: There is no such run, or it was decided otherwise, or the decision does not fit.
            StoreError: It could not be stored.
        """
        now = self.clock.now()

        def job(tx: Transaction) -> RunRecord:
            if decide_in(tx, run_id, decision, now):
                adopt_decision(tx, load_in(tx, run_id), decision.ask_id, decision.by, self.clock)
            return load_in(tx, run_id)

        return await self._writer.write(job)

    async def cancel(self, run_id: str, by: str = "a person") -> bool:
        """Stop a run before its next effect; False when nothing of it was left to do. Raises InputError."""
        now = self.clock.now()

        def job(tx: Transaction) -> bool:
            run = load_in(tx, run_id)
            if not cancel_in(tx, run.run_id, by, now):
                return False
            tx.execute(
                "UPDATE inbox SET state = 'cancelled', reason = ?, updated_at = ? WHERE source = ? AND ticket_id = ?"
                " AND run_id = ? AND state IN ('queued', 'held', 'dead')",
                (f"cancelled by {by}", to_text(now), run.ticket.source, run.ticket.id, run.run_id),
            )
            return True

        return await self._writer.write(job)

    async def retry(self, seq: int) -> InboxEntry:
        """Have a dead or held entry worked on again, whatever held it. Raises InputError for any other."""
        now = self.clock.now()

        def job(tx: Transaction) -> InboxEntry:
            entry = load_entry(tx, seq)
            if not put_back(tx, seq, now, by_person=True):
                raise InputError(f"{seq}: is {entry.state}; only what is dead or held can be tried again")
            enqueue(tx, seq)
            return load_entry(tx, seq)

        return await self._writer.write(job)

    async def skip(self, seq: int, by: str) -> InboxEntry:
        """Give an entry up; a reply that was approved and could not be sent ends as ``uncertain``.

        Raises:
            InputError: The entry is at its end.
            OwnedElsewhere: It is worked on at this moment.
        """
        entry = await asyncio.to_thread(self._inbox.load, seq)
        if entry.state not in _STILL:
            raise InputError(f"{seq}: is {entry.state} already; nothing is left to be skipped")
        if entry.run_id is None:
            return await self._skip(entry, by)
        with self.store.lock(entry.run_id):
            skipped = await self._skip(entry, by)
            await asyncio.to_thread(self._give_up, entry.run_id, f"given up by {by}: {entry.reason or 'not tried'}")
        return skipped

    async def _skip(self, entry: InboxEntry, by: str) -> InboxEntry:
        reason, now = f"skipped by {by}; {entry.reason}".removesuffix("; "), self.clock.now()

        def job(tx: Transaction) -> InboxEntry:
            move(tx, entry.seq, EntryState.skipped, now, reason=reason, of=_STILL)
            return load_entry(tx, entry.seq)

        return await self._writer.write(job)

    def _give_up(self, run_id: str, why: str) -> None:
        pending = [run for run in self.store.pending_write_back() if run.run_id == run_id]
        for run in pending:
            give_up(run, self.store, why, self.clock)

    def entries(self, *, state: str | None = None, ticket_id: str | None = None, limit: int = 100) -> list[InboxEntry]:
        """Return the newest entries of the inbox first, at most ``limit``."""
        return self._inbox.entries(state=state, ticket_id=ticket_id, limit=limit)

    def entry(self, seq: int) -> InboxEntry:
        """Return one entry of the inbox. Raises InputError when there is none."""
        return self._inbox.load(seq)

    def status(self) -> EngineStatus:
        """Return how much there is to do; costs the same however many runs are at their end."""
        counts = self._inbox.counts()
        oldest = counts.oldest_queued
        return EngineStatus(
            n_queued=counts.n_queued,
            n_at_work=self._n_at_work(),
            n_parked=counts.n_parked,
            n_dead=counts.n_dead,
            n_held=counts.n_held,
            oldest_queued_s=max(0.0, (self.clock.now() - oldest).total_seconds()) if oldest else None,
            is_paused=bool(counts.paused),
            paused_sources=counts.paused,
            owner=self._has_owner(),
        )

    def _n_at_work(self) -> int:
        sql = "SELECT COUNT(*) AS n FROM workflow_status WHERE status = 'PENDING' AND queue_name = ?"
        return int(self._inbox.query(sql, (QUEUE,))[0]["n"])

    def _has_owner(self) -> bool:
        return is_owned(self.folder)


def adopt_decision(tx: Transaction, run: RunRecord, ask_id: str, by: str, clock: Clock) -> None:
    """Have a decided run go on, unless somebody has done so already."""
    _insert_and_wake(tx, decision_entry(run.run_id, ask_id, run.ticket, by, run.graph, clock.now()))


def _insert_and_wake(tx: Transaction, entry: NewEntry) -> Accepted:
    (accepted,) = insert(tx, [entry])
    if accepted.is_new:
        wake(tx, [accepted.seq])
    return accepted


@contextmanager
def open_client(folder: WorkspaceFolder, *, clock: Clock | None = None) -> Iterator[Door]:
    """Yield a door to the engine of a workspace, from a process that does not execute.

    What goes in is worked on by the process that owns the workspace, now or when one is started.

    Raises:
        ConfigError: DBOS does not work with this Python's SQLite.
        StoreError: A database is damaged, newer than this deskhand, or cannot be written.
    """
    check_sqlite()
    with RunStore.open(folder) as store:
        database = build_database(store.path)
        writer, inbox = Writer(store.path, build_client(database)), Inbox(store.path)
        try:
            yield Door(folder, store, writer, inbox, clock or SystemClock())
        finally:
            writer.close()
            inbox.close()
            database.dispose()
