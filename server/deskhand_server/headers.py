"""Cutting off who does not send the head of a request in time, which uvicorn would wait for for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_S = 20.0
"""From the beginning of a connection, or of a further request on it, to the end of the request's headers."""


class HeadersInTime(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol of one connection, with a limit to the time that headers take."""

    _cutting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; what is no whole head yet must become one in time."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._is_at_head():
            self._stop()
        elif self._cutting is None:  # counted from the first byte: one more each second must not prolong it
            self._cutting = self.loop.call_later(HEAD_S, self._cut_off)

    def _is_at_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _stop(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    def _cut_off(self) -> None:
        self._cutting = None
        if self._is_at_head():
            self.transport.close()
