"""Where graphs keep their checkpoints."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deskhand.sqlite import Schema, open_database, store_error
from deskhand_graphs import checkpoint_serializer

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

SCHEMA = Schema("checkpoints", ("CREATE TABLE deskhand_checkpoints (since TEXT)",))
"""Our own mark in the file; the tables of checkpoints are LangGraph's."""


@asynccontextmanager
async def open_saver(path: Path) -> AsyncIterator[BaseCheckpointSaver[str]]:
    """Yield a saver on the SQLite file ``path``, which only brings our own types back to life.

    Raises:
        StoreError: The file is damaged, was written by a newer deskhand, or cannot be written.
    """
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    (await asyncio.to_thread(open_database, path, SCHEMA)).close()
    async with aiosqlite.connect(path) as connection:
        saver = AsyncSqliteSaver(connection, serde=checkpoint_serializer())
        try:
            await connection.execute("PRAGMA busy_timeout=30000")
            await connection.execute("PRAGMA synchronous=FULL")
            await saver.setup()
        except sqlite3.DatabaseError as exc:
            raise store_error(path, exc) from exc
        yield saver
