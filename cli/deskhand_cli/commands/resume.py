"""``deskhand resume``: writing back goes on."""

from __future__ import annotations

import typer

from deskhand_cli.commands.pause import HelpdeskOption, print_pauses, source_of
from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import say


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("resume")(resume)


def resume(
    ctx: typer.Context, helpdesk: HelpdeskOption = None, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Let writing back to helpdesks go on; without --helpdesk every pause ends.

    Example: deskhand resume
    """
    from deskhand_runs import GuardTables, RunStore, pauses

    folder = find_folder(ctx, workspace)
    with RunStore.open(folder) as store:
        tables = GuardTables(store)
        source = source_of(folder, helpdesk)
        was_paused = pauses.resume(tables, source)
        print_pauses(tables, as_json=as_json)
        still = pauses.pause_of(tables, source)
    if not was_paused:
        say("note: it was not paused")
    if still is not None:
        say("note: everything is still paused; 'deskhand resume' without --helpdesk ends that too")
