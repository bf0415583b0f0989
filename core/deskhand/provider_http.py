"""Just enough HTTP/1.1 to be a fast server for tests, and to break a response in every way a real one breaks."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_DRIPS = 100
_MAX_HEAD_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)
_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 411: "Length Required",
    429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


class Body(StrEnum):
    """How a response's body is sent."""

    whole = "whole"
    never = "never"
    cut = "cut"
    dripped = "dripped"


@dataclass(frozen=True)
class HttpRequest:
    """One request; the names of its headers are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class HttpResponse:
    """One response. ``never`` sends nothing at all, ``cut`` resets the connection in the middle of the body."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    manner: Body = Body.whole
    drip_s: float = 60.0

    def head(self) -> bytes:
        """Return the status line and the headers."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}"]
        headers = {"content-type": "application/json", **self.headers, "content-length": str(len(self.body))}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Connection(asyncio.Protocol):
    """One kept-alive connection; requests on it are answered one after another."""

    def __init__(self, respond: Callable[[HttpRequest], HttpResponse], connections: set[Connection]) -> None:
        self._respond, self._connections = respond, connections
        self._buffer = b""
        self._transport: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in."""
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection and what was still to be sent."""
        if self._timer is not None:
            self._timer.cancel()
        self._connections.discard(self)

    def close(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer the request once it is whole."""
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        if self.is_busy:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                self.close()
            return
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "0")
        parts = first.split(" ")
        if "transfer-encoding" in headers or not length.isdecimal() or len(parts) != 3:
            self._refuse()
            return
        stop = end + 4 + int(length)
        if len(self._buffer) < stop:
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == end + 4:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
        self._answer(HttpRequest(parts[0], parts[1], headers, body))

    def _refuse(self) -> None:
        self._buffer = b""
        response = HttpResponse(411, b'{"error":{"message":"send a content-length","code":"length_required"}}')
        self._transport.write(response.head() + response.body)
        self._transport.close()

    def _answer(self, request: HttpRequest) -> None:
        self.is_busy = True
        response = self._respond(request)
        if response.manner is Body.never:
            return
        if response.delay_s > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(response.delay_s, self._send, response)
        else:
            self._send(response)

    def _send(self, response: HttpResponse) -> None:
        if response.manner is Body.cut:
            self._cut(response)
        elif response.manner is Body.dripped:
            self._transport.write(response.head())
            self._drip(response, 0)
        else:
            self._transport.write(response.head() + response.body)
            self._done()

    def _cut(self, response: HttpResponse) -> None:
        self._transport.write(response.head() + response.body[: len(response.body) // 2])
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Later, not now: the first half is to be seen before the reset takes the rest.
        self._timer = asyncio.get_running_loop().call_later(0.005, self.close)

    def _drip(self, response: HttpResponse, start: int) -> None:
        size = max(1, len(response.body) // _DRIPS)
        self._transport.write(response.body[start : start + size])
        if start + size >= len(response.body):
            self._done()
            return
        pause_s = response.drip_s * size / len(response.body)
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._drip, response, start + size)

    def _done(self) -> None:
        self.is_busy = False
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._go_on)
