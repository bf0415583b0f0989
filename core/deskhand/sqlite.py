"""Opening deskhand's own SQLite databases: durable, versioned, and clear about what is wrong with them."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deskhand.errors import StoreError

_BUSY_TIMEOUT_MS = 30_000
_BUSY_PAUSE_S = 0.02
_PATIENCE_MS = 2_000  # a wait that is longer is told, so that nobody takes it for a hang
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schema:
    """The tables of one database. ``steps[i]`` is the SQL that brings version ``i`` to ``i + 1``.

    A step is any number of statements, each closed by ``;``, triggers included. All run in one transaction.
    """

    name: str
    steps: tuple[str, ...]

    @property
    def version(self) -> int:
        """The version that this deskhand writes."""
        return len(self.steps)


def open_database(path: Path, schema: Schema, *, synchronous: str = "FULL") -> sqlite3.Connection:
    """Open, create or bring up to date the database at ``path`` and return a connection in autocommit mode.

    The connection may be used from any thread, by one thread at a time. Journal mode is WAL.

    Raises:
        StoreError: The file is damaged, was written by a newer deskhand, or its folder cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # customers' data: for the owner's eyes only
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise StoreError(f"{path}: cannot be opened ({exc}); check the folder's permissions and free space") from exc
    try:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        _use_wal(connection)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        _migrate(connection, path, schema)
    except sqlite3.DatabaseError as exc:
        connection.close()
        raise store_error(path, exc) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def store_error(path: Path, exc: sqlite3.Error) -> StoreError:
    """Return the StoreError that says what an SQLite error means for the person and what to do."""
    text = str(exc)
    if "readonly" in text or "unable to open" in text:
        return StoreError(f"{path}: cannot be written ({text}); check the permissions of its folder")
    if "locked" in text:
        return StoreError(f"{path}: is locked by another process; wait for it to end and try again")
    if "full" in text or "disk I/O" in text:
        return StoreError(f"{path}: the disk is full or fails ({text}); free some space and run the command again")
    return StoreError(f"{path}: is damaged or not a database ({text}); restore it from a backup or move it away")


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    if _version(connection, path, schema) == schema.version:
        return
    with transaction(connection):
        version = _version(connection, path, schema)
        for step in schema.steps[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={schema.version}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Set the journal mode, which is kept in the file.

    SQLite does not wait for the lock here when another process sets it at the same time: it says "locked" at once.
    """
    give_up_at = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > give_up_at:
                raise
            time.sleep(_BUSY_PAUSE_S)


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of ``script``; a ``;`` in a trigger, a string or a comment does not end one."""
    pending = ""
    for part in script.split(";"):
        pending += f"{part};"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip(" ;\t\r\n"):
        yield pending.removesuffix(";")


def _version(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > schema.version:
        raise StoreError(
            f"{path}: has {schema.name} schema {version}, this deskhand knows up to {schema.version};"
            " upgrade deskhand or use another workspace"
        )
    return version


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block in one immediate transaction: all of it is stored, or none."""
    _begin(connection)
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite has rolled back on its own after some errors, such as a full disk
            connection.execute("ROLLBACK")
        raise


def _begin(connection: sqlite3.Connection) -> None:
    """Take the write lock, waiting as long as the connection's busy timeout says, and say so when that is long."""
    limit_ms = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
    if limit_ms > _PATIENCE_MS:
        connection.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc):
                raise
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            _log.warning("%s: another process is writing; waiting up to %d s for it", path, limit_ms // 1000)
        finally:
            connection.execute(f"PRAGMA busy_timeout={limit_ms}")
    connection.execute("BEGIN IMMEDIATE")
