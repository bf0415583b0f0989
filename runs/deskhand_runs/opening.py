"""Opening the run store, the checkpoints and the executor of a workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from deskhand.clock import Clock, SystemClock
from deskhand.ids import Ids, RandomIds
from deskhand_runs.checkpoints import open_saver
from deskhand_runs.execute import Executor
from deskhand_runs.gates import Gates
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.store import RunStore

if TYPE_CHECKING:
    from deskhand_graphs import Workspace


@asynccontextmanager
async def open_runs(
    workspace: Workspace, *, clock: Clock | None = None, ids: Ids | None = None
) -> AsyncIterator[Executor]:
    """Yield an executor for ``workspace``; its databases are made when they are not there.

    Raises:
        StoreError: A database is damaged, newer than this deskhand, or cannot be written.
    """
    with RunStore.open(workspace.folder) as store:
        workspace.runs = store
        async with open_saver(workspace.folder.state / "checkpoints.db") as saver:
            now = clock or SystemClock()
            gates = Gates(workspace, GuardTables(store), now)
            yield Executor(workspace, store, saver, now, ids or RandomIds(), guard=gates)
