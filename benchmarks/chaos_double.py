"""``chaos.py`` against ``chaos_helpdesk.py``, a helpdesk that fails, with ``chaos_service.py``, the bare engine.

Messages are delivered by this process, as a webhook's sender does that repeats what was not acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import aiohttp
from chaos_counts import Sent, examine
from chaos_play import Cast, Outcome, Play, perform, report_kills
from chaos_process import Service, free_port
from chaos_reviewers import Reviewers

from deskhand.actions import Decision
from deskhand.config import WorkspaceFolder
from deskhand.tickets import Event, EventKind
from deskhand_runs import open_client

HERE = Path(__file__).resolve().parent
DUPLICATES = 0.10
WINDOW = 12
"""Deliveries arrive up to this many places from where they belong."""
SENDERS = 16
MESSAGES_PER_TICKET = 4
RATE = 25.0
"""Deliveries a second."""

HELPDESK = """
[helpdesks.double]
kind = "folder"
max_writes_per_minute = 10000
"""


@dataclass
class Plan:
    """What is delivered: events in the order of their sending, some twice."""

    deliveries: list[tuple[str, str, str]] = field(default_factory=list)
    """Ticket id, message id, text."""

    @classmethod
    def build(cls, n: int, chance: random.Random) -> Plan:
        """Return a plan of ``n`` different deliveries and their repetitions."""
        n_tickets = max(1, n // MESSAGES_PER_TICKET)
        count: Counter[str] = Counter()
        planned = []
        for number in range(n):
            ticket = f"T-{number if number < n_tickets else chance.randrange(n_tickets):05d}"
            count[ticket] += 1
            planned.append((ticket, f"{ticket}-m{count[ticket]}", f"message {count[ticket]}"))
        # a repetition comes soon after, or much later
        places = [(place + chance.uniform(0, WINDOW), each) for place, each in enumerate(planned)]
        for place, each in chance.sample(list(enumerate(planned)), int(n * DUPLICATES)):
            places.append((place + chance.choice((chance.uniform(0, 3 * WINDOW), chance.uniform(0, n))), each))
        return cls([each for _, each in sorted(places)])

    def written(self) -> dict[str, list[str]]:
        """Return the message ids of each ticket."""
        found: dict[str, list[str]] = defaultdict(list)
        for ticket, message, _ in sorted(set(self.deliveries)):
            found[ticket].append(message)
        return found


@dataclass
class Driver:
    """Customers, and webhooks."""

    service: Service
    desk: str
    session: aiohttp.ClientSession
    acknowledged: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    written: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def write_message(self, ticket: str, message_id: str, text: str) -> None:
        """Have a customer write, which the helpdesk stores for certain."""
        url = f"{self.desk}/tickets/{ticket}/messages"
        async with self.session.post(url, json={"id": message_id, "text": text}) as answer:
            answer.raise_for_status()

    async def deliver(self, ticket: str, message_id: str, text: str) -> None:
        """Deliver until it is acknowledged, as a webhook's sender does."""
        if message_id not in self.written:
            self.written[message_id] = asyncio.create_task(self.write_message(ticket, message_id, text))
        await self.written[message_id]
        kind = EventKind.created if message_id.endswith("-m1") else EventKind.message
        event = Event(source="double", delivery_id=message_id, ticket_id=ticket, kind=kind, at=datetime.now(UTC))
        if message_id in self.acknowledged:
            self.counts["repeated deliveries"] += 1
        while not await self._post("deliveries", event.model_dump_json()):  # noqa: ASYNC110 - what it waits for is in another process
            await asyncio.sleep(0.1)
        self.acknowledged.add(message_id)

    async def decide(self, run_id: str, decision: Decision) -> None:
        """Send a decision, once."""
        await self._post(f"runs/{run_id}/decisions", decision.model_dump_json())

    async def _post(self, path: str, body: str) -> bool:
        try:
            async with self.session.post(f"{self.service.url}/{path}", data=body) as answer:
                return answer.status != 503
        except (aiohttp.ClientError, OSError, TimeoutError):
            self.counts["unanswered requests"] += 1
            return False

    async def send_all(self, plan: Plan, rate: float) -> None:
        """Deliver everything, several at a time, ``rate`` of them a second when it goes well."""
        waiting, started = iter(enumerate(plan.deliveries)), time.monotonic()

        async def sender() -> None:
            for number, (ticket, message_id, text) in waiting:
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
                await self.deliver(ticket, message_id, text)
                self.counts["sent"] += 1

        await asyncio.gather(*(sender() for _ in range(SENDERS)))

    async def arm(self, pid: int | None) -> None:
        """Have a process killed at the helpdesk's next write."""
        async with self.session.post(f"{self.desk}/arm", json={"pid": pid}) as answer:
            answer.raise_for_status()


