"""Deliveries and decisions while the service is killed: is anything lost, doubled, or out of order?

A driver plays customers and reviewers, ``chaos_service.py`` is the real engine behind HTTP, ``chaos_helpdesk.py`` is
a helpdesk that fails. Messages are delivered twice now and then, and out of order; the service is killed with
``kill -9`` at random points, every second time in the middle of a write; each decision is sent twice, through the
service and from this process. Run it with ``python benchmarks/chaos.py --deliveries 5000 --kills 30``; it prints the
counts as JSON and exits 1 when anything was lost, doubled or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import aiohttp

from deskhand.actions import Decision, Verdict
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.records import RunRecord, RunStatus
from deskhand.testing import build_workspace
from deskhand.tickets import Event, EventKind
from deskhand_runs import Door, RunStore, open_client

HERE = Path(__file__).resolve().parent
DUPLICATES = 0.10
WINDOW = 12
"""Deliveries arrive up to this many places from where they belong."""
SENDERS = 16
MESSAGES_PER_TICKET = 4

CONFIG = """schema = 1
[brand]
name = "Chaosware"
[graphs]
default = "chaos"
[graphs.own]
chaos = "chaos_graph:build"
[runs]
at_once = 16
max_attempts = 100
breaker_runs = 1000
[helpdesks.double]
kind = "folder"
max_writes_per_minute = 10000
"""
GRAPH = '''"""Triage by the first word, a draft that counts the messages, and a person who decides."""
from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from deskhand.actions import Decision, ReviewRequest
from deskhand.answers import Draft
from deskhand.context import RunContext
from deskhand.tickets import Role, Ticket
from deskhand_graphs import step


class State(TypedDict, total=False):
    ticket: Ticket
    first_word: str
    draft: Draft
    vault: dict
    trace: tuple


async def triage(state, ctx):
    return {"first_word": state["ticket"].messages[0].text.split()[0]}


async def draft(state, ctx):
    n = sum(message.role is Role.customer for message in state["ticket"].messages)
    return {"draft": Draft(text=f"{n} messages seen", language="en")}


async def review(state, ctx):
    request = ReviewRequest(run_id=ctx.run_id, ask_id=f"{ctx.run_id}:0", draft=state["draft"])
    Decision.model_validate(interrupt(request.model_dump(mode="json")))
    return {}


def build(workspace):
    graph = StateGraph(State, RunContext)
    for name, node in (("triage", triage), ("write", draft), ("review", review)):
        graph.add_node(name, step(name, node))
    graph.add_edge(START, "triage")
    graph.add_edge("triage", "write")
    graph.add_edge("write", "review")
    graph.add_edge("review", END)
    return graph
'''


@dataclass
class Service:
    """The process that is killed, always at the same address."""

    folder: Path
    port: int
    desk_port: int
    log: IO[bytes]
    n_kills: int = 0
    n_recovered: int = 0
    slowest_start_s: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

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
        script = str(HERE / "chaos_service.py")
        where = ["--workspace", str(self.folder), "--port", str(self.port), "--desk-port", str(self.desk_port)]
        command = [sys.executable, script, *where]
        self._process = subprocess.Popen(command, stdout=self.log, stderr=self.log)  # noqa: ASYNC220 - no wait in it
        while not _answers(self.port):
            if self._process.poll() is not None:
                raise SystemExit(f"error: the service does not start; see {self.log.name}")
            await asyncio.sleep(0.05)
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - started)

    async def kill(self) -> None:
        """Kill it, unless it is dead already, count what it was doing, and start it again."""
        assert self._process is not None, "it has been started"
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self.n_kills += 1
        with closing(sqlite3.connect(self.folder / ".deskhand" / "runs.db")) as connection:
            sql = "SELECT COUNT(*) FROM workflow_status WHERE status = 'PENDING'"
            self.n_recovered += connection.execute(sql).fetchone()[0]
        await self.start()

    def stop(self) -> None:
        """Kill it for good."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


