"""The reviewers of ``chaos.py``: they decide on whatever waits, each decision twice, through different doors."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deskhand.actions import Decision, Verdict
from deskhand.errors import InputError
from deskhand.records import RunRecord, RunStatus
from deskhand_runs import Door

Post = Callable[[str, Decision], Awaitable[object]]
"""Sends a decision on a run to the service, once: when it is not answered, the other door has it."""


@dataclass
class Reviewers:
    """People who approve everything. Some drafts wait longer, so that newer messages supersede them.

    Attributes:
        door: A door of our own into the workspace.
        post: The door of the service.
        chance: Draws how long they think, and which door comes first.
        thinking_s: The longest they think.
    """

    door: Door
    post: Post
    chance: random.Random
    thinking_s: float
    n_sent: int = 0
    is_over: bool = False
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    async def work(self) -> None:
        """Decide on whatever waits until ``is_over``."""
        begun: set[str] = set()
        async with asyncio.TaskGroup() as deciding:
            while not self.is_over:
                parked = await asyncio.to_thread(self.door.store.list, status=RunStatus.parked, limit=500)
                for run in parked:
                    if run.waits and run.run_id not in begun:
                        begun.add(run.run_id)
                        deciding.create_task(self._decide(run))
                await asyncio.sleep(0.1)

    async def _decide(self, run: RunRecord) -> None:
        await asyncio.sleep(self.chance.choice((0.0, self.chance.uniform(0, self.thinking_s))))
        assert run.review is not None, "a parked run asks something"
        decision = Decision(ask_id=run.review.ask_id, verdict=Verdict.approve, by="kim", at=datetime.now(UTC))
        doors = [self.post(run.run_id, decision), self._decide_here(run.run_id, decision)]
        self.chance.shuffle(doors)
        self.n_sent += len(doors)
        async with self._at_once:
            if self.chance.random() < 0.5:
                await asyncio.gather(*doors)
            else:
                for door in doors:
                    await door

    async def _decide_here(self, run_id: str, decision: Decision) -> None:
        with suppress(InputError):  # a newer message has superseded the draft
            await self.door.decide(run_id, decision)

    async def settle(self, timeout_s: float) -> bool:
        """Wait until nothing is queued and nobody is asked; False when that takes longer."""
        give_up_at, quiet = time.monotonic() + timeout_s, 0
        while quiet < 5:
            status = await asyncio.to_thread(self.door.status)
            pending = await asyncio.to_thread(self.door.store.pending_write_back)
            is_quiet = not (status.n_queued or status.n_parked or status.n_at_work or pending)
            quiet = quiet + 1 if is_quiet else 0
            if time.monotonic() > give_up_at:
                return False
            await asyncio.sleep(0.1)
        return True

    def report(self) -> dict[str, object]:
        """Return what the run store tells at the end."""
        runs = self.door.store.list(limit=10_000_000)
        return {
            "runs": len(runs),
            "superseded": sum(run.error.startswith("superseded") for run in runs),
            "decisions_sent": self.n_sent,
            "decided": sum(bool(run.decisions) for run in runs),
            "entries": dict(Counter(entry.state.value for entry in self.door.entries(limit=10_000_000))),
        }
