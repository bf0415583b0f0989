"""``deskhand restore``: a workspace's state back from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, progress, say


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("restore")(restore)


def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file of 'deskhand backup'.")],
    force: Annotated[
        bool, typer.Option("--force", envvar="DESKHAND_FORCE", help="Replace a state that is not empty.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a backup wholly and put it in place; the state before it is moved aside, not deleted.

    Example: deskhand restore /mnt/backups/monday.tar.gz --force
    """
    from deskhand.clock import SystemClock
    from deskhand_runs import put_back

    folder = find_folder(ctx, workspace)
    with progress("restoring") as report:
        restored = put_back(folder, file, SystemClock().now(), force=force, progress=report)
    if as_json:
        print_json(restored.model_dump(mode="json", exclude={"members"}) | {"n_members": len(restored.members)})
    else:
        typer.echo(f"restored the state of {restored.at:%Y-%m-%d %H:%M %Z}: {len(restored.members)} files")
    if restored.moved_to:
        say(f"note: the state before is in {restored.moved_to}; delete it when all is well")
    if restored.is_paused:
        say(
            "note: write-back is paused: approved replies of then may have been sent since."
            " Look at their tickets, then 'deskhand resume'"
        )
