"""A recorded run of 40 tickets, live and replayed: the same to the byte, without a socket, and how much faster.

    python benchmarks/replay.py [--tickets 40] [--latency-ms 50] [--json]

The tickets of the example go through the graph `support` one after the other, every agent with a model first, against
the test kit's provider in a process of its own. Then the same tickets are replayed from their recordings in this
process, where opening a socket is an error. Loading libraries, reading knowledge and learning are not counted; both
runs leave what is loaded out of garbage collections, as ``deskhand run`` does. Exit code 1: a result differs, a socket
was opened, or the replay took more than a third of the live time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from deskhand import libraries
from deskhand.config import WorkspaceFolder
from deskhand.jsonio import read_lines
from deskhand.libraries import loaded_for_good
from deskhand.records import RunResult
from deskhand.testing import build_ticket, copy_workspace
from deskhand.tickets import Ticket
from deskhand_graphs import Workspace
from deskhand_helpdesks import load_tickets
from deskhand_runs import Recordings, differences, open_runs, replay_ticket

ROOT = Path(__file__).resolve().parents[1]
GRAPH = "support"
FIRST = "The pump of order HF-201152 makes a noise. How do I clean it, and is that covered by the warranty?"
BAR, AIM = 1 / 3, 1 / 20
MODELS = """
[models.tiers]
small = ["test"]
strong = ["test"]
[models.budget]
run_usd = 1
ticket_usd = 10
day_usd = 1000
[models.defs.test]
model = "openai/test"
api_base = "{base_url}"
context_tokens = 200000
price = {{ input_per_million_usd = 0.15, output_per_million_usd = 0.60 }}
"""


@contextmanager
def provider_process(latency_ms: float) -> Iterator[str]:
    """Start the test kit's provider and yield its base URL."""
    command = [sys.executable, "-m", "deskhand.provider", "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.kill()


def build_tickets(folder: WorkspaceFolder, n: int) -> list[Ticket]:
    """Return a question for which every agent loads what it needs, and ``n`` tickets of the example."""
    found = [entry.ticket for entry in load_tickets(str(folder.incoming)) if entry.ticket is not None]
    texts = [value["text"] for _, value in read_lines(folder.labelled)]
    found += [build_ticket(texts[k], ticket_id=f"R-{k:03d}") for k in range(max(0, n - len(found)))]
    return [build_ticket(FIRST, ticket_id="R-FIRST"), *found[:n]]


async def run_live(workspace: Workspace, tickets: Sequence[Ticket]) -> tuple[list[RunResult], float]:
    """Run and record every ticket; return the results and the seconds of all but the first, which loads libraries."""
    results = []
    async with open_runs(workspace) as executor:
        started = time.perf_counter()
        for number, ticket in enumerate(tickets):
            if number == 1:
                started = time.perf_counter()
            results.append((await executor.run_ticket(ticket, GRAPH, record=True)).result)
        seconds = time.perf_counter() - started
    await workspace.aclose()
    return results, seconds


async def run_again(
    workspace: Workspace, tickets: Sequence[Ticket], live: Sequence[RunResult]
) -> tuple[list[RunResult], float]:
    """Replay every ticket from its recording; return the results and the seconds, the first left out here too."""
    recordings = Recordings.open(workspace.folder.recordings)
    results, started = [], time.perf_counter()
    for number, (ticket, run) in enumerate(zip(tickets, live, strict=True)):
        if number == 1:
            started = time.perf_counter()
        rows = recordings.rows_of(run.run_id)
        results.append(await replay_ticket(workspace, ticket, GRAPH, rows))
    return results, time.perf_counter() - started


@contextmanager
def no_sockets() -> Iterator[list[object]]:
    """Count and forbid connections and name look-ups; the event loop's own pair of sockets is local and stays."""
    asked: list[object] = []

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        asked.append(args)
        raise OSError("a replay opened a socket")

    with (
        patch.object(socket.socket, "connect", refuse),
        patch.object(socket.socket, "connect_ex", refuse),
        patch.object(socket.socket, "bind", refuse),
        patch.object(socket, "getaddrinfo", refuse),
        patch("asyncio.BaseEventLoop.create_connection", refuse),
        patch("asyncio.BaseEventLoop.sock_connect", refuse),
    ):
        yield asked


def measure(options: argparse.Namespace, folder: WorkspaceFolder) -> dict[str, object]:
    """Run live, replay, compare, and return the figures."""
    tickets = build_tickets(folder, options.tickets)
    with Workspace.open(folder) as workspace:
        workspace.knowledge.ingest()
        workspace.learn()
        with loaded_for_good():
            live, live_s = asyncio.run(run_live(workspace, tickets))
    with Workspace.open(folder) as workspace, no_sockets() as asked, loaded_for_good():
        replayed, replay_s = asyncio.run(run_again(workspace, tickets, live))
    changed = [run.ticket_id for run, again in zip(live, replayed, strict=True) if differences(run, again)]
    return {
        "tickets": len(tickets) - 1,
        "model_calls": sum(run.usage.n_calls for run in live[1:]),
        "live_s": round(live_s, 3),
        "replay_s": round(replay_s, 3),
        "share": round(replay_s / live_s, 4),
        "one_in": round(live_s / replay_s, 1),
        "differing": changed,
        "sockets": len(asked),
    }


def main() -> int:
    """Measure on a copy of the example, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=40)
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    libraries.prepare()
    with tempfile.TemporaryDirectory() as scratch, provider_process(options.latency_ms) as base_url:
        root = copy_workspace(ROOT / "examples" / "hollowfern", Path(scratch) / "workspace")
        config = root / "deskhand.toml"
        config.write_text(config.read_text(encoding="utf-8") + MODELS.format(base_url=base_url), encoding="utf-8")
        figures = measure(options, WorkspaceFolder(root))
    if options.json:
        print(json.dumps(figures))
    else:
        print(
            f"{figures['tickets']} tickets, {figures['model_calls']} model calls at {options.latency_ms:g} ms:"
            f" live {figures['live_s']} s, replay {figures['replay_s']} s, 1/{figures['one_in']}"
            f" (bar 1/{1 / BAR:.0f}, aim 1/{1 / AIM:.0f}); differing: {figures['differing'] or 'none'};"
            f" sockets: {figures['sockets']}"
        )
    is_fast = float(str(figures["share"])) <= BAR
    return 0 if is_fast and not figures["differing"] and not figures["sockets"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
