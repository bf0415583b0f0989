from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from deskhand.actions import Decision
from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError, InputError, OwnedElsewhere, StoreError, Unavailable
from deskhand.records import RunStatus
from deskhand.testing import NOON, FixedClock, build_ticket, until
from deskhand.tickets import Role
from deskhand_runs import RunStore, is_owned, open_client
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.inbox import Accepted, EntryState
from deskhand_runs.pauses import pause, resume


def states(engine):
    return [(entry.seq, entry.state.value) for entry in reversed(engine.entries())]


async def test_a_delivery_parks_a_draft_and_its_approval_sends_one_reply(bench, make_event, approve):
    bench.desk.write("hello")
    async with bench.open() as engine:
        assert await engine.accept(make_event()) == (1, True)
        assert await engine.accept(make_event()) == (1, False)
        assert await engine.wait_idle(60)
        (run,) = engine.store.list()
        assert (run.waits, run.review.draft.text, states(engine)) == (True, "Re: hello", [(1, "done")])
        assert engine.entry(1).run_id == run.run_id
        assert engine.status().n_parked == 1
        assert (await engine.decide(run.run_id, approve(run))).latest_decision == approve(run)
        with open_client(WorkspaceFolder(bench.folder)) as door:
            await door.decide(run.run_id, approve(run))
            assert door.status().owner
        assert await engine.wait_idle(60)
        run = engine.store.load(run.run_id)
        assert (run.status, [r.status.value for r in run.receipts]) == (RunStatus.done, ["done"])
        assert [state for _, state in states(engine)] == ["done", "done"]
        assert engine.status() == engine.status().__class__(0, 0, 0, 0, 0, None, False, (), owner=True)
    assert bench.desk.sent == ["Re: hello"]
    assert not is_owned(WorkspaceFolder(bench.folder))


async def test_another_decision_is_refused_and_nothing_is_stored(bench, approve):
    async with bench.open() as engine:
        run = await bench.park(engine)
        await engine.decide(run.run_id, approve(run))
        with pytest.raises(InputError, match="kim has already decided"):
            await engine.decide(run.run_id, approve(run, by="lee"))
        with pytest.raises(InputError, match="there is none"):
            await engine.decide("run-x", approve(run))
        assert len(engine.entries()) == 2


async def test_messages_before_the_fetch_are_covered_by_one_run_and_later_ones_supersede_it(bench, make_event):
    bench.desk.write("one")
    bench.desk.gate = asyncio.Event()
    async with bench.open() as engine:
        await engine.accept(make_event(1))
        await until(lambda: bench.desk.n_fetched == 1)
        bench.desk.write("two")
        await engine.accept(make_event(2, at=NOON + timedelta(minutes=1)))
        bench.desk.gate.set()
        assert await engine.wait_idle(60)
        # the second came after the fetch had begun; it finds that the first run has seen it
        (run,) = engine.store.list()
        assert [(e.state.value, e.run_id) for e in engine.entries()] == [("done", run.run_id)] * 2
        assert f"covered by run {run.run_id}" in {e.reason for e in engine.entries()}
        newer = await bench.park(engine, "three", number=3)
        old = engine.store.load(run.run_id)
        assert (old.error, newer.review.draft.text) == (f"superseded by {newer.run_id}", "Re: three")


async def test_changed_and_closed_cause_no_draft_and_closed_drops_the_one_that_waits(bench, make_event):
    async with bench.open() as engine:
        run = await bench.park(engine)
        await engine.accept(make_event(2, kind="changed"))
        await engine.accept(make_event(3, kind="closed"))
        assert await engine.wait_idle(60)
        reasons = [e.reason for e in engine.entries(limit=2)]
        assert reasons == ["closed; 1 drafts dropped", "a change asks for no answer"]
        assert engine.store.load(run.run_id).error == "the ticket was closed"
        assert len(engine.store.list()) == 1


