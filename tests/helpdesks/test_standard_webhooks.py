import json
import random
from pathlib import Path

import pytest
from aiohttp import web

from deskhand.actions import ReceiptStatus
from deskhand.errors import ConfigError, InputError, Unavailable
from deskhand.helpdesk_settings import StandardWebhooksSettings
from deskhand.interfaces import Request
from deskhand.testing import NOON, FixedClock, build_ticket
from deskhand.tickets import EventKind
from deskhand_helpdesks import NotGenuine, build_helpdesk, close_helpdesk, sign_webhook, ticket_of, verify_request

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEXT_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.fixture
def build(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("HOOK_SECRET_2", NEXT_SECRET)
    monkeypatch.setenv("TICKET_TOKEN", "t0ken")

    def builder(**settings):
        table = {"kind": "standard-webhooks", "secret_envs": ["HOOK_SECRET", "HOOK_SECRET_2"], **settings}
        return build_helpdesk("shop", StandardWebhooksSettings(**table), Path(), FixedClock())

    return builder


def payload(**changes):
    ticket = build_ticket().model_dump(mode="json")
    return {
        "type": "ticket.created",
        "timestamp": NOON.isoformat(),
        "data": {"ticket": ticket, "actor": "eve"},
    } | changes


def signed(value, secret=SECRET):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Request("POST", "https://d.example/webhooks/shop", sign_webhook(secret, "msg_1", NOON, body), body)


@pytest.mark.parametrize("secret", [SECRET, NEXT_SECRET])
def test_a_signed_payload_becomes_an_event_that_carries_its_ticket(build, secret):
    desk, request = build(), signed(payload(), secret)
    desk.verify(request, NOON)
    (event,) = desk.parse(request)
    assert (event.source, event.delivery_id, event.kind, event.actor) == ("shop", "msg_1", EventKind.created, "eve")
    assert event.at == NOON
    assert ticket_of(event) == build_ticket().model_copy(update={"source": "shop"})


def test_one_secret_of_two_is_enough_and_none_is_too_few(build, monkeypatch):
    monkeypatch.delenv("HOOK_SECRET")
    build().verify(signed(payload(), NEXT_SECRET), NOON)
    with pytest.raises(NotGenuine):
        build().verify(signed(payload(), SECRET), NOON)
    monkeypatch.delenv("HOOK_SECRET_2")
    with pytest.raises(ConfigError, match="none of HOOK_SECRET, HOOK_SECRET_2"):
        build().verify(signed(payload()), NOON)


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_of_event_has_a_type(build, kind):
    (event,) = build().parse(signed(payload(type=f"ticket.{kind.value}")))
    assert event.kind is kind


def test_a_type_that_is_not_ours_is_taken_and_ignored(build, caplog):
    caplog.set_level("INFO")
    assert build().parse(signed(payload(type="invoice.paid"))) == []
    assert "invoice.paid" in caplog.text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "no ticket in it"),
        ({"ticket_id": "7"}, "no ticket in it"),
        ({"ticket": {"id": "7"}}, "messages: field required"),
        ({"ticket": "7"}, "data.ticket"),
    ],
)
def test_a_payload_without_a_ticket_is_refused(build, data, says):
    with pytest.raises(InputError, match=says):
        build().parse(signed(payload(data=data)))


def test_with_a_ticket_url_an_id_is_enough(build):
    desk = build(ticket_url="http://127.0.0.1:1/{id}")
    (event,) = desk.parse(signed(payload(data={"ticket_id": "7"}, timestamp=None)))
    assert (event.ticket_id, event.raw, event.at) == ("7", "", NOON)
    assert ticket_of(event) is None


def test_a_ticket_that_is_too_long_for_an_event_needs_a_ticket_url(build):
    ticket = build_ticket().model_dump(mode="json")
    ticket["messages"] = [{**ticket["messages"][0], "id": str(number), "text": "x" * 150_000} for number in range(2)]
    request = signed(payload(data={"ticket": ticket}))
    with pytest.raises(InputError, match="send less of the thread"):
        build().parse(request)
    (event,) = build(ticket_url="http://127.0.0.1:1/{id}").parse(request)
    assert event.raw == ""


