"""One damaged row of ``runs.db`` must not hide the others."""

from functools import partial

import pytest

from deskhand.actions import Decision, ReviewRequest
from deskhand.answers import Draft
from deskhand.errors import InputError, StoreError
from deskhand.records import RunResult, RunStatus
from deskhand.testing import NOON, SequentialIds, build_ticket
from deskhand_runs import RunStore
from deskhand_runs.rows import UNREADABLE


@pytest.fixture
def store(tmp_path):
    """Three approved runs."""
    ids = SequentialIds()
    with RunStore(tmp_path / "runs.db") as opened:
        for number in (1, 2, 3):
            ticket = build_ticket(ticket_id=f"T-{number}")
            run_id = opened.claim(ticket, "support", new_id=partial(ids.new, "run"), now=NOON).record.run_id
            result = RunResult(run_id=run_id, ticket_id=ticket.id, graph="support", status="parked", needs_human=True)
            asked = ReviewRequest(run_id=run_id, ask_id=f"ask-{number}", draft=Draft(text="Dear Ann"))
            opened.park(run_id, result, asked, NOON)
            opened.decide(run_id, Decision(ask_id=asked.ask_id, verdict="approve", by="kim", at=NOON), NOON)
        yield opened


@pytest.mark.parametrize("column", ["ticket", "status", "created_at", "result", "review"])
def test_the_other_runs_are_listed_and_the_bad_one_is_marked(store, column):
    with store._changing() as connection:
        connection.execute(f"UPDATE runs SET {column} = '{{' WHERE run_id = 'run-0002'")
    listed = store.list()
    assert [run.run_id for run in listed] == ["run-0003", "run-0002", "run-0001"]
    assert [run.error.startswith(UNREADABLE) for run in listed] == [False, True, False]
    bad = listed[1]
    assert (bad.status, bad.waits, bad.ticket.id) == (RunStatus.failed, False, "T-2")
    assert "restore a backup" in bad.error
    assert store.list(ticket_id="T-2") == [bad]
    with pytest.raises(StoreError, match="run run-0002 cannot be read"):
        store.load("run-0002")


def test_the_other_runs_are_written_back_and_the_bad_one_is_logged(store, caplog):
    with store._changing() as connection:
        connection.execute("UPDATE decisions SET decision = '{' WHERE run_id = 'run-0001'")
    assert [run.run_id for run in store.pending_write_back()] == ["run-0002", "run-0003"]
    assert "run-0001 is not written back" in caplog.text


def test_a_shortened_id_is_found_by_the_index(store):
    with pytest.raises(InputError, match="several begin"):
        store.load("run-")
    with pytest.raises(InputError, match="there is none"):
        store.load("un-0001")
    with pytest.raises(InputError, match="there is none"):
        store.load("run-0001x")
    with store._reading() as connection:
        sql = "EXPLAIN QUERY PLAN SELECT * FROM runs WHERE run_id >= ? AND run_id < ? ORDER BY seq DESC LIMIT 6"
        assert "INDEX" in " ".join(row["detail"] for row in connection.execute(sql, ("run-0", "run-1")))
