"""The run store: what ran, what waits for a person, what was decided, and what came of it.

Every change of state is one immediate transaction that looks first, so that any number of processes and threads
may use one file. A run goes ``running -> parked -> done``; ``failed`` goes on where it stopped; ``done`` is final.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from deskhand.actions import ActionVerdict, Decision, Receipt, ReceiptStatus, ReviewRequest, Verdict
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, StoreError
from deskhand.jsonio import content_hash
from deskhand.records import Outcome, RunRecord, RunResult, RunStatus
from deskhand.sqlite import open_database, store_error, transaction
from deskhand.tickets import Ticket
from deskhand_runs.locks import RunLock
from deskhand_runs.rows import SCHEMA, UNREADABLE, Connection, build_records, list_records, to_json, to_text

CANCELLED = "cancelled by "
"""How the error of a cancelled run begins."""

_log = logging.getLogger(__name__)
_Records = list[RunRecord]  # ``list`` is a method below


class Claim(NamedTuple):
    """A run of a ticket; ``is_new`` when it was made just now."""

    record: RunRecord
    is_new: bool


class Waiting(NamedTuple):
    """A page of the runs that wait for a person; ``next_after`` is where the next page begins, None on the last."""

    records: _Records
    next_after: int | None


@dataclass
class RunStore:
    """``runs.db`` of a workspace. May be used from several threads; close it, or use it in a ``with`` block."""

    path: Path

    def __post_init__(self) -> None:
        """Open the database. Raises StoreError when it is damaged, newer than this deskhand, or not writable."""
        self._connection = open_database(self.path, SCHEMA)
        self._connection.row_factory = sqlite3.Row
        self._guard = threading.RLock()

    @classmethod
    def open(cls, folder: WorkspaceFolder) -> RunStore:
        """Return the run store of a workspace, made when it is not there. Raises StoreError."""
        return cls(folder.state / "runs.db")

    def close(self) -> None:
        """Close the database."""
        with self._guard:
            self._connection.close()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guard:
            try:
                yield self._connection
            except sqlite3.Error as exc:
                raise store_error(self.path, exc) from exc

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection, transaction(connection):
            yield connection

    def claim(
        self, ticket: Ticket, graph: str, *, again: bool = False, new_id: Callable[[], str], now: datetime
    ) -> Claim:
        """Return the newest run of ``graph`` on this very ticket, or a new one, status ``running``.

        Args:
            ticket: What to run on; a ticket with one more message is another one.
            graph: The graph's name.
            again: Make a new run, unless the newest one was cut off before it came to anything: that one goes on.
            new_id: Makes the id of a new run.
            now: When.

        A new run supersedes the older ones of this ticket and graph that wait for a person: they are marked done,
        with the error ``superseded by <id>``, so that nobody approves a reply to yesterday's message.
        """
        with self._changing() as connection:
            return claim_in(connection, ticket, graph, again=again, new_id=new_id, now=now)

    def lock(self, run_id: str) -> RunLock:
        """Return the lock of a run, to be used in a ``with`` block. Raises InputError when there is no such run."""
        with self._reading() as connection:
            row = _find(connection, run_id)
        return RunLock(self.path.with_name("runs.lock"), row["seq"], row["run_id"])

    def park(self, run_id: str, result: RunResult, review: ReviewRequest, now: datetime) -> bool:
        """Store that a run waits for a person; False when it is done already, which then stays.

        Raises:
            InputError: There is no such run.
            StoreError: The run already waits with another question.
        """
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE runs SET status = 'parked', result = :result, review = :review, ask_id = :ask, error = '',"
                " waits = NOT EXISTS (SELECT 1 FROM decisions d WHERE d.run_id = :run AND d.ask_id = :ask),"
                " updated_at = :now WHERE run_id = :run AND status != 'done' AND (NOT waits OR ask_id = :ask)",
                {
                    "result": to_json(result),
                    "review": to_json(review),
                    "ask": review.ask_id,
                    "run": run_id,
                    "now": to_text(now),
                },
            )
            return self._is_changed(connection, changed, run_id)

    def finish(self, run_id: str, result: RunResult, now: datetime) -> bool:
        """Store that a run is done; False when it was done already: the first result stays.

        Raises:
            InputError: There is no such run.
            StoreError: The run waits for a person who has not decided.
        """
        is_sent = result.decision is Outcome.send
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE runs SET status = 'done', result = ?, error = '', updated_at = ?,"
                " write_back = CASE WHEN ? AND write_back = 'none' THEN 'open' ELSE write_back END"
                " WHERE run_id = ? AND status != 'done' AND NOT waits",
                (to_json(result), to_text(now), is_sent, run_id),
            )
            return self._is_changed(connection, changed, run_id)

    def fail(self, run_id: str, error: str, now: datetime) -> bool:
        """Store that a run stopped and why; it may go on. False when it is done already, which then stays.

        Raises:
            InputError: There is no such run.
            StoreError: The run waits for a person who has not decided.
        """
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE runs SET status = 'failed', error = ?, updated_at = ?"
                " WHERE run_id = ? AND status != 'done' AND NOT waits",
                (error, to_text(now), run_id),
            )
            return self._is_changed(connection, changed, run_id)

    def _is_changed(self, connection: sqlite3.Connection, changed: sqlite3.Cursor, run_id: str) -> bool:
        if changed.rowcount == 1:
            return True
        row = _find(connection, run_id)
        if row["status"] == RunStatus.done:
            return False
        raise StoreError(
            f"run {run_id} waits for an answer to question {row['ask_id']}; decide it with 'deskhand review' first"
        )

    def decide(self, run_id: str, decision: Decision, now: datetime) -> bool:
        """Store a person's decision on the open question; False when the very same one is stored already.

        Raises:
            InputError: There is no such run, the question was decided otherwise or is not the open one, or the
                decision does not fit it.
        """
        with self._changing() as connection:
            return decide_in(connection, run_id, decision, now)

    def cancel(self, run_id: str, by: str, now: datetime) -> bool:
        """Stop a run before its next effect; False when nothing of it is left to be done. Raises InputError."""
        with self._changing() as connection:
            return cancel_in(connection, run_id, by, now)

    def is_cancelled(self, run_id: str) -> bool:
        """Tell whether somebody cancelled the run. Raises InputError when there is none."""
        with self._reading() as connection:
            return str(_find(connection, run_id)["error"]).startswith(CANCELLED)

    def close_parked(self, source: str, ticket_id: str, why: str, now: datetime) -> int:
        """Mark the runs of a ticket that wait for a person as done, because of ``why``; return how many they were."""
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE runs SET status = 'done', waits = 0, error = ?, updated_at = ?"
                " WHERE source = ? AND ticket_id = ? AND waits",
                (why, to_text(now), source, ticket_id),
            )
            return changed.rowcount

    def newest_of(self, source: str, ticket_id: str, graph: str) -> RunRecord | None:
        """Return the newest run of a graph on a ticket, or None."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT * FROM runs WHERE ticket_id = ? AND source = ? AND graph = ? ORDER BY seq DESC LIMIT 1",
                (ticket_id, source, graph),
            ).fetchall()
            return build_records(connection, rows)[0] if rows else None

    def add_receipt(self, run_id: str, receipt: Receipt) -> bool:
        """Store what came of an action; False when a receipt for it is there, which then stays. Raises InputError."""
        with self._changing() as connection:
            row = _find(connection, run_id)
            added = connection.execute(
                "INSERT INTO receipts (run_id, action_id, receipt) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (row["run_id"], receipt.action_id, to_json(receipt)),
            )
            return added.rowcount == 1

    def settle_receipt(self, run_id: str, receipt: Receipt) -> bool:
        """Replace an ``uncertain`` receipt by what really came of the action; False when there is none such."""
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE receipts SET receipt = ? WHERE run_id = ? AND action_id = ?"
                " AND json_extract(receipt, '$.status') = ?",
                (to_json(receipt), run_id, receipt.action_id, ReceiptStatus.uncertain.value),
            )
            return changed.rowcount == 1

    def close_write_back(self, run_id: str, now: datetime) -> None:
        """Store that nothing of a run is left to be written back."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE runs SET write_back = 'closed', updated_at = ? WHERE run_id = ?", (to_text(now), run_id)
            )

    def pending_write_back(self) -> _Records:
        """Return the runs, oldest first, that were approved, or may be sent, and are not wholly written back."""
        with self._reading() as connection:
            rows = connection.execute("SELECT * FROM runs WHERE write_back = 'open' ORDER BY seq").fetchall()
            found = list_records(connection, rows)
        for record in found:
            if record.error.startswith(UNREADABLE):
                _log.warning("%s is not written back: %s", record.run_id, record.error)
        return [record for record in found if not record.error.startswith(UNREADABLE)]

    def load(self, run_id: str) -> RunRecord:
        """Return one run; ``run_id`` may be shortened to any unique beginning. Raises InputError."""
        with self._reading() as connection:
            return load_in(connection, run_id)

    def count(self) -> dict[RunStatus, int]:
        """Return how many runs there are of each status."""
        with self._reading() as connection:
            rows = connection.execute("SELECT status, COUNT(*) FROM runs GROUP BY status").fetchall()
        return {status: dict(map(tuple, rows)).get(status, 0) for status in RunStatus}

    def list(self, *, status: RunStatus | None = None, ticket_id: str | None = None, limit: int = 100) -> _Records:
        """Return the newest runs first, at most ``limit``; a damaged one as a failed run whose ``error`` says so."""
        wanted: dict[str, Any] = {"status = ?": status and status.value, "ticket_id = ?": ticket_id}
        given = {test: value for test, value in wanted.items() if value is not None}
        where = f" WHERE {' AND '.join(given)}" if given else ""
        sql = f"SELECT * FROM runs{where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - the tests are the two above
        with self._reading() as connection:
            rows = connection.execute(sql, (*given.values(), max(0, limit))).fetchall()
            return list_records(connection, rows)

    def waiting(self, *, after: int = 0, limit: int = 100) -> Waiting:
        """Return the runs that wait for a person, oldest first, at most ``limit``, and where to go on.

        Args:
            after: ``next_after`` of the page before; 0 for the first one.
            limit: The most that are returned.
        """
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT * FROM runs WHERE status = 'parked' AND waits AND seq > ? ORDER BY seq LIMIT ?",
                (after, max(0, limit) + 1),
            ).fetchall()
            is_more, rows = len(rows) > limit, rows[:limit]
            return Waiting(list_records(connection, rows), rows[-1]["seq"] if is_more else None)

    def waiting_asks(self) -> dict[str, str]:
        """Return the open question of every run that waits for a person, by the run's id, oldest first."""
        with self._reading() as connection:
            sql = "SELECT run_id, ask_id FROM runs WHERE status = 'parked' AND waits ORDER BY seq"
            return {row["run_id"]: row["ask_id"] for row in connection.execute(sql)}

    def load_all(self, run_ids: Sequence[str]) -> _Records:
        """Return these runs, oldest first, a damaged one as ``list`` does; those that are not there are left out."""
        with self._reading() as connection:
            sql = "SELECT * FROM runs WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY seq"
            return list_records(connection, connection.execute(sql, (json.dumps(run_ids),)).fetchall())


