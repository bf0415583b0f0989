"""Every fault of a provider, in the first model or in all, through both transports, one call and fifty at once.

Each call must end with a validated answer or with Unavailable within its deadline plus 10 %, and none may be lost.
Run it with ``python benchmarks/faults.py``; it prints the table and exits 1 on a breach.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from deskhand import libraries
from deskhand.context import RunContext
from deskhand.errors import Unavailable
from deskhand.interfaces import ChatMessage
from deskhand.model_settings import ModelsSettings, TransportName
from deskhand.provider import FakeProvider, Fault
from deskhand_models import Models

TRANSPORTS: tuple[TransportName, ...] = ("direct", "litellm")
PLACES: tuple[Literal["first", "all"], ...] = ("first", "all")
CONCURRENCIES = (1, 50)
SLACK = 1.1
PROMPT = (ChatMessage("system", "Sort the ticket."), ChatMessage("user", "My parcel HF-1001 has not arrived."))


class Sorted(BaseModel):
    """What every call asks for, so that prose and echoes are faults too."""

    category: Literal["delivery", "returns"]
    confidence: float


@dataclass(frozen=True)
class Case:
    """One cell of the matrix. ``where`` says which models have the fault."""

    fault: Fault
    where: Literal["first", "all"]
    transport: TransportName
    at_once: int


@dataclass(frozen=True)
class Outcome:
    """How one call ended, and after how many seconds."""

    kind: Literal["answer", "unavailable", "invalid", "error"]
    seconds: float
    detail: str = ""


@dataclass(frozen=True)
class Result:
    """How the calls of a case ended; ``breaches`` says what must not be."""

    case: Case
    n_answers: int
    n_unavailable: int
    slowest_s: float
    n_attempts: int
    breaches: tuple[str, ...]


def settings_for(case: Case, base_url: str) -> ModelsSettings:
    """Return a tier of two models, the first or both with the fault."""
    second = f"b-fault-{case.fault}" if case.where == "all" else "b-works"
    price = {"input_per_million_usd": 0.15, "output_per_million_usd": 0.60}
    shared = {"api_base": base_url, "transport": case.transport, "price": price, "timeout_s": 600.0}
    defs = {
        "a": {"model": f"openai/a-fault-{case.fault}", **shared},
        "b": {"model": f"openai/{second}", "context_tokens": 131_072, **shared},  # for what is too long for the first
    }
    return ModelsSettings.model_validate({
        "tiers": {"small": ["a", "b"]}, "defs": defs, "budget": {"run_usd": 1, "ticket_usd": 10, "day_usd": 1000}
    })  # fmt: skip


async def call(models: Models, run_id: str, deadline_s: float) -> Outcome:
    """Make one call and return how it ended; nothing it raises gets out."""
    started = time.perf_counter()
    ctx = RunContext(run_id, ticket_id=run_id, agent="bench")

    def ended(kind: Literal["answer", "unavailable", "invalid", "error"], detail: str = "") -> Outcome:
        return Outcome(kind, time.perf_counter() - started, detail)

    try:
        # Far beyond the deadline, only so that a call that never ends shows up as a breach and does not stop the run.
        async with asyncio.timeout(deadline_s * 5):
            completion = await models.complete("small", PROMPT, output_schema=Sorted, deadline_s=deadline_s, ctx=ctx)
    except Unavailable as exc:
        return ended("unavailable", str(exc))
    except Exception as exc:  # the edge: what else comes out is what this looks for
        return ended("error", f"{type(exc).__name__}: {exc}")
    return ended("answer" if isinstance(completion.parsed, Sorted) else "invalid", completion.text[:80])


async def run_case(case: Case, deadline_s: float, scratch: Path) -> Result:
    """Run one case against a provider of its own."""
    ledger = scratch / f"{case.fault}-{case.where}-{case.transport}-{case.at_once}.db"
    async with FakeProvider(retry_after_s=0.2) as provider:
        async with Models(settings_for(case, provider.base_url), ledger) as models:
            calls = [call(models, f"run-{n}", deadline_s) for n in range(case.at_once)]
            outcomes = await asyncio.gather(*calls)
        return summarise(case, outcomes, deadline_s, provider.n_requests())


def summarise(case: Case, outcomes: Sequence[Outcome], deadline_s: float, n_attempts: int) -> Result:
    """Return what a case's calls came to."""
    kinds = Counter(outcome.kind for outcome in outcomes)
    slowest_s = max(outcome.seconds for outcome in outcomes)
    breaches = [f"{outcome.kind}: {outcome.detail}" for outcome in outcomes if outcome.kind in ("invalid", "error")]
    if slowest_s > deadline_s * SLACK:
        breaches.append(f"{slowest_s:.2f} s, the deadline is {deadline_s:g} s")
    if len(outcomes) != case.at_once:
        breaches.append(f"{case.at_once - len(outcomes)} calls lost")
    return Result(case, kinds["answer"], kinds["unavailable"], slowest_s, n_attempts, tuple(dict.fromkeys(breaches)))


async def warm_up(transports: Sequence[TransportName], scratch: Path) -> None:
    """Load what a transport loads at its first call, which takes seconds and belongs to no case."""
    async with FakeProvider() as provider:
        for transport in transports:
            settings = settings_for(Case(Fault.empty, "first", transport, 1), provider.base_url)
            async with Models(settings, scratch / f"warm-{transport}.db") as models:
                await call(models, "warm", 60)


async def run_all(options: argparse.Namespace) -> list[Result]:
    """Run the matrix, one case after another, and print a row for each."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        await warm_up(options.transports, scratch)
        for cell in product(options.faults, PLACES, options.transports, CONCURRENCIES):
            result = await run_case(Case(*cell), options.deadline_s, scratch)
            results.append(result)
            if not options.json:
                show(result)
    return results


def show(result: Result) -> None:
    """Print one row."""
    case = result.case
    row = f"{case.fault:13} {case.where:6} {case.transport:8} {case.at_once:4} {result.n_answers:8} "
    row += f"{result.n_unavailable:12} {result.slowest_s:10.2f} {result.n_attempts:9}   "
    print(row + ("; ".join(result.breaches)[:300] or "ok"), flush=True)


def main() -> int:
    """Run what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deadline-s", type=float, default=3.0)
    parser.add_argument("--faults", nargs="+", type=Fault, default=list(Fault), metavar="FAULT")
    parser.add_argument("--transports", nargs="+", choices=TRANSPORTS, default=list(TRANSPORTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    libraries.prepare()
    if not options.json:
        print(f"deadline {options.deadline_s:g} s, bar {options.deadline_s * SLACK:g} s; two models in the tier")
        print("fault         models transport  n  answers  unavailable  slowest s  attempts   breach")
    results = asyncio.run(run_all(options))
    n_breached = sum(bool(result.breaches) for result in results)
    if options.json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        n_parked = sum(result.n_unavailable for result in results if result.case.where == "first")
        print(
            f"{len(results)} cases, {n_breached} with a breach; {n_parked} calls without an answer beside a good model"
        )
    return 1 if n_breached else 0


if __name__ == "__main__":
    raise SystemExit(main())
