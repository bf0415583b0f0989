"""Against a real IMAP and a real SMTP server on this machine."""

import asyncio

import pytest

from deskhand.actions import ReceiptStatus
from deskhand.errors import ConfigError, InputError, Unavailable
from deskhand.interfaces import Request
from deskhand.testing import NOON
from deskhand.tickets import EventKind, Role
from deskhand_helpdesks import Watched
from deskhand_helpdesks.mail_parse import parse_mail


async def write(pair, *args, **headers):
    await asyncio.to_thread(pair.write, *args, **headers)


async def test_mail_in_and_a_reply_threaded_at_the_customer(mail_pair, mail_desk, action):
    desk = mail_desk()
    await write(mail_pair, "Where is order 1042?\n-- \nEve", Subject="Order 1042", Message_ID="<first@c.test>")
    (event,) = (await desk.poll("")).events
    ticket = await desk.fetch(event.ticket_id)
    receipt = await desk.apply(action(text="It comes tomorrow.\nGrüße"), event.ticket_id)
    (reply,) = mail_pair.received()
    assert (event.kind, event.ticket_id, event.actor) == (EventKind.created, "first@c.test", "eve@customer.test")
    assert [(one.role, one.text) for one in ticket.messages] == [(Role.customer, "Where is order 1042?")]
    assert (ticket.requester.name, ticket.requester.email) == ("Eve Adams", "eve@customer.test")
    assert receipt.status is ReceiptStatus.done
    assert reply["Message-ID"] == f"<{receipt.ref}>"
    assert reply["In-Reply-To"] == reply["References"] == "<first@c.test>"
    assert reply["To"] == "eve@customer.test"
    assert reply["From"] == "Desk Support <support@desk.test>"
    assert str(reply["Subject"]).startswith("Re: Order 1042 [#")
    assert reply.get_content().strip().replace("\r\n", "\n") == "It comes tomorrow.\nGrüße"


async def begun(mail_pair, desk, action, **headers):
    """Return the ticket of a mail that was answered, and the answer."""
    await write(mail_pair, **{"Subject": "Order", "Message_ID": "<first@c.test>", **headers})
    ticket_id = (await desk.poll("")).events[0].ticket_id
    await desk.apply(action(text="Tomorrow."), ticket_id)
    return ticket_id, mail_pair.received()[-1]


@pytest.mark.parametrize("kept", ["references", "in-reply-to", "subject"])
async def test_an_answer_finds_its_ticket_by_whatever_the_mail_program_kept(mail_pair, mail_desk, action, kept):
    desk = mail_desk()
    ticket_id, reply = await begun(mail_pair, desk, action)
    headers = {
        "references": {"References": f"{reply['References']} {reply['Message-ID']}", "Subject": "Thanks"},
        "in-reply-to": {"In_Reply_To": str(reply["Message-ID"]), "Subject": "Thanks"},
        "subject": {"Subject": f"AW: {reply['Subject']}"},
    }[kept]
    await write(mail_pair, "Thank you!\n\nOn Friday, Desk wrote:\n> Tomorrow.", Message_ID="<second@c.test>", **headers)
    events = (await desk.poll("")).events
    ticket = await desk.fetch(ticket_id)
    assert [(one.delivery_id, one.ticket_id, one.kind) for one in events] == [
        ("first@c.test", ticket_id, EventKind.created),
        ("second@c.test", ticket_id, EventKind.message),
    ]
    assert [(one.role, one.text) for one in ticket.messages] == [
        (Role.customer, "Where is order 1042?"),
        (Role.bot, "Tomorrow."),
        (Role.customer, "Thank you!"),
    ]


async def test_a_second_reply_goes_below_the_newest_mail(mail_pair, mail_desk, action):
    desk = mail_desk()
    ticket_id, reply = await begun(mail_pair, desk, action)
    references = f"{reply['References']} {reply['Message-ID']}"
    await write(mail_pair, "More", Subject=str(reply["Subject"]), Message_ID="<second@c.test>", References=references)
    await desk.apply(action(key="key-2", text="Yes."), ticket_id)
    second = mail_pair.received()[-1]
    assert second["In-Reply-To"] == "<second@c.test>"
    assert str(second["References"]).split() == ["<first@c.test>", str(reply["Message-ID"]), "<second@c.test>"]
    assert str(second["Subject"]).count("[#") == str(second["Subject"]).count("Re:") == 1


