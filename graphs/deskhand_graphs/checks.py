"""Checking a workspace's configuration as a whole."""

from __future__ import annotations

from collections.abc import Callable

from deskhand.config import WorkspaceFolder
from deskhand.errors import DeskhandError
from deskhand.jsonio import read_lines
from deskhand_graphs.workspace import Workspace


def check_workspace(folder: WorkspaceFolder) -> list[str]:
    """Return every problem found in the workspace's files, one line each; none when all is right."""
    problems: list[str] = []

    def attempt(part: Callable[[], object]) -> bool:
        try:
            part()
        except DeskhandError as exc:
            problems.append(str(exc))
            return False
        return True

    configured = attempt(lambda: folder.config)
    if attempt(lambda: folder.taxonomy):
        attempt(lambda: problems.extend(_unknown_labels(folder)))
    if configured:
        workspace = Workspace(folder)
        attempt(lambda: workspace.toolbox)
        for name in (folder.config.graphs.default, *folder.config.graphs.own):
            attempt(lambda name=name: workspace.graph(name))  # type: ignore[misc]
    return problems


def _unknown_labels(folder: WorkspaceFolder) -> list[str]:
    if not folder.labelled.exists():
        return []
    known = {None, *(category.id for category in folder.taxonomy.category)}
    return [
        f"{where}: label: {row.get('label')!r} is not a category of taxonomy.toml; add it there or correct the row"
        for where, row in read_lines(folder.labelled)
        if isinstance(row, dict) and row.get("label", "") not in known
    ]
