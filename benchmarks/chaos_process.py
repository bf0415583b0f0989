"""The process that ``chaos.py`` kills: starting it, killing it at random points, and inside a write."""

from __future__ import annotations

import asyncio
import random
import socket
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_WRITE_WAIT_S = 30.0
"""How long a kill waits for a write to strike in."""


@dataclass
class Service:
    """The process that is killed, always at the same address.

    Attributes:
        command: Starts it.
        environment: Its variables.
        port: Where it listens when it is ready.
        database: The ``runs.db`` that it works on.
        log: Takes what it prints.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    database: Path
    log: IO[bytes]
    n_kills: int = 0
    n_recovered: int = 0
    slowest_start_s: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "it has been started"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: ASYNC220 - no wait in it
            self.command, env=self.environment, stdout=self.log, stderr=self.log
        )
        while not _answers(self.port):
            if self._process.poll() is not None:
                raise SystemExit(f"error: the service does not start; see {self.log.name}")
            await asyncio.sleep(0.05)
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - started)

    async def kill(self, down_s: float = 0.0) -> None:
        """Kill it, unless it is dead already, count what it was doing, and start it again ``down_s`` later."""
        assert self._process is not None, "it has been started"
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self.n_kills += 1
        with closing(sqlite3.connect(self.database)) as connection:
            sql = "SELECT COUNT(*) FROM workflow_status WHERE status = 'PENDING'"
            self.n_recovered += connection.execute(sql).fetchone()[0]
        await asyncio.sleep(down_s)
        await self.start()

    def stop(self) -> None:
        """Kill it for good."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def kill_again_and_again(
    service: Service,
    n_kills: int,
    chance: random.Random,
    *,
    progress: Callable[[], float],
    arm: Callable[[int | None], Awaitable[None]],
    down_s: Sequence[float] = (),
) -> None:
    """Kill the service at random points of the sending, every second time in the middle of a write.

    Args:
        service: Whom to kill.
        n_kills: How often.
        chance: Draws the points.
        progress: How much has been sent, 0 to 1.
        arm: Has this process id killed at the next write; None takes it back.
        down_s: How long it stays away after some of the kills, which are spread over all of them.
    """
    points = sorted(chance.uniform(0, 1.0) for _ in range(n_kills))
    pauses = dict(zip(_spread(n_kills, len(down_s)), down_s, strict=False))
    for number, point in enumerate(points):
        while progress() < point:  # noqa: ASYNC110 - a counter that many tasks move
            await asyncio.sleep(0.02)
        await asyncio.sleep(chance.uniform(0.1, 1.5))
        if number % 2:
            await arm(service.pid)
            give_up_at = time.monotonic() + _WRITE_WAIT_S
            while service.is_alive and time.monotonic() < give_up_at:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
            await arm(None)
        await service.kill(pauses.get(number, 0.0))


def _spread(n_kills: int, n_pauses: int) -> list[int]:
    """Return the numbers of the kills with a pause: in the middle of as many equal parts."""
    return [(2 * part + 1) * n_kills // (2 * n_pauses) for part in range(n_pauses)]


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
