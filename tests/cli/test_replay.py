from __future__ import annotations

import json
from pathlib import Path

from deskhand.testing import build_ticket


def timeless(text: str) -> str:
    value = json.loads(text)
    value["usage"]["latency_ms"] = 0
    for span in value["trace"]:
        span["ms"] = 0
    return json.dumps(value)


def recorded(invoke, workspace: Path, ticket: Path) -> str:
    done = invoke("run", "--ticket", ticket, "--json", "--record", "--workspace", workspace)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_replay_prints_the_same_bytes_but_for_wall_times(invoke, workspace: Path, ticket_file: Path) -> None:
    before = recorded(invoke, workspace, ticket_file)
    run_id = json.loads(before)["run_id"]
    again = invoke("runs", "replay", run_id, "--json", "--workspace", workspace)
    assert again.exit_code == 0, again.output
    assert timeless(again.stdout) == timeless(before)
    by_file = invoke(
        "run", "--ticket", ticket_file, "--json", "--workspace", workspace,
        "--replay", workspace / ".deskhand" / "recordings" / f"{run_id}.jsonl",
    )  # fmt: skip
    assert timeless(by_file.stdout) == timeless(before)


def test_a_replay_needs_neither_knowledge_nor_encoder(invoke, workspace: Path, ticket_file: Path, monkeypatch) -> None:
    before = recorded(invoke, workspace, ticket_file)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a replay asked the world")

    monkeypatch.setattr("deskhand_memory.Knowledge.search", refuse)
    monkeypatch.setattr("deskhand_memory.MiniLmEncoder.load", refuse)
    again = invoke("runs", "replay", json.loads(before)["run_id"], "--json", "--workspace", workspace)
    assert timeless(again.stdout) == timeless(before)


def test_a_decided_run_replays_with_its_decisions(invoke, workspace: Path, ticket_file: Path) -> None:
    run_id = json.loads(recorded(invoke, workspace, ticket_file))["run_id"]
    invoke("review", "retry", run_id, "-i", "mention the label", "--workspace", workspace)
    invoke("review", "edit", run_id, "--text", "Write to ann@example.com", "--workspace", workspace)
    again = invoke("runs", "replay", run_id, "--json", "--workspace", workspace)
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["draft"]["text"] == "Write to ann@example.com"


def test_recordings_hold_no_personal_data(invoke, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    text = "Can ann@example.com return it? My phone is +49 30 1234567, my card 4111 1111 1111 1111."
    path.write_text(build_ticket(text).model_dump_json())
    recorded(invoke, workspace, path)
    (file,) = (workspace / ".deskhand" / "recordings").glob("*.jsonl")
    kept = file.read_text()
    assert "[EMAIL] return it?" in kept
    for secret in ("ann@example.com", "1234567", "4111"):
        assert secret not in kept


def test_another_ticket_on_a_recording_is_a_miss(invoke, workspace: Path, ticket_file: Path, tmp_path: Path) -> None:
    run_id = json.loads(recorded(invoke, workspace, ticket_file))["run_id"]
    other = tmp_path / "other.json"
    other.write_text(build_ticket("Something else").model_dump_json())
    file = workspace / ".deskhand" / "recordings" / f"{run_id}.jsonl"
    done = invoke("run", "--ticket", other, "--json", "--workspace", workspace, "--replay", file)
    assert done.exit_code == 1
    assert "another ticket" in done.stderr


def test_changed_settings_are_a_miss_that_shows_the_difference(invoke, workspace: Path, ticket_file: Path) -> None:
    run_id = json.loads(recorded(invoke, workspace, ticket_file))["run_id"]
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text() + "\n[memory]\ntop_k = 2\n")
    done = invoke("runs", "replay", run_id, "--json", "--workspace", workspace)
    assert done.exit_code == 1
    assert '"top_k": 2' in done.stderr


def test_a_run_without_recording_says_how_to_make_one(invoke, workspace: Path, ticket_file: Path) -> None:
    done = invoke("run", "--ticket", ticket_file, "--json", "--workspace", workspace)
    again = invoke("runs", "replay", json.loads(done.stdout)["run_id"], "--workspace", workspace)
    assert (again.exit_code, "--record" in again.stderr) == (2, True)
