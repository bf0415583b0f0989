"""The tables of ``runs.db`` and what their rows mean."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from deskhand.actions import Decision, Receipt, ReviewRequest
from deskhand.errors import StoreError
from deskhand.records import RunRecord, RunResult, RunStatus
from deskhand.sqlite import Schema
from deskhand.tickets import Requester, Ticket

SCHEMA = Schema(
    "runs",
    (
        """
        CREATE TABLE runs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            run_id TEXT NOT NULL UNIQUE,
            graph TEXT NOT NULL,
            source TEXT NOT NULL,
            ticket_id TEXT NOT NULL,
            ticket_hash TEXT NOT NULL,
            ticket TEXT NOT NULL,
            status TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            result TEXT,
            review TEXT,
            ask_id TEXT,
            waits INTEGER NOT NULL DEFAULT 0,
            error TEXT NOT NULL DEFAULT '',
            write_back TEXT NOT NULL DEFAULT 'none' CHECK (write_back IN ('none', 'open', 'closed'))
        );
        CREATE INDEX runs_of_ticket ON runs (graph, ticket_hash, seq);
        CREATE INDEX runs_by_ticket_id ON runs (ticket_id, seq);
        CREATE INDEX runs_by_status ON runs (status, seq);
        CREATE INDEX runs_to_write_back ON runs (write_back) WHERE write_back = 'open';
        CREATE TABLE decisions (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            run_id TEXT NOT NULL REFERENCES runs (run_id),
            ask_id TEXT NOT NULL,
            decision TEXT NOT NULL,
            UNIQUE (run_id, ask_id)
        );
        CREATE TABLE receipts (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            run_id TEXT NOT NULL REFERENCES runs (run_id),
            action_id TEXT NOT NULL,
            receipt TEXT NOT NULL,
            UNIQUE (run_id, action_id)
        );
        """,
        """
        CREATE TABLE inbox (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            source TEXT NOT NULL,
            delivery_id TEXT NOT NULL,
            ticket_id TEXT NOT NULL,
            event TEXT NOT NULL,
            ticket TEXT,
            received_at TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('queued', 'done', 'skipped', 'held', 'dead', 'cancelled')),
            reason TEXT NOT NULL DEFAULT '',
            run_id TEXT,
            graph TEXT NOT NULL DEFAULT '',
            n_attempts INTEGER NOT NULL DEFAULT 0,
            updated_at TEXT NOT NULL,
            UNIQUE (source, delivery_id)
        );
        CREATE INDEX inbox_of_ticket ON inbox (source, ticket_id, seq);
        CREATE INDEX inbox_by_state ON inbox (state, seq);
        CREATE INDEX inbox_by_time ON inbox (received_at);
        CREATE TABLE own_writes (
            source TEXT NOT NULL,
            ticket_id TEXT NOT NULL,
            key TEXT NOT NULL,
            ref TEXT NOT NULL DEFAULT '',
            at TEXT NOT NULL,
            PRIMARY KEY (source, ticket_id, key)
        );
        CREATE INDEX own_writes_by_ref ON own_writes (source, ref) WHERE ref != '';
        CREATE INDEX own_writes_by_time ON own_writes (at);
        CREATE TABLE pauses (source TEXT PRIMARY KEY, by TEXT NOT NULL, at TEXT NOT NULL);
        CREATE TABLE handling (
            source TEXT NOT NULL,
            ticket_id TEXT NOT NULL,
            who TEXT NOT NULL CHECK (who IN ('bot', 'person')),
            reason TEXT NOT NULL DEFAULT '',
            at TEXT NOT NULL,
            PRIMARY KEY (source, ticket_id)
        );
        CREATE TABLE cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL, at TEXT NOT NULL);
        """,
        """
        CREATE INDEX IF NOT EXISTS runs_ended ON runs (updated_at) WHERE status IN ('done', 'failed');
        """,
    ),
)
"""``seq`` numbers runs in the order of their claims, and is the byte of the lock file that stands for the run.
``waits`` is 1 while a person has not answered ``ask_id``; ``write_back`` is ``open`` from an approval to its end.

