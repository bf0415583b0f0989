"""Against a real django-helpdesk; what it cannot be made to do is done by a listener in between."""

import asyncio
import json
import random

import pytest
from aiohttp import ClientSession, web

from deskhand.actions import ReceiptStatus
from deskhand.errors import ConfigError, InputError, Unavailable
from deskhand.interfaces import Request
from deskhand.testing import NOON
from deskhand.tickets import EventKind, Priority, Role
from deskhand_helpdesks import NotGenuine


async def test_a_ticket_is_fetched_with_its_thread(desk, connect_desk):
    row = await desk.open_ticket()
    await desk.ask("POST", "followups/", {"ticket": row["id"], "comment": "Looking.", "public": False})
    await desk.ask("POST", "followups/", {"ticket": row["id"], "comment": "On its way.", "public": True}, "bot")
    async with connect_desk(desk) as helpdesk:
        ticket = await helpdesk.fetch(str(row["id"]))
    assert [(one.role, one.text, one.is_public) for one in ticket.messages] == [
        (Role.customer, "Order 1042 has not come.", True),
        (Role.agent, "Looking.", False),
        (Role.bot, "On its way.", True),
    ]
    assert (ticket.source, ticket.subject, ticket.status) == ("desk", "Where is my order?", "open")
    assert ticket.requester.email == "eve@customer.test"
    assert not ticket.requester.is_verified
    assert ticket.priority is Priority.normal
    assert ticket.created_at <= ticket.updated_at


async def test_a_reply_is_posted_once_public_and_without_touching_the_title(desk, connect_desk, action):
    row = await desk.open_ticket("A title to keep")
    n_before = len(desk.mails())
    async with connect_desk(desk) as helpdesk:
        first = await helpdesk.apply(action(text="It comes tomorrow."), str(row["id"]))
        again = await helpdesk.apply(action(text="It comes tomorrow."), str(row["id"]))
        ticket = await helpdesk.fetch(str(row["id"]))
        page = await helpdesk.poll("")
    assert (first.status, again.status) == (ReceiptStatus.done, ReceiptStatus.already)
    assert first.ref == again.ref == ticket.messages[-1].id
    assert ticket.subject == "A title to keep"
    assert [one.text.startswith("It comes tomorrow.") for one in ticket.messages] == [False, True]
    assert ticket.messages[-1].is_public
    assert len(desk.mails()) == n_before + 1  # the customer's
    echo = next(event for event in page.events if event.delivery_id == first.ref)
    assert echo.actor in helpdesk.settings.actor_ids


async def test_a_note_is_internal_and_no_mail_goes_out(desk, connect_desk, action):
    row = await desk.open_ticket()
    n_before = len(desk.mails())
    async with connect_desk(desk) as helpdesk:
        await helpdesk.apply(action("note", text="Paid twice?"), str(row["id"]))
        ticket = await helpdesk.fetch(str(row["id"]))
    assert not ticket.messages[-1].is_public
    assert len(desk.mails()) == n_before


async def test_braces_in_a_reply_come_out_as_they_are(desk, connect_desk, action):
    text = "Use {{ ticket.submitter_email }} or {% now 'Y' %} or {# no #} and } { %} {% }}{{ in your template."
    row = await desk.open_ticket()
    async with connect_desk(desk) as helpdesk:
        await helpdesk.apply(action(text=text), str(row["id"]))
        ticket = await helpdesk.fetch(str(row["id"]))
    assert ticket.messages[-1].text.startswith(text)


async def test_priority_tags_and_closing_are_set_and_known_when_they_are_so(desk, connect_desk, action):
    ticket_id = str((await desk.open_ticket())["id"])
    todo = [
        action("set_priority", priority="urgent"),
        action("add_tag", tag="delivery"),
        action("add_tag", "key-2", tag="late"),
        action("close_ticket"),
    ]
    async with connect_desk(desk) as helpdesk:
        first = [await helpdesk.apply(one, ticket_id) for one in todo]
        again = [await helpdesk.apply(one, ticket_id) for one in todo]
        ticket = await helpdesk.fetch(ticket_id)
    assert {one.status for one in first} == {ReceiptStatus.done}
    assert {one.status for one in again} == {ReceiptStatus.already}
    assert (ticket.priority, ticket.tags, ticket.status) == (Priority.urgent, ("delivery", "late"), "closed")