def load_in(connection: Connection, run_id: str) -> RunRecord:
    """Return one run, in a transaction of the caller's. Raises InputError when there is none."""
    return build_records(connection, [_find(connection, run_id)])[0]


def _find(connection: Connection, run_id: str) -> sqlite3.Row:
    """Return the row of a run by its id or a unique beginning of it."""
    exact = connection.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if exact is not None:
        return cast("sqlite3.Row", exact)
    # a range, which the index finds however many runs there are
    sql = "SELECT * FROM runs WHERE run_id >= ? AND run_id < ? ORDER BY seq DESC LIMIT 6"
    rows = connection.execute(sql, (run_id, f"{run_id}\U0010ffff")).fetchall() if run_id else []
    if not rows:
        raise InputError(f"run {run_id!r}: there is none; list them with 'deskhand runs list'")
    if len(rows) > 1:
        some = ", ".join(row["run_id"] for row in rows[:5])
        raise InputError(f"run {run_id!r}: several begin like this ({some}); give more of the id")
    return cast("sqlite3.Row", rows[0])


def claim_in(
    connection: Connection,
    ticket: Ticket,
    graph: str,
    *,
    again: bool = False,
    new_id: Callable[[], str],
    now: datetime,
) -> Claim:
    """Do what ``RunStore.claim`` does, in a transaction of the caller's."""
    ticket_hash = content_hash(ticket.model_dump(mode="json"))
    sql = "SELECT * FROM runs WHERE graph = ? AND ticket_hash = ? ORDER BY seq DESC LIMIT 1"
    found = connection.execute(sql, (graph, ticket_hash)).fetchone()
    if found is not None and (not again or _is_cut_off(found)):
        return Claim(build_records(connection, [found])[0], is_new=False)
    run_id, at = new_id(), to_text(now)
    connection.execute(
        "UPDATE runs SET status = 'done', waits = 0, error = ?, updated_at = ?"
        " WHERE graph = ? AND source = ? AND ticket_id = ? AND waits",
        (f"superseded by {run_id}", at, graph, ticket.source, ticket.id),
    )
    connection.execute(
        "INSERT INTO runs (run_id, graph, source, ticket_id, ticket_hash, ticket, status, created_at,"
        " updated_at) VALUES (?, ?, ?, ?, ?, ?, 'running', ?, ?)",
        (run_id, graph, ticket.source, ticket.id, ticket_hash, to_json(ticket), at, at),
    )
    return Claim(load_in(connection, run_id), is_new=True)


