"""The engine: takes in events and decisions, and works on them until they are at their end, whatever dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from deskhand.clock import Clock
from deskhand.ids import Ids
from deskhand_runs.dbos_setup import (
    MAX_RECOVERIES,
    QUEUE,
    build_client,
    build_database,
    check_sqlite,
    configure,
    launch,
    shut_down,
)
from deskhand_runs.doors import Door, open_client
from deskhand_runs.execute import Executor
from deskhand_runs.gates import Gates
from deskhand_runs.inbox import Accepted, Inbox, NewEntry
from deskhand_runs.intake import Intake
from deskhand_runs.leftovers import Leftovers
from deskhand_runs.limits import Slots
from deskhand_runs.opening import open_runs
from deskhand_runs.ownership import own
from deskhand_runs.schedules import register_schedules
from deskhand_runs.waking import RESUME, START
from deskhand_runs.watching import watch_helpdesks
from deskhand_runs.work import Pace, Work
from deskhand_runs.writer import Writer

if TYPE_CHECKING:
    import sqlalchemy as sa

    from deskhand_graphs import Workspace

_STAGED_MORE = 256
"""How many more entries are taken out of the queue than are worked on: among these the most urgent goes first."""


class Engine(Door):
    """The one engine that executes the runs of a workspace. ``open_engine`` makes it."""

    def __init__(self, executor: Executor, work: Work, intake: Intake) -> None:
        super().__init__(executor.workspace.folder, executor.store, work.writer, work.inbox, executor.clock)
        self.executor = executor
        self._work = work
        self._tasks: set[asyncio.Task[object]] = set()
        self._is_closing = False
        self._intake = intake

    async def _take_in(self, entry: NewEntry) -> Accepted:
        return await self._intake.accept(entry)

    async def cancel(self, run_id: str, by: str = "a person") -> bool:
        """Stop a run before its next effect, and its graph at once; False when nothing was left to do."""
        is_cancelled = await super().cancel(run_id, by)
        if is_cancelled:
            self.executor.stop((await asyncio.to_thread(self.store.load, run_id)).run_id)
        return is_cancelled

    async def handle(self, seq: int) -> str:
        """Work on an entry, for the workflows. While the engine closes, nothing new is begun."""
        task = asyncio.current_task()
        assert task is not None, "workflows run on the event loop"
        if self._is_closing:
            raise asyncio.CancelledError
        self._tasks.add(task)
        try:
            return await self._work.handle(seq)
        finally:
            self._tasks.discard(task)

    def _n_at_work(self) -> int:
        return self._work.slots.n_taken

    def _has_owner(self) -> bool:
        return True

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is queued or at work; False when that takes longer. For tests and benchmarks."""
        give_up_at = time.monotonic() + timeout_s
        while not await asyncio.to_thread(self._is_idle):
            if time.monotonic() > give_up_at:
                return False
            await asyncio.sleep(0.05)
        return True

    def _is_idle(self) -> bool:
        sql = (
            "SELECT (SELECT COUNT(*) FROM inbox WHERE state = 'queued') + (SELECT COUNT(*) FROM workflow_status"
            " WHERE queue_name = ? AND status IN ('ENQUEUED', 'PENDING', 'DELAYED')) AS n"
        )
        return int(self._inbox.query(sql, (QUEUE,))[0]["n"]) == 0

    async def drain(self, grace_s: float) -> None:
        """Begin nothing new, wait for what is at work, and cut off what does not end; the next start goes on."""
        self._is_closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)


@asynccontextmanager
async def open_engine(
    workspace: Workspace,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    pace: Pace | None = None,
    jobs: bool = False,
) -> AsyncIterator[Engine]:
    """Yield the engine of ``workspace``, which executes until the block ends; what was cut off before goes on.

    One process at a time has it, and one engine is open at a time in a process. The workflows run on the event loop
    that is running now.

    Args:
        workspace: The workspace, opened.
        clock: The time.
        ids: Makes run ids.
        pace: How fast it looks and tries again.
        jobs: Also start the polls, the sync of knowledge, retention and backups, each when it is due.

    Raises:
        ConfigError: DBOS does not work with this Python's SQLite, or the configuration is wrong.
        OwnedElsewhere: Another process executes the runs of this workspace.
        StoreError: A database is damaged, newer than this deskhand, or cannot be written.
    """
    check_sqlite()
    pace = pace or Pace()
    with own(workspace.folder):
        async with open_runs(workspace, clock=clock, ids=ids) as executor:
            database = build_database(executor.store.path)
            client = await asyncio.to_thread(build_client, database)
            writer, inbox = Writer(executor.store.path, client), Inbox(executor.store.path)
            intake = Intake(writer, executor.store.path)
            try:
                engine = _build(executor, writer, inbox, intake, pace)
                async with _running(engine, database, pace, jobs=jobs):
                    yield engine
            finally:
                intake.close()
                writer.close()
                inbox.close()
                database.dispose()


def _build(executor: Executor, writer: Writer, inbox: Inbox, intake: Intake, pace: Pace) -> Engine:
    settings = executor.workspace.folder.config.runs
    executor.deadline_s = settings.run_deadline_s
    gates = executor.guard
    assert isinstance(gates, Gates), "open_runs sets the gates"
    work = Work(executor, gates, writer, inbox, Slots(settings.at_once), pace, settings)
    return Engine(executor, work, intake)


@asynccontextmanager
async def _running(engine: Engine, database: sa.Engine, pace: Pace, *, jobs: bool) -> AsyncIterator[None]:
    leftovers = Leftovers(engine._writer, engine._inbox, engine.clock)
    try:
        configure(database)
        _register(engine)
        start_schedules = register_schedules(engine)  # always: an earlier process may have left the schedule there
        await leftovers.catch_up()
        await launch(staged=engine._work.slots.size + _STAGED_MORE, poll_s=pace.poll_s)
        beside = [asyncio.create_task(leftovers.watch(pace.tick_s))]
        if jobs:
            watching = watch_helpdesks(engine.executor.workspace, await start_schedules(), engine.clock)
            beside.append(asyncio.create_task(watching))
        try:
            yield
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await engine.drain(pace.grace_s)
    finally:
        await shut_down()


def _register(engine: Engine) -> None:
    """Register the two workflows with DBOS, anew for each engine: they are closures over it.

    Each is one step. What a step did is at least once; the store and the inbox know what is done, and a step that
    is repeated finds it there.
    """
    from dbos import DBOS

    @DBOS.step(name="work")
    async def work(seq: int) -> str:
        return await engine.handle(seq)

    @DBOS.workflow(name=START, max_recovery_attempts=MAX_RECOVERIES)
    async def start_run(seq: int) -> str:
        return await work(seq)

    @DBOS.workflow(name=RESUME, max_recovery_attempts=MAX_RECOVERIES)
    async def resume_run(seq: int) -> str:
        return await work(seq)


__all__ = ["Engine", "open_client", "open_engine"]
