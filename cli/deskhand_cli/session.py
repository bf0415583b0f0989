"""What commands that run tickets open and close."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from deskhand_cli.output import progress, say

if TYPE_CHECKING:
    from deskhand.config import WorkspaceFolder
    from deskhand_graphs import Workspace
    from deskhand_runs import Executor


@asynccontextmanager
async def open_executor(folder: WorkspaceFolder) -> AsyncIterator[Executor]:
    """Yield an executor on the workspace, with its knowledge and examples up to date."""
    from deskhand.libraries import loaded_for_good
    from deskhand_graphs import Workspace
    from deskhand_runs import is_owned, open_runs

    with Workspace.open(folder) as workspace:
        bring_up_to_date(workspace)
        async with open_runs(workspace) as executor:
            n_finished = 0 if is_owned(folder) else await executor.finish_pending()
            if n_finished:
                say(f"note: wrote back {n_finished} approved before and not finished")
            try:
                with loaded_for_good():
                    yield executor
            finally:
                await workspace.aclose()


def bring_up_to_date(workspace: Workspace) -> None:
    """Read new or changed articles and labelled tickets; say so when there is nothing to answer from."""
    if workspace.knowledge.is_stale():
        with progress("reading knowledge") as report:
            workspace.knowledge.ingest(progress=report)
    with progress("learning from labelled tickets") as report:
        workspace.learn(report)
    if workspace.knowledge.n_articles == 0:
        say(
            f"note: no articles in {workspace.folder.knowledge}; drafts cannot quote anything, add Markdown files there"
        )