@dataclass
class Driver:
    """Customers, webhooks and reviewers."""

    service: Service
    door: Door
    session: aiohttp.ClientSession
    chance: random.Random
    thinking_s: float
    acknowledged: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    written: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    is_over: bool = False

    @property
    def desk(self) -> str:
        """The helpdesk's address."""
        return f"http://127.0.0.1:{self.service.desk_port}"

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
        url = f"http://127.0.0.1:{self.service.port}/deliveries"
        while not await self._post(url, event.model_dump_json()):  # noqa: ASYNC110 - what it waits for is in another process
            await asyncio.sleep(0.1)
        self.acknowledged.add(message_id)

    async def _post(self, url: str, body: str) -> bool:
        try:
            async with self.session.post(url, data=body) as answer:
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

    async def kill_again_and_again(self, n_kills: int, n_planned: int) -> None:
        """Kill the service at random points of the sending, and of what comes after it."""
        points = sorted(self.chance.uniform(0, 1.0) for _ in range(n_kills))
        for number, point in enumerate(points):
            while self.counts["sent"] < point * n_planned:  # noqa: ASYNC110 - a counter that many tasks move
                await asyncio.sleep(0.02)
            await asyncio.sleep(self.chance.uniform(0.1, 1.5))
            if number % 2:
                await self._arm(self.service.pid)
                give_up_at = time.monotonic() + 3
                while self.service.is_alive and time.monotonic() < give_up_at:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
                await self._arm(None)
            await self.service.kill()

    async def _arm(self, pid: int | None) -> None:
        async with self.session.post(f"{self.desk}/arm", json={"pid": pid}) as answer:
            answer.raise_for_status()

    async def review(self) -> None:
        """Decide on whatever waits, each decision twice: through the service and through a door of our own.

        Some drafts wait longer, so that newer messages supersede them.
        """
        at_once = asyncio.Semaphore(8)
        begun: set[str] = set()
        async with asyncio.TaskGroup() as deciding:
            while not self.is_over:
                parked = await asyncio.to_thread(self.door.store.list, status=RunStatus.parked, limit=500)
                for run in parked:
                    if run.waits and run.run_id not in begun:
                        begun.add(run.run_id)
                        deciding.create_task(self._decide(run, at_once))
                await asyncio.sleep(0.1)

    async def _decide(self, run: RunRecord, at_once: asyncio.Semaphore) -> None:
        await asyncio.sleep(self.chance.choice((0.0, self.chance.uniform(0, self.thinking_s))))
        assert run.review is not None, "a parked run asks something"
        decision = Decision(ask_id=run.review.ask_id, verdict=Verdict.approve, by="kim", at=datetime.now(UTC))
        doors = [self._decide_by_http(run.run_id, decision), self._decide_here(run.run_id, decision)]
        self.chance.shuffle(doors)
        async with at_once:
            if self.chance.random() < 0.5:
                await asyncio.gather(*doors)
            else:
                for door in doors:
                    await door

    async def _decide_by_http(self, run_id: str, decision: Decision) -> None:
        url = f"http://127.0.0.1:{self.service.port}/runs/{run_id}/decisions"
        self.counts["decisions sent"] += 1
        await self._post(url, decision.model_dump_json())  # once: when it is not answered, the other door has it

    async def _decide_here(self, run_id: str, decision: Decision) -> None:
        self.counts["decisions sent"] += 1
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


@dataclass(frozen=True)
class Findings:
    """What is wrong at the end; nothing should be."""

    lost: list[str]
    doubled: list[str]
    out_of_order: list[str]


def examine(store: RunStore, door: Door, acknowledged: set[str], replies: Sequence[dict[str, str]]) -> Findings:
    """Compare what was acknowledged with what was done."""
    runs = list(reversed(store.list(limit=10_000_000)))
    entries = {entry.delivery_id: entry for entry in door.entries(limit=10_000_000)}
    by_ticket: dict[str, list[RunRecord]] = {}
    for run in runs:
        by_ticket.setdefault(run.ticket.id, []).append(run)
    return Findings(
        [*_lost_deliveries(acknowledged, entries, by_ticket), *_lost_replies(runs, replies)],
        [*_doubled_replies(replies), *_doubled_runs(runs)],
        [*_disordered_replies(replies), *_disordered_runs(by_ticket)],
    )


def _lost_deliveries(
    acknowledged: set[str], entries: dict[str, Any], by_ticket: dict[str, list[RunRecord]]
) -> list[str]:
    """Name the messages that no run has seen, and the entries that did not come to an end."""
    lost = []
    for delivery in sorted(acknowledged):
        entry = entries.get(delivery)
        if entry is None or entry.state not in ("done", "skipped"):
            lost.append(f"{delivery}: {entry.state if entry else 'not in the inbox'} {entry.reason if entry else ''}")
            continue
        newest = by_ticket.get(entry.ticket_id, [])[-1:]
        if not any(message.id == delivery for run in newest for message in run.ticket.messages):
            lost.append(f"{delivery}: not in the newest run of its ticket")
    return lost


def _lost_replies(runs: Sequence[RunRecord], replies: Sequence[dict[str, str]]) -> list[str]:
    sent = Counter(reply["ticket"] for reply in replies)
    wanted = Counter(run.ticket.id for run in runs if run.latest_decision is not None)
    lost = [f"{ticket}: {n} decided, {sent[ticket]} sent" for ticket, n in wanted.items() if sent[ticket] < n]
    unsure = [f"{run.run_id}: {r.status}" for run in runs for r in run.receipts if r.status not in ("done", "already")]
    return [*lost, *unsure]


def _doubled_replies(replies: Sequence[dict[str, str]]) -> list[str]:
    keys = Counter(reply["key"] for reply in replies)
    return [f"reply {key}: {n} times" for key, n in keys.items() if n > 1]


