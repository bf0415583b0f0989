"""``deskhand digest``: one account of many tickets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from deskhand_agents.themes import Theme


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("digest")(digest)


def digest(
    ctx: typer.Context,
    ticket: Annotated[
        str, typer.Option("--ticket", "-t", envvar="DESKHAND_TICKET", help="A folder, a JSONL file, a JSON file, or -.")
    ] = "",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what many tickets are about: themes, counts, telling words, examples.

    Example: deskhand digest --ticket tickets/incoming
    """
    from deskhand.context import RunContext
    from deskhand.errors import InputError
    from deskhand.ids import RandomIds
    from deskhand_cli.session import bring_up_to_date
    from deskhand_graphs import Workspace
    from deskhand_graphs.digest import digest_tickets
    from deskhand_helpdesks import load_tickets

    folder = find_folder(ctx, workspace)
    loaded = list(load_tickets(ticket or str(folder.incoming)))
    for entry in loaded:
        if entry.error is not None:
            say(f"error: {entry.error}")
    tickets = tuple(entry.ticket for entry in loaded if entry.ticket is not None)
    if not tickets:
        raise InputError("no tickets to digest; name a folder or file with --ticket")
    with Workspace.open(folder) as opened:
        bring_up_to_date(opened)
        found = asyncio.run(digest_tickets(opened, tickets, RunContext(RandomIds().new("digest"))))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_table(("theme", "tickets", "telling words", "examples", "the surest one begins"), map(_row, found.themes))
    if len(tickets) < len(loaded):
        raise typer.Exit(1)


def _row(theme: Theme) -> tuple[object, ...]:
    count = f"{theme.count} ({theme.share:.0%})" + (f", {theme.n_urgent} urgent" if theme.n_urgent else "")
    return (theme.category or "-", count, ", ".join(theme.terms), ", ".join(theme.examples), theme.quote)
