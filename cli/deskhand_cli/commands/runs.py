"""``deskhand runs``: stored runs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import one_line, print_json, say

RunArgument = Annotated[str, typer.Argument(help="The run's id, or its unique beginning.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at stored runs and replay them.")
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("replay")(replay)
    app.add_typer(group, name="runs")


def list_runs(
    ctx: typer.Context,
    status: Annotated[str | None, typer.Option("--status", help="running, parked, done or failed.")] = None,
    ticket: Annotated[str | None, typer.Option("--ticket", "-t", help="Only runs of this ticket id.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most rows.")] = 50,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List stored runs, newest first.

    Example: deskhand runs list --status parked
    """
    from deskhand.errors import InputError
    from deskhand.records import RunStatus
    from deskhand_cli.render import record_table
    from deskhand_runs import RunStore

    if status is not None and status not in set(RunStatus):
        raise InputError(f"--status: {status!r}; one of {', '.join(RunStatus)}")
    with RunStore.open(find_folder(ctx, workspace)) as store:
        records = store.list(status=RunStatus(status) if status else None, ticket_id=ticket, limit=limit)
    if as_json:
        for record in records:
            print_json(record.model_dump(mode="json"))
    elif records:
        record_table(records)
    else:
        say("no runs; start some with 'deskhand run --ticket tickets/incoming'")


def show(
    ctx: typer.Context, run_id: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Show one run in full.

    Example: deskhand runs show run-1k2
    """
    from deskhand_cli.render import print_run, record_table
    from deskhand_runs import RunStore

    with RunStore.open(find_folder(ctx, workspace)) as store:
        record = store.load(run_id)
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    record_table([record])
    if record.result:
        print_run(record.result)
    for decision in record.decisions:
        typer.echo(one_line(f"{decision.at:%Y-%m-%d %H:%M} {decision.by}: {decision.verdict} {decision.instruction}"))
    for receipt in record.receipts:
        typer.echo(one_line(f"{receipt.action_id}: {receipt.status} {receipt.ref} {receipt.detail}"))


def replay(
    ctx: typer.Context, run_id: RunArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Run a recorded run again from its recording and compare: exit code 1 when the result differs.

    Example: deskhand runs replay run-1k2 --json
    """
    from deskhand_cli.render import print_run
    from deskhand_graphs import Workspace
    from deskhand_runs import Recordings, RunStore, differences, replay_ticket

    folder = find_folder(ctx, workspace)
    with RunStore.open(folder) as store:
        record = store.load(run_id)
    rows = Recordings.open(folder.recordings).rows_of(record.run_id)
    with Workspace.open(folder) as opened:
        result = asyncio.run(replay_ticket(opened, record.ticket, record.graph, rows, decided=record.decisions))
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        print_run(result)
    changed = differences(record.result, result)
    for line in changed:
        say(line)
    if changed:
        say(f"error: the replay of {record.run_id} differs from what was stored")
        raise typer.Exit(1)