``inbox`` is the memory of deliveries, in the order of their arrival; ``ticket`` is there when the event came with one,
and ``graph`` when one was asked for. A person's decision is one too, with the run that it is on.
``own_writes`` are our changes to tickets, by which their echoes are known. ``pauses``: nothing is written back to a
``source`` in it, nor to any when '' is. ``handling``: a ticket that a person has taken over is left alone. ``cursors``:
where the poll of each source goes on."""


UNREADABLE = "unreadable: "
"""How the ``error`` of a run begins whose row is damaged."""


class Connection(Protocol):
    """What executes statements: a connection of SQLite, or a job's view of a transaction that others share."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement; rows are ``sqlite3.Row``."""
        ...


def to_text(moment: datetime) -> str:
    """Return a moment as text that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def to_json(model: BaseModel) -> str:
    """Return a model as it is stored."""
    return model.model_dump_json()


def build_records(connection: Connection, rows: Sequence[sqlite3.Row]) -> list[RunRecord]:
    """Return rows of ``runs`` with their decisions and receipts. Raises StoreError for a row that is damaged."""
    ids = [row["run_id"] for row in rows]
    decisions, receipts = _children(connection, "decisions", ids), _children(connection, "receipts", ids)
    return [_record(row, decisions[row["run_id"]], receipts[row["run_id"]]) for row in rows]


def list_records(connection: Connection, rows: Sequence[sqlite3.Row]) -> list[RunRecord]:
    """Return rows of ``runs`` as ``build_records`` does, but a damaged one as a failed run that says so.

    One row that cannot be read must not hide the others. Its ``error`` begins with ``UNREADABLE``, and its ticket has
    nothing but its id and source.
    """
    ids = [row["run_id"] for row in rows]
    decisions, receipts = _children(connection, "decisions", ids), _children(connection, "receipts", ids)
    found = []
    for row in rows:
        try:
            found.append(_record(row, decisions[row["run_id"]], receipts[row["run_id"]]))
        except StoreError as exc:
            found.append(_unreadable(row, str(exc)))
    return found


def _unreadable(row: sqlite3.Row, why: str) -> RunRecord:
    began = datetime.fromtimestamp(0, UTC)  # the row's own times may be what is wrong with it
    ticket = Ticket(
        id=row["ticket_id"],
        source=row["source"],
        messages=(),
        requester=Requester(id="unknown"),
        created_at=began,
        updated_at=began,
    )
    return RunRecord(
        run_id=row["run_id"],
        ticket=ticket,
        ticket_hash=row["ticket_hash"],
        graph=row["graph"],
        status=RunStatus.failed,
        created_at=began,
        updated_at=began,
        error=f"{UNREADABLE}{why}",
    )


def _children(connection: Connection, table: str, run_ids: Sequence[str]) -> dict[str, list[str]]:
    column = {"decisions": "decision", "receipts": "receipt"}[table]
    sql = f"SELECT run_id, {column} FROM {table} WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY seq"  # noqa: S608 - two names of ours
    found: dict[str, list[str]] = defaultdict(list)
    for run_id, text in connection.execute(sql, (json.dumps(run_ids),)):
        found[run_id].append(text)
    return found


def _record(row: sqlite3.Row, decisions: Sequence[str], receipts: Sequence[str]) -> RunRecord:
    try:
        return RunRecord(
            run_id=row["run_id"],
            ticket=Ticket.model_validate_json(row["ticket"]),
            ticket_hash=row["ticket_hash"],
            graph=row["graph"],
            status=row["status"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            result=RunResult.model_validate_json(row["result"]) if row["result"] else None,
            review=ReviewRequest.model_validate_json(row["review"]) if row["review"] else None,
            decisions=tuple(Decision.model_validate_json(text) for text in decisions),
            receipts=tuple(Receipt.model_validate_json(text) for text in receipts),
            error=row["error"],
        )
    except ValidationError as exc:
        raise StoreError(
            f"runs.db: run {row['run_id']} cannot be read ({exc.error_count()} wrong fields); restore a backup, or"
            " upgrade deskhand if a newer one wrote it"
        ) from exc
