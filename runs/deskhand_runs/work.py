"""What is done with one entry of the inbox: run its ticket, or go on with a decided run, and say what came of it."""

from __future__ import annotations

import asyncio
import functools
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from deskhand.errors import DeskhandError, InputError, OwnedElsewhere, StoreError, Unavailable
from deskhand.jsonio import content_hash
from deskhand.records import RunRecord, RunStatus
from deskhand.service_settings import RunsSettings
from deskhand.tickets import EventKind, Priority, Ticket
from deskhand_runs import inbox
from deskhand_runs.execute import Executor
from deskhand_runs.gates import Gates
from deskhand_runs.inbox import EntryState, Inbox, InboxEntry
from deskhand_runs.limits import Later, Paused, Slots, rank
from deskhand_runs.store import CANCELLED, claim_in
from deskhand_runs.waking import enqueue
from deskhand_runs.writer import Transaction, Writer

_log = logging.getLogger(__name__)
PAUSED = "paused: "
"""How the reason of an entry begins that goes on by itself when write-back is resumed."""


@dataclass(frozen=True)
class Pace:
    """How fast the engine looks and tries again.

    Attributes:
        poll_s: Between two looks into the queue.
        tick_s: Between two looks for what was left behind.
        first_retry_s: Before the second attempt; each further wait is three times as long.
        longest_retry_s: The longest of these waits.
        grace_s: What is at work may take so long to end when the engine is closed; then it is cut off and recovered
            at the next start.
    """

    poll_s: float = 0.1
    tick_s: float = 2.0
    first_retry_s: float = 1.0
    longest_retry_s: float = 600.0
    grace_s: float = 10.0

    def wait_s(self, n_attempts: int) -> float:
        """Return how long to wait after so many attempts."""
        return float(min(self.longest_retry_s, self.first_retry_s * 3.0 ** min(max(0, n_attempts - 1), 20)))


class End(NamedTuple):
    """What came of an entry. ``seen`` and ``up_to``: the ticket that was run, and the newest entry before its fetch."""

    state: EntryState
    reason: str = ""
    run_id: str | None = None
    seen: Ticket | None = None
    up_to: int = 0


