from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deskhand.actions import Decision, Verdict
from deskhand.config import WorkspaceFolder
from deskhand.errors import OwnedElsewhere, RunFailed
from deskhand.records import RunStatus
from deskhand.testing import NOON, build_ticket
from deskhand_graphs import Workspace
from deskhand_runs import Executor, open_runs

FLAKY = """
from typing import TypedDict
from langgraph.graph import END, START, StateGraph
from deskhand.context import RunContext
from deskhand.tickets import Ticket
from deskhand_graphs import step

CALLS = []
BROKEN = [True]

class State(TypedDict, total=False):
    ticket: Ticket
    seen: str
    vault: dict
    trace: tuple

async def first(state, ctx):
    CALLS.append("first")
    return {"seen": "first"}

async def second(state, ctx):
    CALLS.append("second")
    if BROKEN[0]:
        raise RuntimeError("the disk caught fire")
    return {"seen": state["seen"] + " second"}

def build(workspace):
    graph = StateGraph(State, RunContext)
    graph.add_node("first", step("first", first))
    graph.add_node("second", step("second", second))
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge("second", END)
    return graph
"""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Executor]:
    with Workspace.open(WorkspaceFolder(folder)) as workspace:
        workspace.knowledge.ingest()
        workspace.learn()
        async with open_runs(workspace) as executor:
            yield executor


def approve(ask_id: str) -> Decision:
    return Decision(ask_id=ask_id, verdict=Verdict.approve, by="kim", at=NOON)


def outgoing(folder: Path) -> list[Path]:
    return sorted((folder / "tickets" / "outgoing").glob("*.json"))


async def test_a_failed_node_keeps_what_was_done_and_goes_on(workspace: Path, monkeypatch) -> None:
    (workspace / "flaky_graphs.py").write_text(FLAKY)
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text() + '\n[graphs.own]\nflaky = "flaky_graphs:build"\n')
    async with opened(workspace) as executor:
        ticket = build_ticket()
        with pytest.raises(RunFailed, match="the disk caught fire"):
            await executor.run_ticket(ticket, "flaky")
        (record,) = executor.store.list()
        assert (record.status, "the disk caught fire" in record.error) == (RunStatus.failed, True)
        import flaky_graphs

        flaky_graphs.BROKEN[0] = False
        ran = await executor.run_ticket(ticket, "flaky")
    assert ran.result.values == {"seen": "first second"}
    assert flaky_graphs.CALLS == ["first", "second", "second"]


async def test_two_at_once_on_one_ticket_make_one_run(workspace: Path) -> None:
    async with opened(workspace) as executor:
        jobs = [executor.run_ticket(build_ticket(), "support") for _ in range(4)]
        ends = await asyncio.gather(*jobs, return_exceptions=True)
        assert len(executor.store.list()) == 1
    assert {type(end) for end in ends} <= {OwnedElsewhere, type(ends[0])}
    assert not isinstance(ends[0], BaseException)


async def test_an_approval_cut_off_before_write_back_is_finished_at_the_next_start(
    workspace: Path, monkeypatch
) -> None:
    async with opened(workspace) as executor:
        ran = await executor.run_ticket(build_ticket("How do I return a product?"), "support")
        run_id = ran.result.run_id

        async def dies(*_: object, **__: object) -> None:
            raise KeyError("power cut")

        with monkeypatch.context() as cut:
            cut.setattr("deskhand_runs.execute.write_back", dies)
            with pytest.raises(KeyError):
                await executor.decide(run_id, approve(f"{run_id}:0"))
    assert outgoing(workspace) == []
    async with opened(workspace) as executor:
        assert await executor.finish_pending() == 1
        assert await executor.finish_pending() == 0
    assert len(outgoing(workspace)) == 1


async def test_an_approval_stored_but_not_taken_in_is_finished_at_the_next_start(workspace: Path) -> None:
    async with opened(workspace) as executor:
        ran = await executor.run_ticket(build_ticket("How do I return a product?"), "support")
        run_id = ran.result.run_id
        executor.store.decide(run_id, approve(f"{run_id}:0"), NOON)
        assert await executor.finish_pending() == 1
        assert executor.store.load(run_id).status is RunStatus.done
    assert len(outgoing(workspace)) == 1


async def test_the_same_decision_twice_sends_one_reply(workspace: Path) -> None:
    async with opened(workspace) as executor:
        ran = await executor.run_ticket(build_ticket("How do I return a product?"), "support")
        run_id = ran.result.run_id
        for _ in range(2):
            await executor.decide(run_id, approve(f"{run_id}:0"))
    assert len(outgoing(workspace)) == 1


