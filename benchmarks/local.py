"""Tickets without a model: how many a second, how much CPU each, and where it goes.

    python benchmarks/local.py [--tickets 500] [--json]

Labelled tickets of the example become tickets, with customers of the order database as requesters, and go through the
graph `support` with its run store and checkpoints on disk, one after the other, so that wall time of a node is close
to its CPU time. Reading knowledge and learning from examples are done before and not counted. Exit code 1: too slow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TypedDict

from deskhand import libraries
from deskhand.config import WorkspaceFolder
from deskhand.jsonio import read_lines
from deskhand.testing import build_ticket, copy_workspace
from deskhand.tickets import Requester, Ticket
from deskhand_graphs import Workspace
from deskhand_runs import open_runs

ROOT = Path(__file__).resolve().parents[1]
BAR_MS = 120.0
WARM_UP = 5


class Figures(TypedDict):
    """Per ticket and in all."""

    n: int
    tickets_per_s: float
    cpu_ms: float
    by_node_ms: dict[str, float]
    rest_ms: float


def build_tickets(folder: WorkspaceFolder, n: int) -> list[Ticket]:
    """Return ``n`` tickets with texts of labelled ones and real requesters."""
    texts = [value["text"] for _, value in read_lines(folder.labelled)]
    assert folder.orders is not None
    with sqlite3.connect(f"file:{folder.orders}?mode=ro", uri=True) as connection:
        people = connection.execute("SELECT id, name, email FROM customers ORDER BY id").fetchall()
    connection.close()
    requesters = [Requester(id=i, name=name, email=email, is_verified=True) for i, name, email in people]
    return [
        build_ticket(texts[k % len(texts)], ticket_id=f"B-{k:04d}", requester=requesters[k % len(requesters)])
        for k in range(n)
    ]


async def measure(folder: WorkspaceFolder, n: int) -> Figures:
    """Run ``n`` tickets and return the figures."""
    tickets = build_tickets(folder, n + WARM_UP)
    by_node: dict[str, float] = defaultdict(float)
    with Workspace.open(folder) as workspace:
        workspace.knowledge.ingest()
        workspace.learn()
        async with open_runs(workspace) as executor:
            for ticket in tickets[:WARM_UP]:
                await executor.run_ticket(ticket, "support")
            wall, cpu = time.perf_counter(), time.process_time()
            for ticket in tickets[WARM_UP:]:
                result = (await executor.run_ticket(ticket, "support")).result
                for span in result.trace:
                    if "." not in span.name:
                        by_node[span.name] += span.ms / n
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    cpu_ms = 1000 * cpu / n
    return Figures(
        n=n,
        tickets_per_s=n / wall,
        cpu_ms=cpu_ms,
        by_node_ms=dict(by_node),
        rest_ms=1000 * wall / n - sum(by_node.values()),
    )


def main() -> int:
    """Measure on a copy of the example, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    libraries.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        folder = WorkspaceFolder(copy_workspace(ROOT / "examples" / "hollowfern", Path(scratch) / "workspace"))
        figures = asyncio.run(measure(folder, options.tickets))
    if options.json:
        print(json.dumps(figures))
    else:
        rate, cpu_ms = figures["tickets_per_s"], figures["cpu_ms"]
        print(f"{figures['n']} tickets: {rate:.1f} a second, {cpu_ms:.1f} ms CPU each (bar {BAR_MS:.0f})")
        for node, ms in sorted(figures["by_node_ms"].items(), key=lambda item: -item[1]):
            print(f"  {node:10} {ms:7.2f} ms")
        print(f"  {'the rest':10} {figures['rest_ms']:7.2f} ms (run store, checkpoints, graph engine; wall time)")
    return 0 if figures["cpu_ms"] <= BAR_MS else 1


if __name__ == "__main__":
    raise SystemExit(main())