async def test_unclear_answers_of_the_helpdesk_are_tried_again_and_looked_up(bench, approve):
    bench.desk.commits = True
    async with bench.open() as engine:
        run = await bench.park(engine)
        bench.desk.errors = [Unavailable("503"), ConnectionResetError("reset")]
        await engine.decide(run.run_id, approve(run))
        assert await engine.wait_idle(60)
        assert [r.status.value for r in engine.store.load(run.run_id).receipts] == ["already"]
        assert engine.entries(limit=1)[0].n_attempts == 3
    assert bench.desk.sent == ["Re: hello"]


async def test_a_write_that_keeps_failing_is_a_dead_letter_until_retried(bench, approve):
    async with bench.open() as engine:
        run = await bench.park(engine)
        bench.desk.errors = [Unavailable(f"down {n}", retry_after_s=0.1) for n in range(3)]
        await engine.decide(run.run_id, approve(run))
        assert await engine.wait_idle(60)
        (dead,) = engine.entries(state="dead")
        assert (dead.reason, dead.n_attempts, engine.status().n_dead) == ("down 2", 3, 1)
        await engine.retry(dead.seq)
        assert await engine.wait_idle(60)
        with pytest.raises(InputError, match="is done; only what is dead or held"):
            await engine.retry(dead.seq)
        with pytest.raises(InputError, match="is done already"):
            await engine.skip(dead.seq, "kim")
    assert bench.desk.sent == ["Re: hello"]


async def test_an_outage_of_the_helpdesk_is_waited_out_however_often_it_was_tried(bench, approve):
    config = bench.folder / "deskhand.toml"
    config.write_text(config.read_text().replace("outage_hours = 0", "outage_hours = 1"))
    async with bench.open() as engine:
        run = await bench.park(engine)
        bench.desk.errors = [Unavailable("down")] * 6
        await engine.decide(run.run_id, approve(run))
        assert await engine.wait_idle(60)
        assert [entry.state.value for entry in engine.entries(limit=1)] == ["done"]
    assert bench.desk.sent == ["Re: hello"]


async def test_a_dead_letter_that_is_skipped_ends_as_uncertain(bench, approve):
    async with bench.open() as engine:
        run = await bench.park(engine)
        bench.desk.errors = [Unavailable("down")] * 3
        await engine.decide(run.run_id, approve(run))
        assert await engine.wait_idle(60)
        skipped = await engine.skip(2, "kim")
        assert (skipped.state.value, skipped.reason) == ("skipped", "skipped by kim; down")
        (receipt,) = engine.store.load(run.run_id).receipts
        assert (receipt.status.value, "given up by kim: down" in receipt.detail) == ("uncertain", True)
        assert engine.store.pending_write_back() == []
    assert bench.desk.sent == []


async def test_a_failing_graph_is_tried_again_then_dead_and_other_tickets_go_on(bench, make_event, approve):
    bench.desk.write("fail", "T-1")
    bench.desk.write("fine", "T-2")
    async with bench.open() as engine:
        await engine.accept(make_event(1, "T-1"))
        await engine.accept(make_event(2, "T-2"))
        assert await engine.wait_idle(60)
        dead, fine = engine.entry(1), engine.entry(2)
        assert (dead.state.value, dead.n_attempts, fine.state.value) == ("dead", 3, "done")
        assert "the model caught fire" in dead.reason
        assert (await engine.skip(1, "kim")).state.value == "skipped"


async def test_a_run_past_its_deadline_is_cut_off(bench, make_event):
    config = bench.folder / "deskhand.toml"
    config.write_text(config.read_text().replace("run_deadline_s = 60", "run_deadline_s = 0.1"))
    bench.desk.write("sleep 50")
    async with bench.open() as engine:
        await engine.accept(make_event())
        assert await engine.wait_idle(60)
        assert "took longer than 0.1 s" in engine.entry(1).reason


