from __future__ import annotations

import asyncio
import json
import socket
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from server_house import API_KEY, payload, signed

from deskhand.errors import InputError
from deskhand.records import RunRecord, RunStatus
from deskhand.testing import build_ticket, until
from deskhand_server.serving import Serving, listen, serve


async def _post(session: aiohttp.ClientSession, live: Any, n: int) -> int:
    ticket = build_ticket("How long do I have to return a product?", ticket_id=f"S-{n}")
    body = json.dumps(payload(ticket)).encode()
    headers = signed(body, f"s-{n}", at=datetime.now(UTC))
    async with session.post(f"{live.url}/webhooks/shop", data=body, headers=headers) as answer:
        return answer.status


async def test_deliveries_over_real_connections_become_runs_that_wait(live: Any) -> None:
    async with aiohttp.ClientSession() as session:
        statuses = await asyncio.gather(*(_post(session, live, n % 8) for n in range(24)))
    assert sorted(set(statuses)) == [200, 202] and statuses.count(202) == 8

    def waiting() -> list[RunRecord]:
        return [run for run in live.engine.store.list(status=RunStatus.parked) if run.ticket.id.startswith("S-")]

    await until(lambda: len(waiting()) == 8)
    assert all(run.ticket.source == "shop" for run in waiting())


async def test_lies_about_the_length_are_answered_and_the_server_goes_on(live: Any) -> None:
    long = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nabc"
    assert b"413" in await _raw(live, long)
    chunked = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b"413" in await _raw(live, chunked + b"1ffff\r\n" + b"x" * 0x1FFFF + b"\r\n0\r\n\r\n")
    assert b"400" in await _raw(
        live, b"POST /webhooks/shop HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde"
    )
    assert b"400" in await _raw(live, b"\x00\x01 garbage\r\n\r\n")
    assert b"200 OK" in await _raw(live, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/", b"/api/v1/runs", b"/static/desk.js"])
async def test_head_is_answered_as_get_without_the_body(live: Any, path: bytes) -> None:
    found = await _raw(live, _asked(b"HEAD", path, b"Authorization: Bearer " + API_KEY.encode()), 100_000)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and body == b""


async def test_head_opens_nothing_that_get_does_not(live: Any) -> None:
    assert b" 401 " in await _raw(live, _asked(b"HEAD", b"/readyz"))
    assert b" 405 " in await _raw(live, _asked(b"HEAD", b"/webhooks/shop"))


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_asking_for_another_protocol_is_answered_and_fills_no_log(
    live: Any, caplog: pytest.LogCaptureFixture, protocol: bytes
) -> None:
    wish = b"Upgrade: " + protocol + b"\r\nConnection: Upgrade"
    head = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\n" + wish + b"\r\nContent-Length: 2\r\n\r\n{}"
    assert b" 403 " in await _raw(live, head)
    assert b" 200 " in await _raw(live, _asked(b"GET", b"/healthz", wish))
    assert [record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")] == []


def _asked(method: bytes, path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: x", *headers, b"Connection: close", b"", b""])


async def _raw(live: Any, request: bytes, n_bytes: int = 200) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", live.serving.port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(n_bytes), 60)
    writer.close()
    return answer


def test_port_that_is_taken_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="choose another"):
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError, match="choose another"):
        listen("no such host", 1)


def test_url_of_an_ipv6_address_has_brackets(house: Any) -> None:
    assert Serving(house.app, "::1", 80, lambda: None).url == "http://[::1]:80"


class _Slow:
    """An engine that never gets idle."""

    def __init__(self) -> None:
        self.is_draining, self.was_cut_off = False, False

    async def drain(self, grace_s: float) -> None:
        self.is_draining = True
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cut_off = True
            raise


async def test_second_stop_does_not_wait_for_work(house: Any) -> None:
    engine, stops = _Slow(), []

    def on_start(serving: Serving) -> None:
        stops.append(serving.stop)
        serving.stop()

    serving = asyncio.create_task(serve(house.app, engine, host="127.0.0.1", port=0, on_start=on_start))
    await until(lambda: engine.is_draining)
    assert not serving.done() and house.app.state.desk.is_draining
    stops[0]()
    await asyncio.wait_for(serving, 60)
    assert engine.was_cut_off


async def test_stop_waits_for_work(house: Any) -> None:
    await serve(house.app, house.engine, host="127.0.0.1", port=0, on_start=lambda serving: serving.stop())
    assert house.engine.settled == [("drain", 0, "")]
