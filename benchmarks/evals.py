"""2,000 cases against a server that answers in 50 ms, 50 at once: whole process, start-up and stored results included.

    python benchmarks/evals.py [--cases 2000] [--latency-ms 50] [--rounds 3] [--peers VENV]... [--promptfoo FILE]

The floor is a bare aiohttp loop that keeps nothing. The ideal is cases x latency / 50. Peers are measured where they
are installed, and named where they are not: a virtual environment that holds some of braintrust and autoevals,
pydantic-evals, deepeval, inspect-ai and ragas, and promptfoo's executable. All ask the same server over HTTP and
compare exactly; their telemetry is off.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from deskhand.testing import build_workspace

CONCURRENCY = 50
LIMIT_S = 240.0
"""A peer that needs longer is given up on."""

SERVER = """
import asyncio, json, sys
from aiohttp import web
delay = float(sys.argv[1]) / 1000
async def answer(request):
    row = await request.json()
    await asyncio.sleep(delay)
    return web.json_response(row["text"])
async def complete(request):
    body = await request.json()
    await asyncio.sleep(delay)
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return web.json_response({
        "id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
    })
async def main():
    app = web.Application()
    app.router.add_post("/", answer)
    app.router.add_post("/v1/chat/completions", complete)
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
from deskhand_evals import Mode, RunOptions, load_suite, run_suite, verdict
root, mode = Path(sys.argv[1]), Mode(sys.argv[2])
options = RunOptions(fresh=True, mode=mode)
report = asyncio.run(run_suite(load_suite(root / "suite.toml"), WorkspaceFolder(root), options))
assert verdict(report).outcome == "PASS" and not report.n_failed, report.rows[0]
"""
REPLAY = """
import socket, sys
from pathlib import Path
def refuse(*args, **kwargs): raise AssertionError("a replay opened a socket")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
import asyncio
from deskhand.config import WorkspaceFolder
from deskhand_evals import Mode, RunOptions, load_report, load_suite, run_suite, verdict
from deskhand_evals.reports import html_page, junit_xml, markdown
root = Path(sys.argv[1])
options = RunOptions(fresh=True, mode=Mode.replay)
report = asyncio.run(run_suite(load_suite(root / "suite.toml"), WorkspaceFolder(root), options))
judged = verdict(report)
assert judged.outcome == "PASS" and not report.n_failed, report.rows[0]
assert report.parts[0].mode == "replay"
for name, text in (("r.html", html_page), ("r.md", markdown), ("r.xml", junit_xml)):
    (root / name).write_text(text(report, judged))
"""
_LOOP = """
import asyncio, json, sys
from openai import AsyncOpenAI
rows = [json.loads(line) for line in open(sys.argv[1])]
client = AsyncOpenAI(base_url=sys.argv[2] + "v1", api_key="none", max_retries=0, timeout=60)
async def ask(text):
    answer = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content
async def ask_all():
    limit = asyncio.Semaphore(50)
    async def one(row):
        async with limit:
            return await ask(row["text"])
    return await asyncio.gather(*map(one, rows))
"""
PEERS = {
    "AsyncOpenAI loop": _LOOP
    + """
found = asyncio.run(ask_all())
assert all(answer == row["expected"] for answer, row in zip(found, rows))
""",
    "braintrust": _LOOP
    + """
from braintrust import EvalAsync
from autoevals import ExactMatch
async def main():
    data = [{"input": row["text"], "expected": row["expected"]} for row in rows]
    done = await EvalAsync("speed", data=lambda: data, task=ask, scores=[ExactMatch], max_concurrency=50,
                           no_send_logs=True)
    assert len(done.results) == len(rows) and all(one.scores["ExactMatch"] == 1 for one in done.results)
asyncio.run(main())
""",
    "pydantic-evals": _LOOP
    + """
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import EqualsExpected
cases = [Case(name=row["id"], inputs=row["text"], expected_output=row["expected"]) for row in rows]
dataset = Dataset(name="speed", cases=cases, evaluators=[EqualsExpected()])
report = asyncio.run(dataset.evaluate(ask, max_concurrency=50, progress=False))
assert len(report.cases) == len(rows) and report.averages().assertions == 1
""",
    "deepeval": _LOOP
    + """
from deepeval import evaluate
from deepeval.evaluate import AsyncConfig, CacheConfig, DisplayConfig
from deepeval.metrics import ExactMatchMetric
from deepeval.test_case import LLMTestCase
found = asyncio.run(ask_all())
cases = [LLMTestCase(input=r["text"], actual_output=a, expected_output=r["expected"]) for r, a in zip(rows, found)]
done = evaluate(cases, [ExactMatchMetric()], async_config=AsyncConfig(max_concurrent=50),
                cache_config=CacheConfig(write_cache=False),
                display_config=DisplayConfig(show_indicator=False, print_results=False))
