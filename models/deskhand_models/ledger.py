"""What models cost: every attempt, reserved before it is made and settled after, in one database for all processes.

Money is counted in whole nanodollars, rounded up. An attempt whose process died stays at what was reserved for it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from deskhand.errors import BudgetExceeded
from deskhand.sqlite import Schema, open_database, store_error, transaction
from deskhand_models.transport import Tokens

NANO = 1_000_000_000
GroupBy = Literal["run", "ticket", "day", "agent", "model", "tier", "outcome", "agent_and_model"]
_GROUPS = {"run": "run_id", "ticket": "ticket_id", "agent_and_model": "agent || ' ' || model"}
_SCHEMA = Schema(
    "ledger",
    (
        """
        CREATE TABLE attempts (
            id INTEGER PRIMARY KEY, at TEXT NOT NULL, day TEXT NOT NULL, run_id TEXT NOT NULL,
            ticket_id TEXT NOT NULL, agent TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT NULL,
            reserved INTEGER NOT NULL, cost INTEGER, prompt_tokens INTEGER NOT NULL DEFAULT 0,
            completion_tokens INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT 'open'
        ) STRICT;
        CREATE INDEX attempts_run ON attempts (run_id);
        CREATE TABLE totals (
            scope TEXT NOT NULL, key TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (scope, key)
        ) STRICT, WITHOUT ROWID;
        """,
    ),
)


_ADD = "INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"


_FORGET_TOTALS = (
    "DELETE FROM totals WHERE (scope = 'day' AND key < :before)"
    " OR (scope = 'run' AND key NOT IN (SELECT run_id FROM attempts))"
    " OR (scope = 'ticket' AND key NOT IN (SELECT ticket_id FROM attempts))"
)


class LedgerBusy(Exception):
    """Another process is writing just now; try again in a few milliseconds."""


@dataclass(frozen=True)
class Account:
    """Whom an attempt is booked on, and when."""

    run_id: str
    ticket_id: str
    agent: str
    tier: str
    at: datetime

    @property
    def day(self) -> str:
        """The day of the budget, in UTC."""
        return self.at.astimezone(UTC).date().isoformat()

    def scopes(self) -> dict[str, str]:
        """Return scope -> key of the totals it counts in; a run without a ticket has no ticket total."""
        keys = {"run": self.run_id, "ticket": self.ticket_id, "day": self.day}
        return {scope: key for scope, key in keys.items() if key}


@dataclass(frozen=True)
class Reservation:
    """The worst case of one attempt, counted as spent until it is settled. ``amount`` is in nanodollars."""

    id: int
    amount: int
    account: Account


@dataclass(frozen=True)
class CostRow:
    """What one group of attempts cost. ``open_usd`` is the part of ``cost_usd`` that was reserved and never settled."""

    key: str
    n_attempts: int
    n_answers: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    open_usd: float


class Ledger:
    """``ledger.db`` of a workspace. Any number of processes and threads may use it; none waits for another.

    It is synced to the disk at checkpoints, not at every row: rows outlive any process, and the last ones may be lost
    when the machine itself loses power.
    """

    def __init__(self, path: Path) -> None:
        """Open the database, made when it is not there. Raises StoreError."""
        self.path = path
        self._connection = open_database(path, _SCHEMA, synchronous="NORMAL")
        self._connection.execute("PRAGMA busy_timeout=0")  # the caller waits, without blocking its event loop
        self._guard = threading.Lock()

    def close(self) -> None:
        """Close the database."""
        with self._guard:
            self._connection.close()

    def reserve(self, account: Account, model: str, amount: int, caps: dict[str, int]) -> Reservation:
        """Book ``amount`` nanodollars, when every total that has a cap stays within it; all in one transaction.

        Args:
            account: Whom to book it on.
            model: The model's name in the configuration.
            amount: The worst case of the attempt. Zero is always booked.
            caps: Scope (``run``, ``ticket``, ``day``) -> nanodollars.

        Raises:
            BudgetExceeded: A total would pass its cap; nothing was booked.
            LedgerBusy: Another process is writing.
        """
        with self._changing() as connection:
            scopes = account.scopes()
            if amount:
                _check(connection, scopes, amount, caps)
            connection.executemany(_ADD, [(scope, key, amount) for scope, key in scopes.items()])
            inserted = connection.execute(
                "INSERT INTO attempts (at, day, run_id, ticket_id, agent, tier, model, reserved)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    account.at.isoformat(), account.day, account.run_id, account.ticket_id, account.agent, account.tier,
                    model, amount,
                ),
            )  # fmt: skip
            assert inserted.lastrowid is not None
            return Reservation(inserted.lastrowid, amount, account)

    def settle(self, reservation: Reservation, cost: int | None, tokens: Tokens | None, outcome: str) -> int:
        """Put the cost of an attempt in the place of its reservation, and return it in nanodollars.

        Args:
            reservation: What ``reserve`` returned.
            cost: In nanodollars; None when nobody knows it, and then the reservation stays.
            tokens: What was used, for the tables of costs.
            outcome: ``answered``, or why not.

        Raises:
            LedgerBusy: Another process is writing.
        """
        final = reservation.amount if cost is None else cost
        used = tokens or Tokens(0, 0)
        with self._changing() as connection:
            connection.execute(
                "UPDATE attempts SET cost = ?, prompt_tokens = ?, completion_tokens = ?, outcome = ? WHERE id = ?",
                (final, used.prompt, used.completion, outcome, reservation.id),
            )
            if final != reservation.amount:
                connection.executemany(
                    "UPDATE totals SET amount = amount + ? WHERE scope = ? AND key = ?",
                    [(final - reservation.amount, *scope) for scope in reservation.account.scopes().items()],
                )
        return final

    def spent_usd(self, scope: Literal["run", "ticket", "day"], key: str) -> float:
        """Return what is spent or reserved in US dollars. ``key`` is an id, or a day such as ``2026-11-20``."""
        with self._reading() as connection:
            return self._total(connection, scope, key) / NANO

    def _total(self, connection: sqlite3.Connection, scope: str, key: str) -> int:
        row = connection.execute("SELECT amount FROM totals WHERE scope = ? AND key = ?", (scope, key)).fetchone()
        return int(row[0]) if row else 0

    def costs(self, by: GroupBy, *, since: str = "", run_id: str = "") -> list[CostRow]:
        """Return what attempts cost, dearest group first.

        Args:
            by: What a row stands for. The key of ``agent_and_model`` is both with a space between.
            since: The first day, such as ``2026-11-20``; all by default.
            run_id: One run only.
        """
        column = _GROUPS.get(by, by)
        where, values = "day >= ?", [since]
        if run_id:
            where, values = f"{where} AND run_id = ?", [since, run_id]
        sql = (
            f"SELECT {column}, COUNT(*), SUM(outcome = 'answered'), SUM(prompt_tokens), SUM(completion_tokens),"  # noqa: S608 - names of our own columns
            " SUM(COALESCE(cost, reserved)), SUM(CASE WHEN cost IS NULL THEN reserved ELSE 0 END)"
            f" FROM attempts WHERE {where} GROUP BY 1 ORDER BY 6 DESC, 2 DESC, 1"
        )
        with self._reading() as connection:
            rows = connection.execute(sql, values).fetchall()
        return [
            CostRow(key, n, n_answers, prompt, completion, cost / NANO, open_cost / NANO)
            for key, n, n_answers, prompt, completion, cost, open_cost in rows
        ]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guard:
            try:
                yield self._connection
            except sqlite3.Error as exc:
                raise store_error(self.path, exc) from exc

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            try:
                with transaction(connection):
                    yield connection
            except sqlite3.OperationalError as exc:
                if "locked" in str(exc):
                    raise LedgerBusy from exc
                raise


def forget_attempts(path: Path, before: date, limit: int) -> int:
    """Delete at most ``limit`` attempts of days before ``before`` and return how many those were.

    Once none is left, totals that no kept attempt counts in go too. The total of a run or ticket of which an attempt
    is kept stays whole, so that its cap holds.

    Args:
        path: ``ledger.db``; nothing happens where there is none.
        before: The first day that is kept, in UTC: today at the latest, whose total is the budget's.
        limit: Rows of one transaction, in which no attempt can be reserved; some thousands take milliseconds.

    Raises:
        StoreError: The ledger cannot be changed.
    """
    if not path.exists():
        return 0
    connection = open_database(path, _SCHEMA, synchronous="NORMAL")
    try:
        with transaction(connection):
            old = "SELECT id FROM attempts WHERE day < ? ORDER BY id LIMIT ?"
            deleted = connection.execute(
                f"DELETE FROM attempts WHERE id IN ({old})",  # noqa: S608 - our own query
                (before.isoformat(), limit),
            ).rowcount
            if not deleted:
                connection.execute(_FORGET_TOTALS, {"before": before.isoformat()})
    except sqlite3.Error as exc:
        raise store_error(path, exc) from exc
    finally:
        connection.close()
    return deleted


def _check(connection: sqlite3.Connection, scopes: dict[str, str], amount: int, caps: dict[str, int]) -> None:
    """Raise BudgetExceeded when ``amount`` more would bring a total above its cap."""
    wanted = " OR ".join(["(scope = ? AND key = ?)"] * len(scopes))
    found = connection.execute(
        f"SELECT scope, amount FROM totals WHERE {wanted}",  # noqa: S608 - question marks only
        [part for scope in scopes.items() for part in scope],
    )
    totals = dict(found.fetchall())
    for scope, key in scopes.items():
        spent, cap = totals.get(scope, 0), caps.get(scope)
        if cap is not None and spent + amount > cap:
            raise BudgetExceeded(
                f"models.budget.{scope}_usd: the next attempt may cost ${amount / NANO:.6f}, and ${spent / NANO:.6f} of"
                f" ${cap / NANO:.6f} for {scope} {key} is spent or reserved; raise it in deskhand.toml"
            )
