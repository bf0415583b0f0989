"""DBOS on ``runs.db``: starting it, and putting a workflow into its queue inside a transaction of ours."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.errors import ConfigError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from dbos import DBOSClient

APP = "deskhand"
QUEUE = "runs"
VERSION = "graph-v1"
"""A constant: workflows of another version are never picked up, and DBOS's own default changes with our source."""

EXECUTOR = "owner"
"""A constant: whoever owns the file next recovers what this one had begun."""

MAX_RECOVERIES = 100_000
"""Our own count of attempts decides what is a dead letter, never DBOS's."""

_POOL_SIZE = 2
_MAX_THREADS = 32  # they wait for one database file; DBOS's own default has no limit
_OLDEST_SQLITE = (3, 42, 0)


def check_sqlite() -> None:
    """Raise ConfigError when DBOS cannot start here.

    Python 3.12 dropped the fallback by which ``unixepoch('subsec')``, new in SQLite 3.42, is not needed.
    """
    if sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigError(
            f"Python {sys.version_info.major}.{sys.version_info.minor} with SQLite {sqlite3.sqlite_version} cannot keep"
            " runs; use Python 3.11, or a Python whose SQLite is 3.42 or newer"
        )


def build_database(path: Path) -> sa.Engine:
    """Return an SQLAlchemy engine on ``runs.db``: WAL, FULL, waits for locks, write transactions begin at once."""
    import sqlalchemy as sa

    database = sa.create_engine(f"sqlite:///{path}", pool_size=_POOL_SIZE, max_overflow=0, pool_timeout=60)

    @sa.event.listens_for(database, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return database


def build_client(database: sa.Engine) -> DBOSClient:
    """Return what enqueues; DBOS's tables are made when no engine has run here yet."""
    from dbos import DBOSClient, DBOSPortableJSONSerializer

    _quiet()
    client = DBOSClient(
        system_database_engine=database, serializer=DBOSPortableJSONSerializer(), application_name=APP, lazy=True
    )
    client._sys_db.run_migrations()
    return client


async def launch(*, staged: int, poll_s: float) -> None:
    """Start DBOS in this process, on the running event loop; the workflows must have been registered.

    Args:
        staged: The most workflows that are taken out of the queue at the same time.
        poll_s: Seconds between two looks into the queue.
    """
    from dbos import DBOS

    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE, partition_concurrency=1, worker_concurrency=staged, polling_interval_sec=poll_s
    )


def configure(database: sa.Engine) -> None:
    """Make the one DBOS of this process."""
    from dbos import DBOS, DBOSPortableJSONSerializer

    _quiet()
    DBOS(
        config={
            "name": APP,
            "system_database_engine": database,
            "system_database_url": str(database.url),
            "executor_id": EXECUTOR,
            "application_version": VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "max_executor_threads": _MAX_THREADS,
            "notification_listener_polling_interval_sec": 0.2,  # nothing listens, but stopping waits for it
            "log_level": "WARNING",
        }
    )


async def shut_down() -> None:
    """Stop DBOS; what was at work stays marked so and is recovered at the next start. Takes a second or so."""
    from dbos import DBOS

    await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
    # DBOS has put its own threads behind asyncio.to_thread, and has just stopped them
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))


def _quiet() -> None:
    """Let DBOS tell of failures only, each in a line: the inbox keeps what failed, and a full disk fails often."""
    logger = logging.getLogger("dbos")
    logger.setLevel(logging.WARNING)
    logger.addFilter(_shorten)  # the same one again is not added


def _shorten(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    record.msg, record.args = record.getMessage().partition("\n")[0], ()
    return True
