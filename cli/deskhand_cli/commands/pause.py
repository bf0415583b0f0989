"""``deskhand pause``: nothing is written back to helpdesks, in any process, from the next effect on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand_runs import GuardTables

HelpdeskOption = Annotated[
    str | None,
    typer.Option("--helpdesk", envvar="DESKHAND_HELPDESK", help="Only this helpdesk; all when left out."),
]
ByOption = Annotated[
    str | None, typer.Option("--by", envvar="DESKHAND_REVIEWER", help="Who says so; your login name when left out.")
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("pause")(pause)


def pause(
    ctx: typer.Context,
    helpdesk: HelpdeskOption = None,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop writing back to helpdesks; tickets are still taken in and drafted, and what is approved waits.

    Example: deskhand pause --helpdesk mail
    """
    import getpass

    from deskhand.clock import SystemClock
    from deskhand_runs import GuardTables, RunStore, pauses

    folder = find_folder(ctx, workspace)
    source = source_of(folder, helpdesk)
    with RunStore.open(folder) as store:
        tables = GuardTables(store)
        is_new = pauses.pause(tables, source, by or getpass.getuser(), SystemClock().now())
        print_pauses(tables, as_json=as_json)
    if not is_new:
        say("note: it was paused already")
    say("next: 'deskhand resume' lets it go on")


def source_of(folder: WorkspaceFolder, helpdesk: str | None) -> str:
    """Return the source that a person means. Raises InputError for a helpdesk that nobody has configured."""
    from deskhand.errors import InputError
    from deskhand_runs import pauses

    if helpdesk is None:
        return pauses.EVERYWHERE
    known = sorted({*folder.config.helpdesks, "file"})
    if helpdesk not in known:
        raise InputError(f"--helpdesk: {helpdesk!r} is not configured; one of {', '.join(known)}")
    return helpdesk


def print_pauses(tables: GuardTables, *, as_json: bool) -> None:
    """Print what is paused now."""
    from deskhand_runs import pauses

    stopped = pauses.pauses(tables)
    n_waiting = len(tables.store.pending_write_back())
    if as_json:
        print_json(
            {
                "paused": [{"helpdesk": p.source or None, "by": p.by, "at": p.at.isoformat()} for p in stopped],
                "waiting": n_waiting,
            }
        )
        return
    for stop in stopped:
        typer.echo(f"paused: {stop.source or 'all helpdesks'}, by {stop.by} at {stop.at:%Y-%m-%d %H:%M %Z}")
    typer.echo(f"{n_waiting} approved {'run waits' if n_waiting == 1 else 'runs wait'} to be written back")
