import pytest
from pydantic import ValidationError

from deskhand.actions import Decision, Verdict
from deskhand.testing import NOON, build_ticket
from deskhand.tickets import MAX_MESSAGE_CHARS, MAX_MESSAGES, Event, EventKind, Message, Role, Ticket


def test_customer_text_is_the_subject_and_customer_messages_only():
    first, answer = build_ticket("one").messages[0], Message(id="2", author="b", role=Role.bot, text="no", at=NOON)
    ticket = build_ticket(subject="S", messages=(first, answer, first.model_copy(update={"text": " "})))
    assert ticket.customer_text() == "S\n\none"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "a\nb"},
        {"id": "a\n"},
        {"id": "x" * 201},
        {"colour": "red"},
        {"priority": "asap"},
        {"created_at": NOON.replace(tzinfo=None)},
        {"messages": build_ticket().messages * (MAX_MESSAGES + 1)},
        {"fields": {"a": {1, 2}}},
        {"attachments": ({"name": "a", "size_bytes": -1},)},
    ],
)
def test_ticket_of_the_wrong_form_is_refused(changes):
    with pytest.raises(ValidationError):
        build_ticket(**changes)


def test_message_one_character_too_long_is_refused_not_cut():
    assert len(build_ticket("x" * MAX_MESSAGE_CHARS).messages[0].text) == MAX_MESSAGE_CHARS
    with pytest.raises(ValidationError, match="at most 200000"):
        build_ticket("x" * (MAX_MESSAGE_CHARS + 1))


def test_ticket_is_frozen_and_survives_json():
    ticket = build_ticket("Grüße", tags=("vip",), fields={"plan": {"tier": 2}})
    assert Ticket.model_validate_json(ticket.model_dump_json()) == ticket
    with pytest.raises(ValidationError, match="frozen"):
        ticket.subject = "other"


def test_event_and_decision_need_a_time_zone():
    event = Event(source="s", delivery_id="d", ticket_id="T-1", kind=EventKind.created, at=NOON)
    assert Event.model_validate_json(event.model_dump_json()) == event
    with pytest.raises(ValidationError, match="timezone"):
        Decision(ask_id="a", verdict=Verdict.approve, by="ann", at=NOON.replace(tzinfo=None))
