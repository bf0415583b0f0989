"""The clock of the jobs: one DBOS schedule whose workflow starts what is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deskhand.tickets import Event
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.inbox import EntryState
from deskhand_runs.jobs import Jobs, build_jobs
from deskhand_runs.polls import Intake

if TYPE_CHECKING:
    from deskhand_runs.engine import Engine

NAME = "deskhand_jobs"
_ENDED = ["SUCCESS", "ERROR", "CANCELLED"]
_BEATS_OF_A_MINUTE = (60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1)

_Workflow = Callable[[datetime, Any], Coroutine[Any, Any, None]]


def register_schedules(engine: Engine) -> Callable[[], Awaitable[Jobs]]:
    """Make the jobs of an engine's workspace a DBOS workflow, and return the function that starts their schedule.

    Call it after ``DBOS(...)`` and before ``DBOS.launch()``; await what it returns after the launch. A beat looks at
    the engine's clock itself, so that one that was missed is not made up for. The schedule stays in the database:
    an engine that does not start it lets its beats pass.
    """
    from dbos import DBOS

    async def accept(event: Event) -> bool:
        return (await engine.accept(event)).is_new

    async def set_aside(event: Event, state: EntryState, reason: str) -> bool:
        return (await engine.set_aside(event, state, reason)).is_new

    tables = GuardTables(engine.store)
    intake = Intake(accept, set_aside)
    jobs = Jobs(build_jobs(engine.executor.workspace, tables, intake, workflows=DbosWorkflows()), tables)

    is_started = False

    @DBOS.step(name=f"{NAME}_beat")
    async def beat() -> None:
        if is_started:
            await jobs.run_due(engine.clock.now())

    @DBOS.workflow(name=NAME)
    async def run_jobs(scheduled_at: datetime, context: Any) -> None:
        await beat()

    async def start() -> Jobs:
        nonlocal is_started
        is_started = True
        await _start(run_jobs, jobs.beat_s)
        return jobs

    return start


async def _start(workflow: _Workflow, every_s: float) -> None:
    from dbos import DBOS

    await DBOS.apply_schedules_async(
        [{"schedule_name": NAME, "workflow_fn": workflow, "schedule": build_cron(every_s), "context": None}]
    )


def build_cron(every_s: float) -> str:
    """Return the cron line, seconds first, of the longest even beat that is not longer than ``every_s``; at least 1 s.

    A minute is the longest; beats that do not divide it would limp at its end.
    """
    beat_s = next((each for each in _BEATS_OF_A_MINUTE if each <= every_s), 1)
    return "0 * * * * *" if beat_s == 60 else f"*/{beat_s} * * * * *"


class DbosWorkflows:
    """The workflows that DBOS keeps, for retention; usable while DBOS is launched in this process."""

    async def delete_ended(self, before: datetime, limit: int) -> int:
        """Delete at most ``limit`` workflows that ended before a moment, and return how many those were."""
        from dbos import DBOS

        ended = await DBOS.list_workflows_async(
            status=_ENDED, completed_before=before.isoformat(), load_input=False, load_output=False, limit=limit
        )
        if ended:
            await DBOS.delete_workflows_async([workflow.workflow_id for workflow in ended])
        return len(ended)
