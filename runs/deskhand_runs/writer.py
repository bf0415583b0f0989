"""One thread that writes to ``runs.db``, many jobs in one commit.

A commit waits for the disk, and SQLite has one writer at a time: what arrives while one commit is under way shares
the next one, so that a burst of webhooks costs a few commits and not one each.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from deskhand.errors import DeskhandError, StoreError
from deskhand.sqlite import store_error
from deskhand_runs.dbos_setup import QUEUE, VERSION

if TYPE_CHECKING:
    import sqlalchemy as sa
    from dbos import DBOSClient, EnqueueOptions

T = TypeVar("T")
_MAX_JOBS = 64
"""The most jobs in one commit: each adds well under a millisecond to the wait of the others."""

_PATIENCE_S = 30.0
_PAUSE_S = 0.002
"""How long, and how often, the database is tried while another connection writes."""

_log = logging.getLogger(__name__)


class Transaction:
    """A job's view of the transaction: our own tables, and DBOS's queue."""

    def __init__(self, raw: sqlite3.Connection, database: sa.Engine, client: DBOSClient) -> None:
        self._raw = raw
        self._database = database
        self._client = client
        self._connection: sa.Connection | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement; rows are ``sqlite3.Row``."""
        if not self._raw.in_transaction:
            self._patiently("BEGIN IMMEDIATE", ())
        return self._patiently(sql, parameters)

    def _patiently(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        """Execute a statement when nobody else writes. SQLite's own waiting sleeps for up to 100 ms at a time."""
        cursor = self._raw.cursor()
        cursor.row_factory = sqlite3.Row
        give_up_at = 0.0
        while True:
            try:
                return cursor.execute(sql, parameters)
            except sqlite3.OperationalError as exc:
                give_up_at = give_up_at or time.monotonic() + _PATIENCE_S
                if "locked" not in str(exc) or time.monotonic() > give_up_at:
                    raise
            time.sleep(_PAUSE_S)

    def enqueue(self, workflow: str, seq: int, lane: str, *, delay_s: float = 0.0) -> None:
        """Put a workflow for inbox entry ``seq`` into the queue; it starts when the transaction is committed.

        Without a partition key DBOS would take the workflow and never run it: this is the only place that enqueues.
        The ids sort in the order of arrival, which DBOS goes by when two came in the same second.
        """
        first = f"ev-{seq:012d}"
        used = "SELECT MAX(workflow_uuid) AS last FROM workflow_status WHERE workflow_uuid >= ? AND workflow_uuid < ?"
        last = self.execute(used, (first, f"{first}~")).fetchone()["last"]
        options: EnqueueOptions = {
            "workflow_name": workflow,
            "queue_name": QUEUE,
            "queue_partition_key": lane,
            "workflow_id": first if last is None else f"{first}-{int(last[len(first) + 1 :] or 0) + 1:06d}",
            "app_version": VERSION,
        }
        if delay_s > 0:
            options["delay_seconds"] = delay_s
        if self._connection is None:  # SQLAlchemy's view of the same connection, only where DBOS needs it
            self._connection = self._database.connect()
        self._client.enqueue_in_transaction(self._connection, options, seq)

    def commit(self) -> None:
        """Store what was done."""
        if self._connection is not None:
            self._connection.commit()
        elif self._raw.in_transaction:
            self._raw.execute("COMMIT")

    def close(self) -> None:
        """Undo what was not stored."""
        if self._connection is not None:
            self._connection.close()
        if self._raw.in_transaction:  # SQLite has rolled back on its own after some errors, such as a full disk
            self._raw.execute("ROLLBACK")


Job = Callable[[Transaction], T]


class _Deferred(NamedTuple):
    job: Job[object]
    due_at: float


class _Taken(NamedTuple):
    batch: list[tuple[Job[Any], Future[Any]]]
    is_last: bool


class Writer:
    """Carries out jobs in transactions, in the order in which they were handed in; deferred ones after the others."""

    def __init__(self, path: Path, client: DBOSClient) -> None:
        self._path = path
        self._client = client
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._deferred: deque[_Deferred] = deque()
        self._guard = threading.Lock()
        self._is_closed = False
        self._database = _build_database(path)
        self._raw = _raw_of(self._database)
        self._thread = threading.Thread(target=self._serve, name="deskhand-writer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what was handed in and stop."""
        with self._guard:
            self._is_closed = True
            self._jobs.put(None)
        self._thread.join()
        self._database.dispose()

    def submit(self, job: Job[T]) -> Future[T]:
        """Hand in a job; its result is there when it is committed.

        The future raises what the job raised, which undoes only this job, or StoreError when it cannot be stored.
        """
        future: Future[T] = Future()
        with self._guard:
            if self._is_closed:
                raise StoreError(f"{self._path}: this process is stopping; try again when it has started again")
            self._jobs.put((job, future))
        return future

    async def write(self, job: Job[T]) -> T:
        """Carry out a job and return its result when it is committed. Raises as ``submit`` says."""
        return await asyncio.wrap_future(self.submit(job))

    def defer(self, job: Job[object], delay_s: float) -> None:
        """Hand in a job that nobody waits for and that may be lost: a failure is logged.

        It is carried out by itself, between two commits, when ``delay_s`` has passed or the writer closes.
        """
        with self._guard:
            if not self._is_closed:
                self._deferred.append(_Deferred(job, time.monotonic() + delay_s))
                self._jobs.put((_nothing, Future()))  # the thread may be asleep without a time to wake up

    def _serve(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._take()
            # who no longer waits gets nothing stored, and can no longer give up once the job has begun
            self._carry_out([one for one in batch if one[1].set_running_or_notify_cancel()])
            if self._deferred and self._deferred[0].due_at <= time.monotonic():
                self._carry_out_deferred()
        while self._deferred:
            self._carry_out_deferred()

    def _take(self) -> _Taken:
        """Return the jobs of the next commit, none when a deferred job is due before another one comes."""
        batch: list[tuple[Job[Any], Future[Any]]] = []
        wait_s = max(0.0, self._deferred[0].due_at - time.monotonic()) if self._deferred else None
        try:
            following = self._jobs.get(timeout=wait_s)
        except queue.Empty:
            return _Taken(batch, is_last=False)
        while following is not None:
            if following[0] is not _nothing:
                batch.append(following)
            if len(batch) >= _MAX_JOBS or self._jobs.empty():
                return _Taken(batch, is_last=False)
            following = self._jobs.get()
        return _Taken(batch, is_last=True)

    def _carry_out_deferred(self) -> None:
        future: Future[Any] = Future()
        self._carry_out([(self._deferred.popleft().job, future)])
        if (error := future.exception()) is not None:
            _log.warning("a deferred job failed, it is made up for: %s", error)

    def _carry_out(self, batch: list[tuple[Job[Any], Future[Any]]]) -> None:
        """Commit a batch; when that fails, each job by itself, so that one does not take the others with it."""
        if not batch:
            return
        try:
            results = self._commit(batch)
        except Exception as exc:  # the edge of the thread: whoever waits gets the error
            if len(batch) > 1:
                for one in batch:
                    self._carry_out([one])
            else:
                batch[0][1].set_exception(self._explain(exc))
            return
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, DeskhandError):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _commit(self, batch: list[tuple[Job[Any], Future[Any]]]) -> list[Any]:
        tx = Transaction(self._raw, self._database, self._client)
        try:
            # one by itself needs no savepoint: what it refuses undoes the whole transaction
            results = [batch[0][0](tx)] if len(batch) == 1 else [_protected(tx, job) for job, _ in batch]
            tx.commit()
        finally:
            tx.close()
        return results

    def _explain(self, exc: Exception) -> Exception:
        cause = getattr(exc, "orig", exc)
        if isinstance(cause, sqlite3.Error):
            return store_error(self._path, cause)
        if isinstance(exc, DeskhandError):
            return exc
        return StoreError(f"{self._path}: cannot be written ({type(exc).__name__}: {exc}); see the log and try again")


def _protected(tx: Transaction, job: Job[Any]) -> Any:
    """Return a job's result, or the error with which it refused; then nothing of it is left."""
    tx.execute("SAVEPOINT job")
    try:
        result = job(tx)
    except DeskhandError as exc:
        tx.execute("ROLLBACK TO job")
        result = exc
    tx.execute("RELEASE job")
    return result


def _nothing(_tx: Transaction) -> None:
    """Do nothing: this job only wakes the thread."""


def _build_database(path: Path) -> sa.Engine:
    """Return an engine of one connection, on which transactions are begun and ended by hand."""
    import sqlalchemy as sa

    database = sa.create_engine(
        f"sqlite:///{path}",
        poolclass=sa.pool.StaticPool,
        connect_args={"check_same_thread": False},
    )

    @sa.event.listens_for(database, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in (
            "busy_timeout=30000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=0",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return database


def _raw_of(database: sa.Engine) -> sqlite3.Connection:
    with database.connect() as connection:
        return cast("sqlite3.Connection", connection.connection.driver_connection)
