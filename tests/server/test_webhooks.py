from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from server_house import SECRET, call_app, payload, signed

from deskhand.errors import ConfigError, StoreError
from deskhand.interfaces import Reply
from deskhand.testing import NOON, MemoryHelpdesk, build_ticket
from deskhand.tickets import Event
from deskhand_server import bodies


async def test_genuine_delivery_is_stored_with_its_ticket_and_answered_202(house: Any) -> None:
    answer = await house.deliver(payload(build_ticket("Where is it?", ticket_id="T-9")))
    assert (answer.status, answer.json) == (202, {"events": 1, "new": 1})
    [(event, ticket, graph)] = house.engine.accepted
    assert (event.source, event.delivery_id, event.ticket_id) == ("shop", "d-1", "T-9")
    assert ticket.messages[0].text == "Where is it?" and ticket.source == "shop" and graph is None


async def test_delivery_again_is_answered_200_and_not_stored_again(house: Any) -> None:
    answers = [await house.deliver(payload()) for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 200, 200]
    assert len(house.engine.accepted) == 1


async def test_payload_that_is_not_for_us_is_answered_200(house: Any) -> None:
    answer = await house.deliver({"type": "invoice.paid", "data": {}})
    assert (answer.status, answer.json["events"], house.engine.accepted) == (200, 0, [])


@pytest.mark.parametrize("change", ["body", "signature", "id", "late", "early", "secret", "missing"])
async def test_forged_or_replayed_delivery_is_refused_with_403(house: Any, change: str) -> None:
    body = json.dumps(payload()).encode()
    at = NOON + {"late": timedelta(seconds=-301), "early": timedelta(days=1)}.get(change, timedelta(0))
    secret = "whsec_" + "AAAA" * 10 if change == "secret" else SECRET
    headers = signed(body, "d-1", at=at, secret=secret)
    if change == "signature":
        headers["webhook-signature"] = headers["webhook-signature"][:-3] + "AA="
    if change == "id":
        headers["webhook-id"] = "d-2"
    if change == "missing":
        del headers["webhook-signature"]
    answer = await house.ask("POST", "/webhooks/shop", body + b" " * (change == "body"), headers)
    assert (answer.status, answer.json["detail"]) == (403, "not verified")
    assert house.engine.accepted == []


async def test_signature_header_twice_is_refused_and_the_log_says_so(
    house: Any, log_lines: Callable[[], list[str]]
) -> None:
    body = json.dumps(payload()).encode()
    headers = list(signed(body).items())
    answer = await house.ask("POST", "/webhooks/shop", body, [*headers, ("Webhook-Signature", "v1,AAAA")])
    assert answer.status == 403 and "repeated_header" in log_lines()[0]


async def test_header_of_a_proxy_twice_is_no_reason_to_refuse(house: Any) -> None:
    body = json.dumps(payload()).encode()
    headers = [*signed(body).items(), ("via", "1.1 a"), ("via", "1.1 b")]
    assert (await house.ask("POST", "/webhooks/shop", body, headers)).status == 202


async def test_refusals_are_one_line_each_with_its_own_reason_and_no_word_of_the_customer(
    house: Any, log_lines: Callable[[], list[str]]
) -> None:
    wrong = payload(build_ticket("my lilac words"))
    wrong["data"]["ticket"]["priority"] = "my lilac priority"
    await house.deliver(wrong)
    await house.deliver(b'{"type": "my lilac words"')
    await house.deliver(payload(build_ticket("my lilac words")), at=NOON - timedelta(days=1))
    await house.ask("POST", "/webhooks/shop", b"my lilac words")
    await house.ask("POST", "/webhooks/other%0Ainjected", b"my lilac words")
    await house.deliver(b"x" * 100_001)
    house.engine.error = StoreError("runs.db: the disk is full; free some space")
    await house.deliver(payload(build_ticket("my lilac words")))
    lines = log_lines()
    assert len(lines) == 7 and all("lilac" not in line and "\n" not in line for line in lines)
    reasons = [line.split("reason=")[1].split(" ")[0] for line in lines]
    assert reasons == ["unparsable", "unparsable", "forged", "forged", "unknown_source", "too_large", "not_stored"]
    assert len(set(lines)) == 6 and lines[2] != lines[3], "a stale stamp and a missing header read differently"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"[" * 50_000,
        b'{"a":' * 15_000 + b"1" + b"}" * 15_000,
        b"null",
        b'{"type": "ticket.created"}',
        b'{"type": "ticket.created", "data": {"ticket": {"id": NaN}}}',
        b'{"type": "ticket.created", "data": {"ticket": {"id": "\\ud800"}}}',
    ],
)
async def test_genuine_but_unreadable_body_is_answered_400(house: Any, body: bytes) -> None:
    answer = await house.deliver(body)
    assert (answer.status, answer.json["error"]) == (400, "unparsable")


