"""``deskhand runs``: stored runs."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import one_line, print_json, print_table, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand_runs import Door, InboxEntry

T = TypeVar("T")
RunArgument = Annotated[str, typer.Argument(help="The run's id, or its unique beginning.")]
ShowArgument = Annotated[str, typer.Argument(help="The run's id, or its unique beginning; or an inbox number.")]
NumberArgument = Annotated[int, typer.Argument(min=1, help="The entry's number, from 'deskhand runs list --inbox'.")]
ByOption = Annotated[str | None, typer.Option("--by", envvar="DESKHAND_REVIEWER", help="Who says so; your login name.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at runs and what failed; retry it.")
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("retry")(retry)
    group.command("skip")(skip)
    group.command("cancel")(cancel)
    group.command("replay")(replay)
    app.add_typer(group, name="runs")


def list_runs(
    ctx: typer.Context,
    status: Annotated[
        str | None,
        typer.Option("--status", help="running, parked, done or failed; of the inbox: queued, held, dead ..."),
    ] = None,
    ticket: Annotated[str | None, typer.Option("--ticket", "-t", help="Only of this ticket id.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most rows.")] = 50,
    inbox: Annotated[bool, typer.Option("--inbox", help="What came in, with what failed, instead of runs.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List stored runs, newest first, or with --inbox the deliveries and decisions that led to them.

    Example: deskhand runs list --inbox --status dead
    """
    from deskhand.errors import InputError
    from deskhand.records import RunStatus
    from deskhand_cli.render import record_table
    from deskhand_runs import RunStore

    folder = find_folder(ctx, workspace)
    if inbox:
        _list_inbox(folder, status, ticket, limit, as_json=as_json)
        return
    if status is not None and status not in set(RunStatus):
        raise InputError(f"--status: {status!r}; one of {', '.join(RunStatus)}")
    with RunStore.open(folder) as store:
        records = store.list(status=RunStatus(status) if status else None, ticket_id=ticket, limit=limit)
    if as_json:
        for record in records:
            print_json(record.model_dump(mode="json"))
    elif records:
        record_table(records)
    else:
        say("no runs; start some with 'deskhand run --ticket tickets/incoming'")
    _note_failures(folder)


def _list_inbox(folder: WorkspaceFolder, status: str | None, ticket: str | None, limit: int, *, as_json: bool) -> None:
    from deskhand.errors import InputError
    from deskhand_runs import EntryState, open_inbox

    if status is not None and status not in set(EntryState):
        raise InputError(f"--status: {status!r}; one of {', '.join(EntryState)}")
    with open_inbox(folder) as reading:
        entries = reading.entries(state=status, ticket_id=ticket, limit=limit)
    if as_json:
        for entry in entries:
            print_json(_entry_json(entry))
    elif entries:
        _print_entries(entries)
    else:
        say("nothing came in; 'deskhand serve' takes in webhooks and polls")


def _print_entries(entries: Sequence[InboxEntry]) -> None:
    rows = (
        (entry.seq, entry.lane, "decision" if entry.is_decision else entry.event.kind, entry.state, entry.n_attempts,
         entry.run_id or "-", one_line(entry.reason))
        for entry in entries
    )  # fmt: skip
    print_table(("no.", "ticket", "what", "state", "tries", "run", "why"), rows, whole=("run",), spare=("tries",))


def _entry_json(entry: InboxEntry) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "source": entry.source,
        "delivery_id": entry.delivery_id,
        "ticket_id": entry.ticket_id,
        "kind": "decision" if entry.is_decision else entry.event.kind.value,
        "actor": entry.event.actor,
        "state": entry.state.value,
        "reason": entry.reason,
        "run_id": entry.run_id,
        "graph": entry.graph,
        "n_attempts": entry.n_attempts,
        "received_at": entry.received_at.isoformat(),
        "updated_at": entry.updated_at.isoformat(),
    }


def _note_failures(folder: WorkspaceFolder) -> None:
    """Say what waits for somebody in the inbox; a list of runs does not show it."""
    from deskhand_runs import open_inbox

    with open_inbox(folder) as inbox:
        counts = inbox.counts()
    if counts.n_dead or counts.n_held:
        say(f"note: {counts.n_dead} dead and {counts.n_held} held in the inbox; see 'deskhand runs list --inbox'")


