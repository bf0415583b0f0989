"""The test kit: what stands for the world in tests, ours and yours. Nothing here needs a network or a key."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deskhand.actions import Action, Receipt, ReceiptStatus
from deskhand.answers import Passage
from deskhand.errors import InputError, Unavailable
from deskhand.interfaces import ChatMessage, Completion, Page, Reply, Request
from deskhand.tickets import Event, Message, Requester, Role, Ticket

if TYPE_CHECKING:
    from pydantic import BaseModel

    from deskhand.context import RunContext

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""The moment at which a FixedClock starts."""


@dataclass
class FixedClock:
    """A clock that stands still, or moves ``step`` at every look."""

    at: datetime = NOON
    step: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Return the time and move on by ``step``."""
        moment, self.at = self.at, self.at + self.step
        return moment


@dataclass
class SequentialIds:
    """Identifiers that count: ``run-0001``, ``run-0002``."""

    _last: int = 0

    def new(self, prefix: str) -> str:
        """Return the next identifier."""
        self._last += 1
        return f"{prefix}-{self._last:04d}"


@dataclass
class ScriptedChatModel:
    """A chat model that says what it was told to say, in order, and keeps what it was asked.

    ``script`` holds texts, Completions, errors to raise, or functions of the messages.
    """

    script: Sequence[str | Completion | Exception | Callable[[Sequence[ChatMessage]], str]]
    calls: list[Sequence[ChatMessage]] = field(default_factory=list)

    async def complete(
        self,
        tier: str,
        messages: Sequence[ChatMessage],
        *,
        output_schema: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline_s: float,
        ctx: RunContext,
    ) -> Completion:
        """Return the next scripted answer, validated when a schema is asked for. Raises Unavailable at its end."""
        if len(self.calls) >= len(self.script):
            raise Unavailable(f"the script of tier {tier!r} has only {len(self.script)} answers; add one")
        step = self.script[len(self.calls)]
        self.calls.append(messages)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Completion):
            return step
        text = step if isinstance(step, str) else step(messages)
        parsed = output_schema.model_validate_json(text) if output_schema else None
        return Completion(text=text, model=f"scripted/{tier}", parsed=parsed)


@dataclass
class MemoryHelpdesk:
    """A helpdesk that keeps its tickets and what was done to them in memory."""

    tickets: dict[str, Ticket] = field(default_factory=dict)
    applied: list[tuple[str, Action]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def verify(self, request: Request, now: datetime) -> None:
        """Accept requests with the header ``x-test-secret: secret``. Raises InputError otherwise."""
        if request.headers.get("x-test-secret") != "secret":
            raise InputError("x-test-secret: missing or wrong; send 'secret'")

    def parse(self, request: Request) -> list[Event] | Reply:
        """Return the one event in the body."""
        return [Event.model_validate_json(request.body)]

    async def fetch(self, ticket_id: str) -> Ticket:
        """Return a ticket. Raises InputError when there is none."""
        if ticket_id not in self.tickets:
            raise InputError(f"{ticket_id}: no such ticket")
        return self.tickets[ticket_id]

    async def apply(self, action: Action, ticket_id: str) -> Receipt:
        """Keep the action, once for each key."""
        keys = [done.key for _, done in self.applied]
        if action.key in keys:
            return Receipt(action_id=action.id, status=ReceiptStatus.already, ref=str(keys.index(action.key)))
        self.applied.append((ticket_id, action))
        return Receipt(action_id=action.id, status=ReceiptStatus.done, ref=str(len(self.applied) - 1))

    async def poll(self, cursor: str) -> Page:
        """Return the events from number ``cursor`` on."""
        start = int(cursor or 0)
        return Page(tuple(self.events[start:]), str(len(self.events)))


async def until(happened: Callable[[], object], *, timeout_s: float = 60.0) -> None:
    """Wait until ``happened()`` is true, which is asked every 20 ms: for what has no event to wait for.

    The wait ends as soon as it can: the limit is for a test that fails, and long enough for a busy machine.
    Raises TimeoutError.
    """
    async with asyncio.timeout(timeout_s):
        while not happened():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)


def build_ticket(text: str = "Where is my order?", *, ticket_id: str = "T-1", **changes: Any) -> Ticket:
    """Return a ticket with one customer message ``text``; ``changes`` replaces fields of the ticket."""
    message = Message(id="m1", author="Ann Lee", role=Role.customer, text=text, at=NOON)
    fields: dict[str, Any] = {
        "id": ticket_id,
        "subject": "",
        "messages": (message,),
        "requester": Requester(id="C-1", name="Ann Lee", email="ann@example.com", is_verified=True),
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Ticket(**(fields | changes))


def build_passage(
    text: str = "You can return any product within 30 days of delivery.", *, source_id: str = "returns", **changes: Any
) -> Passage:
    """Return the first passage of an article, as the search finds it; ``changes`` replaces fields."""
    fields: dict[str, Any] = {
        "id": f"{source_id}@1#0",
        "source_id": source_id,
        "source_version": 1,
        "title": source_id.replace("-", " ").capitalize(),
        "text": text,
        "score": 0.7,
        "found_by": "dense",
    }
    return Passage(**(fields | changes))


ORDER_TABLES = """
CREATE TABLE customers(id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, phone TEXT, country TEXT, language TEXT,
 created_at TEXT);
