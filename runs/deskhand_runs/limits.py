"""How much happens at once: slots for runs, given to the most urgent ticket first, and a limit of writes a minute."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deskhand.errors import Unavailable
from deskhand.tickets import Priority

_WINDOW = timedelta(minutes=1)
_RANKS = {Priority.urgent: 0, Priority.high: 1, Priority.normal: 2, Priority.low: 3}


def rank(priority: Priority | None) -> int:
    """Return the place of a priority in the queue, 0 first; a ticket without one is a normal one."""
    return _RANKS[priority or Priority.normal]


@dataclass
class Slots:
    """At most ``size`` runs at once; who waits goes by rank, and within a rank by number. Of one event loop."""

    size: int
    n_taken: int = 0
    _waiting: list[tuple[int, int, int, asyncio.Future[None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    @asynccontextmanager
    async def taken(self, rank: int, seq: int) -> AsyncIterator[None]:
        """Hold a slot within the block, waiting for one first."""
        if self.n_taken < self.size:
            self.n_taken += 1
        else:
            await self._wait(rank, seq)
        try:
            yield
        finally:
            self._give_on()

    async def _wait(self, rank: int, seq: int) -> None:
        mine = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, seq, next(self._order), mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give_on()  # it came at the very moment of the cancellation
            raise

    def _give_on(self) -> None:
        while self._waiting:
            *_, following = heapq.heappop(self._waiting)
            if not following.done():
                following.set_result(None)
                return
        self.n_taken -= 1


class Later(Unavailable):
    """Something must wait for ``wait_s`` seconds, which is nobody's failure and counts as no attempt."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Paused(Unavailable):
    """Write-back to a helpdesk is stopped until a person lets it go on."""


@dataclass
class WriteLimit:
    """At most so many writes within any minute to each helpdesk, whatever number of threads asks at once.

    Args:
        now: The time.
        earlier: Returns when writes were made to a helpdesk since a moment: those before this process began.
    """

    now: Callable[[], datetime]
    earlier: Callable[[str, datetime], list[datetime]] = lambda _source, _since: []
    _made: dict[str, deque[datetime]] = field(default_factory=dict)
    _turned_away: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, source: str, limit: int) -> None:
        """Count a write that is made now. Raises Later when there were ``limit`` within the last minute."""
        with self._lock:
            self._take(source, limit)

    def _take(self, source: str, limit: int) -> None:
        now = self.now()
        if source not in self._made:
            self._made[source] = deque(sorted(self.earlier(source, now - _WINDOW)))
        made = self._made[source]
        while made and made[0] <= now - _WINDOW:
            made.popleft()
        if len(made) < limit:
            made.append(now)
            self._turned_away[source] = 0
            return
        # whoever is turned away comes back when a write of the last minute has aged, each after the one before
        place, self._turned_away[source] = self._turned_away[source], self._turned_away[source] + 1
        wait = made[place % len(made)] + _WINDOW * (1 + place // len(made)) - now
        raise Later(
            f"{source}: {limit} writes within a minute; the next ones wait, raise max_writes_per_minute for more",
            wait_s=max(0.1, wait.total_seconds()),
        )