async def test_what_it_cannot_do_is_refused(desk, connect_desk, action):
    ticket_id = str((await desk.open_ticket())["id"])
    async with connect_desk(desk, tag_field="labels") as helpdesk:
        with pytest.raises(InputError, match="no way to do it"):
            await helpdesk.apply(action("refund_order", order_id="1"), ticket_id)
        with pytest.raises(InputError, match="no custom field 'labels'"):
            await helpdesk.apply(action("add_tag", tag="x"), ticket_id)
        with pytest.raises(InputError, match="no such priority"):
            await helpdesk.apply(action("set_priority", priority="soon"), ticket_id)
        with pytest.raises(InputError, match="is a number"):
            await helpdesk.fetch("../users")


async def test_revoked_credentials_and_a_deleted_ticket_say_what_to_do(desk, connect_desk, action, monkeypatch):
    ticket_id = str((await desk.open_ticket())["id"])
    async with connect_desk(desk) as helpdesk:
        await desk.ask("DELETE", f"tickets/{ticket_id}/")
        with pytest.raises(InputError, match="deleted"):
            await helpdesk.fetch(ticket_id)
        with pytest.raises(InputError, match="deleted"):
            await helpdesk.apply(action(text="Hello"), ticket_id)
        monkeypatch.setenv("DESK_TOKEN", "revoked")
        with pytest.raises(ConfigError, match="refused \\(401\\)"):
            await helpdesk.poll("")
        monkeypatch.delenv("DESK_TOKEN")
        with pytest.raises(ConfigError, match="DESK_TOKEN is not set"):
            await helpdesk.fetch(ticket_id)


async def test_webhooks_and_the_poll_give_the_same_delivery_ids(hooked_desk, connect_desk, listen):
    async with connect_desk(hooked_desk) as helpdesk, listen(hooked_desk.hook_port) as listener:
        cursor = (await helpdesk.poll("")).cursor
        row = await hooked_desk.open_ticket()
        await hooked_desk.ask("POST", "followups/", {"ticket": row["id"], "comment": "Hi", "public": True})
        for request in listener.requests:
            helpdesk.verify(request, NOON)
        told = [event for request in listener.requests for event in helpdesk.parse(request)]
        found = [event for event in (await helpdesk.poll(cursor)).events if event.ticket_id == str(row["id"])]
    assert [event.kind for event in told] == [EventKind.created, EventKind.message]
    assert [event.delivery_id for event in told] == [event.delivery_id for event in found]
    assert told[0].actor == "eve@customer.test"
    assert [event.at for event in told] == [event.at for event in found]


async def test_while_the_listener_is_down_everything_arrives_through_the_poll(hooked_desk, connect_desk):
    async with connect_desk(hooked_desk) as helpdesk:
        cursor = (await helpdesk.poll("")).cursor
        answers = [await hooked_desk.open_ticket(f"Lost {number}") for number in range(12)]
        page = await helpdesk.poll(cursor)
        repeated = await helpdesk.poll(page.cursor)
        last = int(cursor.partition(":")[0])
        events = [one for one in page.events if int(one.ticket_id) > last]
        titles = {(await helpdesk.fetch(one.ticket_id)).subject for one in events}
    assert answers == [500] * 12  # it says that it failed, and has made the ticket
    assert titles == {f"Lost {number}" for number in range(12)}
    assert [event.kind for event in events] == [EventKind.created] * 12
    assert repeated.cursor == page.cursor
    assert {one.delivery_id for one in repeated.events} <= {one.delivery_id for one in page.events}


async def test_a_reply_that_is_answered_500_is_found_and_not_repeated(hooked_desk, connect_desk, action):
    async with connect_desk(hooked_desk) as helpdesk:
        await hooked_desk.open_ticket("Five hundred")
        ticket_id = max((await helpdesk.poll("")).events, key=lambda one: int(one.ticket_id)).ticket_id
        receipt = await helpdesk.apply(action(text="Once."), ticket_id)
        again = await helpdesk.apply(action(text="Once."), ticket_id)
        ticket = await helpdesk.fetch(ticket_id)
    assert receipt.status is ReceiptStatus.done
    assert "500" in receipt.detail
    assert again.status is ReceiptStatus.already
    assert len([one for one in ticket.messages if "Once." in one.text]) == 1


def between(desk, change):
    """Return a handler that passes a request on to the desk, and then does something to the answer."""

    async def handle(request, body):
        async with (
            ClientSession() as session,
            session.request(
                request.method,
                f"http://127.0.0.1:{desk.port}{request.raw_path}",
                data=body,
                headers={key: request.headers[key] for key in ("Authorization", "Content-Type")},
            ) as answer,
        ):
            return await change(request, web.Response(body=await answer.read(), status=answer.status))

    return handle


