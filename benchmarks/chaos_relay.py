"""The network between the django-helpdesk and deskhand in ``chaos_django.py``.

Webhooks go through it late, twice, and in another order; what nobody takes at the other end is gone, because
django-helpdesk sends once. Calls of the REST API go through it the other way, and it may kill whoever is writing:
before the helpdesk gets it, or when the helpdesk has stored it and has not answered yet.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

DUPLICATES = 0.10
LATE_S = 2.0
"""A webhook takes up to this long."""

LATER_S = 30.0
"""A repetition takes up to this long."""

_HOP_BY_HOP = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "content-encoding", "date", "server"}
)


@dataclass
class Relay:
    """What carries everything.

    Attributes:
        chance: Draws what is late and what comes twice.
        service: The address of the webhooks.
        desk: The address of the helpdesk; known when it has started.
        acknowledged: The delivery ids that were answered with 2xx.
    """

    chance: random.Random
    service: str
    desk: str = ""
    session: aiohttp.ClientSession = field(init=False)
    acknowledged: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    victim: int | None = None
    n_killed: int = 0
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def take_webhook(self, request: web.Request) -> web.Response:
        """Take a webhook from the helpdesk, and carry it once or twice."""
        body = await request.read()
        self._carry(body, self.chance.uniform(0, LATE_S))
        if self.chance.random() < DUPLICATES:
            self.counts["repeated"] += 1
            self._carry(body, self.chance.uniform(0, LATER_S))
        return web.Response()

    def _carry(self, body: bytes, delay_s: float) -> None:
        task = asyncio.create_task(self._deliver(body, delay_s))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, body: bytes, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        self.counts["sent"] += 1
        try:
            async with self.session.post(self.service, data=body) as answer:
                self.counts[f"answered {answer.status}"] += 1
                if answer.status in (200, 202):
                    self.acknowledged.add(_delivery_id(json.loads(body)))
        except (aiohttp.ClientError, OSError, TimeoutError):
            self.counts["lost"] += 1

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def arm(self, pid: int | None) -> None:
        """Kill this process at its next write; None takes it back."""
        self.victim = pid

    async def forward(self, request: web.Request) -> web.Response:
        """Carry a call of the REST API to the helpdesk and its answer back."""
        is_write = request.method == "POST"
        if is_write and self.chance.random() < 0.5 and self._kill():
            return web.Response(status=504)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        call = self.session.request(
            request.method, self.desk + request.path_qs, headers=headers, data=await request.read()
        )
        async with call as answer:
            body = await answer.read()
            if is_write:
                self._kill()
            back = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, body=body, headers=back)

    def _kill(self) -> bool:
        """Kill the writer in the middle of its write, when that is asked for."""
        if self.victim is None:
            return False
        victim, self.victim = self.victim, None
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.n_killed += 1
        return True


def _delivery_id(payload: dict[str, Any]) -> str:
    """Return what a webhook is known by; the first follow-up of a ticket only repeats its description."""
    ticket, followup_id = payload["ticket"], payload.get("followup_id")
    first = min((row["id"] for row in ticket["followup_set"]), default=None)
    return f"ticket-{ticket['id']}" if followup_id in (None, first) else f"followup-{followup_id}"


@asynccontextmanager
async def run_relay(relay: Relay, port: int) -> AsyncIterator[None]:
    """Carry everything on a port of this machine until the block ends."""
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/hook", relay.take_webhook)
    app.router.add_route("*", "/helpdesk/{rest:.*}", relay.forward)
    runner = web.AppRunner(app, access_log=None)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        relay.session = session
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield
        finally:
            await runner.cleanup()
