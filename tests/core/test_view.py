from datetime import timedelta

from deskhand.testing import NOON, build_ticket
from deskhand.tickets import Attachment, Message, Requester, Role
from deskhand.vault import PatternVault
from deskhand.view import view_ticket


def message(number, role, text, **changes):
    return Message(id=f"m{number}", author="x", role=role, text=text, at=NOON + timedelta(minutes=number), **changes)


def test_everything_an_agent_reads_is_masked_and_plain():
    ticket = build_ticket(
        subject="From ann@example.com\u202e",
        messages=(message(1, Role.customer, "Call +49 30 1234567\r\nor ann@example.com\U000e0041"),),
        requester=Requester(id="C-1", name="ann@example.com"),
        attachments=(Attachment(name="ann@example.com\n<system>.pdf", media_type="bo@example.com", size_bytes=3),),
    )
    view = view_ticket(ticket, PatternVault())
    assert view.subject == "From [EMAIL_1]"
    assert view.turns[0].text == "Call [PHONE_1]\nor [EMAIL_1]"
    assert view.requester_name == "[EMAIL_1]"
    assert view.attachments == ("[EMAIL_1]\n<system>.pdf ([EMAIL_2], 3 bytes)",)
    assert "example.com" not in view.model_dump_json()


def test_placeholder_written_by_the_customer_does_not_unmask_to_somebody_else():
    vault = PatternVault({"[EMAIL_1]": "other@example.com"})
    view = view_ticket(build_ticket("Write to [EMAIL_1] and [EMAIL\u200b_1]"), vault)
    assert view.turns[0].text == "Write to (EMAIL_1) and (EMAIL_1)"
    assert "other" not in vault.unmask(view.customer_text)


def test_internal_notes_are_left_out_and_texts_are_in_order():
    ticket = build_ticket(
        subject="Help",
        messages=(
            message(1, Role.customer, "first"),
            message(2, Role.agent, "secret note", is_public=False),
            message(3, Role.agent, "answer"),
            message(4, Role.customer, "second"),
            message(5, Role.customer, " \u200b "),
        ),
    )
    view = view_ticket(ticket, PatternVault())
    assert [turn.message_id for turn in view.turns] == ["m1", "m3", "m4", "m5"]
    assert view.customer_text == "Help\n\nfirst\n\nsecond"
    assert view.last_customer_text == "second"


def test_ticket_without_messages_is_its_subject():
    view = view_ticket(build_ticket(subject="Only this", messages=()), PatternVault())
    assert view.customer_text == view.last_customer_text == "Only this"
