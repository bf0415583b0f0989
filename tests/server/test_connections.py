"""The limits of a connection, over real sockets; what is counted in seconds is set lower, and never measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from deskhand_server import connections

WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
Open = Callable[..., Any]


@pytest.fixture
async def opened(live: Any) -> AsyncIterator[Open]:
    """Return what opens a connection, sends bytes, and closes it after the test."""
    async with AsyncExitStack() as stack:

        async def connect(*parts: bytes, limit: int = 2**16) -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection("127.0.0.1", live.serving.port, limit=limit)
            stack.callback(writer.close)
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0)
            return reader

        yield connect


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the server hangs up."""
    found = b""
    try:
        while chunk := await asyncio.wait_for(reader.read(65_536), 60):
            found += chunk
    except ConnectionError:
        pass
    return found


async def _is_answered(opened: Open) -> bool:
    reader = await opened(WHOLE)
    return b"200 OK" in await asyncio.wait_for(reader.readline(), 60)


@pytest.mark.parametrize("given", [(), (b"GET /healthz HTTP/1.1\r\n",), (b"G", b"E", b"T", b" ", b"/")])
async def test_connection_whose_headers_do_not_come_is_cut_off(
    opened: Open, monkeypatch: pytest.MonkeyPatch, given: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    assert await _rest(await opened(*given)) == b""


async def _begin(live: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection whose head was read in time; a machine that is busy may take more than one for it."""
    head = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.serving.port)
        writer.write(head)
        try:
            if b" 100 " in await asyncio.wait_for(reader.readline(), 60):
                return reader, writer
        except ConnectionError:
            pass
        writer.close()


async def test_second_request_of_a_connection_has_the_same_limit(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = await _begin(live)
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    writer.write(b"x" + b"GET /heal")
    assert (await _rest(reader)).count(b"403 Forbidden") == 1
    writer.close()


async def test_body_that_takes_longer_than_the_headers_may_is_not_cut_off(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    reader, writer = await _begin(live)
    await asyncio.sleep(1)  # longer than the headers may take
    writer.write(b"x")
    assert b"403 Forbidden" in await _rest(reader)
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"X: " + b"a" * 200_000 + b"\r\n", id="one long header"),
        pytest.param(b"".join(b"X-%d: y\r\n" % n for n in range(20_000)), id="many headers"),
    ],
)
async def test_headers_over_the_limit_are_refused(opened: Open, head: bytes) -> None:
    found = await _rest(await opened(HALF + head + b"\r\n"))
    assert b"200 OK" not in found


async def test_header_that_never_ends_is_refused_with_431(opened: Open) -> None:
    found = await _rest(await opened(HALF + b"X: " + b"a" * 66_000))
    assert found.startswith(b"HTTP/1.1 431 ") or found == b""  # a reset may overtake the answer


async def test_headers_within_the_limit_are_read(opened: Open) -> None:
    reader = await opened(HALF + b"X: " + b"a" * 30_000 + b"\r\n\r\n")
    assert b"200 OK" in await asyncio.wait_for(reader.readline(), 60)


async def test_body_is_no_header_however_it_is_cut(opened: Open) -> None:
    chunks = b"".join(b"64\r\n%b\r\n" % (b"a" * 100) for _ in range(900))
    head = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert b"403" in (await _rest(await opened(head + chunks + b"0\r\n\r\n"))).split(b"\r\n")[0]


@pytest.mark.parametrize("tail", [b"3;" + b"a" * 200_000 + b"\r\nabc\r\n0\r\n\r\n", b"0\r\nX: " + b"a" * 200_000])
async def test_what_stands_around_chunks_has_a_limit_too(opened: Open, tail: bytes) -> None:
    head = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b"202" not in await _rest(await opened(head + tail))  # it comes to an end


async def test_thousands_of_requests_sent_ahead_are_not_kept(opened: Open) -> None:
    found = await _rest(await opened(WHOLE * 20_000))
    assert found.count(b"200 OK") < 20_000


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HALF, id="half a head"),
        pytest.param(b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na", id="half a body"),
    ],
)
async def test_connections_that_wait_keep_nobody_out(opened: Open, given: bytes) -> None:
    waiting = [await opened(given) for _ in range(400)]
    assert await _is_answered(opened)
    assert await _rest(waiting[0]) == b""  # who waited longest was dropped


async def test_clients_that_do_not_read_keep_nobody_out(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_WAITING", 8)
    ask = b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n" * 1_500
    waiting = [await opened(ask, limit=1) for _ in range(12)]
    assert await _is_answered(opened)
    assert waiting


async def test_client_that_does_not_read_is_dropped_in_the_end(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 0.2)
    dropped = asyncio.Event()
    loop = asyncio.get_running_loop()
    drop = connections.GuardedConnection.drop

    def noted(self: connections.GuardedConnection) -> None:
        drop(self)
        loop.call_soon_threadsafe(dropped.set)

    monkeypatch.setattr(connections.GuardedConnection, "drop", noted)
    answer = b"x" * 40_000_000

    async def much(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    monkeypatch.setattr("deskhand_server.shell.LastResort.__call__", lambda self, *parts: much(*parts))
    await opened(WHOLE, limit=1)
    await asyncio.wait_for(dropped.wait(), 60)
