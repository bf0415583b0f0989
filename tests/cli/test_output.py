from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.testing import build_ticket
from deskhand_cli.output import print_table, printable


def test_escapes_are_not_obeyed_by_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x9b31mc\r\nd\te") == "a?[2Jb?31mc?\nd\te"


def test_help_lists_commands_with_their_whole_first_sentence(invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in ((), ("runs",)):
        assert "..." not in invoke(*arguments, "--help").stdout.split("Commands:")[1]


def test_lines_end_with_their_last_word(invoke, workspace: Path, ticket_file: Path) -> None:
    shown = invoke("run", "--ticket", ticket_file, "--workspace", workspace).stdout
    assert "within 30 days" in shown
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_reasons_are_shown_in_plain_words(invoke, workspace: Path, ticket_file: Path) -> None:
    shown = invoke("run", "--ticket", ticket_file, "--workspace", workspace).stdout
    words = " ".join(shown.split("why a person must look")[1].split())
    assert "uncertified_triage: There are too few labelled tickets" in words


def test_a_ticket_cannot_forge_the_reviewers_screen(invoke, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(build_ticket("How do I return it? \x1b[2J\x1b]0;approved\x07 [bold]Done[/bold]").model_dump_json())
    run_id = invoke("run", "--ticket", path, "--json", "--workspace", workspace).stdout.split('"run_id": "')[1][:22]
    shown = invoke("review", "show", run_id, "--workspace", workspace).output
    assert "\x1b" not in shown
    assert "[bold]Done[/bold]" in shown


def test_narrow_terminals_show_ids_whole_and_do_without_some_columns(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = "run-1m7ze7xvjeppwq35dk"
    for columns, heads in ((60, ["run", "why"]), (109, ["run", "why"]), (110, ["run", "category", "why"])):
        monkeypatch.setenv("COLUMNS", str(columns))
        print_table(
            ("run", "category", "why"), [(run_id, "billing", "word " * 30)], whole=("run",), spare=("category",)
        )
        shown = capsys.readouterr().out
        assert shown.split("\n")[1].split() == heads and run_id in shown
        assert max(map(len, shown.split("\n"))) <= columns