def decide_in(connection: Connection, run_id: str, decision: Decision, now: datetime) -> bool:
    """Do what ``RunStore.decide`` does, in a transaction of the caller's."""
    record = load_in(connection, run_id)
    earlier = next((given for given in record.decisions if given.ask_id == decision.ask_id), None)
    if earlier is not None:
        return _refuse_other(record, earlier, decision)
    _check_decision(record, decision)
    connection.execute(
        "INSERT INTO decisions (run_id, ask_id, decision) VALUES (?, ?, ?)",
        (record.run_id, decision.ask_id, to_json(decision)),
    )
    is_yes = decision.verdict in (Verdict.approve, Verdict.edit)
    connection.execute(
        "UPDATE runs SET waits = 0, updated_at = ?, write_back = CASE WHEN ? THEN 'open' ELSE write_back END"
        " WHERE run_id = ?",
        (to_text(now), is_yes, record.run_id),
    )
    return True


def cancel_in(connection: Connection, run_id: str, by: str, now: datetime) -> bool:
    """Do what ``RunStore.cancel`` does, in a transaction of the caller's."""
    row = _find(connection, run_id)
    changed = connection.execute(
        "UPDATE runs SET status = 'done', waits = 0, error = ?, updated_at = ?,"
        " write_back = CASE write_back WHEN 'open' THEN 'closed' ELSE write_back END"
        " WHERE run_id = ? AND (status != 'done' OR write_back = 'open')",
        (f"{CANCELLED}{by}", to_text(now), row["run_id"]),
    )
    return changed.rowcount == 1


