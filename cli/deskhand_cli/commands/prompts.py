"""``deskhand prompts``: the prompts in use, and their earlier versions."""

from __future__ import annotations

from typing import Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, print_table, printable, say

NameArgument = Annotated[str, typer.Argument(help="The prompt's name.")]
VersionArgument = Annotated[str, typer.Argument(help="A version's hash, or its first four characters or more.")]


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Look at prompts and go back to earlier ones."
    )
    group.command("list")(list_all)
    group.command("diff")(diff)
    group.command("rollback")(rollback)
    app.add_typer(group, name="prompts")


def list_all(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the prompts, whether they are built in or of the workspace, and their kept versions.

    Example: deskhand prompts list
    """
    from deskhand_agents.prompt_files import list_prompts

    found = list_prompts(find_folder(ctx, workspace))
    if as_json:
        for entry in found:
            prompt = entry.prompt
            print_json({"name": prompt.name, "tier": prompt.tier, "origin": prompt.origin, "versions": entry.versions})
        return
    rows = [(e.prompt.name, e.prompt.tier, e.prompt.origin, e.prompt.hash, len(e.versions)) for e in found]
    print_table(("prompt", "tier", "from", "version in use", "versions kept"), rows)


def diff(ctx: typer.Context, name: NameArgument, version: VersionArgument, workspace: WorkspaceOption = None) -> None:
    """Show what changed from an earlier version to the one in use.

    Example: deskhand prompts diff draft 3f2a
    """
    from deskhand_agents.prompt_files import diff_prompt

    text = diff_prompt(find_folder(ctx, workspace), name, version)
    typer.echo(printable(text) or "nothing changed")


def rollback(
    ctx: typer.Context, name: NameArgument, version: VersionArgument, workspace: WorkspaceOption = None
) -> None:
    """Use an earlier version again; the present one stays kept.

    Example: deskhand prompts rollback draft 3f2a
    """
    from deskhand_agents.prompt_files import rollback_prompt

    prompt = rollback_prompt(find_folder(ctx, workspace), name, version)
    say(f"{name}: version {prompt.hash} is in use")