async def test_a_mail_program_that_names_only_the_last_mail_is_followed_to_the_first(mail_pair, mail_desk):
    for number, headers in enumerate([{}, {"References": "<0@c.test>"}, {"In_Reply_To": "<1@c.test>"}]):
        await write(mail_pair, f"Mail {number}", Message_ID=f"<{number}@c.test>", **headers)
    await write(mail_pair, "Mail 3", Message_ID="<3@c.test>", In_Reply_To="<2@c.test> <3@c.test>")
    desk = mail_desk()
    assert [event.ticket_id for event in (await desk.poll("")).events] == ["0@c.test"] * 4
    assert [one.text for one in (await desk.fetch("0@c.test")).messages] == [f"Mail {number}" for number in range(4)]


async def test_two_customers_who_answer_one_newsletter_are_two_tickets(mail_pair, mail_desk):
    for name in ("eve", "bob"):
        await write(
            mail_pair,
            f"Me: {name}",
            From=f"{name}@c.test",
            Message_ID=f"<{name}@c.test>",
            References="<news@shop.test>",
        )
    desk = mail_desk()
    events = (await desk.poll("")).events
    tickets = [await desk.fetch(event.ticket_id) for event in events]
    assert [one.requester.email for one in tickets] == ["eve@c.test", "bob@c.test"]
    assert [len(one.messages) for one in tickets] == [1, 1]


async def test_a_colleagues_answer_in_the_sent_folder_is_seen(mail_pair, mail_desk, action):
    desk = mail_desk()
    ticket_id, _ = await begun(mail_pair, desk, action)
    raw = (
        b"From: Ann <support@desk.test>\r\nSubject: Re: Order\r\nMessage-ID: <ann@desk.test>\r\n"
        b"References: <first@c.test>\r\n\r\nI have called you.\r\n"
    )
    await asyncio.to_thread(mail_pair.put, raw, folder=mail_pair.sent_folder)
    assert [one.role for one in (await desk.fetch(ticket_id)).messages] == [Role.customer, Role.bot, Role.agent]


async def test_a_reply_is_sent_once(mail_pair, mail_desk, action):
    desk = mail_desk()
    ticket_id, _ = await begun(mail_pair, desk, action)
    again = await mail_desk().apply(action(text="Tomorrow."), ticket_id)
    assert again.status is ReceiptStatus.already
    assert len(mail_pair.sink) == 1
    assert f"<{again.ref}>" == mail_pair.received()[0]["Message-ID"]


async def test_a_connection_that_is_cut_after_the_mail_was_taken_is_uncertain(mail_pair, mail_desk, action):
    desk = mail_desk()
    await write(mail_pair)
    ticket_id = (await desk.poll("")).events[0].ticket_id
    mail_pair.after_data = [lambda server: server.transport.abort()]
    receipt = await desk.apply(action(text="Tomorrow."), ticket_id)
    again = await desk.apply(action(text="Tomorrow."), ticket_id)
    assert receipt.status is again.status is ReceiptStatus.uncertain
    assert len(mail_pair.sink) == 1
    assert [one.role for one in (await desk.fetch(ticket_id)).messages] == [Role.customer]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"RCPT": ["550 no such user"]}, InputError),
        ({"RCPT": ["450 later"]}, Unavailable),
        ({"DATA": ["554 no"]}, InputError),
        ({"MAIL": ["451 later"]}, Unavailable),
    ],
)
async def test_a_refused_mail_was_not_sent_and_may_be_tried_again(mail_pair, mail_desk, action, answers, error):
    desk = mail_desk()
    await write(mail_pair)
    ticket_id = (await desk.poll("")).events[0].ticket_id
    mail_pair.answers = answers
    with pytest.raises(error):
        await desk.apply(action(text="Tomorrow."), ticket_id)
    receipt = await desk.apply(action(text="Tomorrow."), ticket_id)
    assert receipt.status is ReceiptStatus.done
    assert len(mail_pair.sink) == 1


async def test_servers_that_are_not_there_are_unavailable(mail_pair, mail_desk, action):
    await write(mail_pair)
    ticket_id = (await mail_desk().poll("")).events[0].ticket_id
    with pytest.raises(Unavailable, match=r"SMTP 127\.0\.0\.1:1: not reached"):
        await mail_desk(smtp_port=1).apply(action(text="x"), ticket_id)
    with pytest.raises(Unavailable, match=r"IMAP 127\.0\.0\.1:1: not reached"):
        await mail_desk(imap_port=1).poll("")


async def test_refused_logins_and_missing_folders_say_what_to_set(mail_pair, mail_desk, monkeypatch, action):
    await write(mail_pair)
    ticket_id = (await mail_desk().poll("")).events[0].ticket_id
    with pytest.raises(ConfigError, match="no folder 'Nowhere'"):
        await mail_desk(mailbox="Nowhere").poll("")
    with pytest.raises((ConfigError, Unavailable)):
        await mail_desk(smtp_login=True).apply(action(text="x"), ticket_id)  # this server knows no logins
    monkeypatch.setenv("MAIL_PASSWORD", "two\nlines")
    with pytest.raises(ConfigError, match="line breaks in MAIL_PASSWORD"):
        await mail_desk().poll("")
    monkeypatch.setenv("MAIL_PASSWORD", "revoked")
    with pytest.raises(ConfigError, match=r"login is refused.*MAIL_PASSWORD"):
        await mail_desk().poll("")