async def test_a_ticket_that_is_gone_is_skipped_and_an_unknown_entry_is_named(bench, make_event):
    async with bench.open() as engine:
        await engine.accept(make_event(ticket_id="T-9"))
        assert await engine.wait_idle(60)
        entry = engine.entry(1)
        assert (entry.state.value, entry.reason) == ("skipped", "T-9: no such ticket")
        for seq in (7, 0, 2**63, -(10**30)):
            with pytest.raises(InputError, match="no such entry"):
                engine.entry(seq)


async def test_a_ticket_in_the_delivery_is_run_when_the_helpdesk_has_none_or_an_older_one(bench, make_event):
    given = build_ticket("given", ticket_id="T-1", source="desk", updated_at=NOON + timedelta(hours=1))
    async with bench.open() as engine:
        await engine.accept(make_event(1), given)
        assert await engine.wait_idle(60)
        bench.desk.write("older", "T-2")
        await engine.accept(make_event(2, "T-2"), given.model_copy(update={"id": "T-2"}))
        assert await engine.wait_idle(60)
        assert [run.review.draft.text for run in engine.store.list()] == ["Re: given", "Re: given"]


async def test_an_event_that_a_guard_holds_runs_when_a_person_wants_it(bench, make_event):
    async with bench.open() as engine:
        await bench.park(engine)
        bench.desk.write("again", status="closed")
        await engine.accept(make_event(2))
        assert await engine.wait_idle(60)
        held = engine.entry(2)
        assert (held.state.value, held.reason) == ("held", "a customer wrote to a closed ticket")
        assert engine.status().n_held == 1
        await engine.retry(2)
        assert await engine.wait_idle(60)
        assert (engine.entry(2).state.value, engine.store.list()[0].waits) == ("done", True)


async def test_what_is_set_aside_waits_for_a_person_and_is_not_worked_on(bench, make_event):
    async with bench.open() as engine:
        bench.desk.write("hello")
        first = await engine.set_aside(make_event(1), EntryState.held, "mail 3 cannot be read")
        await engine.set_aside(make_event(2), EntryState.skipped, "older than us")
        again = await engine.accept(make_event(1))
        assert await engine.wait_idle(60)
        assert (first.is_new, again) == (True, Accepted(first.seq, is_new=False))
        assert [entry.state.value for entry in engine.entries()] == ["skipped", "held"]
        assert engine.store.list() == []
        await engine.retry(first.seq)
        assert await engine.wait_idle(60)
        assert [run.waits for run in engine.store.list()] == [True]


async def test_our_own_reply_that_comes_back_starts_no_run(bench, make_event, approve):
    async with bench.open() as engine:
        run = await bench.park(engine)
        await engine.decide(run.run_id, approve(run))
        assert await engine.wait_idle(60)
        await engine.accept(make_event(2))
        assert await engine.wait_idle(60)
        assert (engine.entry(3).state.value, engine.entry(3).run_id) == ("skipped", run.run_id)
        assert len(engine.store.list()) == 1


async def test_a_person_who_answers_meanwhile_makes_the_bot_give_up_its_draft(bench, approve):
    async with bench.open() as engine:
        run = await bench.park(engine)
        bench.desk.write("I have this one", role=Role.agent)
        await engine.decide(run.run_id, approve(run))
        assert await engine.wait_idle(60)
        (receipt,) = engine.store.load(run.run_id).receipts
        assert (receipt.status.value, "answered meanwhile" in receipt.detail) == ("skipped", True)
    assert bench.desk.sent == []


async def test_paused_write_back_is_held_and_goes_on_when_it_is_resumed(bench, approve):
    async with bench.open() as engine:
        run = await bench.park(engine)
        tables = GuardTables(engine.store)
        pause(tables, "desk", "kim", NOON)
        await engine.decide(run.run_id, approve(run))
        assert await engine.wait_idle(60)
        assert (engine.entry(2).state.value, engine.status().paused_sources) == ("held", ("desk",))
        assert bench.desk.sent == []
        resume(tables, "desk")
        await until(lambda: bench.desk.sent == ["Re: hello"])
        assert await engine.wait_idle(60)
        assert engine.entry(2).state.value == "done"


