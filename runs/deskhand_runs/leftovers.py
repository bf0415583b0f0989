"""What was left behind: entries without a workflow, decisions nobody took on, and writes that a pause held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Row

from deskhand.clock import Clock
from deskhand.errors import StoreError
from deskhand_runs.doors import adopt_decision
from deskhand_runs.inbox import Inbox, put_back
from deskhand_runs.store import load_in
from deskhand_runs.waking import LOST, enqueue
from deskhand_runs.work import PAUSED
from deskhand_runs.writer import Transaction, Writer

_log = logging.getLogger(__name__)
_TOGETHER = 500

_LOST = f"SELECT seq FROM inbox WHERE {LOST} ORDER BY seq LIMIT {_TOGETHER}"  # noqa: S608 - a text of ours

# Decided, or to be sent, by a command that ended before it had gone on with the run.
_DECIDED = """
    SELECT run_id, COALESCE(ask_id, 'send:' || run_id) AS ask_id FROM runs
    WHERE (write_back = 'open' OR (status = 'parked' AND NOT waits)) AND NOT EXISTS (
        SELECT 1 FROM inbox WHERE inbox.source = runs.source
        AND inbox.delivery_id = 'deskhand:decision:' || COALESCE(runs.ask_id, 'send:' || runs.run_id))
    AND NOT EXISTS (
        SELECT 1 FROM inbox WHERE inbox.source = runs.source AND inbox.ticket_id = runs.ticket_id
        AND inbox.run_id = runs.run_id AND inbox.state IN ('queued', 'held', 'dead'))
    ORDER BY seq LIMIT 500"""

_RESUMED = """
    SELECT seq FROM inbox WHERE state = 'held' AND substr(reason, 1, ?) = ?
    AND NOT EXISTS (SELECT 1 FROM pauses WHERE pauses.source IN ('', inbox.source))
    ORDER BY seq LIMIT 500"""


@dataclass(frozen=True)
class Leftovers:
    """Looks for what nobody works on though somebody should, and puts it into the queue again."""

    writer: Writer
    inbox: Inbox
    clock: Clock

    async def watch(self, every_s: float) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except StoreError as exc:
                _log.error("looking for what was left behind: %s", exc)
            except Exception:  # the edge of one look: a damaged row must not end the looking
                _log.exception("looking for what was left behind failed")
            await asyncio.sleep(every_s)

    async def catch_up(self) -> None:
        """Enqueue every entry that a process left without a workflow: before new ones are, to keep their order."""
        while await self._each(_LOST, (), self._enqueue) == _TOGETHER:
            pass

    async def look(self) -> int:
        """Look once and return how much was found."""
        return (
            await self._each(_LOST, (), self._enqueue)
            + await self._each(_DECIDED, (), self._adopt)
            + (await self._each(_RESUMED, (len(PAUSED), PAUSED), self._put_back))
        )

    async def _each(self, sql: str, parameters: tuple[object, ...], do: Callable[[Transaction, Row], None]) -> int:
        if not await asyncio.to_thread(self.inbox.query, sql, parameters):
            return 0

        def job(tx: Transaction) -> int:
            rows = tx.execute(sql, parameters).fetchall()  # asked again: this time nobody changes it meanwhile
            for row in rows:
                do(tx, row)
            return len(rows)

        return await self.writer.write(job)

    def _enqueue(self, tx: Transaction, row: Row) -> None:
        enqueue(tx, row["seq"])

    def _adopt(self, tx: Transaction, row: Row) -> None:
        run = load_in(tx, row["run_id"])
        by = run.latest_decision.by if run.latest_decision else ""
        adopt_decision(tx, run, row["ask_id"], by, self.clock)

    def _put_back(self, tx: Transaction, row: Row) -> None:
        put_back(tx, row["seq"], self.clock.now(), by_person=False)
        self._enqueue(tx, row)
