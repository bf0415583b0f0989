"""What every route shares: the engine, the workspace, who may come in, and what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from deskhand.actions import Decision
from deskhand.clock import Clock
from deskhand.records import RunRecord
from deskhand.service_settings import ServerSettings
from deskhand.tickets import Event, Ticket

if TYPE_CHECKING:
    from fastapi import Request

    from deskhand_graphs import Workspace
    from deskhand_runs import RunStore
    from deskhand_runs.doors import EngineStatus
    from deskhand_runs.inbox import Accepted, InboxEntry
    from deskhand_server.access import Access
    from deskhand_server.metrics import Metrics
    from deskhand_server.queue import Queue


_REFUSES = timedelta(seconds=30)


class Service(Protocol):
    """What the server asks of the engine. ``deskhand_runs.Engine`` is one."""

    @property
    def store(self) -> RunStore:
        """The run store."""
        ...

    async def accept(self, event: Event, ticket: Ticket | None = None, *, graph: str | None = None) -> Accepted:
        """Store and enqueue a delivery, and return its number and whether it is new. Raises StoreError."""
        ...

    async def decide(self, run_id: str, decision: Decision) -> RunRecord:
        """Take in a decision. Raises InputError when it does not fit."""
        ...

    async def retry(self, seq: int) -> InboxEntry:
        """Put a dead or held delivery to work again. Raises InputError when there is none."""
        ...

    async def skip(self, seq: int, by: str) -> InboxEntry:
        """Give a dead or held delivery up. Raises InputError when there is none."""
        ...

    def status(self) -> EngineStatus:
        """Return how much is queued, at work, parked, dead and held."""
        ...

    def entries(self, *, state: str | None = None, ticket_id: str | None = None, limit: int = 100) -> list[InboxEntry]:
        """Return deliveries, the newest first, at most ``limit``."""
        ...

    def entry(self, seq: int) -> InboxEntry:
        """Return one delivery. Raises InputError when there is none."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Begin nothing new, and wait for what is at work."""
        ...


@dataclass
class Desk:
    """The parts of one running server.

    ``is_draining`` is set when it takes nothing in any more; ``refused_at`` when a delivery could not be stored, until
    one can.
    """

    engine: Service
    workspace: Workspace
    settings: ServerSettings
    clock: Clock
    access: Access
    metrics: Metrics
    queue: Queue
    is_draining: bool = False
    refused_at: datetime | None = None

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach us by https."""
        return self.settings.public_url.startswith("https://")

    @property
    def is_refusing(self) -> bool:
        """Whether a delivery could not be stored a moment ago. Who asks again later may send one, and it shows."""
        return self.refused_at is not None and self.clock.now() - self.refused_at < _REFUSES

    def knows(self, source: str) -> bool:
        """Tell whether a helpdesk of this name is configured."""
        return source in self.workspace.folder.config.helpdesks


def desk_of(request: Request) -> Desk:
    """Return the desk of the app that answers ``request``."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk), "build_app sets it"
    return desk