async def test_unknown_source_is_answered_404_and_so_is_the_workspace_folder(house: Any) -> None:
    assert (await house.deliver({}, path="/webhooks/nobody")).status == 404
    assert (await house.deliver({}, path="/webhooks/file")).status == 404


async def test_body_over_the_limit_is_refused_before_it_is_read(house: Any) -> None:
    answer = await house.ask("POST", "/webhooks/shop", [], {"content-length": "100001"})
    assert answer.status == 413


async def test_chunks_over_the_limit_are_refused_whatever_the_length_header_says(house: Any) -> None:
    chunks = [b"x" * 60_000, b"x" * 60_000]
    for headers in ({}, {"content-length": "10"}):
        assert (await house.ask("POST", "/webhooks/shop", list(chunks), headers)).status == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "", "१२", "9" * 30])
async def test_length_that_is_no_number_is_refused(house: Any, length: str) -> None:
    headers = [("content-length", length.encode("utf-8").decode("latin-1"))]
    assert (await house.ask("POST", "/webhooks/shop", b"x", headers)).status in (400, 413)


async def test_slow_body_is_cut_off(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deskhand_server.webhooks.read_body", _read_quickly)
    answer = await call_app(house.app, "POST", "/webhooks/shop", [b"{"], stall=True)
    assert answer.status == 408


async def _read_quickly(request: Any, max_bytes: int) -> bytes:
    return await bodies.read_body(request, max_bytes, timeout_s=0.05)


async def test_sender_that_hangs_up_is_refused(house: Any) -> None:
    answer = await call_app(house.app, "POST", "/webhooks/shop", [b"{"], hang_up=True)
    assert (answer.status, answer.json["error"]) == (400, "cut_off")


@pytest.mark.parametrize("error", [StoreError("the disk is full; free some"), OSError(28, "full"), KeyError("x")])
async def test_delivery_that_could_not_be_stored_is_answered_503(house: Any, error: Exception) -> None:
    house.engine.error = error
    answer = await house.deliver(payload())
    assert (answer.status, answer.header("retry-after")) == (503, "10")


async def test_missing_secret_of_ours_is_answered_503(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_SECRET")
    answer = await house.deliver(payload())
    assert (answer.status, answer.json["error"]) == (503, "misconfigured")


async def test_server_that_stops_takes_nothing_in(house: Any) -> None:
    house.app.state.desk.is_draining = True
    assert (await house.deliver(payload())).status == 503
    assert house.engine.accepted == []


class _Odd(MemoryHelpdesk):
    """A connector that does what it is told."""

    seen: list[Any] = []
    in_verify: Exception | None = None
    in_parse: Exception | None = None
    found: Any = None

    def verify(self, request: Any, now: Any) -> None:
        self.seen.append(request)
        if self.in_verify is not None:
            raise self.in_verify

    def parse(self, request: Any) -> list[Event] | Reply:
        if self.in_parse is not None:
            raise self.in_parse
        return [] if self.found is None else self.found


@pytest.fixture
def odd(house: Any) -> _Odd:
    connector = _Odd()
    connector.seen = []
    house.app.state.desk.workspace._helpdesks["shop"] = connector
    return connector


@pytest.mark.parametrize("where", ["in_verify", "in_parse"])
async def test_connector_that_fails_is_answered_503_so_that_the_delivery_comes_again(
    house: Any, odd: _Odd, where: str
) -> None:
    setattr(odd, where, KeyError("customer text"))
    assert (await house.deliver({})).status == 503


@pytest.mark.parametrize("error", [UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), RecursionError(), ValueError("x")])
async def test_errors_of_reading_are_the_senders(house: Any, odd: _Odd, error: Exception) -> None:
    odd.in_parse = error
    assert (await house.deliver({})).status == 400


async def test_source_that_cannot_be_built_is_answered_503(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: str) -> None:
        raise ConfigError("x: wrong; correct it")

    monkeypatch.setattr(house.app.state.desk.workspace, "helpdesk", fail)
    assert (await house.deliver(payload())).status == 503


async def test_question_of_a_helpdesk_is_answered_as_it_asks(house: Any, odd: _Odd) -> None:
    odd.found = Reply(200, b'{"challenge":"abc"}', "application/json")
    answer = await house.deliver({})
    assert (answer.status, answer.body, answer.header("content-type")) == (200, odd.found.body, "application/json")


async def test_connector_sees_the_public_url_and_not_the_host_header(house: Any, odd: _Odd) -> None:
    headers = {"host": "evil.example", "x-forwarded-host": "evil.example"}
    await house.ask("POST", "/webhooks/shop/s%2Fecret?a=%20b", b"", headers)
    assert odd.seen[0].url == "https://desk.example/webhooks/shop/s%2Fecret?a=%20b"


async def test_events_of_one_delivery_are_counted(house: Any, odd: _Odd) -> None:
    odd.found = [_event(1), _event(2), _event(2)]
    assert (await house.deliver({})).json == {"events": 3, "new": 2}


def _event(n: int) -> Event:
    return Event(source="shop", delivery_id=f"d-{n}", ticket_id="T-1", kind="message", at=NOON)


async def test_large_body_is_read_off_the_event_loop(house: Any) -> None:
    assert (await house.deliver(payload(build_ticket("long " * 15_000)))).status == 202


async def test_secret_in_the_path_is_the_helpdesks_to_judge(house: Any) -> None:
    ticket = {"id": 7, "queue": 1, "title": "Lamp", "description": "It is broken", "followup_set": []}
    ticket |= {"submitter_email": "ann@example.com", "status": 1, "priority": 3}
    body = json.dumps({"ticket": ticket, "queue_slug": "support"}).encode()
    good = await house.ask("POST", "/webhooks/desk/path-secret", body)
    assert good.status in (200, 202), good.text
    for path in ("/webhooks/desk/path-secreT", "/webhooks/desk", "/webhooks/desk/"):
        assert (await house.ask("POST", path, body)).status in (403, 404)
    assert len(house.engine.accepted) == 1


@pytest.mark.parametrize("path", ["/webhooks/shop/", "/login/", "/api/v1/runs/", "/"])
async def test_no_address_that_a_sender_names_is_redirected_to(house: Any, path: str) -> None:
    answer = await house.ask("POST", path, b"{}", {"host": "evil.example"})
    assert answer.status in (401, 404, 405) and "evil.example" not in str(answer)


async def test_unexpected_error_anywhere_is_answered_503_and_logged(
    house: Any, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[[], list[str]]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("deskhand_server.webhooks._headers", fail)
    answer = await house.deliver(payload())
    assert answer.status == 503 and answer.header("x-frame-options") == "DENY"
    assert "unexpected error" in log_lines()[0]


async def test_other_methods_are_answered_405(house: Any) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert (await house.ask(method, "/webhooks/shop")).status == 405


async def test_deliveries_are_counted_by_outcome(house: Any) -> None:
    await house.deliver(payload())
    await house.deliver(payload())
    await house.deliver(payload(), path="/webhooks/made-up")
    text = (await house.api("GET", "/metrics")).text
    assert 'deskhand_deliveries_total{outcome="accepted",source="shop"} 1.0' in text
    assert 'deskhand_deliveries_total{outcome="repeated",source="shop"} 1.0' in text
    assert "made-up" not in text and 'source="unknown"' in text
