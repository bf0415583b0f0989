"""Fixtures for the agents: the real encoder, once, and tickets as agents see them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from deskhand.config import Taxonomy
from deskhand.context import RunContext
from deskhand.interfaces import Encoder
from deskhand.testing import NOON, FixedClock, SequentialIds, build_ticket
from deskhand.tickets import Message, Requester, Role, Ticket
from deskhand.vault import PatternVault
from deskhand.view import TicketView, view_ticket
from deskhand_memory import load_encoder

Thread = Callable[..., Ticket]
ViewOf = Callable[..., TicketView]


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return load_encoder()


@pytest.fixture
def ctx() -> RunContext:
    return RunContext(run_id="run-1", clock=FixedClock(), ids=SequentialIds(), path="agents#0")


@pytest.fixture
def thread() -> Thread:
    """Build a ticket from ``(role, text)`` pairs, an hour apart unless ``gap`` says otherwise."""

    def build(*messages: tuple[str, str], gap: timedelta = timedelta(hours=1), **changes: object) -> Ticket:
        rows = tuple(
            Message(id=f"m{i}", author=role, role=Role(role), text=text, at=NOON + i * gap)
            for i, (role, text) in enumerate(messages)
        )
        return build_ticket(messages=rows, **changes)

    return build


@pytest.fixture
def view_of() -> ViewOf:
    """The view of a ticket with one customer message."""

    def view(text: str, *, name: str = "Ann Lee", **changes: object) -> TicketView:
        requester = Requester(id="C-1", name=name, email="ann@example.com", is_verified=True)
        return view_ticket(build_ticket(text, requester=requester, **changes), PatternVault())

    return view


@pytest.fixture(scope="session")
def taxonomy() -> Taxonomy:
    rows = [
        ("delivery", "Delivery", "Where is my parcel, tracking, late or lost delivery. Not for returns.", "orders"),
        ("returns", "Returns", "Sending a product back and getting the money refunded.", "refunds"),
        ("login", "Login", "Password forgotten, locked account, two-factor code.", "accounts"),
    ]
    teams = [{"id": team, "name": team} for team in ("orders", "refunds", "accounts")]
    categories = [{"id": i, "name": n, "description": d, "team": t} for i, n, d, t in rows]
    return Taxonomy.model_validate({"schema": 1, "category": categories, "team": teams})
