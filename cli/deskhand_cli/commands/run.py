"""``deskhand run``: run a graph on tickets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, progress, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand.records import RunResult
    from deskhand.tickets import Ticket


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("run")(run)


@dataclass(frozen=True)
class Plan:
    """What to run and how."""

    graph: str
    again: bool
    record: bool
    replay: Path | None
    concurrency: int


def run(
    ctx: typer.Context,
    graph: Annotated[str | None, typer.Argument(help="The graph; the workspace's default when left out.")] = None,
    ticket: Annotated[
        str, typer.Option("--ticket", "-t", envvar="DESKHAND_TICKET", help="A JSON file, a folder, a JSONL file, or -.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Run tickets anew that were run before.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep a recording of each run, to replay it.")] = False,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Answer every call from this recording, or folder of recordings.")
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=64, help="Tickets at work at once.")] = 4,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a graph on one ticket or many; a ticket that was run before is not run twice.

    Example: deskhand run support --ticket tickets/incoming --json
    """
    from deskhand.errors import InputError
    from deskhand_helpdesks import load_tickets

    folder = find_folder(ctx, workspace)
    if not ticket:
        raise InputError("--ticket: name a ticket, for example --ticket tickets/incoming")
    plan = Plan(graph or folder.config.graphs.default, again, record, replay, concurrency)
    loaded = list(load_tickets(ticket))
    bad = [entry.error for entry in loaded if entry.error is not None]
    if bad and len(loaded) == 1:
        raise bad[0]
    for error in bad:
        say(f"error: {error}")
    tickets = [entry.ticket for entry in loaded if entry.ticket is not None]
    failed = asyncio.run(run_all(folder, tickets, plan, Printer(as_json=as_json, n_tickets=len(loaded))))
    if bad or failed:
        raise typer.Exit(1)


class Taker(Protocol):
    """Takes results, one by one in the order of the tickets, and all of them at the end."""

    def __call__(self, result: RunResult) -> None:
        """Take one result."""
        ...

    def finish(self, results: Sequence[RunResult]) -> None:
        """Take all results."""
        ...


@dataclass
class Printer:
    """Prints results in the order of the tickets: at once as JSON Lines, or as a table at the end."""

    as_json: bool
    n_tickets: int

    def __call__(self, result: RunResult) -> None:
        """Take one result."""
        if self.as_json:
            print_json(result.model_dump(mode="json"))

    def finish(self, results: Sequence[RunResult]) -> None:
        """Print what is read best as a whole."""
        from deskhand_cli.render import print_run, run_table

        if self.as_json or not results:
            return
        if self.n_tickets == 1:
            print_run(results[0])
        else:
            run_table(results)
        if any(result.needs_human for result in results):
            say("next: deskhand review")


async def run_all(folder: WorkspaceFolder, tickets: Sequence[Ticket], plan: Plan, printer: Taker) -> int:
    """Run every ticket, print the results in order, and return how many failed."""
    runner = replay_all if plan.replay is not None else execute_all
    with progress("tickets", quiet=len(tickets) < 2) as report:
        report(0, len(tickets))
        results = await runner(folder, tickets, plan, InOrder(printer, report, len(tickets)))
    finished = [result for result in results if result is not None]
    printer.finish(finished)
    return len(results) - len(finished)


@dataclass
class InOrder:
    """Passes results on in the order of the tickets, as soon as all before them are there."""

    take: Callable[[RunResult], None]
    report: Callable[[int, int], None]
    total: int

    def __post_init__(self) -> None:
        self._waiting: dict[int, RunResult | None] = {}
        self._next = 0
        self._n_done = 0

    def __call__(self, number: int, result: RunResult | None) -> None:
        """Take the result of ticket ``number``; None when it failed."""
        self._waiting[number] = result
        self._n_done += 1
        self.report(self._n_done, self.total)
        while self._next in self._waiting:
            ready = self._waiting.pop(self._next)
            self._next += 1
            if ready is not None:
                self.take(ready)


async def execute_all(
    folder: WorkspaceFolder, tickets: Sequence[Ticket], plan: Plan, done: InOrder
) -> list[RunResult | None]:
    """Run every ticket for real, ``plan.concurrency`` at once; one that fails does not stop the others."""
    from deskhand.errors import DeskhandError
    from deskhand_cli.session import open_executor

    gate = asyncio.Semaphore(plan.concurrency)
    async with open_executor(folder) as executor:
        executor.workspace.graph(plan.graph)

        async def one(number: int, ticket: Ticket) -> RunResult | None:
            async with gate:
                try:
                    ran = await executor.run_ticket(ticket, plan.graph, again=plan.again, record=plan.record)
                except DeskhandError as exc:
                    if len(tickets) == 1:
                        raise
                    say(f"error: ticket {ticket.id}: {exc}")
                    done(number, None)
                    return None
            if not ran.is_new:
                say(f"note: ticket {ticket.id} was run before ({ran.result.run_id}); --again runs it anew")
            done(number, ran.result)
            return ran.result

        return list(await asyncio.gather(*(one(number, ticket) for number, ticket in enumerate(tickets))))


async def replay_all(
    folder: WorkspaceFolder, tickets: Sequence[Ticket], plan: Plan, done: InOrder
) -> list[RunResult | None]:
    """Replay every ticket from its recording; the first miss stops, since nothing after it can be trusted."""
    from deskhand.libraries import loaded_for_good
    from deskhand_graphs import Workspace
    from deskhand_runs import Recordings, replay_ticket

    recordings = Recordings.open(plan.replay or folder.recordings)
    results: list[RunResult | None] = []
    with Workspace.open(folder) as workspace, loaded_for_good():
        for number, ticket in enumerate(tickets):
            rows = recordings.rows_for(ticket, plan.graph)
            result = await replay_ticket(workspace, ticket, plan.graph, rows)
            done(number, result)
            results.append(result)
    return results