def play(folder: Path, wanted: Play) -> Outcome:
    """Start the helpdesk and the service, deliver everything, and stop them."""
    with (folder / "deskhand.toml").open("a", encoding="utf-8") as config:
        config.write(HELPDESK)
    script, replies = str(HERE / "chaos_helpdesk.py"), str(folder / "replies.jsonl")
    with (folder / "service.log").open("ab") as log:
        command = [sys.executable, script, "--log", replies, "--seed", str(wanted.seed)]
        desk = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert desk.stdout is not None, "it is a pipe"
            return asyncio.run(_drive(folder, wanted, int(desk.stdout.readline()), log))
        finally:
            desk.kill()
            desk.communicate()


def _service(folder: Path, desk_port: int, log: IO[bytes]) -> Service:
    port = free_port()
    where = ["--workspace", str(folder), "--port", str(port), "--desk-port", str(desk_port)]
    command = [sys.executable, str(HERE / "chaos_service.py"), *where]
    return Service(command, os.environ, port, folder / ".deskhand" / "runs.db", log)


async def _drive(folder: Path, wanted: Play, desk_port: int, log: IO[bytes]) -> Outcome:
    chance = random.Random(wanted.seed)
    plan = Plan.build(wanted.n_deliveries, chance)
    service = _service(folder, desk_port, log)
    timeout = aiohttp.ClientTimeout(total=10)
    with open_client(WorkspaceFolder(folder)) as door:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            driver = Driver(service, f"http://127.0.0.1:{desk_port}", session)
            reviewers = Reviewers(door, driver.decide, chance, wanted.thinking_s)
            await service.start()
            try:
                is_settled = await perform(_cast(driver, reviewers, plan, wanted.rate), wanted, chance)
                async with session.get(f"{driver.desk}/report") as answer:
                    desk = await answer.json()
            finally:
                service.stop()
        replies = [Sent(reply["ticket"], int(reply["text"].split()[0])) for reply in desk["replies"]]
        findings = examine(door, driver.acknowledged, plan.written(), replies)
        is_whole = is_settled and len(driver.acknowledged) == wanted.n_deliveries
        return Outcome(_report(driver, reviewers, desk), findings, is_whole)


def _cast(driver: Driver, reviewers: Reviewers, plan: Plan, rate: float) -> Cast:
    n_planned = len(plan.deliveries)
    return Cast(
        driver.service,
        reviewers,
        send=lambda: driver.send_all(plan, rate),
        progress=lambda: driver.counts["sent"] / n_planned,
        arm=driver.arm,
        arrive=lambda: asyncio.sleep(0),  # each delivery is repeated until it is acknowledged
    )


def _report(driver: Driver, reviewers: Reviewers, desk: dict[str, Any]) -> dict[str, Any]:
    return {
        "acknowledged": len(driver.acknowledged),
        "repeated": driver.counts["repeated deliveries"],
        "unanswered": driver.counts["unanswered requests"],
        **report_kills(driver.service, desk["n_killed"]),
        **reviewers.report(),
        "replies": len(desk["replies"]),
        "faults": desk["faults"],
    }
