import sqlite3
import subprocess
import sys
from datetime import timedelta

import pytest

from deskhand.errors import BudgetExceeded, StoreError
from deskhand.testing import NOON
from deskhand_models.ledger import Account, Ledger, forget_attempts
from deskhand_models.transport import Tokens

ACCOUNT = Account("run-1", "T-1", "draft", "strong", NOON)


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("scope", ["run", "ticket", "day"])
def test_cap_may_be_reached_and_not_passed(ledger, scope):
    ledger.reserve(ACCOUNT, "m", 60, {scope: 100})
    ledger.reserve(ACCOUNT, "m", 40, {scope: 100})
    with pytest.raises(BudgetExceeded, match=f"models.budget.{scope}_usd"):
        ledger.reserve(ACCOUNT, "m", 1, {scope: 100})
    ledger.reserve(ACCOUNT, "m", 0, {scope: 100})
    assert ledger.costs("run")[0].n_attempts == 3


def test_refused_reservation_leaves_no_trace_in_any_scope(ledger):
    with pytest.raises(BudgetExceeded):
        ledger.reserve(ACCOUNT, "m", 60, {"run": 100, "day": 50})
    assert ledger.spent_usd("run", "run-1") == 0 and ledger.costs("run") == []


def test_settling_gives_the_rest_back(ledger):
    reservation = ledger.reserve(ACCOUNT, "m", 100, {"run": 100})
    assert ledger.settle(reservation, 30, Tokens(3, 4), "answered") == 30
    ledger.reserve(ACCOUNT, "m", 70, {"run": 100})
    (row,) = ledger.costs("model")
    assert (row.prompt_tokens, row.completion_tokens, row.n_attempts, row.n_answers) == (3, 4, 2, 1)
    assert row.cost_usd == pytest.approx(100e-9) and row.open_usd == pytest.approx(70e-9)


def test_bill_above_its_reservation_counts_in_full(ledger):
    reservation = ledger.reserve(ACCOUNT, "m", 10, {"run": 100})
    ledger.settle(reservation, 95, Tokens(1, 1), "answered")
    with pytest.raises(BudgetExceeded):
        ledger.reserve(ACCOUNT, "m", 10, {"run": 100})


def test_reservation_of_a_process_that_died_stays_spent(ledger):
    script = (
        "import os, sys; from pathlib import Path; from deskhand.testing import NOON;"
        "from deskhand_models.ledger import Account, Ledger;"
        "Ledger(Path(sys.argv[1])).reserve(Account('run-1', 'T-1', 'draft', 'strong', NOON), 'm', 80, {});"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(ledger.path)], check=False).returncode == -9
    with pytest.raises(BudgetExceeded):
        ledger.reserve(ACCOUNT, "m", 30, {"day": 100})
    assert ledger.costs("outcome")[0].key == "open"


def test_run_without_a_ticket_has_no_ticket_total(ledger):
    for number in range(3):
        ledger.reserve(Account(f"run-{number}", "", "", "small", NOON), "m", 60, {"ticket": 100})
    assert ledger.spent_usd("ticket", "") == 0


def test_closed_or_damaged_ledger_is_a_store_error(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.close()
    with pytest.raises(StoreError):
        ledger.reserve(ACCOUNT, "m", 1, {})
    (tmp_path / "bad.db").write_text("not a database" * 100)
    with pytest.raises(StoreError, match=r"bad\.db"):
        Ledger(tmp_path / "bad.db")


def test_dearest_group_comes_first(ledger):
    for model, amount in (("a", 1), ("b", 5), ("c", 3)):
        ledger.reserve(ACCOUNT, model, amount, {})
    assert [row.key for row in ledger.costs("model")] == ["b", "c", "a"]


def book(ledger, run, ticket, at, amount=10):
    return ledger.reserve(Account(run, ticket, "draft", "strong", at), "m", amount, {})


def test_old_attempts_are_forgotten_in_batches_and_what_is_kept_stays_counted_in_full(ledger):
    old = NOON - timedelta(days=100)
    for n in range(5):
        book(ledger, f"old-{n}", "T-old", old)
    book(ledger, "run-long", "T-long", old)
    book(ledger, "run-long", "T-long", NOON)
    forgotten = []
    while n := forget_attempts(ledger.path, NOON.date(), 4):
        forgotten.append(n)
    assert forgotten == [4, 2] and [row.key for row in ledger.costs("run")] == ["run-long"]
    assert ledger.spent_usd("day", NOON.date().isoformat()) == 10e-9
    assert ledger.spent_usd("run", "run-long") == ledger.spent_usd("ticket", "T-long") == 20e-9
    assert ledger.spent_usd("day", old.date().isoformat()) == ledger.spent_usd("ticket", "T-old") == 0
    assert ledger.spent_usd("run", "old-1") == 0


def test_cap_of_today_holds_over_forgetting(ledger):
    book(ledger, "run-1", "T-1", NOON, amount=90)
    assert forget_attempts(ledger.path, NOON.date(), 100) == 0
    with pytest.raises(BudgetExceeded, match="day_usd"):
        ledger.reserve(ACCOUNT, "m", 20, {"day": 100})


def test_attempt_that_was_forgotten_before_it_was_settled_changes_no_other(ledger):
    reservation = book(ledger, "run-1", "T-1", NOON - timedelta(days=9))
    while forget_attempts(ledger.path, NOON.date(), 100):
        pass
    ledger.settle(reservation, 3, None, "answered")
    assert ledger.costs("run") == [] and ledger.spent_usd("run", "run-1") == 0


def test_ledger_that_was_never_made_is_not_made_to_forget(tmp_path):
    assert forget_attempts(tmp_path / "ledger.db", NOON.date(), 100) == 0 and not list(tmp_path.iterdir())


def test_damaged_ledger_is_said_when_it_should_forget(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="damaged"):
        forget_attempts(tmp_path / "ledger.db", NOON.date(), 100)


def test_ledger_that_another_process_holds_for_itself_is_said_to_readers(ledger):
    book(ledger, "run-1", "T-1", NOON)
    ledger._connection.execute("PRAGMA journal_mode=DELETE")  # in the journal of its own, readers never wait
    holder = sqlite3.connect(ledger.path, isolation_level=None)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked by another process"):
            ledger.costs("run")
    finally:
        holder.close()
