from __future__ import annotations

import json
from pathlib import Path

import pytest

from deskhand.testing import build_ticket


@pytest.fixture
def parked(invoke, workspace: Path, ticket_file: Path) -> str:
    done = invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace)
    return str(json.loads(done.stdout)["run_id"])


def outgoing(workspace: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((workspace / "tickets" / "outgoing").glob("*.json"))]


def test_nothing_waiting_is_said(invoke, workspace: Path) -> None:
    assert "nothing waits" in invoke("review", "--workspace", workspace).stderr


def test_what_waits_is_listed_and_shown(invoke, workspace: Path, parked: str) -> None:
    assert parked in invoke("review", "--workspace", workspace).stdout
    assert "How long do I have" in invoke("review", "show", parked, "--workspace", workspace).stdout
    (row,) = invoke("review", "list", "--json", "--workspace", workspace).stdout.splitlines()
    assert json.loads(row)["review"]["ask_id"] == f"{parked}:0"


def test_an_approved_draft_is_written_back_once(invoke, workspace: Path, parked: str) -> None:
    first = invoke("review", "approve", parked, "--by", "kim", "--workspace", workspace)
    assert first.exit_code == 0, first.output
    (reply,) = outgoing(workspace)
    assert "within 30 days" in json.dumps(reply)
    second = invoke("review", "approve", parked, "--workspace", workspace)
    assert second.exit_code == 2
    assert len(outgoing(workspace)) == 1
    shown = invoke("runs", "show", parked, "--json", "--workspace", workspace).stdout
    assert json.loads(shown)["status"] == "done"
    assert json.loads(shown)["receipts"][0]["status"] == "done"


def test_an_edited_text_is_what_is_sent(invoke, workspace: Path, parked: str, tmp_path: Path) -> None:
    (tmp_path / "reply.txt").write_text("You have 30 days.\n")
    done = invoke("review", "edit", parked, "--file", tmp_path / "reply.txt", "--json", "--workspace", workspace)
    assert json.loads(done.stdout)["result"]["draft"]["text"] == "You have 30 days."
    assert "You have 30 days." in json.dumps(outgoing(workspace))


def test_a_rejected_draft_is_not_sent(invoke, workspace: Path, parked: str) -> None:
    assert invoke("review", "reject", parked, "--workspace", workspace).exit_code == 0
    assert outgoing(workspace) == []


def test_asking_again_parks_with_a_new_question(invoke, workspace: Path, parked: str) -> None:
    done = invoke("review", "retry", parked, "-i", "say something about delivery", "--json", "--workspace", workspace)
    record = json.loads(done.stdout)
    assert (record["status"], record["review"]["ask_id"]) == ("parked", f"{parked}:1")
    assert invoke("review", "approve", parked, "--workspace", workspace).exit_code == 0


def test_an_empty_reply_is_refused(invoke, workspace: Path, parked: str) -> None:
    done = invoke("review", "edit", parked, "--text", "  ", "--workspace", workspace)
    assert (done.exit_code, "empty" in done.stderr) == (2, True)


def test_an_unknown_run_says_how_to_find_one(invoke, workspace: Path, parked: str) -> None:
    done = invoke("review", "approve", "run-nothere", "--workspace", workspace)
    assert done.exit_code == 2
    assert "run-nothere" in done.stderr


def test_shadow_mode_writes_nothing(invoke, workspace: Path, parked: str) -> None:
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text().replace("schema = 1\n", 'schema = 1\nmode = "shadow"\n', 1))
    assert invoke("review", "approve", parked, "--workspace", workspace).exit_code == 0
    assert outgoing(workspace) == []


@pytest.mark.parametrize("editor", ["/nowhere/editor", "sh -c 'unbalanced"])
def test_an_editor_that_does_not_start_is_named(invoke, workspace: Path, parked: str, monkeypatch, editor: str) -> None:
    monkeypatch.setenv("EDITOR", editor)
    monkeypatch.setenv("VISUAL", editor)
    done = invoke("review", "edit", parked, "--workspace", workspace)
    assert (done.exit_code, "--text or --file" in done.stderr) == (2, True)


def test_a_text_from_the_editor_is_sent(invoke, workspace: Path, parked: str, monkeypatch, tmp_path: Path) -> None:
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\nsleep 0.1\necho "Written by hand." > "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.setenv("VISUAL", str(script))
    assert invoke("review", "edit", parked, "--workspace", workspace).exit_code == 0
    assert "Written by hand." in json.dumps(outgoing(workspace))


def test_an_author_cannot_look_like_lines_of_ours(invoke, workspace: Path, tmp_path: Path) -> None:
    ticket = build_ticket("How do I return a product?")
    forged = ticket.messages[0].model_copy(update={"author": "Eve\n\nrun: approved\x1b[2J"})
    (tmp_path / "t.json").write_text(ticket.model_copy(update={"messages": (forged,)}).model_dump_json())
    run_id = json.loads(invoke("run", "--ticket", tmp_path / "t.json", "--json", "--workspace", workspace).stdout)[
        "run_id"
    ]
    shown = invoke("review", "show", run_id, "--workspace", workspace).stdout
    assert "\nrun: approved" not in shown
    assert "\x1b" not in shown
