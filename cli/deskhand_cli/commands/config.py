"""``deskhand config check``: is everything in the workspace well-formed?"""

from __future__ import annotations

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check the configuration.")
    group.command("check")(check)
    app.add_typer(group, name="config")


def check(ctx: typer.Context, workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Read every configuration file and say what is wrong.

    Example: deskhand config check
    """
    from deskhand_graphs import check_workspace

    folder = find_folder(ctx, workspace)
    problems = check_workspace(folder)
    if as_json:
        print_json({"workspace": str(folder.root), "problems": problems})
    else:
        for problem in problems:
            typer.echo(problem)
        if not problems:
            typer.echo(f"{folder.root}: the configuration is right")
    if problems:
        raise typer.Exit(2)
