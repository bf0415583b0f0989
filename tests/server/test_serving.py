from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest

from deskhand.errors import InputError
from deskhand.records import RunRecord, RunStatus
from deskhand.testing import build_ticket, until
from deskhand_server.serving import Serving, listen, serve


async def _post(session: aiohttp.ClientSession, live: Any, kit: Any, n: int) -> int:
    ticket = build_ticket("How long do I have to return a product?", ticket_id=f"S-{n}")
    body = json.dumps(kit.payload(ticket)).encode()
    headers = kit.signed(body, f"s-{n}", at=kit.utc_now())
    async with session.post(f"{live.url}/webhooks/shop", data=body, headers=headers) as answer:
        return answer.status


async def test_deliveries_over_real_connections_become_runs_that_wait(live: Any, kit: Any) -> None:
    async with aiohttp.ClientSession() as session:
        statuses = await asyncio.gather(*(_post(session, live, kit, n % 8) for n in range(24)))
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


async def _raw(live: Any, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", live.serving.port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(200), 60)
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
