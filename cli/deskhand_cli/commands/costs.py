"""``deskhand costs``: what models cost."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, say

Group = Literal["day", "run", "ticket", "agent", "model"]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("costs")(costs)


def costs(
    ctx: typer.Context,
    by: Annotated[Group, typer.Option("--by", help="What a row stands for.")] = "day",
    since: Annotated[str, typer.Option("--since", help="The first day, such as 2026-11-20.")] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was spent on models, and what is reserved and not yet settled.

    Example: deskhand costs --by agent
    """
    from dataclasses import asdict

    from deskhand_models import Ledger

    folder = find_folder(ctx, workspace)
    ledger = Ledger(folder.ledger)
    try:
        rows = ledger.costs(by, since=since)
    finally:
        ledger.close()
    if as_json:
        for row in rows:
            print_json(asdict(row))
    elif rows:
        columns = (by, "attempts", "answers", "tokens in", "tokens out", "USD", "of it open")
        print_table(columns, (_cells(row) for row in map(asdict, rows)))
        total, cap = sum(row.cost_usd for row in rows), folder.config.models.budget.day_usd
        say(f"in all: USD {total:.6f}; at most USD {cap:g} a day")
    else:
        say("nothing was spent on models")


def _cells(row: dict[str, object]) -> tuple[object, ...]:
    *counts, cost, still_open = row.values()
    return (*counts, f"{cost:.6f}", f"{still_open:.6f}")
