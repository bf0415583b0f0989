"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder


@dataclass(frozen=True)
class Globals:
    """What was given before the command."""

    workspace: Path | None = None
    debug: bool = False


WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", envvar="DESKHAND_WORKSPACE", help="The workspace folder; else the one around this folder."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", envvar="DESKHAND_JSON", help="Print JSON, for machines.")]


def find_folder(ctx: typer.Context, workspace: Path | None) -> WorkspaceFolder:
    """Return the workspace that the person means. Raises ConfigError when there is none."""
    from deskhand.config import find_workspace

    before = ctx.obj.workspace if isinstance(ctx.obj, Globals) else None
    return find_workspace(workspace or before)
