from __future__ import annotations

from pathlib import Path

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
