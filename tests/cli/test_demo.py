from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deskhand.errors import StoreError
from deskhand.testing import build_ticket, build_workspace


def small_example(tmp_path: Path, monkeypatch) -> Path:
    tickets = [build_ticket("How long do I have to return a product?", ticket_id=f"T-{n}") for n in range(3)]
    folder = build_workspace(tmp_path / "example", tickets=tickets)
    monkeypatch.setattr("deskhand_cli.commands.demo.example_folder", lambda: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_demo_ends_with_a_table_and_three_next_commands(invoke, tmp_path: Path, monkeypatch) -> None:
    small_example(tmp_path, monkeypatch)
    done = invoke("demo")
    assert done.exit_code == 0, done.output
    assert "within 30 days" in done.stdout
    assert all(f"T-{n}" in done.stdout for n in range(3))
    assert "3 tickets in" in done.stderr
    run_id = done.stderr.split("review show ")[1].split()[0]
    assert invoke("review", "show", run_id, "--workspace", "deskhand-demo").exit_code == 0


def test_more_tickets_than_fit_on_a_screen_are_counted(invoke, tmp_path: Path, monkeypatch) -> None:
    small_example(tmp_path, monkeypatch)
    monkeypatch.setattr("deskhand_cli.commands.demo._SHOWN_ROWS", 2)
    done = invoke("demo", "elsewhere")
    assert ("T-1" in done.stdout, "T-2" in done.stdout) == (True, False)
    assert "the first 2 are shown" in done.stderr


def test_next_commands_name_deskhand_as_it_was_called(invoke, tmp_path: Path, monkeypatch) -> None:
    small_example(tmp_path, monkeypatch)
    monkeypatch.setattr("deskhand_cli.commands.demo.shutil.which", lambda name: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/deskhand", "demo"])
    assert "next: .venv/bin/deskhand review show run-" in invoke("demo").stderr


def test_a_folder_that_cannot_be_written_is_named(invoke, tmp_path: Path, monkeypatch) -> None:
    small_example(tmp_path, monkeypatch)
    (tmp_path / "file").write_text("in the way")
    done = invoke("demo", "file/demo")
    assert (done.exit_code, "file/demo: cannot be written" in done.stderr) == (1, True)


def test_a_second_demo_starts_afresh(invoke, tmp_path: Path, monkeypatch) -> None:
    small_example(tmp_path, monkeypatch)
    invoke("demo")
    assert "was run before" not in invoke("demo").stderr


def test_a_folder_that_is_no_demo_is_not_overwritten(invoke, tmp_path: Path, monkeypatch) -> None:
    small_example(tmp_path, monkeypatch)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    done = invoke("demo", "precious")
    assert (done.exit_code, "not a demo" in done.stderr) == (2, True)
    assert (tmp_path / "precious" / "thesis.txt").exists()


def test_the_real_example_is_found() -> None:
    from deskhand_cli.commands.demo import example_folder

    assert (example_folder() / "tickets" / "incoming").is_dir()


def test_an_installation_without_the_example_says_so(tmp_path: Path, monkeypatch) -> None:
    from deskhand_cli.commands import demo

    monkeypatch.setattr(demo, "__file__", str(tmp_path / "a" / "b" / "c" / "demo.py"))
    with pytest.raises(StoreError, match="install deskhand again"):
        demo.example_folder()
