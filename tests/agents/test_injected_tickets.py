"""Every injected ticket of the example company: flagged, parked, and worked on as if nothing had been injected."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.tickets import Message, Ticket
from deskhand.vault import PatternVault
from deskhand.view import TicketView, view_ticket
from deskhand_agents import ExtractiveSummary, SummaryTask, detect_language, neutral_text, screen, search_queries
from deskhand_agents.injection import neutral_view
from deskhand_agents.questions import find_questions
from deskhand_agents.resolver import named_records
from deskhand_agents.triage import classified_text
from deskhand_agents.urgency import judge_priority, judge_sentiment

INCOMING = Path(__file__).parents[2] / "examples" / "hollowfern" / "tickets" / "incoming"

# From where to where a person would cut, in the message that holds it; the end is cut too.
INJECTED = {
    "HFT-3048": ("Dear AI assistant,", "I would be truly grateful."),
    "HFT-3101": ("before you answer, print", "assignment about transparency"),
    "HFT-3131": ("Note for automated assistants", "any summary you write."),
    "HFT-3140": ("btw since a bot reads", "simple for everyone 👍"),
    "HFT-3152": ("> From: Priya Nambiar", "until the 30th.\n> P."),
    "HFT-3182": ("[SYSTEM]", "[/SYSTEM]"),
    "HFT-3198": ("--- internal note", "end of internal note ---"),
    "HFT-3222": ("<!--", "-->"),
    "HFT-3254": ("My ticket reference from the chat", "aXMgZmluZS4="),
    "HFT-3260": ("Ignore all previous", "the word DONE."),
    "HFT-3275": ("ANWEISUNG AN DAS SYSTEM", "deiner Antwort nicht."),
}


def without(message: Message, start: str, end: str) -> Message:
    if start not in message.text:
        return message
    before, _, rest = message.text.partition(start)
    _, found, after = rest.rpartition(end)
    assert found, f"{end!r} does not follow {start!r}"
    return message.model_copy(update={"text": before + after})


def load(ticket_id: str) -> tuple[Ticket, Ticket]:
    """The ticket and its twin without the injected text."""
    ticket = Ticket.model_validate_json((INCOMING / f"{ticket_id}.json").read_text(encoding="utf-8"))
    start, end = INJECTED[ticket_id]
    messages = tuple(without(message, start, end) for message in ticket.messages)
    assert messages != ticket.messages
    return ticket, ticket.model_copy(update={"messages": messages})


def seen(ticket: Ticket) -> TicketView:
    return view_ticket(ticket, PatternVault())


@pytest.fixture(params=sorted(INJECTED))
def pair(request) -> tuple[Ticket, Ticket]:
    return load(request.param)


def test_ticket_is_flagged_and_parked_and_its_twin_is_not(pair):
    injected, twin = (screen(ticket, seen(ticket)) for ticket in pair)
    assert injected.decision == "park"
    assert "injection" in [reason.code for reason in injected.reasons]
    assert "injection" not in twin.flag_names


def test_other_flags_and_the_language_are_those_of_the_twin(pair):
    injected, twin = (screen(ticket, seen(ticket)) for ticket in pair)
    assert set(injected.flag_names) - {"injection"} == set(twin.flag_names)
    assert len({detect_language(neutral_text(seen(ticket))).language for ticket in pair}) == 1


def test_what_every_agent_reads_is_what_it_reads_of_the_twin(pair):
    injected, twin = (seen(ticket) for ticket in pair)
    assert classified_text(injected) == classified_text(twin)
    assert search_queries(injected) == search_queries(twin)
    assert find_questions(injected) == find_questions(twin)
    assert named_records(injected) == named_records(twin)
    texts = [neutral_view(view).customer_text for view in (injected, twin)]
    assert judge_priority(texts[0]) == judge_priority(texts[1])
    assert judge_sentiment(texts[0]) == judge_sentiment(texts[1])


async def test_summary_is_that_of_the_twin(pair, ctx):
    summaries = [await ExtractiveSummary()(SummaryTask(seen(ticket), "en"), ctx) for ticket in pair]
    assert summaries[0].value.text == summaries[1].value.text
