from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from deskhand_cli.option_groups import spread


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option("--width", min=1, help="How wide.")] = 3
    names: Annotated[list[str] | None, typer.Option("--name", help="Of it.")] = None


@dataclass(frozen=True)
class Wide(Size):
    width: Annotated[int, typer.Option("--width", help="Wider.")] = 9


def draw(ctx: typer.Context, size: Size, other: Annotated[str, typer.Argument(help="What.")] = "box") -> None:
    """Draw it."""
    typer.echo(f"{ctx.info_name} {other} {size}")


def widen(size: Wide) -> None:
    """Draw it wide."""
    typer.echo(size.width)


def _app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)
    for command in (draw, widen):
        app.command(command.__name__)(spread(command))
    return app


def test_the_fields_of_a_group_are_options_and_come_back_as_one_value() -> None:
    plain = CliRunner().invoke(_app(), ["draw"])
    assert plain.stdout == "draw box Size(width=3, names=None)\n"
    given = CliRunner().invoke(_app(), ["draw", "--width", "5", "--name", "a", "--name", "b", "circle"])
    assert given.stdout == "draw circle Size(width=5, names=['a', 'b'])\n"


def test_help_and_limits_are_those_of_the_fields() -> None:
    told = CliRunner().invoke(_app(), ["draw", "--help"]).stdout
    assert all(text in told for text in ("Draw it.", "How wide.", "Of it.", "What."))
    assert CliRunner().invoke(_app(), ["draw", "--width", "0"]).exit_code == 2


def test_a_group_that_builds_on_another_has_its_own_defaults_and_help() -> None:
    assert CliRunner().invoke(_app(), ["widen"]).stdout == "9\n"
    assert "Wider." in CliRunner().invoke(_app(), ["widen", "--help"]).stdout