async def test_retry_then_crash_parks_with_the_second_question(workspace: Path) -> None:
    async with opened(workspace) as executor:
        ticket = build_ticket("How do I return a product?")
        run_id = (await executor.run_ticket(ticket, "support")).result.run_id
        again = Decision(ask_id=f"{run_id}:0", verdict=Verdict.retry, by="kim", at=NOON)
        executor.store.decide(run_id, again, NOON)  # the process dies here
        await executor.run_ticket(ticket, "support")
        record = executor.store.load(run_id)
    assert record.review is not None
    assert (record.waits, record.review.ask_id) == (True, f"{run_id}:1")


async def test_a_decision_on_lost_checkpoints_sends_what_the_person_saw(workspace: Path) -> None:
    async with opened(workspace) as executor:
        run_id = (await executor.run_ticket(build_ticket("How do I return a product?"), "support")).result.run_id
    for path in (workspace / ".deskhand").glob("checkpoints.db*"):
        path.unlink()
    (workspace / "knowledge" / "returns.md").write_text("---\nid: returns\n---\nAnother answer by now.\n")
    async with opened(workspace) as executor:
        record = await executor.decide(run_id, approve(f"{run_id}:0"))
    assert (record.status, record.receipts[0].status.value) == (RunStatus.done, "done")
    assert "within 30 days" in outgoing(workspace)[0].read_text()


async def test_a_retry_on_lost_checkpoints_says_to_run_again(workspace: Path) -> None:
    async with opened(workspace) as executor:
        run_id = (await executor.run_ticket(build_ticket("How do I return a product?"), "support")).result.run_id
    for path in (workspace / ".deskhand").glob("checkpoints.db*"):
        path.unlink()
    again = Decision(ask_id=f"{run_id}:0", verdict=Verdict.retry, by="kim", at=NOON)
    async with opened(workspace) as executor:
        with pytest.raises(RunFailed, match="--again"):
            await executor.decide(run_id, again)


async def test_an_interrupted_again_goes_on_instead_of_starting_anew(workspace: Path, monkeypatch) -> None:
    async with opened(workspace) as executor:
        await executor.run_ticket(build_ticket(), "support")

        async def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as cut:
            cut.setattr("deskhand_runs.execute.Drive.__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                await executor.run_ticket(build_ticket(), "support", again=True)
        await executor.run_ticket(build_ticket(), "support", again=True)
        assert [record.status for record in executor.store.list()] == [RunStatus.parked, RunStatus.done]


async def test_a_cancelled_run_says_how_to_run_the_ticket_again(workspace: Path) -> None:
    async with opened(workspace) as executor:
        ticket = build_ticket("How do I return a product?")
        claim = executor.store.claim(ticket, "support", new_id=lambda: "run-1", now=NOON)
        executor.store.cancel(claim.record.run_id, "kim", NOON)
        with pytest.raises(RunFailed, match="cancelled by kim; run the ticket again with --again"):
            await executor.run_ticket(ticket, "support")


async def test_a_run_stopped_while_its_graph_is_at_work_says_so_and_keeps_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def at_work(*_: object, **__: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("deskhand_runs.execute.Drive.__call__", at_work)
    async with opened(workspace) as executor:
        running = asyncio.create_task(executor.run_ticket(build_ticket(), "support"))
        await begun.wait()
        executor.stop("run-of-nobody")
        [run_id] = executor._driven
        executor.store.cancel(run_id, "kim", NOON)
        executor.stop(run_id)
        with pytest.raises(RunFailed, match="was cancelled"):
            await asyncio.wait_for(running, 60)
        assert (executor.store.load(run_id).error, executor._driven) == ("cancelled by kim", {})


async def test_an_edit_on_lost_checkpoints_sends_the_edited_text(workspace: Path) -> None:
    async with opened(workspace) as executor:
        run_id = (await executor.run_ticket(build_ticket("How do I return a product?"), "support")).result.run_id
    for path in (workspace / ".deskhand").glob("checkpoints.db*"):
        path.unlink()
    edit = Decision(ask_id=f"{run_id}:0", verdict=Verdict.edit, text="Edited by Kim.", by="kim", at=NOON)
    async with opened(workspace) as executor:
        await executor.decide(run_id, edit)
    assert "Edited by Kim." in outgoing(workspace)[0].read_text()


async def test_a_pending_write_back_at_which_somebody_else_is_is_left_to_them(
    workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(workspace) as executor:
        run_id = (await executor.run_ticket(build_ticket("How do I return a product?"), "support")).result.run_id
        executor.store.decide(run_id, approve(f"{run_id}:0"), NOON)
        with executor.store.lock(run_id):
            assert await executor.finish_pending() == 0
        assert "still to be written back" in caplog.text
        assert await executor.finish_pending() == 1
    assert len(outgoing(workspace)) == 1
