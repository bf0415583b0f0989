"""Budgets under fire: many processes, faults, retries, fallbacks, and a provider that bills more than it should.

    python benchmarks/budgets.py                      # 10,000 sequences over 4 processes
    python benchmarks/budgets.py --peer litellm       # LiteLLM's own budget against the same provider

Each sequence is a run of one to six calls at once, each of one to several attempts, with its own random faults. Its
run, its ticket and its day have caps that others share. The provider counts 1.4 times our tokens, adds reasoning, and
bills attempts that hang, break off or come back unreadable. Exit code 1 when any bill is above its cap.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

from deskhand.context import RunContext
from deskhand.errors import BudgetExceeded, Unavailable
from deskhand.interfaces import ChatMessage
from deskhand.libraries import prepare
from deskhand.model_settings import ModelsSettings
from deskhand.provider import FakeProvider, Fault, Price, Step
from deskhand.provider_answers import ProviderRequest
from deskhand.provider_http import HttpRequest, HttpResponse
from deskhand.testing import NOON, FixedClock
from deskhand_models import Ledger, Models, Timing
from deskhand_models.tokens import count_tokens, load_encoding

CAPS = {"run": 0.002, "ticket": 0.008, "day": 0.15}
PRICE = Price(prompt=1.0, completion=2.0)
COUNT_FACTOR = 1.4
REASONING_TOKENS = 40
TAG = re.compile(r"run=(\S+) ticket=(\S+) day=(\S+)")
FAULTS = (
    *(Fault.hang, Fault.reset, Fault.truncated, Fault.html, Fault.no_choices, Fault.empty),
    *(Fault.server_error, Fault.overloaded, Fault.rate_limited, Fault.too_long),
)
N_AT_ONCE = 20
TIMEOUT_S = 0.4


@dataclass
class Tally:
    """What came of the calls of one process, or of all."""

    n_sequences: int = 0
    n_calls: int = 0
    n_answered: int = 0
    n_refused: int = 0
    n_failed: int = 0

    def add(self, other: Tally) -> None:
        """Add another tally to this one."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class Bills:
    """What the provider billed by scope and key, in USD."""

    by_scope: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))

    def add(self, body: bytes, usd: float) -> None:
        """Book a bill on the run, ticket and day that stand in the prompt."""
        found = TAG.search(body.decode())
        if found:
            for scope, key in zip(CAPS, found.groups(), strict=True):
                self.by_scope[scope][key] += usd

    def highest(self, scope: str) -> float:
        """Return the highest bill of a scope."""
        return max(self.by_scope[scope].values(), default=0.0)

    def n_above(self, scope: str, caps: dict[str, float]) -> int:
        """Return how many bills of a scope are above its cap."""
        return sum(usd > caps[scope] + 1e-12 for usd in self.by_scope[scope].values())


class BillingProvider(FakeProvider):
    """The test kit's provider, with a bill for each run, ticket and day."""

    bills: Bills

    def respond(self, http: HttpRequest) -> HttpResponse:
        """Respond, and book what it cost."""
        before = self.billed_usd()
        response = super().respond(http)
        self.bills.add(http.body, self.billed_usd() - before)
        return response


def build_provider(seed: int) -> BillingProvider:
    """Return a provider that fails two times in five, at random, and answers at random length."""
    rng = random.Random(seed)
    load_encoding()  # or the first requests wait for it

    def step(request: ProviderRequest) -> Step:
        return rng.choice(FAULTS) if rng.random() < 0.4 else "word " * rng.randint(1, 90)

    provider = BillingProvider(
        step,
        retry_after_s=0.01,
        default_price=PRICE,
        count_tokens=count_tokens,
        count_factor=COUNT_FACTOR,
        reasoning_tokens=REASONING_TOKENS,
    )
    provider.bills = Bills()
    return provider


def build_settings(base_url: str, count_margin: float) -> ModelsSettings:
    """Return three models in one tier, all at the provider."""
    price = {"input_per_million_usd": PRICE.prompt, "output_per_million_usd": PRICE.completion}
    common = {"api_base": base_url, "price": price, "timeout_s": TIMEOUT_S, "count_margin": count_margin}
    common |= {"max_output_tokens": 80, "reasoning_tokens": REASONING_TOKENS}
    names = ["first", "second", "third"]
    return ModelsSettings.model_validate({
        "tiers": {"strong": names},
        "defs": {name: {"model": f"openai/{name}", **common} for name in names},
        "budget": {f"{scope}_usd": usd for scope, usd in CAPS.items()},
    })  # fmt: skip


async def run_sequence(models: Models, run_id: str, rng: random.Random, n_days: int) -> Tally:
    """Make the calls of one run at once and return what came of them."""
    clock = FixedClock(NOON + timedelta(days=rng.randrange(n_days)))
    ticket_id = f"T-{rng.randrange(20 * n_days)}"
    ctx = RunContext(run_id, clock=clock, ticket_id=ticket_id, agent="benchmark")
    tag = f"run={run_id} ticket={ticket_id} day={clock.at.date().isoformat()}"
    tally = Tally(n_sequences=1, n_calls=rng.randint(1, 6))
    prompts = [f"{tag} {'parcel ' * rng.randint(1, 200)}" for _ in range(tally.n_calls)]
    calls = [models.complete("strong", [ChatMessage("user", text)], deadline_s=10.0, ctx=ctx) for text in prompts]
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BudgetExceeded):
            tally.n_refused += 1
        elif isinstance(outcome, Unavailable):
            tally.n_failed += 1
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            tally.n_answered += 1
    return tally


