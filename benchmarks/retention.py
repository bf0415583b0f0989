"""Measure whether old runs slow down new ones: intake and listing with many finished runs, against an empty database.

Both databases are measured in turns within one process, so that the machine's noise meets both. Prints one JSON
object; exit code 1 when a ratio of medians is above ``--bar``, or when retention leaves a run that is over.

    python benchmarks/retention.py --runs 200000
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deskhand.actions import Receipt, ReceiptStatus
from deskhand.answers import Draft
from deskhand.config import WorkspaceFolder
from deskhand.ids import RandomIds
from deskhand.records import RunResult, RunStatus
from deskhand.service_settings import RunsSettings
from deskhand.testing import build_ticket, build_workspace
from deskhand.tickets import Event, EventKind
from deskhand_runs import GuardTables, RunStore, open_client
from deskhand_runs.doors import Door
from deskhand_runs.guards import judge_event
from deskhand_runs.retention import Retention
from deskhand_runs.rows import to_text

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAYS = 80
COLUMNS = (
    "run_id, graph, source, ticket_id, ticket_hash, ticket, status, created_at, updated_at, result, review, ask_id,"
    " waits, error, write_back"
)


class FixedClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        """Return the benchmark's moment."""
        return NOW


@dataclass
class Arm:
    """One database and what its operations took, in seconds."""

    store: RunStore
    door: Door
    times: dict[str, list[float]] = field(default_factory=dict)
    n_claims: int = 0

    def measure(self, name: str, do: Callable[[], object]) -> None:
        """Do something and keep how long it took."""
        begun = time.perf_counter()
        do()
        self.times.setdefault(name, []).append(time.perf_counter() - begun)

    def once(self) -> None:
        """Do every operation once."""
        self.n_claims += 1
        ticket = build_ticket(f"question {self.n_claims}", ticket_id=f"T-new-{self.n_claims}")
        happened = Event(
            source="file", delivery_id=f"d-{self.n_claims}", ticket_id=ticket.id, kind=EventKind.created, at=NOW
        )
        tables, clock, settings = GuardTables(self.store), FixedClock(), RunsSettings()
        new_id = RandomIds().new
        self.measure("accept", lambda: asyncio.run(self.door.accept(happened, ticket)))
        self.measure(
            "judge",
            lambda: judge_event(
                happened, ticket, helpdesk_settings=None, tables=tables, clock=clock, settings=settings
            ),
        )
        self.measure("claim", lambda: self.store.claim(ticket, "support", new_id=lambda: new_id("run"), now=NOW))
        self.measure("list newest 50", lambda: self.store.list(limit=50))
        self.measure("list parked", lambda: self.store.list(status=RunStatus.parked, limit=50))
        self.measure("list of a ticket", lambda: self.store.list(ticket_id=ticket.id))
        self.measure("pending write-back", self.store.pending_write_back)
        self.measure("queue", lambda: (self.store.waiting_asks(), self.store.waiting(limit=50), self.door.status()))
        self.measure("inbox entries", lambda: self.door.entries(limit=50))
        self.measure("dead entries", lambda: self.door.entries(state="dead", limit=50))


def insert_delivery(tables: GuardTables, event: Event) -> None:
    """Store a delivery as the inbox does."""
    with tables.changing() as connection:
        connection.execute(
            "INSERT INTO inbox (source, delivery_id, ticket_id, event, received_at, state, updated_at)"
            " VALUES (?, ?, ?, ?, ?, 'queued', ?) ON CONFLICT DO NOTHING",
            (event.source, event.delivery_id, event.ticket_id, event.model_dump_json(), to_text(NOW), to_text(NOW)),
        )


def fill(store: RunStore, n_runs: int) -> None:
    """Add finished runs of the last ``DAYS`` days, as large as real ones, each with its delivery and receipt."""
    base = build_ticket("A question of some length. " * 60)
    result = RunResult(
        run_id="run-old",
        ticket_id="T-1",
        graph="support",
        status=RunStatus.done,
        draft=Draft(text="A draft of some length. " * 120),
        needs_human=True,
    ).model_dump_json()
    receipt = Receipt(action_id="reply", status=ReceiptStatus.done).model_dump_json()
    old = Event(source="file", delivery_id="old", ticket_id="T-1", kind=EventKind.created, at=NOW)
    delivered = old.model_dump_json()
    for first in range(0, n_runs, 5_000):
        numbers = range(first, min(first + 5_000, n_runs))
        tables = GuardTables(store)
        with tables.changing() as connection:
            for n in numbers:
                at = to_text(NOW - timedelta(days=DAYS * (1 - n / n_runs)))
                text = base.model_copy(update={"id": f"T-{n}"}).model_dump_json()
                connection.execute(
                    f"INSERT INTO runs ({COLUMNS}) VALUES (?, 'support', 'file', ?, ?, ?, 'done', ?, ?, ?, NULL, NULL,"
                    " 0, '', 'closed')",
                    (f"run-old-{n:09d}", f"T-{n}", f"{n:064x}", text, at, at, result),
                )
                connection.execute(
                    "INSERT INTO receipts (run_id, action_id, receipt) VALUES (?, 'reply', ?)",
                    (f"run-old-{n:09d}", receipt),
                )
                connection.execute(
                    "INSERT INTO inbox (source, delivery_id, ticket_id, event, received_at, state, run_id, updated_at)"
                    " VALUES ('file', ?, ?, ?, ?, 'done', ?, ?)",
                    (f"old-{n}", f"T-{n}", delivered, at, f"run-old-{n:09d}", at),
                )
        print(f"filled {numbers.stop:,} of {n_runs:,}", end="\r", file=sys.stderr)


