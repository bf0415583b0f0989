from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from deskhand_server import headers


async def _until_closed(live: Any, *parts: bytes, pause_s: float = 0.0) -> tuple[bytes, float]:
    """Send the parts and return what came back until the server hung up, and after how long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", live.serving.port)
    began, found = time.monotonic(), b""
    for part in parts:
        writer.write(part)
        await asyncio.sleep(pause_s)
    found = await asyncio.wait_for(reader.read(-1), 15)
    writer.close()
    return found, time.monotonic() - began


@pytest.mark.parametrize("given", [(), (b"GET /healthz HTTP/1.1\r\n",), (b"G", b"E", b"T", b" ", b"/")])
async def test_connection_whose_headers_do_not_come_is_cut_off(
    live: Any, monkeypatch: pytest.MonkeyPatch, given: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(headers, "HEAD_S", 0.5)
    found, took_s = await _until_closed(live, *given, pause_s=0.05)
    assert found == b"" and 0.4 < took_s < 10


async def test_second_request_of_a_connection_has_the_same_limit(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "HEAD_S", 0.5)
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    found, _ = await _until_closed(live, whole, b"GET /heal", pause_s=0.2)
    assert found.count(b"200 OK") == 1


async def test_answer_that_takes_longer_than_the_headers_may_is_not_cut_off(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "HEAD_S", 0.3)
    head = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    found, _ = await _until_closed(live, head, b"a", b"b", b"c", pause_s=0.3)
    assert b"403" in found.split(b"\r\n")[0]