async def passed(request, response):
    return response


async def cut(request, response):
    request.transport.close()
    return response


async def never(request, response):
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.05)
    return response


def status(code, **headers):
    async def handle(request, body):
        return web.Response(status=code, headers=headers)

    return handle


@pytest.mark.parametrize(("change", "timeout_s"), [(cut, 60), (never, 4)])
async def test_an_answer_that_is_lost_is_looked_for(desk, connect_desk, listen, action, change, timeout_s):
    ticket_id = str((await desk.open_ticket())["id"])
    async with listen() as proxy, connect_desk(desk, f"{proxy.url}/helpdesk", timeout_s=timeout_s) as helpdesk:
        proxy.answers = [between(desk, one) for one in (passed, change, passed)]
        receipt = await helpdesk.apply(action(text="Once."), ticket_id)
    assert receipt.status is ReceiptStatus.done
    assert receipt.ref.startswith("followup-")
    assert [one.method for one in proxy.requests] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("code", [502, 504])
async def test_a_proxy_that_gives_up_leaves_it_uncertain(desk, connect_desk, listen, action, code):
    ticket_id = str((await desk.open_ticket())["id"])
    async with listen() as proxy, connect_desk(desk, f"{proxy.url}/helpdesk") as helpdesk:
        proxy.answers = [between(desk, passed), status(code), between(desk, passed)]
        receipt = await helpdesk.apply(action(text="Once."), ticket_id)
        proxy.answers = [between(desk, passed), status(code), status(503)]
        blind = await helpdesk.apply(action(text="Once."), ticket_id)
    assert receipt.status is blind.status is ReceiptStatus.uncertain
    assert "not there yet" in receipt.detail


async def test_an_error_after_which_nothing_is_there_may_be_tried_again(desk, connect_desk, listen, action):
    ticket_id = str((await desk.open_ticket())["id"])
    async with listen() as proxy, connect_desk(desk, f"{proxy.url}/helpdesk") as helpdesk:
        proxy.answers = [between(desk, passed), status(500), between(desk, passed)]
        with pytest.raises(Unavailable, match="try again"):
            await helpdesk.apply(action(text="Once."), ticket_id)
        proxy.answers = [between(desk, passed)] * 2
        receipt = await helpdesk.apply(action(text="Once."), ticket_id)
    assert receipt.status is ReceiptStatus.done


async def test_an_odd_answer_to_a_post_that_worked_is_still_done(desk, connect_desk, listen, action):
    ticket_id = str((await desk.open_ticket())["id"])
    async with listen() as proxy, connect_desk(desk, f"{proxy.url}/helpdesk") as helpdesk:
        proxy.answers = [between(desk, passed), status(201)]
        receipt = await helpdesk.apply(action(text="Once."), ticket_id)
    assert (receipt.status, receipt.ref) == (ReceiptStatus.done, "")


async def test_429_says_when_and_409_says_why(desk, connect_desk, listen, action):
    async with listen() as proxy, connect_desk(desk, f"{proxy.url}/helpdesk") as helpdesk:
        proxy.answers = [status(429, **{"Retry-After": "17"})]
        with pytest.raises(Unavailable, match="in 17 s") as caught:
            await helpdesk.fetch("1")
        assert caught.value.retry_after_s == 17
        proxy.answers = [status(409)]
        with pytest.raises(InputError, match="changed meanwhile"):
            await helpdesk.fetch("1")


