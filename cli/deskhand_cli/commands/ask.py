"""``deskhand ask``: a question to the knowledge."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, printable, say

if TYPE_CHECKING:
    from deskhand.records import RunResult
    from deskhand_graphs import Workspace


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("ask")(ask)


def ask(
    ctx: typer.Context,
    question: Annotated[str, typer.Argument(help="A question in plain words.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question with sentences of the knowledge and where they stand; exit code 1 when it is not found.

    Example: deskhand ask "How long do I have to return something?"
    """
    from deskhand.errors import InputError
    from deskhand.tickets import MAX_MESSAGE_CHARS
    from deskhand_cli.session import bring_up_to_date
    from deskhand_graphs import Workspace
    from deskhand_graphs.answer import quoted

    if not question.strip() or len(question) > MAX_MESSAGE_CHARS:
        raise InputError("the question is empty or too long; ask something in a few sentences")
    with Workspace.open(find_folder(ctx, workspace)) as opened:
        bring_up_to_date(opened)
        result = asyncio.run(_answer(opened, question))
    found = quoted(result)
    if as_json:
        print_json(
            {"question": question, "found": bool(found), "citations": [c.model_dump(mode="json") for c in found]}
        )
    else:
        for citation in found:
            typer.echo(printable(f"{citation.sentence}  [{citation.passage_id}]"))
    if not found:
        say("not found; ask in other words, or add an article to knowledge/")
        raise typer.Exit(1)


async def _answer(workspace: Workspace, question: str) -> RunResult:
    from deskhand.clock import SystemClock
    from deskhand.context import RunContext
    from deskhand.ids import RandomIds
    from deskhand_graphs import Drive, memory_saver
    from deskhand_graphs.answer import question_ticket

    ctx = RunContext(RandomIds().new("ask"))
    ticket = question_ticket(question, SystemClock().now())
    try:
        return (await Drive(workspace, memory_saver(), "answer")(ctx, ticket, None)).result
    finally:
        await workspace.aclose()