async def test_writes_beyond_the_limit_of_a_minute_wait(bench, approve):
    config = bench.folder / "deskhand.toml"
    config.write_text(config.read_text().replace("max_writes_per_minute = 50", "max_writes_per_minute = 2"))
    clock = FixedClock()
    async with bench.open(clock=clock) as engine:
        runs = [await bench.park(engine, number=n, ticket_id=f"T-{n}") for n in range(3)]
        for run in runs:
            await engine.decide(run.run_id, approve(run))
        await until(lambda: any("2 writes within a minute" in e.reason for e in engine.entries(state="queued")))
        await until(lambda: [e.n_attempts for e in engine.entries(state="queued")] == [0])
        assert len(bench.desk.sent) == 2


async def test_the_urgent_ticket_goes_first(bench, make_event):
    config = bench.folder / "deskhand.toml"
    config.write_text(config.read_text().replace("at_once = 4", "at_once = 1"))
    bench.desk.gate = asyncio.Event()
    for n in range(6):
        bench.desk.write("hello", f"T-{n}")
    urgent = build_ticket(ticket_id="T-6", source="desk", priority="urgent")
    async with bench.open() as engine:
        for n in range(6):
            await engine.accept(make_event(n, f"T-{n}"))
        await until(lambda: bench.desk.n_fetched == 1)
        bench.desk.tickets["T-6"] = urgent
        await engine.accept(make_event(6, "T-6"), urgent)
        await until(lambda: len(engine._work.slots._waiting) == 6)
        bench.desk.gate.set()
        assert await engine.wait_idle(60)
        order = [run.ticket.id for run in reversed(engine.store.list())]
        assert (order[1], order[2:]) == ("T-6", sorted(order[2:]))


async def test_a_cancelled_run_sends_nothing(bench, approve):
    bench.desk.errors = [Unavailable("down")] * 2
    async with bench.open() as engine:
        run = await bench.park(engine)
        await engine.decide(run.run_id, approve(run))
        await until(lambda: len(bench.desk.errors) < 2)
        assert await engine.cancel(run.run_id, "kim")
        assert not await engine.cancel(run.run_id, "kim")
        assert await engine.wait_idle(60)
        assert (engine.entry(2).state.value, engine.store.load(run.run_id).error) == ("cancelled", "cancelled by kim")
    assert bench.desk.sent == []


async def test_a_run_cancelled_while_its_graph_is_at_work_ends_cancelled(bench, make_event):
    bench.desk.write("sleep 50")
    async with bench.open() as engine:
        await engine.accept(make_event())
        await until(lambda: engine.executor._driven)
        await engine.cancel(engine.store.list()[0].run_id)
        assert await engine.wait_idle(40)  # its graph is cut off, and not waited for
        assert engine.entry(1).state.value == "cancelled"
        assert engine.status().n_parked == 0


async def test_replies_of_a_ticket_keep_their_order_when_the_first_is_held_up(bench, make_event, approve):
    async with bench.open() as engine:
        first = await bench.park(engine, "one")
        bench.desk.errors = [Unavailable("down", retry_after_s=0.5)]
        await engine.decide(first.run_id, approve(first))
        await until(lambda: bench.desk.errors == [])
        bench.desk.write("two")
        await engine.accept(make_event(2))
        assert await engine.wait_idle(60)
        second = engine.store.list()[0]
        assert bench.desk.sent == ["Re: one"]
        await engine.decide(second.run_id, approve(second))
        assert await engine.wait_idle(60)
    assert bench.desk.sent == ["Re: one", "Re: two"]