async def test_a_poll_walks_through_many_pages_in_both_ways(connect_desk, desk, listen, monkeypatch):
    monkeypatch.setattr("deskhand_helpdesks.paging.MAX_PAGES", 3)
    rows = {"tickets": list(range(1, 411)), "followups": [*range(1, 300), *range(305, 400)]}

    async def listing(request, body):
        what, page = request.path.split("/")[-2], request.query["page"]
        found = [{"id": one, "ticket": 3, "comment": "x", "date": "2026-11-20T12:00:00Z"} for one in rows[what]]
        n_pages = -(-len(found) // 50)
        number = n_pages if page == "last" else int(page)
        if not 1 <= number <= n_pages:
            return web.Response(status=404)
        return web.json_response(
            {
                "count": len(found),
                "next": "yes" if number < n_pages else None,
                "previous": "yes" if number > 1 else None,
                "results": found[(number - 1) * 50 : number * 50],
            }
        )

    seen, cursor, n_polls = set(), "", 0
    async with listen() as server, connect_desk(desk, f"{server.url}/helpdesk") as helpdesk:
        while n_polls < 20:
            server.answers = [listing] * 40
            page = await helpdesk.poll(cursor)
            seen |= {event.delivery_id for event in page.events}
            n_polls += 1
            if page.cursor == cursor:
                break
            cursor = page.cursor
        server.requests.clear()
        server.answers = [listing] * 40
        await helpdesk.poll(cursor)
    assert cursor == "410:399"
    assert seen == {f"ticket-{one}" for one in rows["tickets"]} | {f"followup-{one}" for one in rows["followups"]}
    assert len(server.requests) <= 6


async def test_a_strange_cursor_is_refused(desk, connect_desk):
    async with connect_desk(desk) as helpdesk:
        with pytest.raises(InputError, match="not one of"):
            await helpdesk.poll("77")


PAYLOAD = {
    "ticket": {
        "id": 7,
        "queue": 1,
        "title": "T",
        "description": "D",
        "submitter_email": "eve@customer.test",
        "status": 1,
        "priority": 3,
        "custom_tags": "a, b",
        "followup_set": [
            {"id": 1, "ticket": 7, "user": None, "comment": "D", "public": True, "date": "2026-11-20T12:00:00Z"},
            {"id": 2, "ticket": 7, "user": 3, "comment": None, "new_status": 4, "date": "2026-11-20T12:01:00Z"},
            {"id": 3, "ticket": 7, "user": 3, "comment": "", "new_status": None, "date": "2026-11-20T12:02:00Z"},
        ],
    },
    "queue_slug": "support",
}


def hook(payload, secret="a-secret-in-the-path"):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Request("POST", f"https://d.example/webhooks/desk/{secret}", {}, body)


@pytest.mark.parametrize(
    ("followup_id", "kind", "delivery_id"),
    [
        (None, EventKind.created, "ticket-7"),
        (1, EventKind.created, "ticket-7"),
        (2, EventKind.closed, "followup-2"),
        (3, EventKind.changed, "followup-3"),
    ],
)
async def test_a_webhook_is_read_by_what_happened(desk, connect_desk, followup_id, kind, delivery_id):
    async with connect_desk(desk) as helpdesk:
        (event,) = helpdesk.parse(hook({**PAYLOAD, "followup_id": followup_id}))
    assert (event.kind, event.delivery_id, event.ticket_id) == (kind, delivery_id, "7")


async def test_a_wrong_secret_and_a_follow_up_that_is_not_there_are_refused(desk, connect_desk):
    async with connect_desk(desk) as helpdesk:
        with pytest.raises(NotGenuine):
            helpdesk.verify(hook(PAYLOAD, "guess"), NOON)
        with pytest.raises(InputError, match="not in followup_set"):
            helpdesk.parse(hook({**PAYLOAD, "followup_id": 99}))


async def test_10_000_fuzzed_webhooks_raise_input_errors_only(desk, connect_desk):
    rng, good = random.Random(11), json.dumps(PAYLOAD).encode()
    odd = [b"[" * 5000, b"9" * 5000, b'"\\ud800"', b"1e999", b"null", b"-1", b"{}", b"\xff\xfe", b"\x00", b"true"]
    async with connect_desk(desk) as helpdesk:
        n_read = 0
        for number in range(10_000):
            body = bytearray(good)
            for _ in range(number % 4):
                at = rng.randrange(len(body))
                body[at : at + rng.randrange(12)] = rng.choice(odd) if rng.random() < 0.5 else rng.randbytes(3)
            try:
                helpdesk.parse(hook(bytes(body[: rng.randrange(len(body))] if number % 9 == 0 else body)))
                n_read += 1
            except InputError:
                pass
    assert 2_000 < n_read < 6_000


async def test_the_check_tells_a_good_token_from_a_revoked_one(desk, connect_desk, monkeypatch):
    async with connect_desk(desk) as helpdesk:
        assert "takes the token" in await helpdesk.check()
        monkeypatch.setenv("DESK_TOKEN", "revoked")
        with pytest.raises(ConfigError, match="401"):
            await helpdesk.check()
    async with connect_desk(desk, base_url="http://127.0.0.1:9/helpdesk") as nobody:
        with pytest.raises(Unavailable, match="not reached"):
            await nobody.check()
