from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from deskhand.testing import build_ticket, build_workspace

PRINTED = {
    "run_id",
    "ticket_id",
    "triage",
    "summary",
    "draft",
    "decision",
    "actions",
    "needs_human",
    "reasons",
    "usage",
    "trace",
}


def test_one_ticket_prints_one_object_valid_against_the_schema(invoke, workspace: Path, ticket_file: Path) -> None:
    done = invoke("run", "support", "--ticket", ticket_file, "--json", "--workspace", workspace)
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert value.keys() >= PRINTED
    jsonschema.validate(value, json.loads(invoke("schema", "run").stdout))
    assert value["triage"]["category"] == "returns"
    assert "within 30 days of delivery" in value["draft"]["text"]
    assert value["draft"]["citations"][0]["passage_id"].startswith("returns@1#")
    assert (value["decision"], value["needs_human"]) == ("review", True)


def test_workspace_before_the_command_is_taken_too(invoke, workspace: Path, ticket_file: Path) -> None:
    assert invoke("--workspace", workspace, "run", "--ticket", ticket_file, "--json").exit_code == 0


def test_workspace_around_the_folder_is_found(invoke, workspace: Path, ticket_file: Path, monkeypatch) -> None:
    monkeypatch.chdir(workspace / "knowledge")
    assert invoke("run", "--ticket", ticket_file, "--json").exit_code == 0


def test_many_tickets_print_a_line_each_in_their_order(invoke, workspace: Path, tmp_path: Path) -> None:
    ids = [f"T-{number}" for number in (5, 3, 9)]
    lines = [build_ticket("Where is my parcel?", ticket_id=name).model_dump_json() for name in ids]
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    done = invoke("run", "--ticket", tmp_path / "many.jsonl", "--json", "--workspace", workspace)
    assert [json.loads(line)["ticket_id"] for line in done.stdout.splitlines()] == ids


def test_standard_input_is_read_with_a_dash(invoke, workspace: Path) -> None:
    done = invoke("run", "--ticket", "-", "--json", "--workspace", workspace, given=build_ticket().model_dump_json())
    assert json.loads(done.stdout)["ticket_id"] == "T-1"


def test_a_ticket_run_before_is_not_run_twice(invoke, workspace: Path, ticket_file: Path) -> None:
    arguments = ("run", "--ticket", ticket_file, "--json", "--workspace", workspace)
    first, second, third = invoke(*arguments), invoke(*arguments), invoke(*arguments, "--again")
    assert first.stdout == second.stdout
    assert "was run before" in second.stderr
    assert json.loads(third.stdout)["run_id"] != json.loads(first.stdout)["run_id"]
    listed = invoke("runs", "list", "--json", "--workspace", workspace).stdout.splitlines()
    assert sorted(json.loads(line)["status"] for line in listed) == ["done", "parked"]


def test_people_see_the_draft_and_the_next_step(invoke, workspace: Path, ticket_file: Path) -> None:
    done = invoke("run", "--ticket", ticket_file, "--workspace", workspace)
    assert "within 30 days" in done.stdout
    assert "next: deskhand review" in done.stderr


def test_a_bad_ticket_among_good_ones_is_named_and_the_rest_goes_on(invoke, workspace: Path, tmp_path: Path) -> None:
    good = build_ticket("Where is my parcel?").model_dump_json()
    (tmp_path / "mixed.jsonl").write_text(f'{good}\n{{"id": 3}}\n')
    done = invoke("run", "--ticket", tmp_path / "mixed.jsonl", "--json", "--workspace", workspace)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 1
    assert "mixed.jsonl:2" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"{", "not valid JSON"),
        (b"\x00\xff\xfe\x01", "is binary"),
        (b"[]", ""),
        (b'{"id": "T-1"}', "messages"),
        (build_ticket().model_copy(update={"subject": "x"}).model_dump_json().replace('"T-1"', "7").encode(), "id"),
        (build_ticket().model_dump_json().replace("Where is my order?", "x" * 5_000_000).encode(), "200"),
    ],
    ids=["missing", "empty", "half", "binary", "no tickets", "fields missing", "wrong type", "5 MB message"],
)
def test_bad_input_gives_one_clear_line(
    invoke, workspace: Path, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)
    done = invoke("run", "--ticket", path, "--json", "--workspace", workspace)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "bad.json" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert len(done.stderr) < 600


def test_a_ticket_without_text_is_not_answered(invoke, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(build_ticket("   \n").model_dump_json())
    value = json.loads(invoke("run", "--ticket", tmp_path / "t.json", "--json", "--workspace", workspace).stdout)
    assert value["draft"] is None
    assert value["reasons"]


def test_an_unknown_graph_names_those_there_are(invoke, workspace: Path, ticket_file: Path) -> None:
    done = invoke("run", "suport", "--ticket", ticket_file, "--workspace", workspace)
    assert (done.exit_code, "there are: answer, support" in done.stderr) == (2, True)


def test_no_knowledge_is_said_and_nothing_is_invented(invoke, tmp_path: Path, ticket_file: Path) -> None:
    empty = build_workspace(tmp_path / "empty", articles={})
    done = invoke("run", "--ticket", ticket_file, "--json", "--workspace", empty)
    value = json.loads(done.stdout)
    assert "no articles" in done.stderr
    assert not (value["draft"] and value["draft"]["citations"])
    assert "no_knowledge" in [reason["code"] for reason in value["reasons"]]


def test_no_ticket_is_wrong_use(invoke, workspace: Path) -> None:
    done = invoke("run", "--workspace", workspace)
    assert (done.exit_code, "--ticket" in done.stderr) == (2, True)


def test_no_workspace_says_how_to_make_one(invoke, tmp_path: Path, ticket_file: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("run", "--ticket", ticket_file)
    assert (done.exit_code, "deskhand init" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["runs.db", "checkpoints.db", "knowledge.db"])
def test_a_damaged_database_is_named_and_nothing_else_is_touched(
    invoke, workspace: Path, ticket_file: Path, name: str
) -> None:
    assert invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace).exit_code == 0
    for extra in ("-wal", "-shm"):
        (workspace / ".deskhand" / f"{name}{extra}").unlink(missing_ok=True)
    (workspace / ".deskhand" / name).write_bytes(b"this is not a database, whatever its name says" * 100)
    done = invoke("run", "--ticket", ticket_file, "--json", "--again", "--workspace", workspace)
    assert done.exit_code == 1
    assert name in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["runs.db", "checkpoints.db", "knowledge.db"])
def test_a_newer_database_is_refused(invoke, workspace: Path, ticket_file: Path, name: str) -> None:
    import sqlite3

    assert invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace).exit_code == 0
    connection = sqlite3.connect(workspace / ".deskhand" / name)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    done = invoke("run", "--ticket", ticket_file, "--json", "--again", "--workspace", workspace)
    assert (done.exit_code, "upgrade deskhand" in done.stderr) == (1, True)


def test_a_folder_that_cannot_be_written_is_named(invoke, workspace: Path, ticket_file: Path) -> None:
    (workspace / ".deskhand").write_text("a file where the folder should be")
    done = invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace)
    assert done.exit_code == 1
    assert ".deskhand" in done.stderr
    assert "Traceback" not in done.stderr
