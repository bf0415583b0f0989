"""2,000 cases against a server that answers in 50 ms, 50 at once: whole process, start-up and stored results included.

    python benchmarks/evals.py [--cases 2000] [--latency-ms 50] [--json]

The floor is a bare aiohttp loop that keeps nothing. The ideal is cases x latency / 50.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from deskhand.testing import build_workspace

CONCURRENCY = 50
SERVER = """
import asyncio, sys
from aiohttp import web
async def answer(request):
    row = await request.json()
    await asyncio.sleep(float(sys.argv[1]) / 1000)
    return web.json_response(row["text"])
async def main():
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
FLOOR = """
import asyncio, json, sys, aiohttp
rows = [json.loads(line) for line in open(sys.argv[1])]
async def main():
    todo, right = iter(rows), []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        async def worker():
            for row in todo:
                async with client.post(sys.argv[2], json=row) as answer:
                    right.append(await answer.json() == row["expected"])
        await asyncio.gather(*(worker() for _ in range(50)))
    assert sum(right) == len(rows)
asyncio.run(main())
"""
OURS = """
import asyncio, sys
from pathlib import Path
from deskhand.config import WorkspaceFolder
from deskhand_evals import RunOptions, load_suite, run_suite, verdict
root = Path(sys.argv[1])
report = asyncio.run(run_suite(load_suite(root / "suite.toml"), WorkspaceFolder(root), RunOptions(fresh=True)))
assert verdict(report).outcome == "PASS"
"""


class Cost(NamedTuple):
    """What a process took. ``cpu_s`` is user and system time, ``peak_mb`` its largest resident size."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measure(*command: str) -> Cost:
    """Run a Python program and return what it took."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the measured program ended with {process.returncode}")
    return Cost(time.perf_counter() - start, _cpu(usage), usage.ru_maxrss / 1024)


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def build(root: Path, n_cases: int, url: str) -> None:
    """Write a workspace with the cases and a suite."""
    build_workspace(root)
    rows = ({"id": f"c{n}", "text": f"case {n}", "expected": f"case {n}"} for n in range(n_cases))
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "suite.toml").write_text(
        f'schema = 1\nname = "speed"\nconcurrency = {CONCURRENCY}\n[[part]]\nname = "p"\ndataset = "cases.jsonl"\n'
        f'target = "{url}"\n[[part.scorer]]\nkind = "exact"\nname = "right"\ngate = {{ bar = 0.9 }}\n'
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(options.latency_ms)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch) / "workspace"
            build(root, options.cases, url)
            found = {
                "bare aiohttp loop": measure("-c", FLOOR, str(root / "cases.jsonl"), url),
                "deskhand eval": measure("-c", OURS, str(root)),
            }
            build(root, options.cases // 2, url)
            half = measure("-c", OURS, str(root))
    finally:
        server.kill()
        server.wait()
    per_case_ms = (found["deskhand eval"].cpu_s - half.cpu_s) / (options.cases - options.cases // 2) * 1000
    ideal_s = options.cases * options.latency_ms / 1000 / CONCURRENCY
    if options.json:
        rows = {name: cost._asdict() for name, cost in found.items()}
        print(json.dumps({"ideal_s": ideal_s, "cpu_ms_per_further_case": per_case_ms, **rows}))
        return
    print(f"{options.cases} cases, {options.latency_ms:g} ms, {CONCURRENCY} at once; ideal {ideal_s:.2f} s")
    for name, cost in found.items():
        ratio = f"{cost.wall_s / ideal_s:.2f} x ideal" if ideal_s else ""
        print(f"  {name:20} {cost.wall_s:6.2f} s  {ratio:14} {cost.cpu_s:5.2f} s CPU  {cost.peak_mb:5.0f} MB")
    print(f"  a further case: {per_case_ms:.2f} ms CPU")


if __name__ == "__main__":
    main()
