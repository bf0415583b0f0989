"""One connection of the server, with the limits that uvicorn has none for: a stranger must not keep others out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 20.0
"""From the beginning of a connection, or from an answer on it, to the end of the next request's headers."""

STALLED_S = 60.0
"""For so long a client may take nothing of an answer that is too long to be sent at once."""

HEAD_BYTES = 65_536
"""What may come besides bodies before an answer: headers, trailers, sizes of chunks, and requests sent ahead."""

MAX_WAITING = 256
"""Connections whose client keeps us waiting. With one more, the one that does so longest is dropped.

uvicorn answers 503 to everybody when there are too many connections, also when most of them do nothing. Its limit is
three times as high: a dropped request counts until the event loop has come round to its end.
"""

_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_log = logging.getLogger(__name__)


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's protocol of one connection, with limits to what comes, how long it takes, and unread answers."""

    _cutting: asyncio.TimerHandle | None = None
    _stalling: asyncio.TimerHandle | None = None
    _is_dropped = False
    _n_beside = 0  # bytes since the last answer that were no body
    waiting_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._expect()
        _make_room(one for one in self.connections if isinstance(one, GuardedConnection))

    def data_received(self, data: bytes) -> None:
        """Read on; what is no whole head yet must become one, in time and within its length."""
        self._n_beside += len(data)
        super().data_received(data)
        if self._n_beside > HEAD_BYTES:
            self._refuse()
        elif not self._is_at_head():
            self._stop_cutting()

    def on_body(self, body: bytes) -> None:
        """Take in a part of a body; the size that stands before a chunk may be as long as the chunk."""
        self._n_beside -= min(self._n_beside, 2 * len(body))
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._n_beside = 0
        self._expect()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not for ever."""
        super().pause_writing()
        self._stalling = self.loop.call_later(STALLED_S, self.drop)

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        self._stop_stalling()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_cutting()
        self._stop_stalling()
        super().connection_lost(exc)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever asks for another protocol is answered in this one, and may not fill the log."""

    @property
    def waits_for_client(self) -> bool:
        """Whether the next thing to happen here is the client's: it sends, reads, or hangs up."""
        is_asked = self._is_at_head() or self.cycle.more_body or self.flow.write_paused
        return not self._is_dropped and (is_asked or self.transport.is_closing())

    def drop(self) -> None:
        """End the connection at once; what was not read of an answer is lost."""
        self._is_dropped = True
        self.transport.abort()

    def _expect(self) -> None:
        # one timer, counted from here: one more byte each second must not prolong it
        self._stop_cutting()
        self._cutting = self.loop.call_later(HEAD_S, self._cut_off)
        self.waiting_since = self.loop.time()

    def _is_at_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _cut_off(self) -> None:
        if self._is_at_head():
            self.drop()

    def _refuse(self) -> None:
        _log.warning("connection closed: more than %d bytes besides bodies before an answer", HEAD_BYTES)
        if self._is_at_head() and not self.transport.is_closing():
            self.transport.write(_TOO_LONG)
            self.transport.close()
        else:  # in the middle of an answer there is nothing to say
            self.drop()

    def _stop_cutting(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    def _stop_stalling(self) -> None:
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None


def _make_room(connections: Iterable[GuardedConnection]) -> None:
    waiting = [one for one in connections if one.waits_for_client]
    if len(waiting) > MAX_WAITING:
        min(waiting, key=lambda one: one.waiting_since).drop()
