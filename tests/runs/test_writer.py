from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from deskhand.errors import InputError, StoreError
from deskhand_runs import RunStore
from deskhand_runs.dbos_setup import build_client, build_database
from deskhand_runs.writer import Writer


def pausing(source):
    sql = "INSERT INTO pauses VALUES (?, 'kim', 'now') RETURNING source"
    return lambda tx: tx.execute(sql, (source,)).fetchone()[0]


def stored(writer):
    sql = "SELECT source FROM pauses ORDER BY 1"
    return writer.submit(lambda tx: [row["source"] for row in tx.execute(sql)]).result()


def refusing(tx):
    pausing("refused")(tx)
    raise InputError("not this one")


def hold(writer):
    """Keep the thread busy until the returned event is set."""
    busy, go_on = threading.Event(), threading.Event()
    writer.submit(lambda tx: (busy.set(), go_on.wait(60)))
    busy.wait(60)
    return go_on


def together(writer, *jobs):
    """Hand in jobs while the thread is busy, so that they share a commit."""
    go_on = hold(writer)
    futures = [writer.submit(job) for job in jobs]
    go_on.set()
    return futures


def test_a_job_that_refuses_is_undone_and_the_others_of_its_commit_stay(writer):
    good, bad, also_good = together(writer, pausing("a"), refusing, pausing("b"))
    assert (good.result(), also_good.result()) == ("a", "b")
    with pytest.raises(InputError, match="not this one"):
        bad.result()
    assert stored(writer) == ["a", "b"]


def test_a_job_that_breaks_the_transaction_does_not_take_the_others_with_it(writer):
    def broken(tx):
        tx.execute("INSERT INTO nowhere VALUES (1)")

    good, bad, worse = together(writer, pausing("a"), broken, lambda tx: 1 / 0)
    assert good.result() == "a"
    with pytest.raises(StoreError, match=r"runs\.db"):
        bad.result()
    with pytest.raises(StoreError, match="ZeroDivisionError"):
        worse.result()
    assert stored(writer) == ["a"]


def test_a_job_whose_caller_has_gone_is_not_carried_out(writer):
    go_on = hold(writer)
    assert writer.submit(pausing("gone")).cancel()
    go_on.set()
    assert stored(writer) == []


async def test_what_was_handed_in_before_the_close_is_stored(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        database = build_database(store.path)
        writer = Writer(store.path, build_client(database))
        jobs = [asyncio.create_task(writer.write(pausing(f"s{n}"))) for n in range(200)]
        await asyncio.sleep(0)
        await asyncio.to_thread(writer.close)
        assert len({await job for job in jobs}) == 200
        with pytest.raises(StoreError, match="is stopping"):
            await writer.write(pausing("late"))
        database.dispose()


def test_ids_of_workflows_sort_by_arrival_and_are_never_used_twice(writer):
    for seq in (12, 12, 12, 2):
        writer.submit(lambda tx, seq=seq: tx.enqueue("start_run", seq, "desk:T-1")).result()
    sql = "SELECT workflow_uuid AS id, queue_partition_key AS lane FROM workflow_status ORDER BY 1"
    rows = writer.submit(lambda tx: [tuple(row) for row in tx.execute(sql)]).result()
    assert rows == [
        ("ev-000000000002", "desk:T-1"),
        ("ev-000000000012", "desk:T-1"),
        ("ev-000000000012-000001", "desk:T-1"),
        ("ev-000000000012-000002", "desk:T-1"),
    ]


def test_what_is_written_is_durable(writer):
    def pragmas(tx):
        return [tx.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert writer.submit(pragmas).result() == ["wal", 2]


def test_a_full_disk_is_named(writer):
    def full(tx):
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(StoreError, match="the disk is full"):
        writer.submit(full).result()
