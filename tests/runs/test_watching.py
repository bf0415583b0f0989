"""Helpdesks that tell of news are polled at once, and a watch that is lost begins again."""

import asyncio
import logging
from datetime import timedelta

import pytest

from deskhand.clock import SystemClock
from deskhand.errors import ConfigError, Unavailable
from deskhand.testing import build_ticket, until
from deskhand_runs import GuardTables, RunStore, open_engine
from deskhand_runs.jobs import Job, Jobs, last_run
from deskhand_runs.watching import WatchPace, watch_helpdesks

QUICK = WatchPace(first_s=0.01, longest_s=0.04)


@pytest.fixture
def workspace(open_polled):
    return open_polled(3600)


class Telling:
    """A helpdesk whose watches are played from a script: yields, errors, and ends."""

    def __init__(self, *watches):
        self.watches = list(watches)
        self.n_closed = 0

    async def watch(self):
        steps = self.watches.pop(0) if self.watches else ["wait"]
        try:
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if step == "wait":
                    await asyncio.Event().wait()
                yield
        finally:
            self.n_closed += 1


class Polls:
    """The jobs of one watched helpdesk, which count the polls."""

    def __init__(self, workspace, helpdesk, error=None):
        self.n, self.error = 0, error
        workspace.helpdesk = {"box": helpdesk, "shop": object()}.get
        self.store = RunStore.open(workspace.folder)
        self.jobs = Jobs([Job("poll:box", timedelta(weeks=1), self.poll)], GuardTables(self.store))
        self.task = asyncio.create_task(watch_helpdesks(workspace, self.jobs, SystemClock(), QUICK))

    async def poll(self, now):
        self.n += 1
        if self.error:
            raise self.error
        return "polled"

    async def stop(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.store.close()


@pytest.fixture
async def watch(workspace):
    """Return a function that watches a helpdesk whose polls it counts."""
    started = []

    def start(*watches, error=None):
        started.append(Polls(workspace, Telling(*watches), error))
        return started[-1]

    yield start
    for polls in started:
        await polls.stop()


async def test_each_news_is_a_poll_at_once(watch):
    polls = watch([1, 2, 3, "wait"])
    await until(lambda: polls.n == 3)
    assert not polls.task.done()


async def test_a_lost_watch_begins_again_and_says_so_in_one_line(watch, caplog):
    polls = watch([1, Unavailable("mail: no answer; try again later")], [RuntimeError("broken")], [1, 2, "wait"])
    await until(lambda: polls.n == 3)
    lines = [record.getMessage() for record in caplog.records if "not watched" in record.getMessage()]
    assert len(lines) == 2 and "no answer" in lines[0] and "RuntimeError: broken" in lines[1]


async def test_a_refused_login_is_tried_again(watch):
    polls = watch([ConfigError("mail: refused; set MAIL_PASSWORD")], [1, "wait"])
    await until(lambda: polls.n == 1)


async def test_a_helpdesk_that_ends_its_watch_is_left_to_the_schedule(watch, caplog):
    caplog.set_level(logging.INFO)
    polls = watch([1])
    await until(polls.task.done)
    assert polls.n == 1 and "by the schedule only" in caplog.text


async def test_a_poll_that_fails_does_not_end_the_watch(watch):
    polls = watch([1, 2, "wait"], error=Unavailable("box: no answer; try again later"))
    await until(lambda: polls.n == 2)


async def test_closing_ends_the_watch(workspace):
    telling = Telling([1, "wait"])
    polls = Polls(workspace, telling)
    await until(lambda: polls.n == 1)
    await polls.stop()
    assert telling.n_closed == 1


def test_waits_double_up_to_the_longest():
    pace = WatchPace(first_s=1, longest_s=10)
    assert [pace.wait_s(n) for n in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 8, 10, 10]


async def test_waits_grow_while_nothing_but_the_first_news_comes(watch, caplog):
    polls = watch(*[[1, Unavailable("no")] for _ in range(3)])
    await until(lambda: polls.n == 3)
    waits = [record.args[1] for record in caplog.records if "not watched" in record.getMessage()]
    assert waits[:3] == [0.01, 0.02, 0.04]


async def test_a_job_at_work_is_run_once_more_after_it(workspace):
    at_work, let_go, log = asyncio.Event(), asyncio.Event(), []

    async def slow(now):
        log.append("begin")
        at_work.set()
        await let_go.wait()
        log.append("end")
        return "done"

    with RunStore.open(workspace.folder) as store:
        jobs = Jobs([Job("slow", timedelta(hours=1), slow)], GuardTables(store))
        now = SystemClock().now()
        first = asyncio.create_task(jobs.run_due(now))
        await at_work.wait()
        second = asyncio.create_task(jobs.run_now("slow", now))
        await asyncio.sleep(0.05)
        assert log == ["begin"]
        let_go.set()
        assert (await second).is_ok and (await first)["slow"].is_ok
        assert log == ["begin", "end", "begin", "end"]
        assert not jobs.has("another")


async def test_the_engine_watches_while_it_is_open(workspace):
    folder = workspace.folder
    workspace.helpdesk("box").__dict__["watch_every_s"] = 0.05
    async with open_engine(workspace, jobs=True) as engine:
        await until(lambda: last_run(GuardTables(engine.store), "poll:box"))
        (folder.incoming / "T-9.json").write_text(build_ticket(ticket_id="T-9").model_dump_json())
        await until(lambda: [entry.ticket_id for entry in engine.entries()] == ["T-9"])
        before = asyncio.all_tasks()
        assert any("watch_helpdesks" in repr(task) for task in before)
    assert not any("watch_helpdesks" in repr(task) for task in asyncio.all_tasks())