def fill_workflows(arm: Arm, n_runs: int) -> None:
    """Add the ended workflow of each of these runs, as DBOS leaves it."""
    tables = GuardTables(arm.store)
    with tables.changing() as connection:
        columns = [row["name"] for row in connection.execute("PRAGMA table_info(workflow_status)")]
        given = {"workflow_uuid": "printf('ev-%012d', n)", "status": "'SUCCESS'"}
        values = ", ".join(given.get(name, name) for name in columns)
        connection.execute(
            f"WITH RECURSIVE numbers (n) AS (SELECT 1000000000 UNION ALL SELECT n + 1 FROM numbers LIMIT ?)"
            f" INSERT INTO workflow_status ({', '.join(columns)}) SELECT {values} FROM numbers,"
            " (SELECT * FROM workflow_status LIMIT 1)",
            (n_runs,),
        )


def finish(arm: Arm) -> None:
    """Take back what was measured, so that the next round meets the same list."""
    tables = GuardTables(arm.store)
    with tables.changing() as connection:
        connection.execute("UPDATE runs SET status = 'done' WHERE status = 'running'")
        connection.execute("UPDATE inbox SET state = 'done' WHERE state = 'queued'")
        connection.execute("UPDATE workflow_status SET status = 'SUCCESS' WHERE status = 'ENQUEUED'")


async def forget(folder: WorkspaceFolder, store: RunStore, door: Door) -> dict[str, float]:
    """Delete what is over, half of the runs, while deliveries come in; return what both took."""
    arm = Arm(store, door)
    settings = RunsSettings(keep_runs_days=DAYS // 2)
    begun = time.perf_counter()
    job = asyncio.create_task(Retention(folder, GuardTables(store), settings).job(NOW))
    while not job.done():
        arm.n_claims += 1
        happened = Event(
            source="file", delivery_id=f"r-{arm.n_claims}", ticket_id="T-r", kind=EventKind.created, at=NOW
        )
        await asyncio.to_thread(arm.measure, "insert", functools.partial(insert_delivery, GuardTables(store), happened))
        await asyncio.sleep(0.02)
    forgotten, took = await job, time.perf_counter() - begun
    inserts = sorted(arm.times["insert"])
    with GuardTables(store).reading() as connection:
        before = to_text(NOW - timedelta(days=settings.keep_runs_days))
        n_left = connection.execute(
            "SELECT COUNT(*) FROM runs WHERE status = 'done' AND updated_at < ?", (before,)
        ).fetchone()[0]
    return {
        "forgotten": forgotten.n_runs,
        "over_and_left": n_left,
        "seconds": round(took, 1),
        "insert_p50_ms": round(inserts[len(inserts) // 2] * 1000, 2),
        "insert_p99_ms": round(inserts[int(len(inserts) * 0.99)] * 1000, 2),
    }


def compare(empty: Arm, full: Arm, rounds: int) -> dict[str, dict[str, float]]:
    """Measure both in turns and return the medians, in ms, and their ratios."""
    for number in range(rounds + 10):
        for arm in (empty, full) if number % 2 else (full, empty):
            arm.once()
        if number == 9:  # the first ten warm the caches
            empty.times.clear()
            full.times.clear()
        if number % 20 == 19:
            finish(empty)
            finish(full)
    found = {}
    for name in empty.times:
        medians = [statistics.median(arm.times[name]) * 1000 for arm in (empty, full)]
        found[name] = {
            "empty_ms": round(medians[0], 3),
            "full_ms": round(medians[1], 3),
            "ratio": round(medians[1] / medians[0], 3),
        }
    return found


def main() -> int:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200_000, help="Finished runs in the full database.")
    parser.add_argument("--rounds", type=int, default=300, help="How often each operation is measured.")
    parser.add_argument("--bar", type=float, default=1.2, help="The highest ratio of medians that is allowed.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = [WorkspaceFolder(build_workspace(Path(scratch) / name)) for name in ("empty", "full")]
        with ExitStack() as stack:
            empty, full = (stack.enter_context(RunStore.open(folder)) for folder in folders)
            doors = [stack.enter_context(open_client(folder, clock=FixedClock())) for folder in folders]
            begun = time.perf_counter()
            fill(full, given.runs)
            print(f"filled in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
            seed = [Arm(empty, doors[0]), Arm(full, doors[1])]
            for _ in range(60):  # a list of 50 has as many rows in both
                for arm in seed:
                    arm.once()
            for arm in seed:
                finish(arm)
            fill_workflows(seed[1], given.runs)
            fresh = [Arm(arm.store, arm.door, n_claims=60) for arm in seed]
            figures = compare(fresh[0], fresh[1], given.rounds)
            retention = asyncio.run(forget(folders[1], full, doors[1]))
    slow = {name: row["ratio"] for name, row in figures.items() if row["ratio"] > given.bar}
    print(json.dumps({"runs": given.runs, "figures": figures, "retention": retention, "above_the_bar": slow}))
    return 1 if slow or retention["over_and_left"] else 0


if __name__ == "__main__":
    sys.exit(main())