def _doubled_runs(runs: Sequence[RunRecord]) -> list[str]:
    states = Counter((run.ticket.id, run.ticket_hash) for run in runs)
    return [f"{ticket}: {n} runs of one state" for (ticket, _), n in states.items() if n > 1]


def _disordered_replies(replies: Sequence[dict[str, str]]) -> list[str]:
    """Name the tickets in which a reply that had seen less came after one that had seen more."""
    seen: dict[str, int] = {}
    wrong = []
    for reply in replies:
        n = int(reply["text"].split()[0])
        if n < seen.get(reply["ticket"], 0):
            wrong.append(f"{reply['ticket']}: a reply to {n} messages after one to {seen[reply['ticket']]}")
        seen[reply["ticket"]] = max(n, seen.get(reply["ticket"], 0))
    return wrong


def _disordered_runs(by_ticket: dict[str, list[RunRecord]]) -> list[str]:
    sizes = {ticket: [len(run.ticket.messages) for run in runs] for ticket, runs in by_ticket.items()}
    return [f"{ticket}: runs saw {seen} messages" for ticket, seen in sizes.items() if seen != sorted(seen)]


async def drive(folder: Path, args: argparse.Namespace, desk_port: int, log: IO[bytes]) -> dict[str, Any]:
    """Run the whole play and return the report."""
    chance = random.Random(args.seed)
    plan = Plan.build(args.deliveries, chance)
    service = Service(folder, _free_port(), desk_port, log)
    started = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=10)
    with open_client(WorkspaceFolder(folder)) as door:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            driver = Driver(service, door, session, chance, args.thinking_s)
            await service.start()
            try:
                reviewing = asyncio.create_task(driver.review())
                killing = asyncio.create_task(driver.kill_again_and_again(args.kills, len(plan.deliveries)))
                await driver.send_all(plan, args.rate)
                await killing
                is_settled = await driver.settle(args.settle_s)
                driver.is_over = True
                await reviewing
                async with session.get(f"{driver.desk}/report") as answer:
                    desk = await answer.json()
            finally:
                service.stop()
        findings = examine(door.store, door, driver.acknowledged, desk["replies"])
        return _report(args, driver, desk, findings, door, is_settled, time.monotonic() - started)


def _report(
    args: argparse.Namespace,
    driver: Driver,
    desk: dict[str, Any],
    findings: Findings,
    door: Door,
    is_settled: bool,
    wall_s: float,
) -> dict[str, Any]:
    runs = door.store.list(limit=10_000_000)
    states = Counter(entry.state.value for entry in door.entries(limit=10_000_000))
    return {
        "seed": args.seed,
        "deliveries": args.deliveries,
        "acknowledged": len(driver.acknowledged),
        "repeated": driver.counts["repeated deliveries"],
        "unanswered": driver.counts["unanswered requests"],
        "kills": driver.service.n_kills,
        "kills_inside_a_write": desk["n_killed"],
        "recovered": driver.service.n_recovered,
        "slowest_start_s": round(driver.service.slowest_start_s, 1),
        "runs": len(runs),
        "superseded": sum(run.error.startswith("superseded") for run in runs),
        "decisions_sent": driver.counts["decisions sent"],
        "decided": sum(bool(run.decisions) for run in runs),
        "replies": len(desk["replies"]),
        "faults": desk["faults"],
        "entries": dict(states),
        "settled": is_settled,
        "lost": len(findings.lost),
        "doubled": len(findings.doubled),
        "out_of_order": len(findings.out_of_order),
        "examples": [*findings.lost[:5], *findings.doubled[:5], *findings.out_of_order[:5]],
        "wall_s": round(wall_s, 1),
    }


def main() -> None:
    """Play, print the report, and exit 1 when anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--deliveries", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=25.0, help="deliveries a second")
    parser.add_argument("--thinking-s", type=float, default=6.0, help="a reviewer takes up to this long for a draft")
    parser.add_argument("--settle-s", type=float, default=900, help="how long the end may take")
    parser.add_argument("--keep", type=Path, help="keep the workspace and the logs in this new folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = build_workspace((args.keep or Path(scratch)) / "workspace", config=CONFIG, articles={}, labelled=())
        (folder / "chaos_graph.py").write_text(GRAPH, encoding="utf-8")
        report = play(folder, args)
    print(json.dumps(report, indent=1))
    is_good = report["settled"] and not (report["lost"] or report["doubled"] or report["out_of_order"])
    sys.exit(0 if is_good and report["acknowledged"] == args.deliveries else 1)


def play(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Start the helpdesk, drive, and stop it."""
    script, replies = str(HERE / "chaos_helpdesk.py"), str(folder / "replies.jsonl")
    with (folder / "service.log").open("ab") as log:
        desk = subprocess.Popen(
            [sys.executable, script, "--log", replies, "--seed", str(args.seed)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert desk.stdout is not None, "it is a pipe"
            return asyncio.run(drive(folder, args, int(desk.stdout.readline()), log))
        finally:
            desk.kill()
            desk.communicate()


if __name__ == "__main__":
    main()
