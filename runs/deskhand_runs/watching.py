"""Helpdesks that tell of news by themselves: each is polled as soon as it does, and by the schedule all the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deskhand.errors import DeskhandError
from deskhand_helpdesks import Watched

if TYPE_CHECKING:
    from deskhand.clock import Clock
    from deskhand_graphs import Workspace
    from deskhand_runs.jobs import Jobs

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchPace:
    """How fast a lost watch begins again: after ``first_s``, then twice as long each time, at most ``longest_s``."""

    first_s: float = 1.0
    longest_s: float = 120.0

    def wait_s(self, n_failed: int) -> float:
        """Return how long to wait after so many failures in a row, the first is 1."""
        return float(min(self.longest_s, self.first_s * 2.0 ** min(n_failed - 1, 20)))


async def watch_helpdesks(workspace: Workspace, jobs: Jobs, clock: Clock, pace: WatchPace | None = None) -> None:
    """Watch every configured helpdesk that can be watched, and run its poll whenever it has news; never ends.

    Cancel it to stop. What goes wrong is logged in one line; the schedule polls meanwhile.
    """
    async with asyncio.TaskGroup() as group:
        for name in sorted(workspace.folder.config.helpdesks):
            helpdesk = workspace.helpdesk(name)
            job = f"poll:{name}"
            if isinstance(helpdesk, Watched) and jobs.has(job):
                group.create_task(_watch(name, helpdesk, _Poll(jobs, job, clock), pace or WatchPace()))


@dataclass(frozen=True)
class _Poll:
    jobs: Jobs
    job: str
    clock: Clock

    async def __call__(self) -> None:
        """Poll now; a failure is logged by the job and repaired by the schedule."""
        await self.jobs.run_now(self.job, self.clock.now())


async def _watch(name: str, helpdesk: Watched, poll: Callable[[], Awaitable[None]], pace: WatchPace) -> None:
    n_failed = 0
    while True:
        try:
            async with aclosing(helpdesk.watch()) as news:
                is_first = True
                async for _ in news:
                    # the first only says that somebody answered: what ends right after it has not worked
                    n_failed = n_failed if is_first else 0
                    is_first = False
                    await poll()
        except DeskhandError as exc:
            why = str(exc)
        except Exception as exc:  # the edge to a connector: a watch that dies must not stop the others
            why = f"{type(exc).__name__}: {exc}"
        else:
            _log.info("%s: it does not tell of news; it is polled by the schedule only", name)
            return
        n_failed += 1
        wait_s = pace.wait_s(n_failed)
        _log.warning("%s: not watched for %.0f s, polled by the schedule meanwhile: %s", name, wait_s, why)
        await asyncio.sleep(wait_s)
