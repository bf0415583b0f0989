from __future__ import annotations

import json
import shutil
from pathlib import Path


def test_backup_and_restore_bring_the_runs_back(invoke, workspace: Path, ticket_file: Path, tmp_path: Path) -> None:
    at = ("--workspace", workspace)
    invoke("run", "--ticket", ticket_file, *at)
    before = invoke("runs", "list", "--json", *at).stdout
    target = tmp_path / "monday.tar.gz"
    made = json.loads(invoke("backup", target, "--json", *at).stdout)
    assert made["file"] == str(target)
    assert {"runs.db", "checkpoints.db", "knowledge.db"} <= {member["name"] for member in made["members"]}
    assert made["bytes"] == target.stat().st_size
    refused = invoke("restore", target, *at)
    assert (refused.exit_code, "--force" in refused.stderr) == (1, True)
    replaced = invoke("restore", target, "--force", *at)
    assert replaced.exit_code == 0, replaced.output
    assert "the state before is in" in replaced.stderr
    shutil.rmtree(workspace / ".deskhand")
    restored = json.loads(invoke("restore", target, "--json", *at).stdout)
    assert (restored["moved_to"], restored["is_paused"], restored["n_members"]) == (None, False, len(made["members"]))
    assert invoke("runs", "list", "--json", *at).stdout == before
    assert json.loads(invoke("run", "--ticket", ticket_file, "--json", *at).stdout)["run_id"] in before


def test_backups_without_a_name_are_kept_up_to_the_limit(invoke, workspace: Path, ticket_file: Path) -> None:
    config = workspace / "deskhand.toml"
    config.write_text(config.read_text() + "\n[runs]\nkeep_backups = 1\n")
    at = ("--workspace", workspace)
    invoke("run", "--ticket", ticket_file, *at)
    folder = workspace / ".deskhand" / "backups"
    folder.mkdir()
    (folder / "deskhand-20200101-000000.tar.gz").write_text("an old one")
    done = invoke("backup", *at)
    assert done.exit_code == 0, done.output
    assert "1 old backups deleted" in done.stdout
    assert [path.name > "deskhand-2026" for path in folder.iterdir()] == [True]


def test_a_damaged_backup_is_one_line_and_exit_code_two(invoke, workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tar.gz").write_bytes(b"no archive")
    done = invoke("restore", tmp_path / "bad.tar.gz", "--workspace", workspace)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (workspace / ".deskhand").exists()


def test_a_folder_that_is_not_there_is_not_made(invoke, workspace: Path, ticket_file: Path, tmp_path: Path) -> None:
    at = ("--workspace", workspace)
    invoke("run", "--ticket", ticket_file, *at)
    done = invoke("backup", tmp_path / "mtn" / "monday.tar.gz", "--json", *at)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{tmp_path / 'mtn'}: no such folder; make it" in done.stderr
    assert not (tmp_path / "mtn").exists()


def test_json_names_the_file_that_nobody_named(invoke, workspace: Path, ticket_file: Path) -> None:
    at = ("--workspace", workspace)
    invoke("run", "--ticket", ticket_file, *at)
    made = json.loads(invoke("backup", "--json", *at).stdout)
    assert Path(made["file"]).parent == workspace / ".deskhand" / "backups"
    assert Path(made["file"]).stat().st_size == made["bytes"]
