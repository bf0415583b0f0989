import json
import subprocess
import sys
from pathlib import Path

import pytest

from deskhand.errors import Unavailable
from deskhand.model_settings import BudgetSettings, ModelSettings
from deskhand.sqlite import transaction
from deskhand.testing import NOON
from deskhand_models import Ledger, Timing
from deskhand_models.budget import Budget, actual_cost, worst_case
from deskhand_models.ledger import Account
from deskhand_models.transport import NamedModel, Tokens

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "budgets.py"
PRICED = ModelSettings(
    model="openai/m",
    api_base="http://127.0.0.1:1",
    price={"input_per_million_usd": 0.15, "output_per_million_usd": 0.6},
    max_output_tokens=1000,
    reasoning_tokens=200,
)
FREE = PRICED.model_copy(update={"price": "free"})
ACCOUNT = Account("run-1", "T-1", "draft", "strong", NOON)


def run_benchmark(*options):
    command = [sys.executable, str(BENCHMARK), "--days=1", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("seed", [1, 2])
def test_eight_processes_never_pass_a_cap_with_a_provider_that_bills_more_than_it_should(seed):
    figures = run_benchmark("--processes=8", "--sequences=104", f"--seed={seed}")
    scopes = figures["scopes"]
    assert [row["n_above_cap"] for row in scopes.values()] == [0, 0, 0]
    assert [row["n_above_ledger"] for row in scopes.values()] == [0, 0, 0]
    assert figures["booked_usd"] <= 0.15 and figures["billed_usd"] > 0.005  # it was not simply refused
    assert figures["n_refused"] > 0 and figures["n_answered"] > 5 and figures["attempts"]["timeout"] > 0


def test_without_a_margin_the_same_provider_bills_more_than_the_ledger_knows():
    figures = run_benchmark("--processes=2", "--sequences=120", "--count-margin=1.0")
    assert figures["scopes"]["run"]["n_above_ledger"] > 0


def test_worst_case_is_the_prompt_and_the_longest_answer_with_a_margin():
    assert worst_case(PRICED, Tokens(2000, 1200)) == (2000 * 150 + 1200 * 600) * 1.5
    assert actual_cost(PRICED, Tokens(3, 1)) == 3 * 150 + 600
    assert worst_case(FREE, Tokens(10**9, 1200)) == actual_cost(FREE, Tokens(5, 5)) == 0


def test_fractions_of_a_nanodollar_are_rounded_up():
    cheap = PRICED.model_copy(
        update={"price": PRICED.price.model_copy(update={"input_per_million_usd": 0.0001, "output_per_million_usd": 0})}
    )
    assert actual_cost(cheap, Tokens(1, 0)) == 1


def open_budget(tmp_path, **changes):
    return Budget(tmp_path / "ledger.db", BudgetSettings(), Timing(**changes))


async def settle(budget, tokens, *, is_billed=True):
    model = NamedModel("m", PRICED)
    reservation = await budget.reserve(ACCOUNT, model, Tokens(100, 1200), until=budget.timing.monotonic() + 1)
    return reservation.amount, await budget.settle(reservation, model, tokens, "answered", is_billed=is_billed)


async def test_attempt_settles_at_its_usage_at_nothing_or_at_the_worst_case(tmp_path):
    budget = open_budget(tmp_path)
    assert (await settle(budget, Tokens(100, 10)))[1] == 100 * 150 + 10 * 600
    assert (await settle(budget, None, is_billed=False))[1] == 0
    reserved, unknown = await settle(budget, None)
    assert reserved == unknown
    assert budget.ledger.spent_usd("day", "2026-11-20") == pytest.approx((100 * 150 + 10 * 600 + unknown) / 1e9)
    budget.close()
    budget.close()


async def test_writer_that_takes_its_time_is_waited_for_without_blocking(tmp_path):
    budget = open_budget(tmp_path)
    other = Ledger(tmp_path / "ledger.db")
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            held.__exit__(None, None, None)

    held = transaction(other._connection)
    held.__enter__()
    budget.timing = Timing(sleep=sleep)
    assert (await settle(budget, Tokens(1, 1)))[1] == 750
    assert len(pauses) == 3 and max(pauses) < 0.01
    budget.close()
    other.close()


async def test_writer_that_never_ends_stops_a_reservation_at_its_deadline(tmp_path):
    budget = open_budget(tmp_path)
    other = Ledger(tmp_path / "ledger.db")
    with transaction(other._connection), pytest.raises(Unavailable, match="kept it locked"):
        await budget.reserve(ACCOUNT, NamedModel("m", PRICED), Tokens(1, 1200), until=budget.timing.monotonic() + 0.05)
    budget.close()
    other.close()


async def test_answer_is_given_back_when_its_settlement_finds_no_moment(tmp_path):
    budget = open_budget(tmp_path)
    model = NamedModel("m", PRICED)
    reservation = await budget.reserve(ACCOUNT, model, Tokens(1, 1200), until=budget.timing.monotonic() + 1)
    other = Ledger(tmp_path / "ledger.db")
    with transaction(other._connection):
        assert await budget.settle(reservation, model, Tokens(1, 1), "answered") == reservation.amount
    assert other.spent_usd("run", "run-1") == reservation.amount / 1e9
    budget.close()
    other.close()
