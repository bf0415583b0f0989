import random
import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from deskhand.actions import Decision, Receipt, ReviewRequest
from deskhand.answers import Draft
from deskhand.config import WorkspaceFolder
from deskhand.errors import StoreError
from deskhand.records import RunResult
from deskhand.service_settings import RunsSettings
from deskhand.testing import NOON, SequentialIds, build_ticket
from deskhand_models.ledger import Account, Ledger
from deskhand_runs import GuardTables, RunStore, handling_of, take_over
from deskhand_runs.checkpoints import open_saver
from deskhand_runs.own_writes import knows, remember
from deskhand_runs.retention import (
    _OLD_DELIVERIES,
    _OLD_WRITES,
    _RUNS_THAT_ARE_OVER,
    _STILL_OVER,
    BATCH,
    Retention,
    delete_checkpoints,
)
from deskhand_runs.rows import to_text

DAY = timedelta(days=1)
COLUMNS = "graph, source, ticket_id, ticket_hash, ticket, status, created_at, updated_at"
KEEP = RunsSettings(keep_runs_days=10, keep_inbox_days=20)


@pytest.fixture
def folder(workspace):
    return WorkspaceFolder(workspace)


@pytest.fixture
def tables(folder):
    with RunStore.open(folder) as store:
        yield GuardTables(store)


ids = SequentialIds()


def add_run(tables, at, status="done", text="hello", **changes):
    """A run of a moment in any of the states that a run may be left in."""
    store = tables.store
    run_id = store.claim(
        build_ticket(text, **changes), "support", again=True, new_id=partial(ids.new, "run"), now=at
    ).record.run_id
    result = RunResult(run_id=run_id, ticket_id="T-1", graph="support", status="done", needs_human=True)
    asked = ReviewRequest(run_id=run_id, ask_id=f"ask-{run_id}", draft=Draft(text="Dear Ann"))
    if status == "failed":
        store.fail(run_id, "it stopped", at)
    elif status == "done":
        store.finish(run_id, result, at)
    elif status != "running":
        store.park(run_id, result, asked, at)
    if status in ("approved", "written"):
        store.decide(run_id, Decision(ask_id=asked.ask_id, verdict="approve", by="kim", at=at), at)
        store.finish(run_id, result, at)
        store.add_receipt(run_id, Receipt(action_id="reply", status="done"))
    if status == "written":
        store.close_write_back(run_id, at)
    return run_id


def add_delivery(tables, at, name, state="done", ticket_id="T-1"):
    with tables.changing() as connection:
        connection.execute(
            "INSERT INTO inbox (source, delivery_id, ticket_id, event, received_at, state, updated_at)"
            " VALUES ('file', ?, ?, '{}', ?, ?, ?)",
            (name, ticket_id, to_text(at), state, to_text(at)),
        )


def rows(tables, sql):
    with tables.reading() as connection:
        return [tuple(row) for row in connection.execute(sql)]


def left(tables):
    return {row[0] for row in rows(tables, "SELECT run_id FROM runs")}


async def add_checkpoint(folder, run_id):
    async with open_saver(folder.state / "checkpoints.db") as saver:
        config = {"configurable": {"thread_id": run_id, "checkpoint_ns": ""}}
        stored = await saver.aput(config, empty_checkpoint(), {}, {})
        await saver.aput_writes(stored, [("channel", "value")], "task")


def n_checkpoints(folder):
    with closing(sqlite3.connect(folder.state / "checkpoints.db")) as connection:
        return tuple(
            connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("checkpoints", "writes")
        )


async def test_only_finished_runs_are_forgotten_after_their_days(folder, tables):
    states = ("done", "failed", "written", "parked", "approved", "running")
    old = {state: add_run(tables, NOON, state, ticket_id=f"T-{state}") for state in states}
    young = add_run(tables, NOON + 5 * DAY)
    retention = Retention(folder, tables, KEEP)
    assert (await retention.job(NOON + 10 * DAY)).n_runs == 0, "exactly ten days are kept"
    assert (await retention.job(NOON + 10 * DAY + timedelta(seconds=1))).n_runs == 3
    assert left(tables) == {old["parked"], old["approved"], old["running"], young}
    assert rows(tables, "SELECT DISTINCT run_id FROM decisions") == [(old["approved"],)]
    assert rows(tables, "SELECT DISTINCT run_id FROM receipts") == [(old["approved"],)]


