"""The entry point: Ctrl-C while the application is still being imported."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from deskhand_cli.interrupt import is_interrupt
from deskhand_cli.main import main


class _Interrupted(ModuleType):
    """A module whose import is cut off, with the error that stands for it."""

    def __init__(self, exc: BaseException) -> None:
        super().__init__("deskhand_cli.app")
        self._exc = exc

    def __getattr__(self, name: str) -> object:
        raise self._exc


def _wrapped() -> RuntimeError:
    exc = RuntimeError("Error calling __set_name__")
    exc.__cause__ = KeyboardInterrupt()
    return exc


@pytest.mark.parametrize("exc", [KeyboardInterrupt(), _wrapped()])
def test_an_interrupted_import_is_one_line(exc: BaseException, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "deskhand_cli.app", _Interrupted(exc))
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
    assert capsys.readouterr().err == "interrupted; nothing is lost, run the same command again to go on\n"


def test_another_error_of_an_import_is_not_hidden(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "deskhand_cli.app", _Interrupted(OSError("broken")))
    with pytest.raises(OSError, match="broken"):
        main()
    assert not is_interrupt(None)


def test_an_interrupt_before_the_command_begins_is_said_too(invoke, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.core.TyperGroup.make_context", interrupt)
    done = invoke("--help")
    assert (done.exit_code, "same command again" in done.stderr) == (130, True)