async def test_what_was_cut_off_goes_on_at_the_next_start(bench, make_event, approve):
    bench.desk.write("hello")
    bench.desk.gate = asyncio.Event()
    async with bench.open() as engine:
        await engine.accept(make_event())
        await until(lambda: bench.desk.n_fetched == 1)
        assert engine.status().n_at_work == 1
    bench.desk.gate.set()
    with open_client(WorkspaceFolder(bench.folder)) as door:
        assert (door.status().n_queued, door.status().owner) == (1, False)
        await door.accept(make_event(2, "T-2"))
        bench.desk.write("from the other door", "T-2")
    async with bench.open() as engine:
        assert await engine.wait_idle(60)
        assert [entry.state.value for entry in engine.entries()] == ["done", "done"]
        assert {run.review.draft.text for run in engine.store.list()} == {"Re: hello", "Re: from the other door"}


async def test_an_approval_that_a_command_stored_and_did_not_finish_is_taken_on(bench, approve):
    async with bench.open() as engine:
        run = await bench.park(engine)
        with RunStore.open(WorkspaceFolder(bench.folder)) as other:
            other.decide(run.run_id, approve(run), NOON)
        await until(lambda: bench.desk.sent == ["Re: hello"])
        assert await engine.wait_idle(60)


async def test_an_entry_that_lost_its_workflow_gets_another(bench, make_event):
    bench.desk.write("hello")
    with open_client(WorkspaceFolder(bench.folder)) as door:
        await door.accept(make_event())
    with closing(sqlite3.connect(bench.folder / ".deskhand" / "runs.db")) as connection, connection:
        connection.execute("DELETE FROM workflow_status")
    async with bench.open() as engine:
        await until(lambda: engine.entry(1).state.value == "done")


async def test_an_entry_that_kills_the_process_every_time_is_a_dead_letter(bench, make_event):
    bench.desk.write("hello")
    with open_client(WorkspaceFolder(bench.folder)) as door:
        await door.accept(make_event())
    with closing(sqlite3.connect(bench.folder / ".deskhand" / "runs.db")) as connection, connection:
        connection.execute("UPDATE inbox SET n_attempts = 3")
    async with bench.open() as engine:
        assert await engine.wait_idle(60)
        assert (engine.entry(1).state.value, engine.entry(1).reason) == ("dead", "cut off 3 times; ")


async def test_one_process_and_one_engine_own_a_workspace(bench):
    async with bench.open():
        with pytest.raises(OwnedElsewhere, match="executes its runs already"):
            async with bench.open():
                pass
    async with bench.open() as engine:
        assert engine.status().owner
        assert await asyncio.to_thread(lambda: 5) == 5
    assert await asyncio.to_thread(lambda: 5) == 5, "DBOS takes its threads with it"


async def test_a_delivery_that_cannot_be_stored_is_refused(bench, make_event):
    async with bench.open() as engine:
        writer = engine._writer
        with closing(sqlite3.connect(bench.folder / ".deskhand" / "runs.db")) as connection, connection:
            connection.execute("ALTER TABLE inbox RENAME TO elsewhere")
            with pytest.raises(StoreError, match=r"runs\.db"):
                await engine.accept(make_event())
            connection.execute("ALTER TABLE elsewhere RENAME TO inbox")
        assert await engine.accept(make_event()) == (1, True)
        await engine.cancel("run-x") if engine.store.list() else None
    with pytest.raises(StoreError, match="is stopping"):
        writer.submit(lambda tx: None)


def test_python_and_sqlite_that_do_not_go_together_are_named(monkeypatch):
    from deskhand_runs.dbos_setup import check_sqlite

    monkeypatch.setattr("sys.version_info", type("V", (tuple,), {"major": 3, "minor": 12})((3, 12, 0)))
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 40, 1))
    with pytest.raises(ConfigError, match=r"SQLite is 3\.42 or newer"):
        check_sqlite()


async def test_a_decision_to_reject_sends_nothing(bench):
    async with bench.open() as engine:
        run = await bench.park(engine)
        reject = Decision(ask_id=run.review.ask_id, verdict="reject", by="kim", at=NOON)
        await engine.decide(run.run_id, reject)
        assert await engine.wait_idle(60)
        assert (engine.entry(2).state.value, engine.store.load(run.run_id).status) == ("done", RunStatus.done)
    assert bench.desk.sent == []
