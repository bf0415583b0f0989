from __future__ import annotations

from pathlib import Path

from deskhand.testing import build_ticket
from deskhand_cli.output import printable


def test_escapes_are_not_obeyed_by_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x9b31mc\r\nd\te") == "a?[2Jb?31mc?\nd\te"


def test_a_ticket_cannot_forge_the_reviewers_screen(invoke, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(build_ticket("How do I return it? \x1b[2J\x1b]0;approved\x07 [bold]Done[/bold]").model_dump_json())
    run_id = invoke("run", "--ticket", path, "--json", "--workspace", workspace).stdout.split('"run_id": "')[1][:22]
    shown = invoke("review", "show", run_id, "--workspace", workspace).output
    assert "\x1b" not in shown
    assert "[bold]Done[/bold]" in shown
