"""``deskhand review``: what waits for a person, and what the person says."""

from __future__ import annotations

import asyncio
import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from deskhand.actions import Decision
    from deskhand.config import WorkspaceFolder
    from deskhand.records import RunRecord

RunArgument = Annotated[str, typer.Argument(help="The run's id, or its unique beginning.")]
ByOption = Annotated[str | None, typer.Option("--by", envvar="DESKHAND_REVIEWER", help="Who decides; your login name.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(rich_markup_mode=None, help="Decide on what waits for a person.")
    group.callback(invoke_without_command=True)(waiting)
    group.command("list")(list_waiting)
    group.command("show")(show)
    group.command("approve")(approve)
    group.command("edit")(edit)
    group.command("reject")(reject)
    group.command("retry")(retry)
    app.add_typer(group, name="review")


def waiting(ctx: typer.Context, workspace: WorkspaceOption = None) -> None:
    """List what waits, or decide on it.

    Example: deskhand review approve run-1k2
    """
    if ctx.invoked_subcommand is None:
        list_waiting(ctx, workspace)


def list_waiting(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the runs that wait for a person, newest first.

    Example: deskhand review list --json
    """
    from deskhand.records import RunStatus
    from deskhand_runs import RunStore

    with RunStore.open(find_folder(ctx, workspace)) as store:
        records = [record for record in store.list(status=RunStatus.parked, limit=200) if record.waits]
    if as_json:
        for record in records:
            print_json(record.model_dump(mode="json"))
        return
    if not records:
        say("nothing waits for a person")
        return
    columns = ("run", "ticket", "category", "draft", "why")
    print_table(columns, map(_waiting_row, records), whole=("run",), spare=("category",))
    say(f"next: deskhand review show {records[0].run_id}")


def _waiting_row(record: RunRecord) -> tuple[object, ...]:
    result = record.result
    category = (result.triage.category if result and result.triage else None) or "-"
    draft = f"{len(result.draft.citations)} cited" if result and result.draft else "none"
    reasons = record.review.reasons if record.review else ()
    return (record.run_id, record.ticket.id, category, draft, ", ".join(dict.fromkeys(r.code for r in reasons)))


def show(ctx: typer.Context, run_id: RunArgument, workspace: WorkspaceOption = None) -> None:
    """Show the thread, and the draft with the passages that it quotes.

    Example: deskhand review show run-1k2
    """
    from deskhand_cli.render import print_run, section
    from deskhand_runs import RunStore

    with RunStore.open(find_folder(ctx, workspace)) as store:
        record = store.load(run_id)
    if record.ticket.subject:
        section("subject", record.ticket.subject)
    for message in record.ticket.messages:
        section(f"{message.author} ({message.role}, {message.at:%Y-%m-%d %H:%M})", message.text)
    if record.result:
        print_run(record.result)
    if record.waits:
        say(f"next: deskhand review approve {record.run_id}   (or edit, reject, retry)")


def approve(
    ctx: typer.Context,
    run_id: RunArgument,
    action: Annotated[list[str] | None, typer.Option("--action", help="Approve only this action; repeat it.")] = None,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send the draft as it is.

    Example: deskhand review approve run-1k2
    """
    wish = Wish("approve", by, action_ids=tuple(action) if action else None)
    _decide(find_folder(ctx, workspace), run_id, wish, as_json=as_json)


def edit(
    ctx: typer.Context,
    run_id: RunArgument,
    text: Annotated[str | None, typer.Option("--text", help="The reply to send instead.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A file with the reply to send instead.")] = None,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the draft (in your editor, when no text is given) and send it.

    Example: deskhand review edit run-1k2 --file reply.txt
    """
    from deskhand.errors import InputError
    from deskhand.jsonio import read_text

    if text is not None and file is not None:
        raise InputError("--text and --file: give one of them")
    folder = find_folder(ctx, workspace)
    reply = read_text(file) if file is not None else text
    if reply is None:
        reply = _from_editor(folder, run_id)
    if not reply.strip():
        raise InputError("the reply is empty; nothing was sent, use 'deskhand review reject' to send nothing")
    _decide(folder, run_id, Wish("edit", by, text=reply.strip()), as_json=as_json)


def _from_editor(folder: WorkspaceFolder, run_id: str) -> str:
    import click

    from deskhand.errors import InputError
    from deskhand_runs import RunStore

    with RunStore.open(folder) as store:
        review = store.load(run_id).review
    try:
        after = click.edit(review.draft.text if review and review.draft else "", extension=".txt")
    except (click.ClickException, ValueError, OSError) as exc:
        raise InputError(f"the editor in EDITOR does not start ({exc}); correct it, or give --text or --file") from exc
    if after is None:
        raise InputError("nothing was saved in the editor; nothing was sent, use 'approve' to send the draft as it is")
    return after


def reject(
    ctx: typer.Context,
    run_id: RunArgument,
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send nothing; a person takes the ticket over.

    Example: deskhand review reject run-1k2
    """
    _decide(find_folder(ctx, workspace), run_id, Wish("reject", by), as_json=as_json)


def retry(
    ctx: typer.Context,
    run_id: RunArgument,
    instruction: Annotated[str, typer.Option("--instruction", "-i", help="What to do differently.")] = "",
    by: ByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for another draft.

    Example: deskhand review retry run-1k2 --instruction "mention the free return label"
    """
    _decide(find_folder(ctx, workspace), run_id, Wish("retry", by, instruction=instruction), as_json=as_json)


@dataclass(frozen=True)
class Wish:
    """What the person wants, before it is known which question it answers."""

    verdict: str
    by: str | None
    text: str | None = None
    action_ids: tuple[str, ...] | None = None
    instruction: str = ""

    def on(self, record: RunRecord) -> Decision:
        """Return the wish as an answer to the record's question. Raises InputError when there is none."""
        from deskhand.actions import Decision, Verdict
        from deskhand.clock import SystemClock
        from deskhand.errors import InputError

        if record.review is None or record.status != "parked":
            raise InputError(f"{record.run_id}: is {record.status}, it waits for nobody; see 'deskhand review'")
        return Decision(
            ask_id=record.review.ask_id,
            verdict=Verdict(self.verdict),
            text=self.text,
            action_ids=self.action_ids,
            instruction=self.instruction,
            by=self.by or getpass.getuser(),
            at=SystemClock().now(),
        )


def _decide(folder: WorkspaceFolder, run_id: str, wish: Wish, *, as_json: bool) -> None:
    record = asyncio.run(_take_in(folder, run_id, wish))
    if as_json:
        print_json(record.model_dump(mode="json"))
        return
    say(f"{record.run_id}: {wish.verdict} taken in; the run is {record.status}")
    for receipt in record.receipts:
        say(f"{receipt.action_id}: {receipt.status} {receipt.ref} {receipt.detail}".rstrip())


async def _take_in(folder: WorkspaceFolder, run_id: str, wish: Wish) -> RunRecord:
    from deskhand_cli.session import open_executor
    from deskhand_runs import RunStore, is_owned, open_client

    with RunStore.open(folder) as store:  # a wrong id is said at once, before knowledge is read
        run = store.load(run_id)
    decision = wish.on(run)
    if is_owned(folder):
        with open_client(folder) as door:
            say("note: a service is running here; it goes on with the run")
            return await door.decide(run.run_id, decision)
    async with open_executor(folder) as executor:
        return await executor.decide(run.run_id, decision)