async def test_checkpoints_and_recordings_go_with_their_run(folder, tables):
    old, parked = add_run(tables, NOON), add_run(tables, NOON, "parked", text="another")
    folder.recordings.mkdir(parents=True)
    for run_id in (old, parked):
        await add_checkpoint(folder, run_id)
        (folder.recordings / f"{run_id}.jsonl").write_text("{}\n")
    assert n_checkpoints(folder) == (2, 2)
    await Retention(folder, tables, KEEP).job(NOON + 11 * DAY)
    assert n_checkpoints(folder) == (1, 1)
    assert [path.stem for path in folder.recordings.iterdir()] == [parked]
    async with open_saver(folder.state / "checkpoints.db") as saver:
        assert await saver.aget_tuple({"configurable": {"thread_id": parked}}) is not None
        assert await saver.aget_tuple({"configurable": {"thread_id": old}}) is None


async def test_experiments_and_other_files_are_not_touched(folder, tables):
    add_run(tables, NOON)
    kept = [folder.state / "experiments" / "e1" / "report.json", folder.recordings / "golden.jsonl"]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    await Retention(folder, tables, KEEP).job(NOON + 400 * DAY)
    assert all(path.exists() for path in kept)
    assert left(tables) == set()


async def test_deliveries_outlive_runs_and_those_that_wait_stay(folder, tables):
    for state in ("done", "skipped", "cancelled", "queued", "held", "dead"):
        add_delivery(tables, NOON, f"d-{state}", state)
    retention = Retention(folder, tables, KEEP)
    assert (await retention.job(NOON + 20 * DAY)).n_deliveries == 0
    assert (await retention.job(NOON + 21 * DAY)).n_deliveries == 3
    assert rows(tables, "SELECT state FROM inbox ORDER BY state") == [("dead",), ("held",), ("queued",)]


async def test_deliveries_are_kept_as_long_as_runs_whatever_is_configured(folder, tables):
    add_delivery(tables, NOON, "d-1")
    settings = RunsSettings(keep_runs_days=50, keep_inbox_days=3)
    assert (await Retention(folder, tables, settings).job(NOON + 49 * DAY)).n_deliveries == 0
    assert (await Retention(folder, tables, settings).job(NOON + 51 * DAY)).n_deliveries == 1


async def test_own_writes_and_handling_go_after_the_deliveries_days(folder, tables):
    remember(tables, "file", "T-1", "key-1", "17", NOON)
    take_over(tables, "file", "T-1", "kim", NOON)
    take_over(tables, "file", "T-2", "kim", NOON)
    add_delivery(tables, NOON, "d-1", "held", ticket_id="T-2")
    retention = Retention(folder, tables, KEEP)
    await retention.job(NOON + 19 * DAY)
    assert knows(tables, "file", "T-1", "17")
    done = await retention.job(NOON + 21 * DAY)
    assert (done.n_own_writes, done.n_handlings) == (1, 1)
    assert handling_of(tables, "file", "T-2").who == "person", "something of the ticket is still there"


async def test_more_than_a_batch_goes_in_one_job(folder, tables):
    add_run(tables, NOON)
    with tables.changing() as connection:
        for number in range(2 * BATCH):
            connection.execute(
                f"INSERT INTO runs (run_id, {COLUMNS}) SELECT ?, {COLUMNS} FROM runs ORDER BY seq LIMIT 1",
                (f"copy-{number}",),
            )
    assert (await Retention(folder, tables, KEEP).job(NOON + 11 * DAY)).n_runs == 2 * BATCH + 1
    assert left(tables) == set()


async def test_ended_workflows_are_deleted_in_batches(folder, tables):
    class Workflows:
        n_left = 2 * BATCH + 7
        asked = []

        async def delete_ended(self, before, limit):
            self.asked.append((before, limit))
            n = min(limit, self.n_left)
            self.n_left -= n
            return n

    done = await Retention(folder, tables, KEEP, Workflows()).job(NOON)
    assert done.n_workflows == 2 * BATCH + 7
    assert set(Workflows.asked) == {(NOON - 10 * DAY, BATCH)}


