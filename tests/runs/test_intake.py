from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

from deskhand.errors import StoreError
from deskhand.testing import NOON, until
from deskhand_runs.inbox import Inbox, NewEntry
from deskhand_runs.intake import Intake

# Acknowledges three deliveries of one ticket and one of another, and dies before their workflows are enqueued.
DIES = """
import asyncio, json, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from deskhand.config import WorkspaceFolder
from deskhand.tickets import Event
from deskhand_graphs import Workspace
from deskhand_runs import open_engine
from deskhand_runs.intake import Intake
from deskhand_runs.leftovers import Leftovers

async def nothing(self):
    return 0

Leftovers.look = nothing  # it would find them before this process dies
Intake._wake_some = lambda self, tx: os.kill(os.getpid(), signal.SIGKILL)

async def main():
    with Workspace.open(WorkspaceFolder(Path(sys.argv[1]))) as workspace:
        async with open_engine(workspace) as engine:
            for n, ticket in enumerate(("T-1", "T-2", "T-1", "T-1"), 1):
                at = datetime(2026, 11, 20, 12, n, tzinfo=UTC)
                event = Event(source="desk", delivery_id=f"d-{n}", ticket_id=ticket, kind="message", at=at)
                print(json.dumps(await engine.accept(event)), flush=True)
            await asyncio.sleep(30)

asyncio.run(main())
"""


@pytest.fixture
def entry(make_event):
    return lambda number, **changes: NewEntry(make_event(number, **changes), None, "asking", NOON)


@pytest.fixture
def intake(writer):
    intake = Intake(writer, writer._path)
    yield intake
    intake.close()


def hold(writer):
    """Have the writer hold the database's lock until the returned event is set."""
    holds, go_on = threading.Event(), threading.Event()
    writer.submit(lambda tx: (tx.execute("DELETE FROM pauses"), holds.set(), go_on.wait(60)))
    holds.wait(60)
    return go_on


async def together(writer, intake, entries):
    """Have entries accepted that arrive while another connection writes."""
    go_on = hold(writer)
    asyncio.get_running_loop().call_later(0.02, go_on.set)
    return await asyncio.gather(*(intake.accept(one) for one in entries), return_exceptions=True)


def rows(writer, sql):
    return writer.submit(lambda tx: [tuple(row) for row in tx.execute(sql)]).result()


async def test_what_arrives_while_another_connection_writes_is_stored_by_one_statement(writer, intake, entry):
    statements = []
    intake._connection.set_trace_callback(statements.append)
    answers = await together(writer, intake, [entry(n) for n in range(1, 33)])
    assert answers == [(n, True) for n in range(1, 33)]
    assert statements[-1].count("'d-") == 32
    assert rows(writer, "SELECT seq, delivery_id FROM inbox ORDER BY seq") == [(n, f"d-{n}") for n in range(1, 33)]


async def test_what_finds_no_lock_is_stored_at_once(intake, entry):
    waiting = asyncio.create_task(intake.accept(entry(1)))
    await asyncio.sleep(0)
    assert waiting.done() and (await waiting) == (1, True)


async def test_while_another_connection_writes_the_event_loop_goes_on_and_more_are_stored_together(
    writer, intake, entry
):
    go_on, n_turns = hold(writer), 0
    waiting = [asyncio.create_task(intake.accept(entry(n))) for n in (1, 2)]
    while n_turns < 50:
        await asyncio.sleep(0.001)
        n_turns += 1
    assert not any(one.done() for one in waiting)
    waiting.append(asyncio.create_task(intake.accept(entry(3))))
    go_on.set()
    assert await asyncio.gather(*waiting) == [(1, True), (2, True), (3, True)]


async def test_a_lock_that_is_never_given_up_is_told_and_later_ones_are_stored(writer, intake, entry, monkeypatch):
    monkeypatch.setattr("deskhand_runs.intake._PATIENCE_S", 0.05)
    go_on = hold(writer)
    waiting = (intake.accept(entry(n)) for n in (1, 2))
    refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(one).partition(": ")[2] for one in refused] == [
        "is locked by another process; wait for it to end and try again"
    ] * 2
    go_on.set()
    assert (await intake.accept(entry(3))).is_new


async def test_event_loops_of_two_threads_take_in_at_once(writer, intake, entry):
    async def many(first):
        return [await intake.accept(entry(n)) for n in range(first, first + 50)]

    answers = await asyncio.gather(*(asyncio.to_thread(asyncio.run, many(first)) for first in (100, 200, 300)))
    assert sorted(one.seq for each in answers for one in each) == list(range(1, 151))
    assert all(one.is_new for each in answers for one in each)


