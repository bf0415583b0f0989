"""Recordings of runs: the right one is found, a replay of it is the run again, and what differs is shown."""

import shutil
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deskhand.actions import Decision
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError, ReplayMiss
from deskhand.recorder import load_recording
from deskhand.testing import NOON, MemoryHelpdesk, build_ticket
from deskhand_graphs import Workspace
from deskhand_runs import Recordings, differences, open_runs, replay_ticket

TWO_STOPS = Path(__file__).parents[1] / "two_stops_graph.py"


@asynccontextmanager
async def opened(folder, desk):
    with Workspace.open(WorkspaceFolder(folder)) as workspace:
        workspace.helpdesk = lambda source: desk
        async with open_runs(workspace) as executor:
            yield executor


@pytest.fixture
def open_executor(bench):
    return lambda: opened(bench.folder, bench.desk)


def ticket_of(bench, text, ticket_id="T-1"):
    return bench.desk.write(text, ticket_id)


async def test_a_decided_run_is_the_same_again_and_writes_nothing(workspace):
    ticket = build_ticket("How long do I have to return a product?")
    desk = MemoryHelpdesk({ticket.id: ticket})
    async with opened(workspace, desk) as executor:
        executor.workspace.knowledge.ingest()
        run_id = (await executor.run_ticket(ticket, "support", record=True)).result.run_id
        edit = Decision(ask_id=f"{run_id}:0", verdict="edit", text="Write to bob@example.com", by="kim", at=NOON)
        run = await executor.decide(run_id, edit)
        rows = Recordings.open(executor.workspace.folder.recordings).rows_of(run_id)
        again = await replay_ticket(executor.workspace, ticket, "support", rows, decided=run.decisions)
        assert (again.status, again.draft.text, differences(run.result, again)) == ("done", edit.text, [])
        masked = await replay_ticket(executor.workspace, ticket, "support", rows)
        assert (masked.status, "bob@" in masked.model_dump_json()) == ("done", False), "recordings hold no such data"
        with pytest.raises(ReplayMiss, match="another ticket"):
            await replay_ticket(executor.workspace, build_ticket("other"), "support", rows)
    assert len(desk.applied) == 1


async def test_own_graph_with_two_stops_is_the_same_again(bench, open_executor):
    shutil.copy(TWO_STOPS, bench.folder)
    config = bench.folder / "deskhand.toml"
    config.write_text(config.read_text().replace("[runs]", 'two = "two_stops_graph:build"\n[runs]', 1))
    ticket = ticket_of(bench, "hello")
    async with open_executor() as executor:
        parked = (await executor.run_ticket(ticket, "two", record=True)).result
        run_id = parked.run_id
        edit = {"verdict": "edit", "text": "Write to bob@example.com"}
        for stop, said in (("first", edit), ("second", {"verdict": "approve"})):
            await executor.decide(run_id, Decision(ask_id=f"{run_id}:{stop}", by="kim", at=NOON, **said))
        run = executor.store.load(run_id)
        rows = Recordings.open(executor.workspace.folder.recordings).rows_of(run_id)
        again = await replay_ticket(executor.workspace, ticket, "two", rows, decided=run.decisions)
        masked = await replay_ticket(executor.workspace, ticket, "two", rows)
        stopped = await replay_ticket(executor.workspace, ticket, "two", [r for r in rows if r.kind != "decision"])
    assert (run.status, run.result.draft.text, len(run.result.values["said"])) == ("done", edit["text"], 2)
    assert differences(run.result, again) == []
    assert masked.draft.text == "Write to [EMAIL_1]"
    assert "bob@" not in "".join(row.to_line() for row in rows)
    assert (stopped.status, stopped.draft.text) == ("parked", parked.draft.text)


async def test_the_newest_recording_of_the_ticket_on_the_graph_is_taken(bench, open_executor):
    wanted, other = ticket_of(bench, "one"), ticket_of(bench, "two", "T-2")
    async with open_executor() as executor:
        ran = [await executor.run_ticket(one, "asking", again=True, record=True) for one in (wanted, wanted, other)]
        folder = executor.workspace.folder.recordings
    recordings = Recordings.open(folder)
    assert recordings.rows_for(wanted, "asking") == load_recording(folder / f"{ran[1].result.run_id}.jsonl")
    assert recordings.rows_for(other, "asking") == recordings.rows_of(ran[2].result.run_id)
    one_file = Recordings.open(folder / f"{ran[0].result.run_id}.jsonl")
    assert one_file.rows_for(other, "asking") == load_recording(one_file.files[0]), "a file was named: it is that one"
    with pytest.raises(InputError, match="T-1: no recording of it on graph 'support'"):
        recordings.rows_for(wanted, "support")
    with pytest.raises(InputError, match="run-x: was not recorded; run its ticket with --record --again"):
        recordings.rows_of("run-x")


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recordings there; run with --record"):
        Recordings.open(tmp_path)


async def test_differences_leave_out_wall_times_and_show_the_rest(bench, open_executor):
    async with open_executor() as executor:
        result = (await executor.run_ticket(ticket_of(bench, "hello"), "asking")).result
    slower = result.model_copy(
        update={
            "usage": result.usage.model_copy(update={"latency_ms": 9e9}),
            "trace": tuple(span.model_copy(update={"ms": span.ms + 1e6}) for span in result.trace),
        }
    )
    assert result.trace and differences(result, slower) == []
    changed = slower.model_copy(update={"draft": result.draft.model_copy(update={"text": "Re: goodbye"})})
    lines = [line.strip() for line in differences(result, changed) if line[0] in "+-"]
    assert lines == ["--- stored", "+++ replayed", '-  "text": "Re: hello",', '+  "text": "Re: goodbye",']
    assert '+ "status": "parked",' in differences(None, result)
