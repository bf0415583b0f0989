"""A workspace whose graph needs no model, and a helpdesk that does what a test tells it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deskhand.actions import Action, Decision, Receipt
from deskhand.config import WorkspaceFolder
from deskhand.testing import DEFAULT_CONFIG, NOON, MemoryHelpdesk, build_ticket, build_workspace
from deskhand.tickets import Event, Message, Role, Ticket
from deskhand_graphs import Workspace
from deskhand_runs import Engine, Pace, RunStore, open_engine
from deskhand_runs.dbos_setup import build_client, build_database
from deskhand_runs.writer import Writer

ASKING_GRAPH = Path(__file__).parents[1] / "asking_graph.py"
SOURCE = "desk"
PACE = Pace(poll_s=0.02, tick_s=0.1, first_retry_s=0.05, longest_retry_s=0.1, grace_s=0.2)
CONFIG = """schema = 1
[brand]
name = "Testware"
[graphs]
default = "asking"
[graphs.own]
asking = "asking_graph:build"
[runs]
at_once = 4
max_attempts = 3
outage_hours = 0
run_deadline_s = 60
[helpdesks.desk]
kind = "folder"
max_writes_per_minute = 50
"""


POLLED = """
[helpdesks.box]
kind = "folder"
poll_every_s = {poll_every_s}

[helpdesks.shop]
kind = "standard-webhooks"
secret_envs = ["SHOP_SECRET"]
"""


@dataclass
class Desk(MemoryHelpdesk):
    """``errors`` are raised by the next calls of ``apply``, after the action when ``commits``."""

    errors: list[Exception] = field(default_factory=list)
    commits: bool = False
    gate: asyncio.Event | None = None
    n_fetched: int = 0

    def write(self, text: str, ticket_id: str = "T-1", role: Role = Role.customer, **changes: Any) -> Ticket:
        """Have somebody write to a ticket, which is opened when it is not there."""
        before = self.tickets.get(ticket_id)
        n = len(before.messages) if before else 0
        at = NOON + timedelta(minutes=n)
        message = Message(id=f"{ticket_id}-m{n + 1}", author="Ann Lee", role=role, text=text, at=at)
        ticket = before or build_ticket(ticket_id=ticket_id, source=SOURCE, messages=())
        messages = (*ticket.messages, message)
        self.tickets[ticket_id] = ticket.model_copy(update={"messages": messages, "updated_at": at, **changes})
        return self.tickets[ticket_id]

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return a ticket, once the gate is open."""
        self.n_fetched += 1
        if self.gate is not None:
            await self.gate.wait()
        return await super().fetch(ticket_id)

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Do it, or fail as told; our replies stand in the ticket."""
        error = self.errors.pop(0) if self.errors else None
        if error is not None and not self.commits:
            raise error
        n_before = len(self.applied)
        receipt = await super().apply(action, ticket_id)
        if len(self.applied) > n_before:
            self.write(str(action.args["text"]), ticket_id, role=Role.bot)
        if error is not None:
            raise error
        return receipt

    @property
    def sent(self) -> list[str]:
        """The replies, in their order."""
        return [str(action.args["text"]) for _, action in self.applied]


def event(number: int = 1, ticket_id: str = "T-1", kind: str = "message", **changes: Any) -> Event:
    """Return a delivery of the desk."""
    fields = {"source": SOURCE, "delivery_id": f"d-{number}", "ticket_id": ticket_id, "kind": kind, "at": NOON}
    return Event(**(fields | changes))


def approval(run: Any, by: str = "kim") -> Decision:
    """Return the approval of a parked run."""
    return Decision(ask_id=run.review.ask_id, verdict="approve", by=by, at=NOON)


@dataclass
class Bench:
    """A workspace folder, its desk, and the way to open its engine."""

    folder: Path
    desk: Desk = field(default_factory=Desk)
    pace: Pace = PACE

    def open(self, **options: Any) -> AbstractAsyncContextManager[Engine]:
        """Open the engine on the desk."""
        return self._open(options)

    @asynccontextmanager
    async def _open(self, options: dict[str, Any]) -> AsyncIterator[Engine]:
        with Workspace.open(WorkspaceFolder(self.folder)) as workspace:
            workspace.helpdesk = lambda source: self.desk  # type: ignore[method-assign]
            async with open_engine(workspace, pace=self.pace, **options) as engine:
                yield engine

    async def park(self, engine: Engine, text: str = "hello", number: int = 1, ticket_id: str = "T-1") -> Any:
        """Have a customer write, and return the run that waits for a person."""
        self.desk.write(text, ticket_id)
        await engine.accept(event(number, ticket_id))
        assert await engine.wait_idle(60)
        return engine.store.list(ticket_id=ticket_id)[0]


def build_folder(path: Path) -> Path:
    """Return a new workspace folder."""
    folder = build_workspace(path, config=CONFIG, articles={}, labelled=())
    shutil.copy(ASKING_GRAPH, folder)
    return folder


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The databases of an engine that has done nothing: DBOS takes a second to make its tables."""
    bench = Bench(build_folder(tmp_path_factory.mktemp("template") / "engine"))

    async def open_once() -> None:
        async with bench.open():
            pass

    asyncio.run(open_once())
    return bench.folder / ".deskhand"


@pytest.fixture
def bench(tmp_path: Path, empty_state: Path) -> Bench:
    folder = build_folder(tmp_path / "engine")
    for name in ("runs.db", "checkpoints.db"):
        (folder / ".deskhand").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(empty_state / name, folder / ".deskhand" / name)
    return Bench(folder)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """The thread that writes to a database of runs."""
    with RunStore(tmp_path / "runs.db") as store:
        database = build_database(store.path)
        writer = Writer(store.path, build_client(database))
        yield writer
        writer.close()
        database.dispose()


@pytest.fixture
def open_polled(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    """Return a function that opens a workspace with a folder, polled as often as told, and a source of webhooks."""
    with ExitStack() as opened:

        def open_(poll_every_s: int, tickets: Sequence[Ticket] = ()) -> Workspace:
            config = DEFAULT_CONFIG + POLLED.format(poll_every_s=poll_every_s)
            root = build_workspace(tmp_path / "workspace", config=config, tickets=tickets)
            return opened.enter_context(Workspace.open(WorkspaceFolder(root)))

        yield open_


@pytest.fixture
def make_event() -> Callable[..., Event]:
    return event


@pytest.fixture
def approve() -> Callable[..., Decision]:
    return approval
