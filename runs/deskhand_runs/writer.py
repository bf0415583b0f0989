"""One thread that writes to ``runs.db``, many jobs in one commit.

A commit waits for the disk, and SQLite has one writer at a time: what arrives while one commit is under way shares
the next one, so that a burst of webhooks costs a few commits and not one each.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from deskhand.errors import DeskhandError, StoreError
from deskhand.sqlite import store_error
from deskhand_runs.dbos_setup import QUEUE, VERSION

if TYPE_CHECKING:
    import sqlalchemy as sa
    from dbos import DBOSClient, EnqueueOptions

T = TypeVar("T")
_MAX_JOBS = 64
"""The most jobs in one commit: each adds well under a millisecond to the wait of the others."""


class Transaction:
    """A job's view of the transaction: our own tables, and DBOS's queue."""

    def __init__(self, connection: sa.Connection, client: DBOSClient) -> None:
        self._connection = connection
        self._client = client
        self._raw = cast("sqlite3.Connection", connection.connection.driver_connection)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement; rows are ``sqlite3.Row``."""
        cursor = self._raw.cursor()
        cursor.row_factory = sqlite3.Row
        return cursor.execute(sql, parameters)

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
        self._client.enqueue_in_transaction(self._connection, options, seq)


Job = Callable[[Transaction], T]


class Writer:
    """Carries out jobs in transactions, in the order in which they were handed in."""

    def __init__(self, path: Path, client: DBOSClient) -> None:
        self._path = path
        self._client = client
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._is_closed = False
        self._database = _build_database(path)
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

    def _serve(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch, is_last = [first], False
            while len(batch) < _MAX_JOBS and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    is_last = True
                    break
                batch.append(following)
            # who no longer waits gets nothing stored, and can no longer give up once the job has begun
            self._carry_out([one for one in batch if one[1].set_running_or_notify_cancel()])
            if is_last:
                return

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
        with self._database.connect() as connection, connection.begin():
            tx = Transaction(connection, self._client)
            return [_protected(tx, job) for job, _ in batch]

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


def _build_database(path: Path) -> sa.Engine:
    """Return an engine of one connection whose transactions take the write lock at their begin."""
    import sqlalchemy as sa

    database = sa.create_engine(
        f"sqlite:///{path}",
        poolclass=sa.pool.StaticPool,
        connect_args={"check_same_thread": False},
    )

    @sa.event.listens_for(database, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(database, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return database
