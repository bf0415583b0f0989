"""Forgetting: finished runs and all that belongs to them, what models cost, and deliveries, after their days.

What waits is kept however old it is: runs that wait for a person or for write-back, and deliveries that are queued,
held or dead. Everything is deleted in small batches with a pause after each, so that intake is not kept waiting.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from deskhand.config import WorkspaceFolder
from deskhand.errors import StoreError
from deskhand.service_settings import RunsSettings
from deskhand.sqlite import open_database, store_error, transaction
from deskhand_models import forget_attempts
from deskhand_runs.checkpoints import SCHEMA as CHECKPOINTS_SCHEMA
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.rows import to_text

BATCH = 50
"""Rows of one kind that are deleted in one transaction: some milliseconds, in which nothing else can be stored."""

_PAUSE_S = 0.02


class Workflows(Protocol):
    """The engine's memory of what it has executed."""

    async def delete_ended(self, before: datetime, limit: int) -> int:
        """Delete at most ``limit`` workflows that ended before a moment, and return how many those were."""
        ...


class Forgotten(NamedTuple):
    """How many of each were deleted."""

    n_runs: int
    n_deliveries: int
    n_own_writes: int
    n_handlings: int
    n_workflows: int
    n_attempts: int


@dataclass(frozen=True)
class Retention:
    """The retention of one workspace; ``workflows`` is None where no engine runs."""

    folder: WorkspaceFolder
    tables: GuardTables
    settings: RunsSettings
    workflows: Workflows | None = None

    async def job(self, now: datetime) -> Forgotten:
        """Delete what is older than its days at ``now``. Stopped anywhere, the next call goes on.

        Deliveries are remembered at least as long as runs: without them a repeated delivery would be a new one.

        Raises:
            StoreError: A database or a recording cannot be changed.
        """
        runs_before = now - timedelta(days=self.settings.keep_runs_days)
        inbox_days = max(self.settings.keep_inbox_days, self.settings.keep_runs_days)
        inbox_before = to_text(now - timedelta(days=inbox_days))
        return Forgotten(
            n_runs=await self._runs(to_text(runs_before)),
            n_deliveries=await self._rows(_OLD_DELIVERIES, inbox_before),
            n_own_writes=await self._rows(_OLD_WRITES, inbox_before),
            n_handlings=await self._rows(_OLD_HANDLING, inbox_before),
            n_workflows=await self._ended_workflows(runs_before),
            n_attempts=await self._attempts_at_models(runs_before.date()),
        )

    async def _runs(self, before: str) -> int:
        n_deleted = 0
        while ids := await asyncio.to_thread(self._some_runs, before):
            # the row goes last: as long as it is there, the next call finds what is left of the run
            await asyncio.to_thread(delete_checkpoints, self.folder.state / "checkpoints.db", ids)
            await asyncio.to_thread(_delete_recordings, self.folder.recordings, ids)
            n_deleted += await asyncio.to_thread(self._delete_runs, ids, before)
            await asyncio.sleep(_PAUSE_S)
        return n_deleted

    def _some_runs(self, before: str) -> list[str]:
        with self.tables.reading() as connection:
            return [row["run_id"] for row in connection.execute(_RUNS_THAT_ARE_OVER, (before, BATCH))]

    def _delete_runs(self, ids: Sequence[str], before: str) -> int:
        """Delete runs that are still over: a failed one may have gone on meanwhile."""
        with self.tables.changing() as connection:
            still = connection.execute(_STILL_OVER, {"ids": json.dumps(ids), "before": before}).fetchall()
            given = (json.dumps([row["run_id"] for row in still]),)
            for table in ("decisions", "receipts", "runs"):
                sql = f"DELETE FROM {table} WHERE run_id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our names
                connection.execute(sql, given)
        return len(still)

    async def _rows(self, sql: str, before: str) -> int:
        n_deleted = 0
        while n := await asyncio.to_thread(self._delete_rows, sql, before):
            n_deleted += n
            await asyncio.sleep(_PAUSE_S)
        return n_deleted

    def _delete_rows(self, sql: str, before: str) -> int:
        with self.tables.changing() as connection:
            return connection.execute(sql, {"before": before, "limit": BATCH}).rowcount

    async def _attempts_at_models(self, before: date) -> int:
        n_deleted = 0
        while n := await asyncio.to_thread(forget_attempts, self.folder.ledger, before, BATCH):
            n_deleted += n
            await asyncio.sleep(_PAUSE_S)
        return n_deleted

    async def _ended_workflows(self, before: datetime) -> int:
        n_deleted = 0
        while self.workflows and (n := await self.workflows.delete_ended(before, BATCH)):
            n_deleted += n
            await asyncio.sleep(_PAUSE_S)
        return n_deleted


# as the index runs_ended has it; a run with a question or a write-back that is open is not over
_RUNS_THAT_ARE_OVER = (
    "SELECT run_id FROM runs INDEXED BY runs_ended WHERE status IN ('done', 'failed') AND updated_at < ?"
    " AND NOT waits AND write_back != 'open' ORDER BY updated_at LIMIT ?"
)
# by their ids: left to itself, SQLite goes through all finished runs for each batch
_STILL_OVER = (
    "SELECT r.run_id FROM json_each(:ids) given CROSS JOIN runs r ON r.run_id = given.value"
    " WHERE r.status IN ('done', 'failed') AND r.updated_at < :before AND NOT r.waits AND r.write_back != 'open'"
)
_OLD_DELIVERIES = (
    "DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox WHERE received_at < :before"
    " AND state IN ('done', 'skipped', 'cancelled') ORDER BY received_at LIMIT :limit)"
)
_OLD_WRITES = (
    "DELETE FROM own_writes WHERE rowid IN (SELECT rowid FROM own_writes WHERE at < :before ORDER BY at LIMIT :limit)"
)
# a ticket of which nothing was heard for so long; while something of it is kept, so is who handles it
_OLD_HANDLING = (
    "DELETE FROM handling WHERE rowid IN (SELECT h.rowid FROM handling h WHERE h.at < :before AND NOT EXISTS"
    " (SELECT 1 FROM inbox i WHERE i.source = h.source AND i.ticket_id = h.ticket_id) LIMIT :limit)"
)


def delete_checkpoints(path: Path, run_ids: Sequence[str]) -> None:
    """Delete what graphs stored on the way of these runs. Raises StoreError."""
    if not path.exists():
        return
    connection = open_database(path, CHECKPOINTS_SCHEMA)
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        with transaction(connection):
            for table in sorted({"checkpoints", "writes"} & tables):
                sql = f"DELETE FROM {table} WHERE thread_id IN (SELECT value FROM json_each(?))"  # noqa: S608 - our names
                connection.execute(sql, (json.dumps(run_ids),))
    except sqlite3.Error as exc:
        raise store_error(path, exc) from exc
    finally:
        connection.close()


def _delete_recordings(folder: Path, run_ids: Sequence[str]) -> None:
    for run_id in run_ids:
        path = folder / f"{run_id}.jsonl"
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            raise StoreError(f"{path}: cannot be deleted ({exc.strerror}); check the folder's permissions") from exc