assert len(done.test_results) == len(rows) and all(one.success for one in done.test_results)
""",
    "ragas": _LOOP
    + """
from ragas import EvaluationDataset, RunConfig, evaluate
from ragas.metrics import ExactMatch
found = asyncio.run(ask_all())
data = [{"user_input": r["text"], "response": a, "reference": r["expected"]} for r, a in zip(rows, found)]
done = evaluate(EvaluationDataset.from_list(data), metrics=[ExactMatch()], show_progress=False,
                run_config=RunConfig(max_workers=50))
assert len(done.scores) == len(rows) and all(one["exact_match"] == 1 for one in done.scores)
""",
    "inspect": """
import json, os, sys
os.environ |= {"OPENAI_BASE_URL": sys.argv[2] + "v1", "OPENAI_API_KEY": "none"}
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import exact
from inspect_ai.solver import generate
rows = [json.loads(line) for line in open(sys.argv[1])]
samples = [Sample(input=row["text"], target=row["expected"], id=row["id"]) for row in rows]
task = Task(dataset=samples, solver=generate(), scorer=exact())
(log,) = eval(task, model="openai/gpt-3.5-turbo", max_connections=50, max_samples=50, display="none", log_dir="logs",
              model_args={"responses_api": False})
assert log.status == "success" and log.results.scores[0].metrics["mean"].value == 1
""",
}
QUIET = {
    "BRAINTRUST_API_KEY": "", "DEEPEVAL_TELEMETRY_OPT_OUT": "YES", "DEEPEVAL_UPDATE_WARNING_OPT_IN": "0",
    "RAGAS_DO_NOT_TRACK": "true", "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "true", "PROMPTFOO_DISABLE_SHARING": "1", "LOGFIRE_SEND_TO_LOGFIRE": "false",
    "PROMPTFOO_CACHE_ENABLED": "false", "GIT_PYTHON_REFRESH": "quiet", "OTEL_SDK_DISABLED": "true",
}  # fmt: skip
"""What turns off the peers' telemetry and look-ups."""


class Cost(NamedTuple):
    """What a process took. ``cpu_s`` is user and system time, ``peak_mb`` its largest resident size."""

    wall_s: float
    cpu_s: float
    peak_mb: float


class Failed(Exception):
    """A measured program ended with an error, or not in time."""


def measure(command: list[str], folder: Path, extra: Mapping[str, str] = {}) -> Cost:
    """Run a program and return what it and its children took. Raises Failed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    log = folder / "log.txt"
    start = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env={**environment, **extra}, stdout=file, stderr=file, start_new_session=True
        )
        status, usage = _wait(process, start + LIMIT_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        lines = log.read_text(errors="replace").strip().splitlines() or [""]
        raise Failed(f"ended with {process.returncode}: {lines[-1][:160]}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[int, resource.struct_rusage]:
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            return status, usage
        if time.perf_counter() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            os.wait4(process.pid, 0)
            raise Failed(f"not done in {LIMIT_S:.0f} s")
        time.sleep(0.005)


def build(root: Path, n_cases: int, url: str) -> None:
    """Write a workspace with the cases and a suite."""
    build_workspace(root)
    rows = ({"id": f"c{n}", "text": f"case {n}", "expected": f"case {n}"} for n in range(n_cases))
    (root / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "suite.toml").write_text(
        f'schema = 1\nname = "speed"\nconcurrency = {CONCURRENCY}\n[[part]]\nname = "p"\ndataset = "cases.jsonl"\n'
        f'target = "{url}"\n[[part.scorer]]\nkind = "exact"\nname = "right"\ngate = {{ bar = 0.5 }}\n'
    )


def build_promptfoo(root: Path, url: str) -> Path:
    """Write promptfoo's configuration for the same cases; JSON is YAML."""
    rows = [json.loads(line) for line in (root / "cases.jsonl").read_text().splitlines()]
    tests = [{"vars": {"text": row["text"]}, "assert": [{"type": "equals", "value": row["expected"]}]} for row in rows]
    provider = {"id": "openai:chat:m", "config": {"apiBaseUrl": f"{url}v1", "apiKey": "none"}}
    config = {"prompts": ["{{text}}"], "providers": [provider], "tests": tests}
    path = root / "promptfooconfig.yaml"
    path.write_text(json.dumps(config))
    return path


