"""Taking deliveries in: each is one statement and one commit on the event loop that answers."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from deskhand.errors import StoreError
from deskhand.sqlite import open_database, store_error
from deskhand_runs.inbox import Accepted, NewEntry, insert
from deskhand_runs.rows import SCHEMA
from deskhand_runs.waking import wake
from deskhand_runs.writer import Transaction, Writer

_MAX_TOGETHER = 64
_WOKEN_TOGETHER = 4
_WAKE_S = 0.15
"""How long workflows wait for further ones to be enqueued with them, in commits of ``_WOKEN_TOGETHER``: whatever writes
to the database meanwhile, acknowledgements too, waits for such a commit."""

_PATIENCE_S = 30.0
_PAUSE_S = 0.001
"""How long, and how often, storing is tried while another connection writes."""


class _Waiting(NamedTuple):
    entry: NewEntry
    answer: asyncio.Future[Accepted]


@dataclass
class _Queue:
    """What found the database locked, on one event loop; it is tried until ``give_up_at``."""

    waiting: list[_Waiting]
    give_up_at: float


class Intake:
    """Stores deliveries for the process that executes.

    A delivery is safe when its row in the inbox is committed, and is acknowledged then. Its workflow is enqueued in a
    moment, in a commit of its own: DBOS takes several statements for one. A process that dies in between leaves a
    queued entry without a workflow, which the next one looks for before it takes anything in.

    While runs compute, each change of threads waits for the interpreter longer than a commit takes. So the event loop
    commits by itself, on a connection of its own. It never waits for another connection's lock: what finds one is
    stored a moment later, in one commit with all that arrived meanwhile.
    """

    def __init__(self, writer: Writer, path: Path) -> None:
        """Open ``runs.db``. Raises StoreError."""
        self._writer = writer
        self._path = path
        self._connection = open_database(path, SCHEMA)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA busy_timeout=0")
        self._is_closed = False
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}
        self._unwoken: list[int] = []
        self._guard = threading.Lock()

    def close(self) -> None:
        """Take nothing in any more."""
        with self._guard:
            self._is_closed = True
            self._connection.close()

    async def accept(self, entry: NewEntry) -> Accepted:
        """Store a delivery once, and return when it is durable. Raises StoreError."""
        loop = asyncio.get_running_loop()
        one = _Waiting(entry, loop.create_future())
        queue = self._queues.get(loop)
        if queue is not None:
            queue.waiting.append(one)
        elif self._store([one], may_wait=True):
            self._put_off(loop, [one], time.monotonic() + _PATIENCE_S)
        return await one.answer

    def _put_off(self, loop: asyncio.AbstractEventLoop, waiting: list[_Waiting], give_up_at: float) -> None:
        self._queues[loop] = _Queue(waiting, give_up_at)
        loop.call_later(_PAUSE_S, self._try_again, loop)

    def _try_again(self, loop: asyncio.AbstractEventLoop) -> None:
        queue = self._queues.pop(loop)
        # who no longer waits gets nothing stored
        waiting = [one for one in queue.waiting if not one.answer.done()]
        may_wait = time.monotonic() < queue.give_up_at
        left: list[_Waiting] = []
        while waiting and not left:
            left, waiting = self._store(waiting[:_MAX_TOGETHER], may_wait=may_wait), waiting[_MAX_TOGETHER:]
        if left:
            self._put_off(loop, [*left, *waiting], queue.give_up_at)

    def _store(self, some: Sequence[_Waiting], *, may_wait: bool) -> list[_Waiting]:
        """Store and answer, each by itself when all together fail; return those that found the database locked."""
        try:
            stored = self._insert(some)
        except Exception as exc:  # the edge of one commit: whoever waits gets the error
            if may_wait and "locked" in str(exc):
                return list(some)
            if len(some) > 1:
                return [left for one in some for left in self._store([one], may_wait=may_wait)]
            some[0].answer.set_exception(self._explain(exc))
            return []
        for one, accepted in zip(some, stored, strict=True):
            one.answer.set_result(accepted)
        self._wake([accepted.seq for accepted in stored if accepted.is_new])
        return []

    def _insert(self, some: Sequence[_Waiting]) -> list[Accepted]:
        with self._guard:
            if self._is_closed:
                raise StoreError(f"{self._path}: this process is stopping; try again when it has started again")
            return insert(self._connection, [one.entry for one in some])

    def _explain(self, exc: Exception) -> StoreError:
        if isinstance(exc, StoreError):
            return exc
        if isinstance(exc, sqlite3.Error):
            return store_error(self._path, exc)
        return StoreError(f"{self._path}: cannot be written ({type(exc).__name__}: {exc}); see the log and try again")

    def _wake(self, seqs: Sequence[int]) -> None:
        with self._guard:
            is_first = not self._unwoken
            self._unwoken.extend(seqs)
        if seqs and is_first:
            self._writer.defer(self._wake_some, _WAKE_S)

    def _wake_some(self, tx: Transaction) -> None:
        with self._guard:
            some, self._unwoken = self._unwoken[:_WOKEN_TOGETHER], self._unwoken[_WOKEN_TOGETHER:]
            is_more = bool(self._unwoken)
        if is_more:
            self._writer.defer(self._wake_some, 0.0)
        wake(tx, some)
