"""The jobs that keep a workspace going, all registered here: polls, knowledge, retention, backups.

A job is a function of the time. When each ran last is stored, so that a job that fell due while no process was
alive is done soon after the next start, and the one clock that starts them (``schedules.py``) may be irregular.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from deskhand.errors import DeskhandError
from deskhand_runs import backup
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.polls import Intake, poll
from deskhand_runs.retention import Retention, Workflows
from deskhand_runs.rows import to_text

if TYPE_CHECKING:
    from deskhand_graphs import Workspace

RETRY = timedelta(minutes=10)
"""A job that failed is tried again after this time at the latest."""

_KNOWLEDGE_EVERY = timedelta(minutes=5)
_RETENTION_EVERY = timedelta(hours=1)
_BACKUP_EVERY = timedelta(days=1)
_WITHOUT_POLL = frozenset({"standard-webhooks"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One thing that is done again and again. ``run`` returns what it did in a few words."""

    name: str
    every: timedelta
    run: Callable[[datetime], Awaitable[str]]


class LastRun(NamedTuple):
    """When a job began last, and what came of it."""

    at: datetime
    is_ok: bool
    outcome: str


def build_jobs(
    workspace: Workspace,
    tables: GuardTables,
    intake: Intake,
    *,
    workflows: Workflows | None = None,
) -> tuple[Job, ...]:
    """Return all jobs of a workspace.

    Args:
        workspace: The workspace, opened.
        tables: Of its ``runs.db``.
        intake: Stores what polls find.
        workflows: What the engine has executed; None where no engine runs.
    """
    config = workspace.folder.config
    retention = Retention(workspace.folder, tables, config.runs, workflows)
    polls = [
        Job(f"poll:{name}", timedelta(seconds=desk.poll_every_s), _Poll(name, workspace, tables, intake).job)
        for name, desk in sorted(config.helpdesks.items())
        if desk.kind not in _WITHOUT_POLL
    ]
    return (
        *polls,
        Job("knowledge", _KNOWLEDGE_EVERY, functools.partial(_sync_knowledge, workspace)),
        Job("retention", _RETENTION_EVERY, functools.partial(_forget, retention)),
        Job("backup", _BACKUP_EVERY, functools.partial(_back_up, workspace)),
    )


@dataclass(frozen=True)
class _Poll:
    name: str
    workspace: Workspace
    tables: GuardTables
    intake: Intake

    async def job(self, now: datetime) -> str:
        helpdesk = self.workspace.helpdesk(self.name)
        backlog = self.workspace.folder.config.helpdesks[self.name].backlog
        polled = await poll(self.name, helpdesk, self.tables, self.intake, now, backlog=backlog)
        return f"{polled.n_events} events, {polled.n_new} new"


async def _sync_knowledge(workspace: Workspace, now: datetime) -> str:
    """Read changed articles and labelled tickets, as every command does at its start."""
    if not await asyncio.to_thread(workspace.knowledge.is_stale):
        return "nothing changed"
    report = await asyncio.to_thread(workspace.knowledge.ingest)
    await asyncio.to_thread(workspace.learn)
    return f"{report.added} added, {report.changed} changed, {report.removed} removed"


async def _forget(retention: Retention, now: datetime) -> str:
    done = await retention.job(now)
    return f"{done.n_runs} runs and {done.n_deliveries} deliveries forgotten"


async def _back_up(workspace: Workspace, now: datetime) -> str:
    folder = workspace.folder
    target = backup.default_path(folder, now)
    await asyncio.to_thread(backup.back_up, folder, target, now)
    n_deleted = await asyncio.to_thread(backup.delete_old, folder, folder.config.runs.keep_backups)
    return f"{target.name} written, {n_deleted} old ones deleted"


@dataclass
class Jobs:
    """Starts each job when it is due; a job never runs twice at a time in one process."""

    jobs: Sequence[Job]
    tables: GuardTables
    _at_work: set[str] = field(default_factory=set)
    _locks: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    @property
    def beat_s(self) -> float:
        """Seconds between two calls of ``run_due`` that serve every job: at most a minute."""
        return min([60.0, *(job.every.total_seconds() for job in self.jobs)])

    async def run_due(self, now: datetime) -> dict[str, LastRun]:
        """Run every job that is due, at the same time, and return what came of each.

        A job that fails is logged in one line and does not stop the others; it is due again after ``RETRY`` at the
        latest.
        """
        due = [job for job in self.jobs if job.name not in self._at_work and self._is_due(job, now)]
        self._at_work |= {job.name for job in due}
        try:
            done = await asyncio.gather(*(self._run(job, now) for job in due))
        finally:
            self._at_work -= {job.name for job in due}
        return {job.name: last for job, last in zip(due, done, strict=True)}

    def has(self, name: str) -> bool:
        """Tell whether there is a job of this name."""
        return any(job.name == name for job in self.jobs)

    async def run_now(self, name: str, now: datetime) -> LastRun:
        """Run a job whether it is due or not; when it is at work, once more after that. Raises KeyError."""
        return await self._run({job.name: job for job in self.jobs}[name], now)

    def _is_due(self, job: Job, now: datetime) -> bool:
        last = last_run(self.tables, job.name)
        if last is None:
            return True
        wait = job.every if last.is_ok else min(job.every, RETRY)
        # half a beat early is due: a beat that comes a little soon must not cost a whole one
        early = timedelta(seconds=self.beat_s / 2)
        return not timedelta(0) <= now - last.at < wait - min(early, wait / 2)

    async def _run(self, job: Job, now: datetime) -> LastRun:
        try:
            async with self._locks[job.name]:
                last = LastRun(now, True, await job.run(now))
        except DeskhandError as exc:
            _log.warning("job %s failed: %s", job.name, exc)
            last = LastRun(now, False, str(exc))
        except Exception as exc:  # the edge of a job: the others go on
            _log.warning("job %s failed", job.name, exc_info=True)
            last = LastRun(now, False, f"{type(exc).__name__}: {exc}")
        try:
            _keep(self.tables, job.name, last)
        except DeskhandError as exc:
            _log.warning("job %s: its time cannot be stored: %s", job.name, exc)
        return last


def last_run(tables: GuardTables, name: str) -> LastRun | None:
    """Return when a job ran last, or None when it never did."""
    with tables.reading() as connection:
        row = connection.execute("SELECT cursor, at FROM cursors WHERE source = ?", (f"job:{name}",)).fetchone()
    if row is None:
        return None
    stored = json.loads(row["cursor"])
    return LastRun(datetime.fromisoformat(row["at"]), bool(stored["ok"]), str(stored["outcome"]))


def _keep(tables: GuardTables, name: str, last: LastRun) -> None:
    with tables.changing() as connection:
        connection.execute(
            "INSERT INTO cursors (source, cursor, at) VALUES (?, ?, ?)"
            " ON CONFLICT (source) DO UPDATE SET cursor = excluded.cursor, at = excluded.at",
            (f"job:{name}", json.dumps({"ok": last.is_ok, "outcome": last.outcome}), to_text(last.at)),
        )