@contextmanager
def serving(latency_ms: float) -> Iterator[str]:
    """Yield the address of a server that answers after a while."""
    command = [sys.executable, "-c", SERVER, str(latency_ms)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/"
    finally:
        server.kill()
        server.wait()


def commands(root: Path, url: str, venvs: list[Path], promptfoo: Path | None) -> dict[str, list[str]]:
    """Return every program to measure, by its name."""
    cases = str(root / "cases.jsonl")
    found = {
        "bare aiohttp loop": [sys.executable, "-c", FLOOR, cases, url],
        "deskhand eval": [sys.executable, "-c", OURS, str(root), "auto"],
    }
    for name, script in PEERS.items():
        for venv in venvs:
            python = venv / "bin" / "python"
            if _has(python, name):
                found[name] = [str(python), "-c", script, cases, url]
                break
    if promptfoo is not None:
        config = str(build_promptfoo(root, url))
        output = str(root / "promptfoo.json")
        options = ["--no-cache", "--no-progress-bar", "--no-table", "-j", str(CONCURRENCY), "-o", output]
        found["promptfoo"] = [str(promptfoo), "eval", "-c", config, *options]
    return found


def missing(programs: Mapping[str, list[str]]) -> dict[str, Cost | str]:
    """Return the peers that are not measured, and how they would be."""
    why = {name: "not measured: no --peers has it" for name in PEERS} | {"promptfoo": "not measured: no --promptfoo"}
    return {name: reason for name, reason in why.items() if name not in programs}


def _has(python: Path, peer: str) -> bool:
    module = {"AsyncOpenAI loop": "openai", "pydantic-evals": "pydantic_evals", "inspect": "inspect_ai"}.get(peer, peer)
    check = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return python.is_file() and subprocess.run([str(python), "-c", check], check=False).returncode == 0


def median(costs: list[Cost]) -> Cost:
    """Return the medians of several rounds."""
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def run_all(programs: Mapping[str, list[str]], root: Path, rounds: int) -> dict[str, Cost | str]:
    """Measure every program, round after round; a program that fails is left out and says why."""
    costs: dict[str, list[Cost]] = {}
    problems: dict[str, str] = {}
    for _ in range(rounds):
        for name, command in programs.items():
            if name in problems:
                continue
            try:
                costs.setdefault(name, []).append(measure(command, root, {**QUIET, "HOME": str(root)}))
            except Failed as exc:
                problems[name] = str(exc)
    return {name: problems.get(name) or median(costs[name]) for name in programs}


def further_case_ms(root: Path, url: str, n_cases: int, rounds: int) -> float:
    """Return the CPU of one more case, in milliseconds: from half of the cases to all of them."""
    command = [sys.executable, "-c", OURS, str(root), "auto"]
    whole = [measure(command, root).cpu_s for _ in range(rounds)]
    build(root, n_cases // 2, url)
    half = [measure(command, root).cpu_s for _ in range(rounds)]
    build(root, n_cases, url)
    return (min(whole) - min(half)) / (n_cases - n_cases // 2) * 1000


def replay(root: Path, rounds: int) -> Cost:
    """Record all cases and return what a replay takes, with scoring, gate and reports, without a socket."""
    measure([sys.executable, "-c", OURS, str(root), "live"], root)
    return median([measure([sys.executable, "-c", REPLAY, str(root)], root) for _ in range(rounds)])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2_000)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, action="append", default=[], metavar="VENV")
    parser.add_argument("--promptfoo", type=Path, help="promptfoo's executable")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with serving(options.latency_ms) as url, tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "workspace"
        build(root, options.cases, url)
        promptfoo = options.promptfoo and options.promptfoo.absolute()
        programs = commands(root, url, [venv.absolute() for venv in options.peers], promptfoo)
        found = run_all(programs, root, options.rounds) | missing(programs)
        per_case_ms = further_case_ms(root, url, options.cases, options.rounds)
        found["replay, gate and reports"] = replay(root, options.rounds)
    ideal_s = options.cases * options.latency_ms / 1000 / CONCURRENCY
    if options.json:
        rows = {name: cost if isinstance(cost, str) else cost._asdict() for name, cost in found.items()}
        print(json.dumps({"ideal_s": ideal_s, "cpu_ms_per_further_case": per_case_ms, **rows}))
        return
    print(f"{options.cases} cases, {options.latency_ms:g} ms, {CONCURRENCY} at once; ideal {ideal_s:.2f} s")
    for name, cost in found.items():
        print(f"  {name:24} {cost}" if isinstance(cost, str) else _line(name, cost, ideal_s))
    print(f"  a further case: {per_case_ms:.2f} ms CPU")


def _line(name: str, cost: Cost, ideal_s: float) -> str:
    ratio = f"{cost.wall_s / ideal_s:.2f} x ideal" if ideal_s and not name.startswith("replay") else ""
    return f"  {name:24} {cost.wall_s:6.2f} s  {ratio:14} {cost.cpu_s:6.2f} s CPU  {cost.peak_mb:5.0f} MB"


if __name__ == "__main__":
    main()
