"""``deskhand backup``: one file with everything that a workspace cannot rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deskhand_cli.options import JsonOption, WorkspaceOption, find_folder
from deskhand_cli.output import print_json, progress


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("backup")(backup)


def backup(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A new .tar.gz in a folder that is there; else .deskhand/backups/, where the oldest are deleted."
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a backup of runs, checkpoints, costs, knowledge, recordings and experiments, also while deskhand works.

    Example: deskhand backup /mnt/backups/monday.tar.gz
    """
    from deskhand.clock import SystemClock
    from deskhand_runs import back_up, default_path, delete_old

    folder, now = find_folder(ctx, workspace), SystemClock().now()
    target = file or default_path(folder, now)
    with progress("backing up") as report:
        manifest = back_up(folder, target, now, progress=report)
    n_deleted = 0 if file else delete_old(folder, folder.config.runs.keep_backups)
    size = target.stat().st_size
    if as_json:
        members = [member.model_dump(mode="json") for member in manifest.members]
        print_json({"file": str(target), "bytes": size, "deleted": n_deleted, "members": members})
    else:
        typer.echo(f"{target}: {size:,} bytes, {len(manifest.members)} files, {n_deleted} old backups deleted")
