from __future__ import annotations

import json
from pathlib import Path

from deskhand.config import WorkspaceFolder
from deskhand_runs import GuardTables, RunStore, handling_of

BY = ("--by", "kim")


def test_pause_and_resume_are_shown_and_stored(invoke, workspace: Path) -> None:
    done = invoke("pause", *BY, "--workspace", workspace)
    assert done.exit_code == 0, done.output
    assert "paused: all helpdesks, by kim at" in done.stdout
    assert "0 approved runs wait" in done.stdout
    assert "deskhand resume" in done.stderr
    assert "was paused already" in invoke("pause", *BY, "--workspace", workspace).stderr
    shown = json.loads(invoke("doctor", "--json", "--workspace", workspace).stdout)
    assert {
        "check": "write-back",
        "level": "note",
        "detail": "all helpdesks: paused by kim; 'deskhand resume' ends it",
    } in shown
    resumed = invoke("resume", "--json", "--workspace", workspace)
    assert json.loads(resumed.stdout) == {"paused": [], "waiting": 0}
    assert "was not paused" in invoke("resume", "--workspace", workspace).stderr


def test_one_helpdesk_is_paused_by_name_and_unknown_ones_are_refused(invoke, workspace: Path) -> None:
    done = invoke("pause", "--helpdesk", "file", *BY, "--json", "--workspace", workspace)
    assert [stop["helpdesk"] for stop in json.loads(done.stdout)["paused"]] == ["file"]
    wrong = invoke("pause", "--helpdesk", "nosuch", "--workspace", workspace)
    assert (wrong.exit_code, "one of file" in wrong.stderr) == (2, True)
    invoke("pause", *BY, "--workspace", workspace)
    still = invoke("resume", "--helpdesk", "file", "--workspace", workspace)
    assert "everything is still paused" in still.stderr
    assert "paused: all helpdesks" in still.stdout


def test_paused_approvals_wait_and_go_out_after_resume(invoke, workspace: Path, ticket_file: Path) -> None:
    at = ("--workspace", workspace)
    run_id = json.loads(invoke("run", "--ticket", ticket_file, "--json", *at).stdout)["run_id"]
    invoke("pause", *BY, *at)
    approved = invoke("review", "approve", run_id, *at)
    outgoing = workspace / "tickets" / "outgoing"
    assert not outgoing.exists() or not list(outgoing.iterdir()), approved.output
    assert json.loads(invoke("resume", "--json", *at).stdout)["waiting"] == 1
    invoke("run", "--ticket", ticket_file, *at)
    assert len(list(outgoing.iterdir())) == 1


def test_tickets_are_taken_over_listed_and_released(invoke, workspace: Path, ticket_file: Path) -> None:
    at = ("--workspace", workspace)
    unknown = invoke("tickets", "takeover", "T-1", *at)
    assert (unknown.exit_code, "--helpdesk" in unknown.stderr) == (2, True)
    invoke("run", "--ticket", ticket_file, *at)
    taken = invoke("tickets", "takeover", "T-1", *BY, "--json", *at)
    assert json.loads(taken.stdout) | {"at": ""} == {
        "helpdesk": "file", "ticket_id": "T-1", "who": "person", "reason": "taken over by kim", "at": "",
    }  # fmt: skip
    assert "T-1" in invoke("tickets", "list", *at).stdout
    assert json.loads(invoke("tickets", "list", "--json", *at).stdout)["who"] == "person"
    assert "nothing changed" in invoke("tickets", "takeover", "T-1", "--helpdesk", "file", *at).stderr
    assert "handled by the bot" in invoke("tickets", "release", "T-1", *BY, *at).stdout
    assert "no ticket is taken over" in invoke("tickets", "list", *at).stderr
    with RunStore.open(WorkspaceFolder(workspace)) as store:
        assert handling_of(GuardTables(store), "file", "T-1").is_given_back