def _is_cut_off(row: sqlite3.Row) -> bool:
    return row["status"] == RunStatus.running and row["result"] is None


def is_same_decision(one: Decision, other: Decision) -> bool:
    """Tell whether two decisions differ in nothing but their time: a second click is no second decision."""
    return one.model_copy(update={"at": other.at}) == other


def _refuse_other(record: RunRecord, earlier: Decision, decision: Decision) -> bool:
    """Return False for the same decision. Raises InputError for another one."""
    if is_same_decision(earlier, decision):
        return False
    raise InputError(
        f"run {record.run_id}: {earlier.by} has already decided {earlier.verdict.value} at"
        f" {earlier.at:%Y-%m-%d %H:%M %Z}; see 'deskhand runs show {record.run_id}'"
    )


def _check_decision(record: RunRecord, decision: Decision) -> None:
    if record.status is not RunStatus.parked or record.review is None:
        state = record.error if record.error.startswith("superseded") else record.status.value
        raise InputError(f"run {record.run_id} does not wait for a decision ({state}); see 'deskhand review'")
    if decision.ask_id != record.review.ask_id:
        raise InputError(
            f"run {record.run_id}: {decision.ask_id!r} is not its open question, that is {record.review.ask_id!r};"
            " look at it again and decide on what it asks now"
        )
    if decision.verdict is Verdict.edit and not (decision.text or "").strip():
        raise InputError(f"run {record.run_id}: an edit needs the new text; give it, or approve the draft as it is")
    can_approve = {action.id for action in record.review.actions if action.verdict is not ActionVerdict.refused}
    wrong = [action_id for action_id in decision.action_ids or () if action_id not in can_approve]
    if wrong:
        choice = ", ".join(sorted(can_approve)) or "none"
        raise InputError(f"run {record.run_id}: action {wrong[0]!r} cannot be approved; choose from: {choice}")