def test_10_000_fuzzed_payloads_raise_input_errors_only(build):
    rng, desk, good = random.Random(5), build(), json.dumps(payload()).encode()
    odd = [b"[" * 5000, b"9" * 5000, b'"\\ud800"', b"1e999", b"null", b"{}", b"\xff", b"\x00", b"\xef\xbb\xbf", b"NaN"]
    headers, n_read = sign_webhook(SECRET, "msg_1", NOON, b""), 0
    for number in range(10_000):
        body = bytearray(good)
        for _ in range(number % 4):
            at = rng.randrange(len(body))
            body[at : at + rng.randrange(12)] = rng.choice(odd) if rng.random() < 0.5 else rng.randbytes(3)
        try:
            desk.parse(Request("POST", "", headers if number % 7 else {}, bytes(body)))
            n_read += 1
        except InputError:
            pass
    assert 2_000 < n_read < 6_000


async def test_a_ticket_is_read_again_from_its_url(build, listen):
    async with listen() as server:
        desk = build(ticket_url=f"{server.url}/tickets/{{id}}?full=1", ticket_token_env="TICKET_TOKEN")
        ticket = build_ticket().model_copy(update={"id": "a/b c"})
        server.answers = [web.json_response(ticket.model_dump(mode="json")), web.json_response({"id": 1})]
        fetched = await desk.fetch("a/b c")
        with pytest.raises(InputError):
            await desk.fetch("a/b c")
        server.answers = [web.json_response(build_ticket().model_dump(mode="json"))]
        with pytest.raises(InputError, match="correct ticket_url"):
            await desk.fetch("another")
        await close_helpdesk(desk)
    assert fetched == ticket.model_copy(update={"source": "shop"})
    assert "/tickets/a%2Fb%20c?full=1" in server.requests[0].url
    assert server.requests[0].headers["Authorization"] == "Bearer t0ken"


async def test_without_a_ticket_url_the_last_webhook_is_all_there_is(build, action):
    desk = build()
    with pytest.raises(InputError, match="the ticket is the one in the last webhook"):
        await desk.fetch("7")
    with pytest.raises(ConfigError, match="no reply_url"):
        await desk.apply(action(text="x"), "7")
    page = await desk.poll("")
    assert (page.events, page.cursor) == ((), "")


def replying(build, server):
    return build(reply_url=f"{server.url}/actions", reply_secret_env="HOOK_SECRET_2")


async def test_an_action_goes_out_signed_and_with_its_key(build, listen, action):
    async with listen() as server:
        desk = replying(build, server)
        server.answers = [web.json_response({"ref": "m-1"}), web.json_response({"ref": "m-1"}, status=208)]
        receipts = [await desk.apply(action(text="Hello"), "7") for _ in range(2)]
        await close_helpdesk(desk)
    assert [(one.status, one.ref) for one in receipts] == [
        (ReceiptStatus.done, "m-1"),
        (ReceiptStatus.already, "m-1"),
    ]
    (first, second) = server.requests
    verify_request("standard-webhooks", first, [NEXT_SECRET], NOON)
    assert first.headers["Idempotency-Key"] == first.headers["webhook-id"] == "key-1"
    said = json.loads(first.body)
    assert (said["type"], said["data"]["ticket_id"], said["data"]["action"]["args"]) == (
        "action.reply",
        "7",
        {"text": "Hello"},
    )
    assert second.body == first.body


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b'{"ref": null}', b"[" * 100_000])
async def test_what_was_done_stays_done_whatever_the_answer_looks_like(build, listen, action, body):
    async with listen() as server:
        desk = replying(build, server)
        server.answers = [web.Response(body=body)]
        receipt = await desk.apply(action(text="Hello"), "7")
        await close_helpdesk(desk)
    assert (receipt.status, receipt.ref) == (ReceiptStatus.done, "")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (401, ConfigError),
        (404, InputError),
        (410, InputError),
        (409, InputError),
        (412, InputError),
        (302, ConfigError),
        (422, InputError),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
async def test_a_refusal_is_told_apart_from_not_now(build, listen, action, code, error):
    async with listen() as server:
        desk = replying(build, server)
        server.answers = [web.Response(status=code)]
        with pytest.raises(error) as caught:
            await desk.apply(action(text="Hello"), "7")
        await close_helpdesk(desk)
    assert isinstance(caught.value, Unavailable) is (error is Unavailable)


async def test_a_receiver_that_is_not_there_is_unavailable(build, action):
    desk = build(reply_url="http://127.0.0.1:1/", reply_secret_env="HOOK_SECRET")
    with pytest.raises(Unavailable, match="not reached"):
        await desk.apply(action(text="Hello"), "7")
    await close_helpdesk(desk)
