"""How soon a webhook is acknowledged while runs are at work: ``deskhand serve`` beside a bare FastAPI endpoint.

Both answer in one process, under the same background runs: deskhand verifies, parses, stores and enqueues; the bare
endpoint commits the body as one row (WAL, FULL). Requests come from another process, in turns: at a steady rate, and
in bursts of connections. Run it with ``python benchmarks/acks.py``; it exits 1 when a ratio is too high.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import aiohttp
    from fastapi import FastAPI

    from deskhand_runs import Engine

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "hollowfern"
BAR_P50, BAR_P99 = 2.0, 3.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = '\n[helpdesks.shop]\nkind = "standard-webhooks"\nsecret_envs = ["SHOP_SECRET"]\n'


class Ports(NamedTuple):
    """Where the two applications listen."""

    deskhand: int
    bare: int


class Figures(NamedTuple):
    """Latencies of one load in milliseconds, and their ratios."""

    load: str
    n: int
    deskhand_p50: float
    bare_p50: float
    deskhand_p99: float
    bare_p99: float
    ratio_p50: float
    ratio_p99: float

    @property
    def passed(self) -> bool:
        """Whether both ratios are within their bars."""
        return self.ratio_p50 <= BAR_P50 and self.ratio_p99 <= BAR_P99


# --- the process that answers ---


async def answer(folder: Path, n_background: int) -> None:
    """Serve both applications until standard input ends; say the ports, and at the end how many runs there were."""
    from deskhand.clock import SystemClock
    from deskhand.config import find_workspace
    from deskhand_graphs import Workspace
    from deskhand_runs import open_engine
    from deskhand_server import build_app, take_short_turns

    take_short_turns()
    with Workspace.open(find_workspace(folder)) as workspace:
        workspace.knowledge.ingest()
        workspace.learn()
        async with open_engine(workspace) as engine:
            await fill(engine, folder, n_background)
            app = build_app(engine, workspace, workspace.folder.config.server, SystemClock())
            async with listening(app) as deskhand, listening(build_bare(folder / "bare.db")) as bare:
                await warm(engine)
                print(json.dumps(Ports(deskhand, bare)), flush=True)
                before = n_ended(engine)
                await asyncio.to_thread(sys.stdin.read)
                print(json.dumps([n_ended(engine) - before, engine.status().n_queued]), flush=True)
                os._exit(0)  # what is still queued is not waited for


async def warm(engine: Engine) -> None:
    """Wait until the first runs have ended: then everything is loaded."""
    while n_ended(engine) < 10:  # noqa: ASYNC110 - the store has no event for it
        await asyncio.sleep(0.1)


def n_ended(engine: Engine) -> int:
    """Return how many runs have parked or ended."""
    from deskhand.records import RunStatus

    counts = engine.store.count()
    return counts[RunStatus.parked] + counts[RunStatus.done]


async def fill(engine: Engine, folder: Path, n_background: int) -> None:
    """Queue so many tickets of the example that runs are at work all the time."""
    from deskhand.tickets import Event, EventKind, Ticket

    tickets = [Ticket.model_validate_json(path.read_text()) for path in sorted((folder / "tickets/incoming").iterdir())]
    for n in range(n_background):
        ticket = tickets[n % len(tickets)].model_copy(update={"id": f"B-{n}"})
        now = datetime.now(UTC)
        event = Event(source="file", delivery_id=f"b-{n}", ticket_id=ticket.id, kind=EventKind.created, at=now)
        await engine.accept(event, ticket)


def build_bare(path: Path) -> FastAPI:
    """Return the least that keeps a delivery: one endpoint, one row, one commit."""
    from fastapi import FastAPI, Request

    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE deliveries (id INTEGER PRIMARY KEY, body BLOB)")
    app = FastAPI()

    async def keep(request: Request) -> dict[str, bool]:
        body = await request.body()
        connection.execute("INSERT INTO deliveries (body) VALUES (?)", (body,))
        return {"ok": True}

    keep.__annotations__["request"] = Request
    app.post("/webhooks/shop", status_code=202)(keep)
    return app


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[int]:
    """Serve ``app`` on a free port, as ``deskhand serve`` does on an event loop in a thread of its own; yield it."""
    import uvicorn

    from deskhand_server.serving import listen

    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[sock]),))
    thread.start()
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield sock.getsockname()[1]
    server.should_exit = True
    await asyncio.to_thread(thread.join)


# --- the process that asks ---


class Sender:
    """Sends deliveries and keeps how long their answers took."""

    def __init__(self, session: aiohttp.ClientSession, port: int, body: Callable[[int], bytes]) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}/webhooks/shop"
        self._body = body
        self._n = 0
        self.latencies_ms: list[float] = []

    async def send(self) -> None:
        """Send one delivery. Raises RuntimeError when it is not accepted."""
        from deskhand_helpdesks.signatures import sign_webhook

        self._n += 1
        body = self._body(self._n)
        headers = sign_webhook(SECRET, f"d-{self._n}", datetime.now(UTC), body)
        began = time.perf_counter()
        async with self._session.post(self._url, data=body, headers=headers) as got:
            await got.read()
            if got.status != 202:
                raise RuntimeError(f"{self._url} answered {got.status}")
        self.latencies_ms.append((time.perf_counter() - began) * 1000)

    def take(self) -> list[float]:
        """Return what was measured since the last time."""
        taken, self.latencies_ms = self.latencies_ms, []
        return taken


async def steady(senders: tuple[Sender, Sender], rate: float, seconds: float) -> None:
    """Send ``rate`` deliveries a second to each, the two half a beat apart; a late answer delays no other one."""
    loop, tasks = asyncio.get_running_loop(), []
    begin, n = loop.time(), round(rate * seconds)
    for beat in range(2 * n):
        await asyncio.sleep(max(0.0, begin + beat / (2 * rate) - loop.time()))
        tasks.append(asyncio.create_task(senders[beat % 2].send()))
    await asyncio.gather(*tasks)


async def bursts(senders: tuple[Sender, Sender], n_connections: int, rounds: int) -> None:
    """Send so many deliveries at once, to one and then to the other."""
    for _ in range(rounds):
        for sender in senders:
            await asyncio.gather(*(sender.send() for _ in range(n_connections)))
            await asyncio.sleep(0.3)


async def ask(ports: Ports, body: Callable[[int], bytes], options: argparse.Namespace) -> list[Figures]:
    """Put both loads on both applications and return the figures."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        senders = (Sender(session, ports.deskhand, body), Sender(session, ports.bare, body))
        await bursts(senders, options.connections, 2)
        _ = [sender.take() for sender in senders]
        await steady(senders, options.rate, options.seconds)
        found = [compare(f"{options.rate:g}/s", senders)]
        await bursts(senders, options.connections, options.rounds)
        return [*found, compare(f"burst of {options.connections}", senders)]