async def test_a_deleted_thread_is_an_input_error(mail_pair, mail_desk, action):
    desk = mail_desk()
    with pytest.raises(InputError, match="no mail of ticket"):
        await desk.fetch("gone@c.test")
    with pytest.raises(InputError, match="no mail of ticket"):
        await desk.apply(action(text="x"), "gone@c.test")


async def test_what_a_mailbox_cannot_do_is_refused(mail_desk, action):
    desk = mail_desk()
    with pytest.raises(InputError, match="no way to set_priority"):
        await desk.apply(action("set_priority", priority="high"), "x@c.test")
    request = Request("POST", "https://d.example/webhooks/mail", {}, b"")
    with pytest.raises(InputError, match="no webhook"):
        desk.verify(request, NOON)
    with pytest.raises(InputError, match="no webhook"):
        desk.parse(request)
    with pytest.raises(InputError, match="not one of a mailbox"):
        await desk.poll("x")


async def test_automatic_mail_and_our_own_is_left_out(mail_pair, mail_desk):
    for headers in (
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"X_RT_Loop_Prevention": "desk"},
        {"List_Id": "<all.shop.test>"},
        {"Return_Path": "<>"},
        {"From": "support@desk.test"},
        {"Message_ID": "<dh.0123456789ab.0123456789abcdef@desk.test>"},
    ):
        await write(mail_pair, **headers)
    await write(mail_pair, Auto_Submitted="no", Message_ID="<person@c.test>")
    page = await mail_desk().poll("")
    assert [event.ticket_id for event in page.events] == ["person@c.test"]


async def test_a_poll_goes_on_and_repeats_only_what_it_must(mail_pair, mail_desk, monkeypatch):
    monkeypatch.setattr("deskhand_helpdesks.email_helpdesk.MAX_MAILS", 7)
    monkeypatch.setattr("deskhand_helpdesks.email_helpdesk.OVERLAP", 2)
    raws = [f"From: eve@c.test\r\nMessage-ID: <{number}@c.test>\r\n\r\nHello\r\n".encode() for number in range(16)]
    await asyncio.to_thread(mail_pair.put, *raws)
    desk, cursor, seen = mail_desk(), "", []
    for _ in range(4):
        page = await desk.poll(cursor)
        cursor = page.cursor
        seen.append([int(event.delivery_id.partition("@")[0]) for event in page.events])
    assert seen == [list(range(7)), list(range(5, 12)), list(range(10, 16)), [14, 15]]


async def test_another_mailbox_of_the_same_name_is_read_from_its_beginning(mail_pair, mail_desk):
    await write(mail_pair)
    page = await mail_desk().poll("1:4000")
    assert len(page.events) == 1
    assert page.cursor != "1:4000"


async def test_a_mail_without_an_id_is_known_by_its_place(mail_pair, mail_desk, action):
    await asyncio.to_thread(mail_pair.put, b"From: eve@c.test\r\nSubject: Hm\r\n\r\nNo id here\r\n")
    desk = mail_desk()
    (event,) = (await desk.poll("")).events
    assert event.ticket_id.startswith("uid-")
    assert (await desk.fetch(event.ticket_id)).messages[0].text == "No id here"
    await desk.apply(action(text="Hello"), event.ticket_id)
    (reply,) = mail_pair.received()
    assert reply["References"] is None
    await write(mail_pair, "Thanks", Subject=str(reply["Subject"]), In_Reply_To=str(reply["Message-ID"]))
    assert {one.ticket_id for one in (await desk.poll("")).events} == {event.ticket_id}
    assert len((await desk.fetch(event.ticket_id)).messages) == 3


async def test_a_20_mb_mail_is_read_within_bounds(mail_pair, mail_desk):
    attachment = b"QUJD" * 19 + b"\r\n"
    raw = (
        b"From: eve@c.test\r\nMessage-ID: <big@c.test>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nPlease look.\r\n'
        b"--b\r\nContent-Type: application/pdf; name=scan.pdf\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename=scan.pdf\r\n\r\n" + attachment * 270_000 + b"--b--\r\n"
    )
    assert len(raw) > 20_000_000
    await asyncio.to_thread(mail_pair.put, raw)
    desk = mail_desk()
    (event,) = (await desk.poll("")).events
    ticket = await desk.fetch(event.ticket_id)
    assert ticket.messages[0].text == "Please look."
    assert [one.name for one in ticket.attachments] == ["scan.pdf", "(the rest of a long mail, not read)"]
    assert ticket.attachments[1].size_bytes == len(raw) - desk.settings.max_read_bytes


