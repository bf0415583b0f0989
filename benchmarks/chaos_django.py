"""``chaos.py`` against a real django-helpdesk, with the real ``deskhand serve``.

Customers write mails to the helpdesk, its webhooks come late, twice and in another order (``chaos_relay.py``), and are
sent once: what they lose while the service is dead or down comes through the poll. At the end the helpdesk's own
database is counted.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import aiohttp
from chaos_counts import examine
from chaos_desk import Books, Desk, run_desk
from chaos_play import Cast, Outcome, Play, perform, report_kills
from chaos_process import Service, free_port
from chaos_relay import Relay, run_relay
from chaos_reviewers import Reviewers

from deskhand.actions import Decision
from deskhand.config import WorkspaceFolder
from deskhand_runs import Door, open_client

RATE = 4.0
"""Messages a second: a small helpdesk on SQLite has to store them, and send its webhooks before it answers."""

MESSAGES_PER_TICKET = 4
RECENT = 40
"""A customer goes on with one of so many tickets, the newest ones."""

WRITERS = 4
DOWN_S = (15.0, 25.0)
"""The service stays away so long, twice."""

POLL_EVERY_S = 15
HELPDESK = """
[helpdesks.desk]
kind = "django-helpdesk"
base_url = "http://127.0.0.1:{port}/helpdesk"
token_env = "DESK_TOKEN"
secret_envs = ["DESK_SECRET"]
actor_ids = ["{bot_id}"]
poll_every_s = {poll_every_s}
max_writes_per_minute = 10000
timeout_s = 20
"""


@dataclass
class Customers:
    """Who writes; a mail that the helpdesk fails on is written again."""

    desk: Desk
    session: aiohttp.ClientSession
    chance: random.Random
    n_wanted: int
    rate: float
    tickets: list[int] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    async def write_all(self) -> None:
        """Write everything, several at a time, ``rate`` of them a second when it goes well."""
        numbers, started = iter(range(self.n_wanted)), time.monotonic()

        async def writer() -> None:
            for number in numbers:
                await asyncio.sleep(max(0.0, started + number / self.rate - time.monotonic()))
                await self._write(f"message {number} of {self.n_wanted}")

        await asyncio.gather(*(writer() for _ in range(WRITERS)))

    async def _write(self, text: str) -> None:
        is_new = not self.tickets or self.chance.random() < 1 / MESSAGES_PER_TICKET
        tag = "" if is_new else f"[support-{self.chance.choice(self.tickets[-RECENT:])}] "
        while (ticket := await self.desk.write_mail(self.session, f"{tag}An order", text)) is None:
            self.counts["failed"] += 1
        if is_new:
            self.tickets.append(ticket)
        self.texts.add(text)
        self.counts["written"] += 1

    def progress(self) -> float:
        """Return how much has been written, 0 to 1."""
        return self.counts["written"] / self.n_wanted


@dataclass(frozen=True)
class Api:
    """The door of the service for decisions."""

    url: str
    key: str
    session: aiohttp.ClientSession
    answers: Counter[str] = field(default_factory=Counter)

    async def decide(self, run_id: str, decision: Decision) -> None:
        """Send a decision, once."""
        wish = {"ask_id": decision.ask_id, "verdict": decision.verdict.value, "by": decision.by}
        headers = {"Authorization": f"Bearer {self.key}"}
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            url = f"{self.url}/api/v1/runs/{run_id}/decisions"
            async with self.session.post(url, json=wish, headers=headers) as answer:
                self.answers[str(answer.status)] += 1


def play(folder: Path, wanted: Play) -> Outcome:
    """Start the helpdesk and the service, have everybody write, and stop them."""
    hook_port, secret = free_port(), secrets.token_hex(16)
    with (
        (folder / "service.log").open("ab") as log,
        (folder / "desk.log").open("ab") as desk_log,
        run_desk(folder / "desk", f"http://127.0.0.1:{hook_port}/hook", desk_log) as desk,
    ):
        service = _service(folder, desk, hook_port, secret, log)
        return asyncio.run(_drive(folder, wanted, desk, service, hook_port))


def _service(folder: Path, desk: Desk, relay_port: int, secret: str, log: IO[bytes]) -> Service:
    table = HELPDESK.format(port=relay_port, bot_id=desk.bot_id, poll_every_s=POLL_EVERY_S)
    with (folder / "deskhand.toml").open("a", encoding="utf-8") as config:
        config.write(table)
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DESKHAND_")}
    keys = {"DESK_TOKEN": desk.token, "DESK_SECRET": secret, "DESKHAND_API_KEY": secret, "DESKHAND_PASSWORD": secret}
    command = [sys.executable, "-m", "deskhand_cli.main", "serve", "--port", str(port), "--workspace", str(folder)]
    return Service(command, clean | keys, port, folder / ".deskhand" / "runs.db", log)


async def _drive(folder: Path, wanted: Play, desk: Desk, service: Service, relay_port: int) -> Outcome:
    chance = random.Random(wanted.seed)
    secret = service.environment["DESK_SECRET"]
    relay = Relay(chance, f"{service.url}/webhooks/desk/{secret}", desk.url)
    timeout = aiohttp.ClientTimeout(total=30)
    async with run_relay(relay, relay_port), aiohttp.ClientSession(timeout=timeout) as session:
        await service.start()
        try:
            with open_client(WorkspaceFolder(folder)) as door:
                customers = Customers(desk, session, chance, wanted.n_deliveries, wanted.rate)
                reviewers = Reviewers(door, Api(service.url, secret, session).decide, chance, wanted.thinking_s)
                is_settled = await perform(_cast(service, reviewers, customers, relay), wanted, chance)
                return _count(customers, relay, reviewers, service, is_settled)
        finally:
            service.stop()


def _cast(service: Service, reviewers: Reviewers, customers: Customers, relay: Relay) -> Cast:
    async def arrive() -> None:
        await relay.drain()
        await _wait_for_poll(reviewers.door, customers.desk)

    return Cast(
        service,
        reviewers,
        send=customers.write_all,
        progress=customers.progress,
        arm=relay.arm,
        arrive=arrive,
        down_s=DOWN_S,
    )


async def _wait_for_poll(door: Door, desk: Desk) -> None:
    """Wait until the inbox knows of every message of a customer, for as long as four polls may take."""
    give_up_at = time.monotonic() + 4 * POLL_EVERY_S
    while time.monotonic() < give_up_at:
        wanted = _messages(await asyncio.to_thread(desk.read))
        if wanted <= {entry.delivery_id for entry in await asyncio.to_thread(door.entries, limit=10_000_000)}:
            return
        await asyncio.sleep(1)


def _messages(books: Books) -> set[str]:
    return {message for messages in books.written.values() for message in messages}


def _count(customers: Customers, relay: Relay, reviewers: Reviewers, service: Service, is_settled: bool) -> Outcome:
    books = customers.desk.read()
    messages = _messages(books)
    findings = examine(reviewers.door, messages, books.written, books.replies)
    unstored = relay.acknowledged - {entry.delivery_id for entry in reviewers.door.entries(limit=10_000_000)}
    unwritten = customers.texts - books.texts
    report = {
        "tickets": len(books.written),
        "messages": len(messages),
        "webhooks": dict(relay.counts),
        "only_by_poll": len(messages - relay.acknowledged),
        "acknowledged_and_not_stored": len(unstored),
        "written_again": customers.counts["failed"],
        **report_kills(service, relay.n_killed),
        **reviewers.report(),
        "replies": len(books.replies),
    }
    is_whole = is_settled and not unstored and not unwritten and len(customers.texts) == customers.n_wanted
    return Outcome(report, findings, is_whole)
