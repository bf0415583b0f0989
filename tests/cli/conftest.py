from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deskhand.testing import build_ticket
from deskhand_cli.app import app

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run the command line in this process, at 200 columns."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object, given: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)

    return run


@pytest.fixture
def ticket_file(tmp_path: Path) -> Path:
    """A ticket that the test kit's articles answer."""
    path = tmp_path / "ticket.json"
    path.write_text(build_ticket("How long do I have to return a product?").model_dump_json())
    return path