@dataclass(frozen=True)
class Work:
    """Does what the entries of the inbox ask for. All of one ticket come here one after the other."""

    executor: Executor
    gates: Gates
    writer: Writer
    inbox: Inbox
    slots: Slots
    pace: Pace
    settings: RunsSettings

    async def handle(self, seq: int) -> str:
        """Work on an entry once, and return its state; one that is ``queued`` then has been enqueued again.

        It may be called again for an entry after a crash, and does nothing for one that is at its end.
        """
        entry = await asyncio.to_thread(self.inbox.load, seq)
        if entry.state is not EntryState.queued:
            return entry.state.value
        async with self.slots.taken(rank(await self._priority(entry)), seq):
            return (await self._attempt(seq)).value

    async def _priority(self, entry: InboxEntry) -> Priority | None:
        if entry.ticket is not None:
            return entry.ticket.priority
        newest = await self._newest_run(entry)
        return newest.ticket.priority if newest else None

    async def _attempt(self, seq: int) -> EntryState:
        now = self.executor.clock.now()
        entry = await self.writer.write(lambda tx: inbox.begin_attempt(tx, seq, now))
        if entry.state is not EntryState.queued:
            return entry.state
        if entry.n_attempts > self.settings.max_attempts:
            n_cut_off = entry.n_attempts - 1
            return await self._end(entry, End(EntryState.dead, f"cut off {n_cut_off} times; {entry.reason}"))
        try:
            end = await self._do(entry)
        except Paused as exc:
            return await self._end(entry, End(EntryState.held, f"{PAUSED}{exc}"))
        except Later as exc:
            return await self._again(entry, str(exc), exc.wait_s, uncount=True)
        except OwnedElsewhere as exc:
            return await self._again(entry, str(exc), self.pace.first_retry_s, uncount=True)
        except Exception as exc:  # the edge of one entry: it is tried again, and the others go on
            return await self._failed(entry, exc)
        return await self._end(entry, end)

    async def _failed(self, entry: InboxEntry, exc: Exception) -> EntryState:
        is_known = isinstance(exc, DeskhandError)
        why = str(exc) if is_known else f"{type(exc).__name__}: {exc}"
        is_last = entry.n_attempts >= self.settings.max_attempts
        if is_last and not self._may_wait(entry, exc):
            _log.error("entry %d on %s: given up after %d attempts: %s", entry.seq, entry.lane, entry.n_attempts, why)
            return await self._end(entry, End(EntryState.dead, why))
        _log.warning(
            "entry %d on %s: attempt %d: %s", entry.seq, entry.lane, entry.n_attempts, why, exc_info=not is_known
        )
        asked: float = getattr(exc, "retry_after_s", None) or 0.0
        wait_s = max(asked, self.pace.wait_s(entry.n_attempts))
        return await self._again(entry, why, wait_s, uncount=is_last or isinstance(exc, StoreError))

    def _may_wait(self, entry: InboxEntry, exc: Exception) -> bool:
        """Tell whether a failure is an outage, which says nothing about the entry: of our disk, or of a helpdesk."""
        age = self.executor.clock.now() - entry.received_at
        is_outage = isinstance(exc, Unavailable) and age < timedelta(hours=self.settings.outage_hours)
        return is_outage or isinstance(exc, StoreError)

    async def _again(self, entry: InboxEntry, why: str, wait_s: float, *, uncount: bool) -> EntryState:
        """Enqueue an entry once more: who waits in the queue takes no slot and blocks no other ticket."""
        now = self.executor.clock.now()

        def job(tx: Transaction) -> EntryState:
            inbox.note(tx, entry.seq, why, now, uncount=uncount)
            current = inbox.load_entry(tx, entry.seq)
            if current.state is EntryState.queued:
                enqueue(tx, entry.seq, delay_s=wait_s)
            return current.state

        return await self.writer.write(job)

    async def _end(self, entry: InboxEntry, end: End) -> EntryState:
        now = self.executor.clock.now()

        def job(tx: Transaction) -> EntryState:
            inbox.move(tx, entry.seq, end.state, now, reason=end.reason, run_id=end.run_id)
            if end.seen is not None and end.run_id is not None:
                inbox.cover(tx, entry, end.up_to, end.seen, end.run_id, now)
            return inbox.load_entry(tx, entry.seq).state

        return await self.writer.write(job)

    async def _do(self, entry: InboxEntry) -> End:
        await self._wait_for_earlier(entry)
        if entry.is_decision:
            assert entry.run_id is not None, "a decision is on a run"
            return _ended(await self.executor.go_on(entry.run_id))
        if entry.event.kind is EventKind.changed:
            return End(EntryState.done, "a change asks for no answer")
        if entry.event.kind is EventKind.closed:
            return await self._close(entry)
        if entry.run_id is not None:
            return await self._go_on(entry, entry.run_id)
        return await self._run(entry)

    async def _wait_for_earlier(self, entry: InboxEntry) -> None:
        """Raise Later while an approved reply of an earlier entry is still to be sent: replies keep their order."""
        earlier = await self.writer.write(lambda tx: inbox.earlier_write_back(tx, entry))
        if earlier is not None:
            raise Later(f"waits for entry {earlier.seq}", wait_s=self.pace.wait_s(earlier.n_attempts))

    async def _close(self, entry: InboxEntry) -> End:
        n_closed = await asyncio.to_thread(
            self.executor.store.close_parked,
            entry.source,
            entry.ticket_id,
            "the ticket was closed",
            self.executor.clock.now(),
        )
        return End(EntryState.done, f"closed; {n_closed} drafts dropped" if n_closed else "closed")

    async def _go_on(self, entry: InboxEntry, run_id: str) -> End:
        """Go on with the run of an earlier attempt, unless a newer one has replaced it.

        One that was decided meanwhile is left to the decision's own entry: before that there may be other decisions of
        the lane, whose replies come first.
        """
        run = await asyncio.to_thread(self.executor.store.load, run_id)
        if run.latest_decision is not None:
            return _ended(run)
        newest = await self._newest_run(entry)
        if newest is not None and newest.run_id != run_id and run.status is not RunStatus.done:
            return End(EntryState.done, f"superseded by run {newest.run_id}")
        return _ended(await self.executor.go_on(run_id))

    async def _run(self, entry: InboxEntry) -> End:
        up_to = await self.writer.write(lambda tx: inbox.newest_of_lane(tx, entry))
        try:
            ticket = await self._ticket(entry)
        except InputError as exc:
            if type(exc) is not InputError:
                raise  # the configuration, which a person may correct
            return End(EntryState.skipped, str(exc))
        newest = await self._newest_run(entry)
        if newest is not None and _has_seen(newest, ticket):
            return End(EntryState.done, f"covered by run {newest.run_id}", newest.run_id, ticket, up_to)
        if not entry.is_put_back:
            judged = await self.gates.judge(entry.event, ticket)
            if judged.verdict != "run":
                state = EntryState.held if judged.verdict == "hold" else EntryState.skipped
                return End(state, judged.reason, newest.run_id if newest and state is EntryState.skipped else None)
        return await self._start(entry, ticket, up_to)

    async def _start(self, entry: InboxEntry, ticket: Ticket, up_to: int) -> End:
        new_id, now = functools.partial(self.executor.ids.new, "run"), self.executor.clock.now()

        def job(tx: Transaction) -> RunRecord:
            run = claim_in(tx, ticket, entry.graph, new_id=new_id, now=now).record
            inbox.note(tx, entry.seq, "", now, run_id=run.run_id)  # together: a crash leaves no run that nobody knows
            return run

        run = await self.writer.write(job)
        return _ended(await self.executor.go_on(run.run_id))._replace(seen=ticket, up_to=up_to)

    async def _ticket(self, entry: InboxEntry) -> Ticket:
        """Return the ticket as it is now: the newer one of what the helpdesk says and what deliveries brought.

        Raises:
            InputError: There is none any more.
            Unavailable: The helpdesk does not answer.
        """
        given = await self.writer.write(lambda tx: inbox.newest_ticket(tx, entry))
        try:
            fetched = await self.executor.workspace.helpdesk(entry.source).fetch(entry.ticket_id)
        except InputError:
            if given is None:
                raise
            return given
        return fetched if given is None or fetched.updated_at >= given.updated_at else given

    async def _newest_run(self, entry: InboxEntry) -> RunRecord | None:
        return await asyncio.to_thread(self.executor.store.newest_of, entry.source, entry.ticket_id, entry.graph)


def _has_seen(run: RunRecord, ticket: Ticket) -> bool:
    is_over = run.status in (RunStatus.parked, RunStatus.done) and run.result is not None
    return is_over and run.ticket_hash == content_hash(ticket.model_dump(mode="json"))


def _ended(run: RunRecord) -> End:
    if run.error.startswith(CANCELLED):
        return End(EntryState.cancelled, run.error, run.run_id)
    return End(EntryState.done, run.error, run.run_id)
