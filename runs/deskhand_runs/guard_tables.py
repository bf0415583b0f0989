"""What guards, pauses, polls and retention see of ``runs.db``: the run store's own connection."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from deskhand_runs.store import RunStore


@dataclass(frozen=True)
class GuardTables:
    """Access to the small tables of ``runs.db`` through an open run store; cheap to make, closed with the store."""

    store: RunStore

    @property
    def path(self) -> Path:
        """The database."""
        return self.store.path

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """Yield the connection for reading. Raises StoreError for every fault of the database."""
        return self.store._reading()

    def changing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Yield the connection inside one immediate transaction. Raises StoreError."""
        return self.store._changing()