async def test_a_delivery_twice_at_once_and_one_known_before_are_stored_once(writer, intake, entry):
    assert await intake.accept(entry(1)) == (1, True)
    answers = await together(writer, intake, [entry(2), entry(1), entry(2), entry(3)])
    (two, is_new), one, again, (three, _) = answers
    assert (one, is_new, again) == ((1, False), True, (two, False))
    assert three > two
    assert len(rows(writer, "SELECT seq FROM inbox")) == 3
    assert await intake.accept(entry(3)) == (three, False)


async def test_more_than_one_commit_takes_are_all_stored(writer, intake, entry):
    answers = await together(writer, intake, [entry(n) for n in range(150)])
    assert sorted(seq for seq, _ in answers) == list(range(1, 151))


async def test_one_that_cannot_be_stored_does_not_take_the_others_with_it(writer, intake, entry):
    class Broken(NewEntry):
        @property
        def event(self):
            raise RuntimeError("cannot be written")

        @event.setter
        def event(self, value):
            pass

    broken = Broken(entry(2).event, None, "asking", NOON)
    one, wrong, three = await together(writer, intake, [entry(1), broken, entry(3)])
    assert isinstance(wrong, StoreError) and "RuntimeError" in str(wrong)
    assert [row[0] for row in rows(writer, "SELECT delivery_id FROM inbox ORDER BY seq")] == ["d-1", "d-3"]
    assert one.is_new and three.is_new


async def test_nothing_is_stored_for_who_no_longer_waits(writer, intake, entry):
    go_on = hold(writer)
    gone = asyncio.create_task(intake.accept(entry(1)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert (await intake.accept(entry(2))).is_new
    assert rows(writer, "SELECT delivery_id FROM inbox") == [("d-2",)]


async def test_a_full_disk_refuses_what_arrives_and_goes_on_when_there_is_space(writer, intake, entry):
    large = "x" * 20_000
    assert (await intake.accept(entry(1))).is_new
    intake._connection.execute("PRAGMA max_page_count=1")  # SQLite makes it the size that the file has now
    refused = await together(writer, intake, [entry(n, raw=large) for n in range(2, 42)])
    assert {type(one) for one in refused} == {StoreError} and "the disk is full" in str(refused[0])
    with pytest.raises(StoreError, match="the disk is full"):
        await intake.accept(entry(50, raw=large))
    intake._connection.execute("PRAGMA max_page_count=1000000")
    assert (await intake.accept(entry(2, raw=large))).is_new
    assert [row[0] for row in rows(writer, "SELECT delivery_id FROM inbox")] == ["d-1", "d-2"]


async def test_an_intake_that_closes_refuses(intake, entry):
    intake.close()
    with pytest.raises(StoreError, match="is stopping"):
        await intake.accept(entry(1))
    with pytest.raises(StoreError, match="is stopping"):  # and goes on refusing
        await intake.accept(entry(2))


async def test_workflows_follow_their_entries_in_order(writer, intake, entry):
    await asyncio.gather(*(intake.accept(entry(n, ticket_id=f"T-{n % 3}")) for n in range(10)))
    sql = "SELECT workflow_uuid FROM workflow_status ORDER BY rowid"
    await until(lambda: len(rows(writer, sql)) == 10)
    assert [row[0] for row in rows(writer, sql)] == [f"ev-{n:012d}" for n in range(1, 11)]


async def test_killed_between_the_acknowledgement_and_the_workflow_loses_nothing(bench):
    command = [sys.executable, "-c", DIES, str(bench.folder)]
    process = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    assert process.returncode == -signal.SIGKILL, process.stderr
    acknowledged = [json.loads(line) for line in process.stdout.splitlines()]
    assert acknowledged and all(is_new for _, is_new in acknowledged)
    inbox = Inbox(bench.folder / ".deskhand" / "runs.db")
    queued = inbox.query("SELECT seq FROM inbox WHERE state = 'queued'")
    workflows = inbox.query("SELECT workflow_uuid FROM workflow_status WHERE workflow_uuid LIKE 'ev-%'")
    inbox.close()
    assert (len(queued), workflows) == (len(acknowledged), [])  # it died where it should
    for text, ticket_id in (("one", "T-1"), ("two", "T-2")):
        bench.desk.write(text, ticket_id, updated_at=datetime(2026, 11, 20, 13, tzinfo=UTC))
    async with bench.open() as engine:
        began = engine._inbox.query("SELECT workflow_uuid FROM workflow_status ORDER BY rowid")
        assert len([row for row in began if row[0].startswith("ev-")]) == len(acknowledged)
        assert await engine.wait_idle(60)
        assert {entry.state.value for entry in engine.entries()} == {"done"}
        assert {run.ticket.id for run in engine.store.list()} == {"T-1", "T-2"} if len(acknowledged) > 1 else {"T-1"}