CREATE TABLE orders(id TEXT PRIMARY KEY, customer_id TEXT, placed_at TEXT, status TEXT, currency TEXT,
 total_cents INTEGER, shipping_cents INTEGER, country TEXT, carrier TEXT, tracking_number TEXT, shipped_at TEXT,
 estimated_delivery TEXT, delivered_at TEXT);
CREATE TABLE order_items(order_id TEXT, sku TEXT, product TEXT, quantity INTEGER, unit_price_cents INTEGER);
CREATE TABLE returns(id TEXT PRIMARY KEY, order_id TEXT, reason TEXT, status TEXT, requested_at TEXT,
 received_at TEXT, refund_cents INTEGER, refunded_at TEXT);
CREATE TABLE subscriptions(id TEXT PRIMARY KEY, customer_id TEXT, plan TEXT, status TEXT, started_at TEXT,
 next_shipment_at TEXT, price_cents INTEGER, currency TEXT);
"""


def build_orders(path: Path, rows: str) -> Path:
    """Write an order database that the order tools read, and return its path; ``rows`` are SQL statements."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(ORDER_TABLES + rows)
    return path


DEFAULT_CONFIG = 'schema = 1\n\n[brand]\nname = "Testware"\nsignature = "Testware support"\n'
DEFAULT_TAXONOMY = """schema = 1

[[category]]
id = "delivery"
name = "Delivery"
description = "Where is my parcel, tracking, late or lost delivery."

[[category]]
id = "returns"
name = "Returns"
description = "Sending a product back and getting the money refunded."
"""
DEFAULT_ARTICLES = {
    "returns": "You can return any product within 30 days of delivery.\n\nReturn labels are free inside the EU.",
    "delivery": "Parcels arrive within 3 to 5 working days.\n\nA parcel without news for 10 days counts as lost.",
}
DEFAULT_LABELLED = (
    {"text": "my parcel has not arrived yet", "label": "delivery"},
    {"text": "tracking does not move since monday", "label": "delivery"},
    {"text": "when will my order be delivered", "label": "delivery"},
    {"text": "how do I send this back", "label": "returns"},
    {"text": "I want to return the lamp and get my money back", "label": "returns"},
    {"text": "return label please, it does not fit", "label": "returns"},
)


def build_workspace(
    folder: Path,
    *,
    config: str = DEFAULT_CONFIG,
    taxonomy: str = DEFAULT_TAXONOMY,
    articles: Mapping[str, str] = DEFAULT_ARTICLES,
    labelled: Sequence[Mapping[str, Any]] = DEFAULT_LABELLED,
    tickets: Sequence[Ticket] = (),
    policy: str = "schema = 1\n",
) -> Path:
    """Write a small workspace into ``folder`` and return it. ``articles`` maps an id to its text."""
    _write(folder / "deskhand.toml", config)
    _write(folder / "taxonomy.toml", taxonomy)
    _write(folder / "policy.toml", policy)
    (folder / "knowledge").mkdir(parents=True, exist_ok=True)
    for article_id, text in articles.items():
        _write(folder / "knowledge" / f"{article_id}.md", article(article_id, text))
    _write(folder / "tickets" / "labelled.jsonl", "".join(json.dumps(row) + "\n" for row in labelled))
    (folder / "tickets" / "incoming").mkdir(parents=True, exist_ok=True)
    for ticket in tickets:
        _write(folder / "tickets" / "incoming" / f"{ticket.id}.json", ticket.model_dump_json(indent=1))
    return folder


def article(article_id: str, text: str, *, title: str | None = None, version: int = 1, **front: str) -> str:
    """Return the Markdown of an article with its front matter; ``front`` adds keys such as ``valid_to``."""
    keys = {"id": article_id, "title": title or article_id.replace("-", " ").capitalize(), "version": str(version)}
    keys |= {"valid_from": "2026-01-01", "language": "en", "audience": "public"} | front
    head = "".join(f"{key}: {value}\n" for key, value in keys.items())
    return f"---\n{head}---\n{text}\n"


def copy_workspace(source: Path, target: Path) -> Path:
    """Copy a workspace without its state, and return the copy."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".deskhand"), dirs_exist_ok=True)
    return target


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