async def test_a_run_that_goes_on_while_it_is_forgotten_stays(folder, tables, monkeypatch):
    run_id = add_run(tables, NOON, "failed")
    retention = Retention(folder, tables, KEEP)

    def resumed(path, run_ids):
        result = RunResult(run_id=run_id, ticket_id="T-1", graph="support", status="done", needs_human=True)
        tables.store.finish(run_id, result, NOON + 11 * DAY)

    monkeypatch.setattr("deskhand_runs.retention.delete_checkpoints", resumed)
    assert (await retention.job(NOON + 11 * DAY)).n_runs == 0
    assert left(tables) == {run_id}


async def test_a_damaged_checkpoint_file_stops_before_the_run_is_forgotten(folder, tables):
    run_id = add_run(tables, NOON)
    (folder.state / "checkpoints.db").write_bytes(b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(StoreError, match=r"checkpoints\.db"):
        await Retention(folder, tables, KEEP).job(NOON + 11 * DAY)
    assert left(tables) == {run_id}


def test_a_file_without_langgraphs_tables_has_no_checkpoints(tmp_path):
    delete_checkpoints(tmp_path / "none.db", ["run-1"])
    assert not (tmp_path / "none.db").exists()
    delete_checkpoints(tmp_path / "made.db", ["run-1"])
    delete_checkpoints(tmp_path / "made.db", ["run-1"])


@pytest.mark.parametrize("seed", [1, 2])
async def test_ninety_days_of_jobs_keep_to_the_limits(folder, tables, seed):
    """At every day: nothing that waits is gone, nothing young is gone, and nothing over is older than its days."""
    dice = random.Random(seed)
    retention = Retention(folder, tables, KEEP)
    born, waiting = {}, set()
    for day in range(90):
        for _ in range(dice.randint(0, 4)):
            at = NOON + day * DAY + timedelta(minutes=dice.randint(0, 600))
            status = dice.choice(("done", "failed", "written", "parked", "approved", "running"))
            run_id = add_run(tables, at, status, ticket_id=f"T-{ids.new('t')}")
            born[run_id] = at
            add_delivery(tables, at, f"d-{run_id}", "held" if status == "parked" else "done")
            if status in ("parked", "approved", "running"):
                waiting.add(run_id)
        now = NOON + day * DAY + timedelta(hours=20)
        if dice.random() < 0.9:  # a job may fail to run on some days
            await retention.job(now)
            over = {run_id for run_id, at in born.items() if run_id not in waiting and at < now - 10 * DAY}
            assert left(tables) == set(born) - over
            deliveries = {row[0] for row in rows(tables, "SELECT delivery_id FROM inbox")}
            gone = {f"d-{run_id}" for run_id, at in born.items() if at < now - 20 * DAY}
            held = {row[0] for row in rows(tables, "SELECT delivery_id FROM inbox WHERE state = 'held'")}
            assert deliveries == {f"d-{run_id}" for run_id in born} - (gone - held)
    assert len(left(tables)) < len(born)


@pytest.mark.parametrize("sql", [_RUNS_THAT_ARE_OVER, _STILL_OVER, _OLD_DELIVERIES, _OLD_WRITES])
def test_no_batch_goes_through_a_whole_table(tables, sql):
    given = {"ids": "[]", "before": "x", "limit": 1} if ":" in sql else ("x", 1)
    with tables.reading() as connection:
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
    assert [step for step in plan if "status=?" in step or (step.startswith("SCAN") and "given" not in step)] == []


async def test_what_models_cost_is_forgotten_with_the_runs_and_the_day_of_today_stays(folder, tables):
    ledger = Ledger(folder.ledger)
    for days in (0, 9, 11, 200):
        at = NOON - days * DAY
        ledger.reserve(Account(f"run-{days}", "T-1", "draft", "strong", at), "m", 10, {})
    assert (await Retention(folder, tables, KEEP).job(NOON)).n_attempts == 2
    assert {row.key for row in ledger.costs("run")} == {"run-0", "run-9"}
    assert ledger.spent_usd("day", NOON.date().isoformat()) == 10e-9
    assert ledger.spent_usd("ticket", "T-1") == 40e-9
    ledger.close()