def compare(load: str, senders: tuple[Sender, Sender]) -> Figures:
    """Return what was measured under one load."""
    ours, bare = (sender.take() for sender in senders)
    p50, p99 = [statistics.median(each) for each in (ours, bare)], [percentile(each, 0.99) for each in (ours, bare)]
    return Figures(load, len(ours), p50[0], p50[1], p99[0], p99[1], p50[0] / p50[1], p99[0] / p99[1])


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that at least ``share`` of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def payload(folder: Path) -> Callable[[int], bytes]:
    """Return a function that makes the body of delivery ``n``: a ticket of the example."""
    path = sorted((folder / "tickets" / "incoming").glob("*.json"))[3]
    ticket: dict[str, Any] = json.loads(path.read_text())

    def build(n: int) -> bytes:
        said = {"ticket": {**ticket, "id": f"L-{n}"}, "actor": "customer"}
        return json.dumps({"type": "ticket.created", "data": said}).encode()

    return build


async def measure(folder: Path, options: argparse.Namespace) -> tuple[list[Figures], list[int]]:
    """Start the answering process, measure, and return the figures, and the runs that ended and are left."""
    command = [sys.executable, __file__, "--answer", str(folder), "--background", str(options.background)]
    environment = os.environ | {"SHOP_SECRET": SECRET}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
    assert process.stdin is not None and process.stdout is not None
    try:
        ports = Ports(*json.loads(await process.stdout.readline()))
        figures = await ask(ports, payload(folder), options)
        process.stdin.close()
        return figures, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def main() -> int:
    """Measure, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=25)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--background", type=int, default=600, help="tickets queued before the measurement")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer is not None:
        asyncio.run(answer(options.answer, options.background))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "workspace"
        shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".deskhand"))
        with (folder / "deskhand.toml").open("a") as file:
            file.write(CONFIG)
        figures, (n_ended, n_left) = asyncio.run(measure(folder, options))
    if options.json:
        print(json.dumps({"loads": [one._asdict() for one in figures], "n_ended": n_ended, "n_left": n_left}))
    else:
        print_table(figures, n_ended, n_left)
    return 0 if n_ended and n_left and all(one.passed for one in figures) else 1


def print_table(figures: list[Figures], n_ended: int, n_left: int) -> None:
    """Print the figures for people."""
    print(f"{'load':<14}{'n':>6}{'deskhand p50':>14}{'bare p50':>10}{'ratio':>7}{'deskhand p99':>14}{'bare p99':>10}")
    for one in figures:
        ours = f"{one.load:<14}{one.n:>6}{one.deskhand_p50:>11.1f} ms{one.bare_p50:>7.1f} ms{one.ratio_p50:>7.2f}"
        print(f"{ours}{one.deskhand_p99:>11.1f} ms{one.bare_p99:>7.1f} ms{one.ratio_p99:>7.2f}")
    print(f"runs that ended meanwhile: {n_ended}; still queued at the end: {n_left}; bars {BAR_P50} and {BAR_P99}")


if __name__ == "__main__":
    sys.exit(main())
