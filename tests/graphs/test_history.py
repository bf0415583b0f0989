from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from deskhand.actions import Decision, Verdict
from deskhand.config import WorkspaceFolder
from deskhand.testing import NOON, FixedClock, build_ticket
from deskhand.tickets import Message, Role, Ticket
from deskhand.vault import PatternVault
from deskhand.view import SentReply, view_ticket
from deskhand_graphs import Workspace
from deskhand_runs import open_runs

FIRST = "How long do I have to return a product?"
SECOND = "Thanks. And within how many working days do parcels arrive?"


def with_follow_up(ticket: Ticket) -> Ticket:
    later = NOON + timedelta(hours=2)
    message = Message(id="m2", author="Ann Lee", role=Role.customer, text=SECOND, at=later)
    return ticket.model_copy(update={"messages": (*ticket.messages, message), "updated_at": later})


async def test_a_later_message_is_answered_without_repeating_what_was_sent(workspace: Path) -> None:
    with Workspace.open(WorkspaceFolder(workspace)) as opened:
        opened.knowledge.ingest()
        async with open_runs(opened, clock=FixedClock(NOON)) as executor:
            first = (await executor.run_ticket(build_ticket(FIRST), "support")).result
            decision = Decision(
                ask_id=f"{first.run_id}:0", verdict=Verdict.approve, by="kim", at=NOON + timedelta(minutes=5)
            )
            await executor.decide(first.run_id, decision)
            second = (await executor.run_ticket(with_follow_up(build_ticket(FIRST)), "support")).result
    assert first.draft is not None and second.draft is not None
    assert "within 30 days" in first.draft.text
    assert "3 to 5 working days" in second.draft.text
    assert "within 30 days" not in second.draft.text


@pytest.mark.parametrize(
    ("minutes", "text", "n_turns"),
    [(5, "You have 30 days.", 3), (500, "You have 30 days.", 2), (5, "Seen  in the thread.", 3)],
    ids=["sent between", "nothing came after it", "other text"],
)
def test_a_sent_reply_stands_in_the_thread_at_its_time(minutes: int, text: str, n_turns: int) -> None:
    reply = SentReply(run_id="run-1", text=text, at=NOON + timedelta(minutes=minutes))
    view = view_ticket(with_follow_up(build_ticket(FIRST)), PatternVault(), sent=[reply])
    assert len(view.turns) == n_turns
    if n_turns == 3:
        assert view.turns[1].role is Role.agent


def test_a_reply_that_the_helpdesk_shows_is_not_shown_twice() -> None:
    ticket = with_follow_up(build_ticket(FIRST))
    ours = Message(id="m1b", author="Bot", role=Role.agent, text="You have 30 days.", at=NOON + timedelta(minutes=6))
    ticket = ticket.model_copy(update={"messages": (ticket.messages[0], ours, ticket.messages[1])})
    reply = SentReply(run_id="run-1", text="You have  30 days.", at=NOON + timedelta(minutes=5))
    assert len(view_ticket(ticket, PatternVault(), sent=[reply]).turns) == 3
