"""What the engine asks its guards: may this event be run, and may this write still be made."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from deskhand.actions import Action, Receipt, ReceiptStatus
from deskhand.clock import Clock
from deskhand.helpdesk_settings import HelpdeskBase
from deskhand.records import RunRecord
from deskhand.tickets import Event, Ticket
from deskhand_runs.guard_tables import GuardTables
from deskhand_runs.guards import Judgement, judge_event
from deskhand_runs.handling import reason_to_give_up
from deskhand_runs.limits import Later, Paused, WriteLimit
from deskhand_runs.own_writes import remember
from deskhand_runs.pauses import pause_of
from deskhand_runs.rows import to_text
from deskhand_tools import REPLY

if TYPE_CHECKING:
    from deskhand_graphs import Workspace

_DONE = (ReceiptStatus.done, ReceiptStatus.already)


@dataclass
class Gates:
    """The guards of one workspace, as the engine and write-back ask them."""

    workspace: Workspace
    tables: GuardTables
    clock: Clock
    limit: WriteLimit = field(init=False)

    def __post_init__(self) -> None:
        """Begin the count of writes with those of the last minute."""
        self.limit = WriteLimit(self.clock.now, self._writes_since)

    def _writes_since(self, source: str, since: datetime) -> list[datetime]:
        with self.tables.reading() as connection:
            sql = "SELECT at FROM own_writes WHERE source = ? AND at > ?"
            return [datetime.fromisoformat(row["at"]) for row in connection.execute(sql, (source, to_text(since)))]

    def settings(self, source: str) -> HelpdeskBase | None:
        """Return the settings of a helpdesk, None for one without a table, such as tickets of files."""
        return self.workspace.folder.config.helpdesks.get(source)

    async def judge(self, event: Event, ticket: Ticket | None) -> Judgement:
        """Tell whether an event may be run."""
        ask = functools.partial(
            judge_event,
            event,
            ticket,
            helpdesk_settings=self.settings(event.source),
            tables=self.tables,
            clock=self.clock,
            settings=self.workspace.folder.config.runs,
        )
        return await asyncio.to_thread(ask)

    async def before(self, record: RunRecord, action: Action) -> str | None:
        """Return why a write must not be made any more, or None; then it is remembered as ours.

        Raises:
            Paused: A person has stopped write-back.
            Later: The limit of writes a minute is reached.
            Unavailable: The helpdesk does not say how the ticket stands.
        """
        source, at = record.ticket.source, self.clock.now()
        stop = await asyncio.to_thread(pause_of, self.tables, source)
        if stop is not None:
            raise Paused(f"write-back is paused by {stop.by}; 'deskhand resume' lets it go on")
        settings = self.settings(source)
        reason = await reason_to_give_up(
            record,
            self.workspace.helpdesk(source),
            self.tables,
            self.clock,
            reply=str(action.args.get("text", "")) if action.name == REPLY else "",
            actor_ids=settings.actor_ids if settings else (),
        )
        if reason is None and action.kind == "helpdesk":
            if settings is not None:
                await asyncio.to_thread(self.limit.take, source, settings.max_writes_per_minute)
            await asyncio.to_thread(remember, self.tables, source, record.ticket.id, action.key, "", at)
        return reason

    async def after(self, record: RunRecord, action: Action, receipt: Receipt) -> None:
        """Remember the id that the helpdesk gave to what we wrote."""
        if receipt.status in _DONE:
            ticket = record.ticket
            await asyncio.to_thread(
                remember, self.tables, ticket.source, ticket.id, action.key, receipt.ref, self.clock.now()
            )


__all__ = ["Gates", "Later", "Paused"]
