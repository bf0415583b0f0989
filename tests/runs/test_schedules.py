from datetime import UTC, datetime, timedelta

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.testing import DEFAULT_CONFIG, build_ticket, build_workspace, until
from deskhand_graphs import Workspace
from deskhand_runs import GuardTables
from deskhand_runs.engine import open_engine
from deskhand_runs.jobs import last_run
from deskhand_runs.schedules import NAME, DbosWorkflows, build_cron

CONFIG = f"""{DEFAULT_CONFIG}
[helpdesks.box]
kind = "folder"
poll_every_s = 1
"""
JOBS = ("poll:box", "knowledge", "retention", "backup")


@pytest.mark.parametrize(
    ("every_s", "cron"),
    [(0.1, "*/1 * * * * *"), (1, "*/1 * * * * *"), (7, "*/6 * * * * *"), (45, "*/30 * * * * *"), (60, "0 * * * * *"),
     (600, "0 * * * * *")],
)  # fmt: skip
def test_beats_divide_a_minute(every_s, cron):
    assert build_cron(every_s) == cron


async def test_the_engine_runs_the_jobs_and_forgets_its_ended_workflows(tmp_path):
    root = build_workspace(tmp_path / "workspace", config=CONFIG, tickets=[build_ticket()])
    with Workspace.open(WorkspaceFolder(root)) as workspace:
        async with open_engine(workspace, jobs=True) as engine:
            tables = GuardTables(engine.store)
            await until(lambda: all(last_run(tables, name) for name in JOBS))
            assert [name for name in JOBS if not last_run(tables, name).is_ok] == []
            assert [entry.ticket_id for entry in engine.entries()] == ["T-1"], "polled into the inbox"
            await until(engine.store.list)
            assert await engine.wait_idle(60)
            workflows = DbosWorkflows()
            assert await workflows.delete_ended(datetime.now(UTC) - timedelta(days=1), 100) == 0
            assert await workflows.delete_ended(datetime.now(UTC), 1) == 1
            assert await workflows.delete_ended(datetime.now(UTC), 100) > 0
        async with open_engine(workspace) as engine:
            tables = GuardTables(engine.store)
            before = last_run(tables, "poll:box")
            n_before = _n_beats(tables)
            await until(lambda: _n_beats(tables) > n_before + 1)
            assert last_run(tables, "poll:box") == before, "who does not start the jobs lets the beats pass"


def _n_beats(tables):
    with tables.reading() as connection:
        sql = "SELECT COUNT(*) FROM workflow_status WHERE name = ? AND status = 'SUCCESS'"
        return connection.execute(sql, (NAME,)).fetchone()[0]
