"""``deskhand tickets``: who handles a ticket, the bot or a person."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.commands.pause import ByOption
from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from deskhand_runs import GuardTables, Handling

TicketArgument = Annotated[str, typer.Argument(help="The ticket's id.")]
SourceOption = Annotated[
    str | None, typer.Option("--helpdesk", envvar="DESKHAND_HELPDESK", help="Its helpdesk, when there are several.")
]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Take tickets over and give them back.")
    group.command("takeover")(takeover)
    group.command("release")(release)
    group.command("list")(list_tickets)
    app.add_typer(group, name="tickets")


def takeover(
    ctx: typer.Context,
    ticket: TicketArgument,
    helpdesk: SourceOption = None,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a ticket over: no run starts on it and nothing is written to it until it is released.

    Example: deskhand tickets takeover T-17
    """
    _hand(ctx, ticket, helpdesk, by, workspace, is_taken=True, as_json=as_json)


def release(
    ctx: typer.Context,
    ticket: TicketArgument,
    helpdesk: SourceOption = None,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a ticket back to the bot; the customer's next message is answered by a run again.

    Example: deskhand tickets release T-17
    """
    _hand(ctx, ticket, helpdesk, by, workspace, is_taken=False, as_json=as_json)


def list_tickets(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the tickets that people have taken over, the latest first.

    Example: deskhand tickets list
    """
    from deskhand_runs import GuardTables, RunStore, taken_over

    with RunStore.open(find_folder(ctx, workspace)) as store:
        found = taken_over(GuardTables(store))
    if as_json:
        for handling in found:
            print_json(_shown(handling))
    elif found:
        rows = ((f"{h.at:%Y-%m-%d %H:%M}" if h.at else "", h.source, h.ticket_id, h.reason) for h in found)
        print_table(("since", "helpdesk", "ticket", "why"), rows)
    else:
        say("no ticket is taken over; 'deskhand tickets takeover TICKET' takes one")


def _hand(
    ctx: typer.Context,
    ticket_id: str,
    helpdesk: str | None,
    by: str | None,
    workspace: WorkspaceOption,
    *,
    is_taken: bool,
    as_json: bool,
) -> None:
    from deskhand.clock import SystemClock
    from deskhand_cli.commands.pause import source_of
    from deskhand_runs import GuardTables, RunStore, handling_of, release, take_over

    folder, now, who = find_folder(ctx, workspace), SystemClock().now(), by or getpass.getuser()
    with RunStore.open(folder) as store:
        tables = GuardTables(store)
        source = source_of(folder, helpdesk) if helpdesk else _source(tables, ticket_id)
        change = take_over if is_taken else release
        is_changed = change(tables, source, ticket_id, f"{'taken over' if is_taken else 'released'} by {who}", now)
        handling = handling_of(tables, source, ticket_id)
    if as_json:
        print_json(_shown(handling))
    else:
        typer.echo(f"{source} {ticket_id}: handled by {'a person' if handling.who == 'person' else 'the bot'}")
    if not is_changed:
        say("note: nothing changed, it was so already")


def _source(tables: GuardTables, ticket_id: str) -> str:
    """Return the only helpdesk from which a ticket of this id is known. Raises InputError for none or several."""
    from deskhand.errors import InputError
    from deskhand_runs import sources_of

    sources = sources_of(tables, ticket_id)
    if len(sources) != 1:
        known = f"several helpdesks have one ({', '.join(sources)})" if sources else "no run or delivery is known of it"
        raise InputError(f"ticket {ticket_id!r}: {known}; name its helpdesk with --helpdesk")
    return sources[0]


def _shown(handling: Handling) -> dict[str, object]:
    return {
        "helpdesk": handling.source,
        "ticket_id": handling.ticket_id,
        "who": handling.who.value,
        "reason": handling.reason,
        "at": handling.at.isoformat() if handling.at else None,
    }
