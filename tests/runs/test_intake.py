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
from deskhand.testing import NOON
from deskhand_runs import RunStore
from deskhand_runs.dbos_setup import build_client, build_database
from deskhand_runs.inbox import Inbox, NewEntry
from deskhand_runs.intake import Intake
from deskhand_runs.writer import Writer

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
def writer(tmp_path):
    with RunStore(tmp_path / "runs.db") as store:
        database = build_database(store.path)
        writer = Writer(store.path, build_client(database))
        yield writer
        writer.close()
        database.dispose()


@pytest.fixture
def entry(make_event):
    return lambda number, **changes: NewEntry(make_event(number, **changes), None, "asking", NOON)


def hold(writer):
    """Keep the writer busy until the returned event is set."""
    busy, go_on = threading.Event(), threading.Event()
    writer.submit(lambda tx: (busy.set(), go_on.wait(5)))
    busy.wait(5)
    return go_on


async def together(writer, intake, entries):
    """Have entries accepted that arrive while one commit is under way."""
    go_on = hold(writer)
    waiting = [asyncio.create_task(intake.accept(one)) for one in entries]
    await asyncio.sleep(0.05)
    go_on.set()
    return await asyncio.gather(*waiting, return_exceptions=True)


def rows(writer, sql):
    return writer.submit(lambda tx: [tuple(row) for row in tx.execute(sql)]).result()


async def test_what_arrives_together_is_stored_together_in_its_order(writer, entry):
    jobs, submit = [], writer.submit
    writer.submit = lambda job: (jobs.append(job), submit(job))[1]
    answers = await together(writer, Intake(writer), [entry(n) for n in range(1, 33)])
    assert answers == [(n, True) for n in range(1, 33)]
    assert len(jobs) == 2  # the one that kept it busy, and one for all
    assert rows(writer, "SELECT seq, delivery_id FROM inbox ORDER BY seq") == [(n, f"d-{n}") for n in range(1, 33)]


async def test_a_delivery_twice_at_once_and_one_known_before_are_stored_once(writer, entry):
    intake = Intake(writer)
    assert await intake.accept(entry(1)) == (1, True)
    answers = await together(writer, intake, [entry(2), entry(1), entry(2), entry(3)])
    (two, is_new), one, again, (three, _) = answers
    assert (one, is_new, again) == ((1, False), True, (two, False))
    assert three > two
    assert len(rows(writer, "SELECT seq FROM inbox")) == 3
    assert await intake.accept(entry(3)) == (three, False)


async def test_more_than_one_commit_takes_are_all_stored(writer, entry):
    answers = await together(writer, Intake(writer), [entry(n) for n in range(150)])
    assert sorted(seq for seq, _ in answers) == list(range(1, 151))


async def test_one_that_cannot_be_stored_does_not_take_the_others_with_it(writer, entry):
    class Broken(NewEntry):
        @property
        def event(self):
            raise RuntimeError("cannot be written")

        @event.setter
        def event(self, value):
            pass

    broken = Broken(entry(2).event, None, "asking", NOON)
    one, wrong, three = await together(writer, Intake(writer), [entry(1), broken, entry(3)])
    assert isinstance(wrong, StoreError) and "RuntimeError" in str(wrong)
    assert [row[0] for row in rows(writer, "SELECT delivery_id FROM inbox ORDER BY seq")] == ["d-1", "d-3"]
    assert one.is_new and three.is_new


async def test_nothing_is_stored_for_who_no_longer_waits(writer, entry):
    intake, go_on = Intake(writer), hold(writer)
    gone = asyncio.create_task(intake.accept(entry(1)))
    await asyncio.sleep(0.02)
    gone.cancel()
    await asyncio.sleep(0.02)
    go_on.set()
    assert (await intake.accept(entry(2))).is_new
    assert rows(writer, "SELECT delivery_id FROM inbox") == [("d-2",)]


async def test_a_full_disk_refuses_what_arrives_and_goes_on_when_there_is_space(writer, entry):
    intake, large = Intake(writer), "x" * 20_000
    assert (await intake.accept(entry(1))).is_new
    writer._raw.execute("PRAGMA max_page_count=1")  # SQLite makes it the size that the file has now
    refused = await together(writer, intake, [entry(n, raw=large) for n in range(2, 42)])
    assert {type(one) for one in refused} == {StoreError} and "the disk is full" in str(refused[0])
    with pytest.raises(StoreError, match="the disk is full"):
        await intake.accept(entry(50, raw=large))
    writer._raw.execute("PRAGMA max_page_count=1000000")
    assert (await intake.accept(entry(2, raw=large))).is_new
    assert [row[0] for row in rows(writer, "SELECT delivery_id FROM inbox")] == ["d-1", "d-2"]


async def test_a_writer_that_closes_refuses(writer, entry):
    intake = Intake(writer)
    await asyncio.to_thread(writer.close)
    with pytest.raises(StoreError, match="is stopping"):
        await intake.accept(entry(1))
    with pytest.raises(StoreError, match="is stopping"):  # and goes on refusing
        await intake.accept(entry(2))


async def test_workflows_follow_their_entries_in_order(writer, entry):
    intake = Intake(writer)
    await asyncio.gather(*(intake.accept(entry(n, ticket_id=f"T-{n % 3}")) for n in range(10)))
    for _ in range(100):
        ids = rows(writer, "SELECT workflow_uuid FROM workflow_status ORDER BY rowid")
        if len(ids) == 10:
            break
        await asyncio.sleep(0.05)
    assert [row[0] for row in ids] == [f"ev-{n:012d}" for n in range(1, 11)]


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
        assert await engine.wait_idle(20)
        assert {entry.state.value for entry in engine.entries()} == {"done"}
        assert {run.ticket.id for run in engine.store.list()} == {"T-1", "T-2"} if len(acknowledged) > 1 else {"T-1"}
