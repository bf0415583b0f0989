"""One play of ``chaos.py``: customers write, reviewers decide, and somebody kills the service."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chaos_counts import Findings
from chaos_process import Service, kill_again_and_again
from chaos_reviewers import Reviewers


@dataclass(frozen=True)
class Play:
    """How much there is to do; see ``chaos.py --help``."""

    seed: int
    n_deliveries: int
    n_kills: int
    rate: float
    thinking_s: float
    settle_s: float


@dataclass(frozen=True)
class Outcome:
    """What was counted; ``is_whole`` when everything planned was done in time."""

    report: dict[str, Any]
    findings: Findings
    is_whole: bool


@dataclass(frozen=True)
class Cast:
    """Who takes part.

    Attributes:
        service: The process that is killed.
        reviewers: Who decides.
        send: Has all customers write.
        progress: How much of that is done, 0 to 1.
        arm: Has a process killed at the next write; None takes it back.
        arrive: Waits until what was sent has come to the service, by whatever way.
        down_s: How long the service stays away after some of the kills.
    """

    service: Service
    reviewers: Reviewers
    send: Callable[[], Awaitable[None]]
    progress: Callable[[], float]
    arm: Callable[[int | None], Awaitable[None]]
    arrive: Callable[[], Awaitable[None]]
    down_s: Sequence[float] = ()


async def perform(cast: Cast, wanted: Play, chance: random.Random) -> bool:
    """Play until nothing is left to do; False when that takes longer than ``settle_s``. The service goes on."""
    reviewing = asyncio.create_task(cast.reviewers.work())
    killing = asyncio.create_task(
        kill_again_and_again(
            cast.service, wanted.n_kills, chance, progress=cast.progress, arm=cast.arm, down_s=cast.down_s
        )
    )
    await cast.send()
    await killing
    is_settled = True
    for _ in range(2):  # what the last replies bring back must not start anything
        await cast.arrive()
        is_settled = await cast.reviewers.settle(wanted.settle_s) and is_settled
    cast.reviewers.is_over = True
    await reviewing
    return is_settled


def report_kills(service: Service, n_inside: int) -> dict[str, Any]:
    """Return what the killing came to; ``n_inside`` were in the middle of a write."""
    return {
        "kills": service.n_kills,
        "kills_inside_a_write": n_inside,
        "recovered": service.n_recovered,
        "slowest_start_s": round(service.slowest_start_s, 1),
    }
