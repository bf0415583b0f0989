"""HTTP calls to a helpdesk: one bounded session, sizes and times limited, and every refusal in plain words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from deskhand.errors import ConfigError, InputError, Unavailable
from deskhand.jsonio import decode, parse_json

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER_BYTES = 20_000_000
"""Largest answer that is read."""

MAX_CONNECTIONS = 8
"""Connections to one helpdesk at the same time."""

_MAX_WAIT_S = 3600.0


class NoAnswer(Unavailable):
    """The request may have been carried out or not: it was sent, and no whole answer came back."""


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    where: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON. Raises InputError when it is none."""
        return parse_json(decode(self.body, self.where), self.where)

    def check(self) -> Answer:
        """Return itself when the request was carried out.

        Raises:
            ConfigError: The credentials are refused, or the address is not that of the API.
            InputError: What was asked for is not there, has changed, or is not taken.
            Unavailable: Not now; ``retry_after_s`` says when, if the server did.
        """
        if 200 <= self.status < 300:
            return self
        raise self._refusal()

    def _refusal(self) -> Exception:
        status, where = self.status, self.where
        if status in (401, 403):
            return ConfigError(f"{where}: refused ({status}); the key is wrong, expired or may not do this: renew it")
        if status in (404, 410):
            return InputError(f"{where}: not there ({status}); it was deleted, or the address is wrong")
        if status in (409, 412):
            return InputError(f"{where}: it was changed meanwhile ({status}); look at it again")
        if status == 429 or status >= 500:
            wait_s = retry_after_s(self.headers.get("Retry-After", ""))
            later = f"in {wait_s:.0f} s" if wait_s is not None else "later"
            return Unavailable(f"{where}: not now ({status}); try again {later}", retry_after_s=wait_s)
        if 300 <= status < 400:
            return ConfigError(f"{where}: the server sends elsewhere ({status}); correct the address")
        said = " ".join(self.body[:300].decode("utf-8", "replace").split())[:200]
        return InputError(f"{where}: not taken ({status}): {said or 'no reason given'}; correct it")


def retry_after_s(value: str, now: datetime | None = None) -> float | None:
    """Return a ``Retry-After`` header in seconds, at most an hour; None when it cannot be read."""
    if value.strip().isdigit():
        return min(float(value[:9]), _MAX_WAIT_S)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - (now or datetime.now(UTC))).total_seconds()), _MAX_WAIT_S)


class Calls:
    """Carries requests of one helpdesk. One session serves all calls of an event loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, where: str = ""
    ) -> Answer:
        """Return the answer, whatever its status.

        Raises:
            Unavailable: The server was not reached; nothing was done.
            NoAnswer: It was, and whether it did anything is not known.
        """
        import aiohttp

        where = where or f"{method} {url.partition('?')[0]}"
        try:
            async with asyncio.timeout(self._timeout_s * 2):  # a body that drips is cut off too
                async with self._open().request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as response:
                    return Answer(where, response.status, response.headers, await _read(response, where))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise Unavailable(f"{where}: not reached ({type(exc).__name__}); try again later") from exc
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as exc:
            raise ConfigError(f"{where}: not an address; correct it in deskhand.toml") from exc
        except (TimeoutError, aiohttp.ClientError) as exc:
            raise NoAnswer(f"{where}: no answer ({type(exc).__name__}); try again later") from exc

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._loop is not loop:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s, connect=self._timeout_s
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            self._loop = loop
        return self._session

    async def close(self) -> None:
        """Close the session's connections; the next call opens a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read(response: aiohttp.ClientResponse, where: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise InputError(f"{where}: the answer is larger than {MAX_ANSWER_BYTES // 1_000_000} MB; ask for less")
    return bytes(body)
