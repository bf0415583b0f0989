from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.testing import NOON, build_ticket
from deskhand.tickets import Event
from deskhand_runs import open_client
from deskhand_runs.ownership import own


@pytest.fixture
def failed(workspace: Path) -> Path:
    """A workspace with two dead deliveries and one that waits."""

    async def accept() -> None:
        with open_client(WorkspaceFolder(workspace)) as door:
            for n in (1, 2, 3):
                event = Event(source="desk", delivery_id=f"d-{n}", ticket_id=f"T-{n}", kind="created", at=NOON)
                await door.accept(event, build_ticket(ticket_id=f"T-{n}", source="desk"))

    asyncio.run(accept())
    with closing(sqlite3.connect(workspace / ".deskhand" / "runs.db")) as connection, connection:
        connection.execute("UPDATE inbox SET state = 'dead', reason = 'the desk is down' WHERE seq < 3")
    return workspace


def test_dead_letters_are_listed_and_shown(invoke, failed: Path) -> None:
    listed = invoke("runs", "list", "--workspace", failed)
    assert "note: 2 dead and 0 held in the inbox" in listed.stderr
    table = invoke("runs", "list", "--inbox", "--status", "dead", "--workspace", failed).stdout
    assert ("desk:T-1" in table, "the desk is down" in table, "desk:T-3" in table) == (True, True, False)
    rows = invoke("runs", "list", "--inbox", "--json", "--workspace", failed).stdout.splitlines()
    assert [json.loads(row)["state"] for row in rows] == ["queued", "dead", "dead"]
    assert "reason: the desk is down" in invoke("runs", "show", "1", "--workspace", failed).stdout
    shown = json.loads(invoke("runs", "show", "2", "--json", "--workspace", failed).stdout)
    assert (shown["seq"], shown["kind"], shown["ticket_id"]) == (2, "created", "T-2")


def test_a_dead_letter_is_retried_or_skipped(invoke, failed: Path) -> None:
    done = invoke("runs", "retry", "1", "--workspace", failed)
    assert "1: ticket desk:T-1 is queued" in done.stderr
    assert "start one with 'deskhand serve'" in done.stderr
    skipped = invoke("runs", "skip", "2", "--by", "kim", "--json", "--workspace", failed)
    assert json.loads(skipped.stdout)["reason"] == "skipped by kim; the desk is down"
    again = invoke("runs", "skip", "2", "--workspace", failed)
    assert (again.exit_code, "is skipped already" in again.stdout + again.stderr) == (2, True)
    assert "nothing is dead" in invoke("runs", "retry", "--dead", "--workspace", failed).stderr


def test_all_dead_letters_are_retried_in_the_order_of_their_arrival(invoke, failed: Path) -> None:
    done = invoke("runs", "retry", "--dead", "--json", "--workspace", failed)
    assert [json.loads(row)["seq"] for row in done.stdout.splitlines()] == [1, 2]


@pytest.mark.parametrize("wrong", [["retry"], ["retry", "1", "--dead"], ["list", "--inbox", "--status", "odd"]])
def test_wrong_use_is_refused(invoke, failed: Path, wrong: list[str]) -> None:
    assert invoke("runs", *wrong, "--workspace", failed).exit_code == 2


def test_a_run_is_cancelled_once(invoke, workspace: Path, ticket_file: Path) -> None:
    run = json.loads(invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace).stdout)["run_id"]
    assert f"{run}: cancelled" in invoke("runs", "cancel", run, "--workspace", workspace).stderr
    assert "was over already" in invoke("runs", "cancel", run, "--workspace", workspace).stderr
    refused = invoke("review", "approve", run, "--workspace", workspace)
    assert refused.exit_code == 2


def test_a_decision_goes_to_the_service_that_owns_the_workspace(invoke, workspace: Path, ticket_file: Path) -> None:
    run = json.loads(invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace).stdout)["run_id"]
    with own(WorkspaceFolder(workspace)):
        done = invoke("review", "approve", run, "--workspace", workspace)
        assert "a service is running here" in done.stderr
        rows = invoke("runs", "list", "--inbox", "--json", "--workspace", workspace).stdout.splitlines()
    assert [(json.loads(row)["kind"], json.loads(row)["state"]) for row in rows] == [("decision", "queued")]
    assert not list((workspace / "tickets" / "outgoing").glob("*.json"))


def test_an_empty_inbox_says_what_fills_it(invoke, workspace: Path) -> None:
    assert "'deskhand serve'" in invoke("runs", "list", "--inbox", "--workspace", workspace).stderr