async def work(options: argparse.Namespace) -> Tally:
    """Run this process's share of the sequences, some at once."""
    load_encoding()  # or the first calls are late
    rng = random.Random(options.seed * 1000 + options.worker)
    total = Tally()
    settings = build_settings(options.base_url, options.count_margin)
    timing = Timing(random=lambda: rng.random() * 0.05)
    for start in range(0, options.sequences, N_AT_ONCE):
        # New models for each batch: their circuit breakers would leave such a provider alone.
        async with Models(settings, options.ledger, timing) as models:
            names = [f"run-{options.worker}-{n}" for n in range(start, min(start + N_AT_ONCE, options.sequences))]
            for tally in await asyncio.gather(*(run_sequence(models, name, rng, options.days) for name in names)):
                total.add(tally)
    return total


async def start_workers(options: argparse.Namespace, base_url: str, ledger: Path) -> Tally:
    """Run the sequences in processes and return what came of all."""
    share = -(-options.sequences // options.processes)
    command = [
        sys.executable, __file__, f"--sequences={share}", f"--base-url={base_url}", f"--ledger={ledger}",
        f"--seed={options.seed}", f"--days={options.days}", f"--count-margin={options.count_margin}",
    ]  # fmt: skip
    running = [
        await asyncio.create_subprocess_exec(*command, f"--worker={number}", stdout=asyncio.subprocess.PIPE)
        for number in range(options.processes)
    ]
    total = Tally()
    for process in running:
        output, _ = await process.communicate()
        if process.returncode:
            raise SystemExit(f"a worker failed with code {process.returncode}")
        total.add(Tally(**json.loads(output)))
    return total


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Return the figures: what was done, and the highest bill of each scope beside its cap and its ledger."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        started = time.monotonic()
        provider = build_provider(options.seed)
        async with provider:
            tally = await start_workers(options, provider.base_url, path)
        ledger = Ledger(path)
        bills = provider.bills
        scopes = {
            scope: {
                "cap_usd": cap,
                "highest_bill_usd": round(bills.highest(scope), 6),
                "n_bills": len(bills.by_scope[scope]),
                "n_above_cap": bills.n_above(scope, CAPS),
                "n_above_ledger": sum(
                    usd > ledger.spent_usd(scope, key) + 1e-9  # type: ignore[arg-type]
                    for key, usd in bills.by_scope[scope].items()
                ),
            }
            for scope, cap in CAPS.items()
        }
        attempts = {row.key: row.n_attempts for row in ledger.costs("outcome")}
        booked = sum(row.cost_usd for row in ledger.costs("day"))
        ledger.close()
    return {
        **asdict(tally), "processes": options.processes, "seconds": round(time.monotonic() - started, 1),
        "attempts": attempts, "billed_usd": round(provider.billed_usd(), 6), "booked_usd": round(booked, 6),
        "scopes": scopes,
    }  # fmt: skip


async def measure_litellm(options: argparse.Namespace) -> dict[str, object]:
    """Return what LiteLLM's Router lets through with a deployment budget of the day's cap, calls all at once."""
    prepare()
    from litellm.router import Router

    async with build_provider(options.seed) as provider:
        router = Router(
            model_list=[{
                "model_name": "strong",
                "litellm_params": {
                    "model": "openai/first", "api_base": provider.base_url, "api_key": "none", "timeout": 5 * TIMEOUT_S,
                    "max_budget": CAPS["run"], "budget_duration": "1d",
                    "input_cost_per_token": PRICE.prompt / 1e6, "output_cost_per_token": PRICE.completion / 1e6,
                },
            }],
            num_retries=2,
        )  # fmt: skip
        text = f"run=peer ticket=peer day=peer {'parcel ' * 100}"
        calls = [
            router.acompletion(model="strong", messages=[{"role": "user", "content": text}], max_tokens=80)
            for _ in range(options.sequences)
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        billed = provider.billed_usd()
    n_failed = sum(isinstance(outcome, BaseException) for outcome in outcomes)
    return {
        "peer": "litellm.Router", "n_calls": len(calls), "n_answered": len(calls) - n_failed, "cap_usd": CAPS["run"],
        "billed_usd": round(billed, 6), "times_the_cap": round(billed / CAPS["run"], 1),
    }  # fmt: skip


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the options; those without help are for the worker processes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sequences", type=int, default=None, help="10,000 by default; 100 calls for a peer")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--days", type=int, default=50, help="over how many days the runs are spread")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count-margin", type=float, default=1.5, help="1.0 shows what happens without a margin")
    parser.add_argument("--peer", choices=["litellm"])
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    parser.add_argument("--ledger", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    options.sequences = options.sequences or (100 if options.peer else 10_000)
    return options


def main(argv: list[str] | None = None) -> int:
    """Print the figures as JSON; 1 when a bill is above its cap."""
    options = parse(argv)
    if options.worker is not None:
        print(json.dumps(asdict(asyncio.run(work(options)))))
        return 0
    if options.peer:
        print(json.dumps(asyncio.run(measure_litellm(options)), indent=1))
        return 0
    figures = asyncio.run(measure(options))
    print(json.dumps(figures, indent=1))
    scopes: dict[str, dict[str, float]] = figures["scopes"]  # type: ignore[assignment]
    return int(any(row["n_above_cap"] for row in scopes.values()))


if __name__ == "__main__":
    raise SystemExit(main())
