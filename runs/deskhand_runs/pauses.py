"""Stopping all write-back of a workspace, or of one helpdesk, in every process at the next effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.rows import to_text

EVERYWHERE = ""
"""The ``source`` that stands for all helpdesks."""


@dataclass(frozen=True)
class Pause:
    """Nothing is written back to ``source``; ``EVERYWHERE`` is all of them."""

    source: str
    by: str
    at: datetime


def pause(tables: GuardTables, source: str, by: str, at: datetime) -> bool:
    """Stop write-back to ``source``; False when it was stopped already, which then stays as it was."""
    with tables.changing() as connection:
        sql = "INSERT INTO pauses (source, by, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        return connection.execute(sql, (source, by, to_text(at))).rowcount == 1


def resume(tables: GuardTables, source: str) -> bool:
    """Let write-back to ``source`` go on; False when it was not stopped.

    ``EVERYWHERE`` ends every pause, also those of single helpdesks. A pause of everything is not ended by the name
    of one helpdesk.
    """
    with tables.changing() as connection:
        ended = connection.execute("DELETE FROM pauses WHERE ? IN (source, '')", (source,))
        return ended.rowcount > 0


def pauses(tables: GuardTables) -> tuple[Pause, ...]:
    """Return what is paused, ``EVERYWHERE`` first, then by name."""
    with tables.reading() as connection:
        rows = connection.execute("SELECT source, by, at FROM pauses ORDER BY source").fetchall()
    return tuple(Pause(row["source"], row["by"], datetime.fromisoformat(row["at"])) for row in rows)


def pause_of(tables: GuardTables, source: str) -> Pause | None:
    """Return what stops write-back to ``source`` now, or None.

    Write-back asks this right before each effect. Paused, it ends without closing the run's write-back, which is
    found again by ``RunStore.pending_write_back`` after ``resume``.
    """
    return next((stop for stop in pauses(tables) if stop.source in (EVERYWHERE, source)), None)