def show(
    ctx: typer.Context, run_id: ShowArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """Show one run in full, with what its models cost, or one entry of the inbox by its number.

    Example: deskhand runs show run-1k2
    """
    from deskhand_cli.render import cost_table, print_run, record_table
    from deskhand_cli.run_costs import costs_of_run
    from deskhand_runs import RunStore, open_inbox

    folder = find_folder(ctx, workspace)
    if run_id.isdigit():
        _show_entry(folder, int(run_id), as_json=as_json)
        return
    with RunStore.open(folder) as store:
        record = store.load(run_id)
    costs = costs_of_run(folder, record)
    if as_json:
        print_json({**record.model_dump(mode="json"), "costs": [asdict(row) for row in costs]})
        return
    record_table([record])
    if record.result:
        print_run(record.result)
    if costs:
        cost_table(costs)
    for decision in record.decisions:
        typer.echo(one_line(f"{decision.at:%Y-%m-%d %H:%M} {decision.by}: {decision.verdict} {decision.instruction}"))
    for receipt in record.receipts:
        typer.echo(one_line(f"{receipt.action_id}: {receipt.status} {receipt.ref} {receipt.detail}"))
    with open_inbox(folder) as inbox:
        entries = inbox.of_run(record.run_id)
    if entries:
        _print_entries(entries)


def _show_entry(folder: WorkspaceFolder, seq: int, *, as_json: bool) -> None:
    from deskhand_runs import open_inbox

    with open_inbox(folder) as inbox:
        entry = inbox.load(seq)
    if as_json:
        print_json(_entry_json(entry))
        return
    for name, value in _entry_json(entry).items():
        typer.echo(one_line(f"{name}: {value}"))


def retry(
    ctx: typer.Context,
    seq: Annotated[int | None, typer.Argument(min=1, help="The entry's number; or --dead for all.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Every dead entry.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a dead entry of the inbox again, or run one that a guard holds.

    Example: deskhand runs retry 17
    """
    from deskhand.errors import InputError

    if (seq is None) != dead:
        raise InputError("give the number of one entry, or --dead; 'deskhand runs list --inbox' has the numbers")

    async def again(door: Door) -> list[InboxEntry]:
        numbers = [entry.seq for entry in door.entries(state="dead", limit=10_000)] if seq is None else [seq]
        return [await door.retry(number) for number in reversed(numbers)]

    _say_entries(_through_door(find_folder(ctx, workspace), again), as_json=as_json)


def skip(
    ctx: typer.Context,
    seq: NumberArgument,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an entry of the inbox up: nothing more is done for it.

    Example: deskhand runs skip 17
    """

    async def give_up(door: Door) -> list[InboxEntry]:
        return [await door.skip(seq, by or getpass.getuser())]

    _say_entries(_through_door(find_folder(ctx, workspace), give_up), as_json=as_json)


def cancel(ctx: typer.Context, run_id: RunArgument, by: ByOption = None, workspace: WorkspaceOption = None) -> None:
    """Stop a run before it does anything more.

    Example: deskhand runs cancel run-1k2
    """

    async def stop(door: Door) -> str:
        return "cancelled" if await door.cancel(run_id, by or getpass.getuser()) else "was over already"

    say(f"{run_id}: {_through_door(find_folder(ctx, workspace), stop)}")


def _through_door(folder: WorkspaceFolder, do: Callable[[Door], Awaitable[T]]) -> T:
    from deskhand_runs import open_client

    async def ask() -> T:
        with open_client(folder) as door:
            done = await do(door)
            if not door.status().owner:
                say("note: no process works on the inbox now; start one with 'deskhand serve'")
            return done

    return asyncio.run(ask())


def _say_entries(entries: Sequence[InboxEntry], *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            print_json(_entry_json(entry))
        else:
            say(f"{entry.seq}: ticket {entry.lane} is {entry.state}")
    if not entries:
        say("nothing is dead")


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
