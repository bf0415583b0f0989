"""The guards in the engine: a helpdesk that echoes every write of ours, under other names and in odd orders."""

import random
from datetime import timedelta

import pytest

from deskhand.actions import Decision, Receipt
from deskhand.config import WorkspaceFolder
from deskhand.records import RunStatus
from deskhand.testing import NOON, FixedClock, MemoryHelpdesk, build_ticket, until
from deskhand.tickets import Event, Message
from deskhand_graphs import Workspace
from deskhand_runs import GuardTables, handling_of
from deskhand_runs.engine import open_engine
from deskhand_runs.pauses import EVERYWHERE, pause, resume

N_TICKETS = 10


class EchoDesk(MemoryHelpdesk):
    """Shows our replies as an agent's, by ``RT_System``, and sends three events for each write of ours."""

    def __init__(self, dice):
        super().__init__()
        self.dice = dice
        self.engine = None
        self.n_echoes = 0

    async def apply(self, action, ticket_id):
        receipt = await super().apply(action, ticket_id)
        ticket = self.tickets[ticket_id]
        if action.name == "reply" and receipt.status == "done":
            text = f"{action.args['text']}\n\n[{action.key}]"
            self.say(ticket_id, "agent", "RT_System", text, f"f-{receipt.ref}")
        else:
            self.tickets[ticket_id] = ticket.model_copy(update={"status": "pending"})
        for kind in self.dice.sample(["message", "changed", "changed"], 3):
            self.n_echoes += 1
            await self.engine.accept(event(ticket_id, f"echo-{self.n_echoes}", kind, actor="RT_System"))
        return Receipt(action_id=action.id, status=receipt.status, ref=f"f-{receipt.ref}")

    def say(self, ticket_id, role, author, text, name=None):
        ticket = self.tickets[ticket_id]
        number = len(ticket.messages)
        message = Message(
            id=name or f"m{number + 1}", author=author, role=role, text=text, at=NOON + timedelta(minutes=number)
        )
        self.tickets[ticket_id] = ticket.model_copy(update={"messages": (*ticket.messages, message)})


def event(ticket_id, delivery_id, kind="message", actor="C-1"):
    return Event(source="file", delivery_id=delivery_id, ticket_id=ticket_id, kind=kind, actor=actor, at=NOON)


@pytest.fixture
def desk():
    return EchoDesk(random.Random(7))


@pytest.fixture
async def engine(workspace, desk, monkeypatch):
    with Workspace.open(WorkspaceFolder(workspace)) as opened:
        opened.knowledge.ingest()
        opened.learn()
        monkeypatch.setattr(opened, "helpdesk", lambda source: desk)
        async with open_engine(opened, clock=FixedClock()) as running:
            desk.engine = running
            yield running


async def ask(engine, desk, ticket_id, text="How long do I have to return a product?"):
    if ticket_id in desk.tickets:
        desk.say(ticket_id, "customer", "Ann Lee", text)
    else:
        desk.tickets[ticket_id] = build_ticket(text, ticket_id=ticket_id)
    await engine.accept(event(ticket_id, f"{ticket_id}-{len(desk.tickets[ticket_id].messages)}"))


async def approve_all(engine):
    for run in engine.store.list(status=RunStatus.parked, limit=1000):
        if run.waits:
            decision = Decision(ask_id=run.review.ask_id, verdict="approve", by="kim", at=NOON)
            await engine.decide(run.run_id, decision)


async def settle(engine):
    assert await engine.wait_idle(60)


def replies(desk):
    return [ticket_id for ticket_id, action in desk.applied if action.name == "reply"]


async def test_no_run_starts_that_no_customer_or_person_started(engine, desk):
    names = [f"T-{number}" for number in range(N_TICKETS)]
    for name in names:
        await ask(engine, desk, name)
    await settle(engine)
    await approve_all(engine)
    await settle(engine)
    assert desk.n_echoes >= 3 * N_TICKETS
    assert sorted(replies(desk)) == sorted(names)
    assert len(engine.store.list(limit=1000)) == N_TICKETS
    for name in names[:3]:
        await ask(engine, desk, name, "And who pays for the label?")
    await settle(engine)
    assert len(engine.store.list(limit=1000)) == N_TICKETS + 3, "a customer's second message is a run"
    tables = GuardTables(engine.store)
    assert [name for name in names if handling_of(tables, "file", name).who == "person"] == []


async def test_a_person_who_answers_first_stops_the_approved_draft(engine, desk):
    await ask(engine, desk, "T-1")
    await settle(engine)
    desk.say("T-1", "agent", "lee", "I have just sent you the label.")
    await approve_all(engine)
    await settle(engine)
    assert replies(desk) == []
    (run,) = engine.store.list()
    assert [(receipt.status.value, "lee answered meanwhile" in receipt.detail) for receipt in run.receipts] == [
        ("skipped", True)
    ]
    assert handling_of(GuardTables(engine.store), "file", "T-1").who == "person"
    await ask(engine, desk, "T-1", "Thank you! One more question.")
    await settle(engine)
    assert len(engine.store.list()) == 1, "the ticket is the person's"


async def test_what_is_approved_while_paused_goes_out_after_resume(engine, desk):
    tables = GuardTables(engine.store)
    await ask(engine, desk, "T-1")
    await settle(engine)
    pause(tables, EVERYWHERE, "kim", NOON)
    await approve_all(engine)
    await until(lambda: engine.entries(state="held"))
    assert replies(desk) == []
    assert engine.status().is_paused
    resume(tables, EVERYWHERE)
    await until(lambda: replies(desk) == ["T-1"])
