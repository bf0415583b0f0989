import asyncio
from datetime import timedelta

import pytest

from deskhand.errors import StoreError, Unavailable
from deskhand.testing import NOON, build_ticket
from deskhand_helpdesks import FolderHelpdesk
from deskhand_runs import GuardTables, RunStore
from deskhand_runs.jobs import RETRY, Job, Jobs, build_jobs, last_run
from deskhand_runs.polls import Intake

MINUTE = timedelta(minutes=1)


@pytest.fixture
def workspace(open_polled):
    return open_polled(20, tickets=[build_ticket()])


@pytest.fixture
def tables(workspace):
    with RunStore.open(workspace.folder) as store:
        yield GuardTables(store)


class Counter:
    """A job that keeps when it ran, and fails while ``error`` is set."""

    def __init__(self, error=None):
        self.at = []
        self.error = error

    async def run(self, now):
        self.at.append(now)
        if self.error:
            raise self.error
        return "done"


async def test_all_jobs_are_registered_and_run_once_when_due(workspace, tables, monkeypatch):
    taken = []

    async def accept(event):
        is_new = event.ticket_id not in taken
        taken.extend([event.ticket_id] * is_new)
        return is_new

    async def set_aside(event, state, reason):
        raise AssertionError("a folder's files are all to be answered")

    desk = FolderHelpdesk(workspace.folder.incoming, workspace.folder.root / "tickets" / "outgoing")
    monkeypatch.setattr(workspace, "helpdesk", {"box": desk}.__getitem__)
    jobs = Jobs(build_jobs(workspace, tables, Intake(accept, set_aside)), tables)
    assert [job.name for job in jobs.jobs] == ["poll:box", "knowledge", "retention", "backup"]
    assert jobs.beat_s == 20
    done = await jobs.run_due(NOON)
    assert {name: last.outcome for name, last in done.items() if last.is_ok} == {
        "poll:box": "2 events, 1 new",
        "knowledge": "2 added, 0 changed, 0 removed",
        "retention": "0 runs and 0 deliveries forgotten",
        "backup": "deskhand-20261120-120000.tar.gz written, 0 old ones deleted",
    }
    assert taken == ["T-1"]
    assert workspace.knowledge.n_articles == 2
    assert list(await jobs.run_due(NOON + timedelta(seconds=20))) == ["poll:box"]
    assert list(await jobs.run_due(NOON + timedelta(seconds=25))) == []
    later = await jobs.run_due(NOON + 5 * MINUTE)
    assert later["knowledge"].outcome == "nothing changed"
    assert "backup" in await jobs.run_due(NOON + timedelta(days=1))


async def test_a_job_is_due_again_after_its_time_and_the_time_is_stored(tables):
    counter = Counter()
    jobs = Jobs([Job("j", timedelta(hours=1), counter.run)], tables)
    for minute in (0, 1, 30, 59, 60, 100, 119, 120, 180):
        await jobs.run_due(NOON + minute * MINUTE)
    assert [at - NOON for at in counter.at] == [timedelta(hours=n) for n in range(4)]
    again = Jobs(jobs.jobs, tables)
    assert await again.run_due(NOON + 181 * MINUTE) == {}, "another process knows when it ran"
    assert last_run(tables, "j") == (NOON + 180 * MINUTE, True, "done")
    assert last_run(tables, "unknown") is None


async def test_a_beat_a_little_early_does_not_cost_a_whole_one(tables):
    counter = Counter()
    jobs = Jobs([Job("j", MINUTE, counter.run)], tables)
    for beat in range(10):
        await jobs.run_due(NOON + beat * MINUTE - timedelta(seconds=beat % 3))
    assert len(counter.at) == 10


async def test_a_failed_job_is_tried_again_soon_and_stops_no_other(tables, caplog):
    bad, worse, good = Counter(Unavailable("no answer; try later")), Counter(ValueError("a bug")), Counter()
    day = timedelta(days=1)
    jobs = Jobs([Job("bad", day, bad.run), Job("worse", day, worse.run), Job("good", day, good.run)], tables)
    done = await jobs.run_due(NOON)
    assert {name: (last.is_ok, last.outcome) for name, last in done.items()} == {
        "bad": (False, "no answer; try later"),
        "worse": (False, "ValueError: a bug"),
        "good": (True, "done"),
    }
    assert "job bad failed: no answer; try later" in caplog.text
    assert "Traceback" in caplog.text
    assert await jobs.run_due(NOON + RETRY / 2) == {}
    assert set(await jobs.run_due(NOON + RETRY)) == {"bad", "worse"}


async def test_a_job_at_work_is_not_begun_again_and_others_go_on(tables):
    begun, go = asyncio.Event(), asyncio.Event()
    n_begun = 0

    async def slow(now):
        nonlocal n_begun
        n_begun += 1
        begun.set()
        await go.wait()
        return "done"

    counter = Counter()
    jobs = Jobs([Job("slow", MINUTE, slow), Job("quick", MINUTE, counter.run)], tables)
    first = asyncio.create_task(jobs.run_due(NOON))
    await begun.wait()
    await asyncio.sleep(0)
    await jobs.run_due(NOON + MINUTE)
    await jobs.run_due(NOON + 2 * MINUTE)
    assert n_begun == 1
    go.set()
    assert (await first)["slow"].is_ok
    await jobs.run_due(NOON + 3 * MINUTE)
    assert n_begun == 2


async def test_a_clock_that_was_set_back_does_not_stop_a_job(tables):
    counter = Counter()
    jobs = Jobs([Job("j", timedelta(hours=1), counter.run)], tables)
    await jobs.run_due(NOON + timedelta(days=300))
    await jobs.run_due(NOON)
    assert len(counter.at) == 2


async def test_a_time_that_cannot_be_stored_is_logged(tables, monkeypatch, caplog):
    def full(*_args):
        raise StoreError("the disk is full; free some space")

    monkeypatch.setattr("deskhand_runs.jobs._keep", full)
    counter = Counter()
    assert (await Jobs([Job("j", MINUTE, counter.run)], tables).run_due(NOON))["j"].is_ok
    assert "its time cannot be stored" in caplog.text