async def test_a_ticket_carries_the_headers_that_give_automatic_mail_away(mail_pair, mail_desk):
    await write(mail_pair, X_Auto_Response_Suppress="All", Message_ID="<first@c.test>")
    assert (await mail_desk().fetch("first@c.test")).fields["headers"] == {"x-auto-response-suppress": "All"}


async def test_a_sender_is_verified_only_by_our_own_server(mail_pair, mail_desk):
    proof = "mx.desk.test; dkim=pass header.d=customer.test"
    await write(mail_pair, Authentication_Results=proof, Message_ID="<first@c.test>")
    assert (await mail_desk(trusted_authserv="mx.desk.test").fetch("first@c.test")).requester.is_verified
    assert not (await mail_desk().fetch("first@c.test")).requester.is_verified
    assert not (await mail_desk(trusted_authserv="mx.other.test").fetch("first@c.test")).requester.is_verified


async def test_somebody_else_in_the_thread_makes_its_customer_unverified(mail_pair, mail_desk, action):
    proof = "mx.desk.test; dkim=pass header.d=customer.test"
    await write(mail_pair, Authentication_Results=proof, Message_ID="<first@c.test>")
    await write(mail_pair, From="mallory@other.test", References="<first@c.test>", Authentication_Results=proof)
    desk = mail_desk(trusted_authserv="mx.desk.test")
    ticket = await desk.fetch("first@c.test")
    await desk.apply(action(text="Tomorrow."), "first@c.test")
    assert not ticket.requester.is_verified
    assert ticket.requester.email == "eve@customer.test"
    assert mail_pair.received()[0]["To"] == "eve@customer.test"


async def test_a_watch_tells_of_new_mail_at_once(mail_pair, mail_desk):
    desk = mail_desk()
    assert isinstance(desk, Watched)
    watch = desk.watch()
    await asyncio.wait_for(anext(watch), 60)
    told = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.5)
    assert not told.done()
    await write(mail_pair, Message_ID="<pushed@c.test>")
    await asyncio.wait_for(told, 60)
    assert [event.ticket_id for event in (await desk.poll("")).events] == ["pushed@c.test"]
    await watch.aclose()


@pytest.fixture
def stumble(monkeypatch):
    """Return a function that makes the parser fail on mails with these bytes in them: as such mails do, rarely."""

    def fail_on(words):
        def parse(raw, **given):
            if words in raw:
                raise InputError("a mail cannot be read (ValueError); look at it in a mail program")
            return parse_mail(raw, **given)

        monkeypatch.setattr("deskhand_helpdesks.email_helpdesk.parse_mail", parse)

    return fail_on


async def test_a_mail_that_cannot_be_read_is_told_and_hides_no_other(mail_pair, mail_desk, stumble, caplog):
    desk = mail_desk()
    stumble(b"<bad@c.test>")
    await write(mail_pair, Message_ID="<bad@c.test>")
    await write(mail_pair, Message_ID="<good@c.test>")
    page = await desk.poll("")
    ((event, why),) = page.unreadable
    assert [one.delivery_id for one in page.events] == ["good@c.test"]
    assert event.delivery_id == event.ticket_id and event.delivery_id.startswith("uid-")
    assert why in caplog.text and "look at it in a mail program" in why
    assert (await desk.poll(page.cursor)).unreadable == page.unreadable, "it has the same id when it is seen again"


async def test_a_mail_whose_body_cannot_be_read_says_so_in_its_thread(mail_pair, mail_desk, stumble):
    desk = mail_desk()
    stumble(b"a body that no parser likes")
    await write(mail_pair, "a body that no parser likes", Message_ID="<deep@c.test>")
    page = await desk.poll("")
    (message,) = (await desk.fetch(page.events[0].ticket_id)).messages
    assert page.unreadable == () and message.role is Role.customer
    assert "look at it in a mail program" in message.text


async def test_the_check_logs_in_on_both_servers_and_sends_nothing(mail_pair, mail_desk, monkeypatch):
    desk = mail_desk()
    assert mail_pair.inbox in await desk.check()
    assert mail_pair.received() == []
    with pytest.raises(ConfigError, match="no folder 'Elsewhere'"):
        await mail_desk(mailbox="Elsewhere").check()
    with pytest.raises(Unavailable, match=r"SMTP 127\.0\.0\.1:9"):
        await mail_desk(smtp_port=9).check()
    monkeypatch.setenv("MAIL_PASSWORD", "wrong")
    with pytest.raises(ConfigError, match="login"):
        await desk.check()
