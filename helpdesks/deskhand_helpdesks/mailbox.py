"""An IMAP mailbox, in the few words that a helpdesk needs of it."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from deskhand.errors import ConfigError, InputError, Unavailable
from deskhand.helpdesk_settings import EmailSettings
from deskhand_helpdesks.credentials import read_secret

if TYPE_CHECKING:
    from aioimaplib import IMAP4  # type: ignore[import-untyped]

HEADER_BYTES = 65_536
"""How much of a mail's header is read."""

_RENEW_IDLE_S = 25 * 60.0  # servers end an IDLE after 30 minutes
_BATCH = 20  # aioimaplib reads the lines of one packet recursively; a large answer would be too deep
_SEARCHABLE = re.compile(r"[\x20-\x7e]{1,400}")
T = TypeVar("T")


class Folder(NamedTuple):
    """A selected mailbox: uids mean something together with ``validity`` only."""

    validity: int
    next_uid: int


@dataclass(frozen=True)
class Stored:
    """A mail on the server, or its beginning. ``size`` is that of the whole."""

    uid: int
    size: int
    at: datetime
    flags: frozenset[str]
    raw: bytes


class Mailbox:
    """One connection. Every method raises Unavailable when the server does not answer in time."""

    def __init__(self, client: IMAP4, name: str, timeout_s: float) -> None:
        self._client, self._name, self._timeout_s = client, name, timeout_s

    async def select(self, folder: str, *, create: bool = False) -> Folder:
        """Select a folder. Raises ConfigError when there is none of this name."""
        answer = await self._ask(self._client.select(quoted(folder)))
        if answer.result != "OK" and create:
            await self._ask(self._client.create(quoted(folder)))
            answer = await self._ask(self._client.select(quoted(folder)))
        if answer.result != "OK":
            raise ConfigError(f"{self._name}: the mailbox has no folder {folder!r}; correct its name in deskhand.toml")
        said = b" ".join(bytes(line) for line in answer.lines)
        found = {key: re.search(rb"%s (\d+)" % key, said) for key in (b"UIDVALIDITY", b"UIDNEXT")}
        numbers = [int(match[1]) if match else 0 for match in found.values()]
        return Folder(*numbers)

    async def search(self, criteria: str) -> list[int]:
        """Return the uids that fit, lowest first."""
        answer = await self._ask(self._client.uid_search(criteria, charset=None))
        if answer.result != "OK":
            raise Unavailable(f"{self._name}: the IMAP server refuses a search; try again later")
        return sorted({int(word) for line in answer.lines[:-1] for word in bytes(line).split() if word.isdigit()})

    async def fetch_headers(self, uids: Sequence[int]) -> list[Stored]:
        """Return the headers of mails."""
        batches = [uids[start : start + _BATCH] for start in range(0, len(uids), _BATCH)]
        return [one for batch in batches for one in await self._fetch(batch, f"HEADER]<0.{HEADER_BYTES}>")]

    async def fetch_mail(self, uid: int, max_bytes: int) -> Stored | None:
        """Return the first bytes of a mail, or None when it is no longer there."""
        found = await self._fetch([uid], f"]<0.{max_bytes}>")
        return found[0] if found else None

    async def _fetch(self, uids: Sequence[int], what: str) -> list[Stored]:
        wanted = f"(UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[{what})"
        answer = await self._ask(self._client.uid("fetch", ",".join(map(str, uids)), wanted))
        if answer.result != "OK":
            raise Unavailable(f"{self._name}: the IMAP server refuses to show a mail; try again later")
        return [one for one in _read_fetched(answer.lines) if one.uid in uids]

    async def append(self, folder: str, raw: bytes, flags: str) -> None:
        """Store a mail."""
        answer = await self._ask(self._client.append(raw, quoted(folder), flags))
        if answer.result != "OK":
            raise Unavailable(f"{self._name}: the IMAP server does not take a copy into {folder!r}; free some space")

    async def change_flags(self, uid: int, change: str) -> None:
        """Set or take away flags: ``+FLAGS (\\Seen)``. Raises Unavailable when it is refused."""
        answer = await self._ask(self._client.uid("store", str(uid), *change.split(" ", 1)))
        if answer.result != "OK":
            raise Unavailable(f"{self._name}: the IMAP server does not change a mail's flags; try again later")

    @property
    def can_push(self) -> bool:
        """Tell whether the server tells of new mail by itself (IDLE)."""
        return bool(self._client.has_capability("IDLE"))

    async def wait_for_mail(self) -> None:
        """Return when the server tells of new mail, or after 25 minutes."""
        idle = await self._ask(self._client.idle_start(timeout=_RENEW_IDLE_S))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_RENEW_IDLE_S):
                    while not _tells_of_mail(await self._client.wait_server_push(_RENEW_IDLE_S + 60)):
                        pass
        finally:
            self._client.idle_done()
        await self._ask(idle)

    async def _ask(self, question: Awaitable[T]) -> Any:
        import aioimaplib

        try:
            async with asyncio.timeout(self._timeout_s):
                return await question
        except (aioimaplib.AioImapException, OSError, TimeoutError) as exc:
            raise Unavailable(f"{self._name}: no answer from IMAP ({type(exc).__name__}); try again later") from exc


@asynccontextmanager
async def open_mailbox(name: str, settings: EmailSettings, root: Path) -> AsyncIterator[Mailbox]:
    """Connect and log in, and log out in the end.

    Raises:
        ConfigError: The user or the password is refused, or a certificate is not trusted.
        Unavailable: No answer.
    """
    where = f"{name}: IMAP {settings.imap_host}:{settings.imap_port}"
    user, password = quoted(settings.user), read_secret(name, settings.password_env)
    client = _connect(settings, root)
    try:
        await _log_in(client, where, settings, user, password)
        yield Mailbox(client, where, settings.timeout_s)
    finally:
        await _hang_up(client)


async def _log_in(client: IMAP4, where: str, settings: EmailSettings, user: str, password: str) -> None:
    import aioimaplib

    try:
        await client.wait_hello_from_server()
        answer = await client.login(user, password)
    except ssl.SSLCertVerificationError as exc:
        raise ConfigError(f"{where}: the certificate is not trusted ({exc.verify_message}); set ca_file") from exc
    except ValueError as exc:
        raise ConfigError(f"{where}: line breaks in {settings.password_env}; set the variable anew") from exc
    except (aioimaplib.AioImapException, OSError, TimeoutError) as exc:
        raise Unavailable(f"{where}: not reached ({type(exc).__name__}); try again later") from exc
    if answer.result != "OK":
        raise ConfigError(f"{where}: the login is refused; check user and the variable {settings.password_env}")


def _connect(settings: EmailSettings, root: Path) -> IMAP4:
    import aioimaplib

    kind = aioimaplib.IMAP4_SSL if settings.imap_tls else aioimaplib.IMAP4
    tls = {"ssl_context": tls_context(settings, root)} if settings.imap_tls else {}
    return kind(host=settings.imap_host, port=settings.imap_port, timeout=settings.timeout_s, **tls)


def tls_context(settings: EmailSettings, root: Path) -> ssl.SSLContext:
    """Return what checks a server's certificate. Raises ConfigError when ``ca_file`` cannot be read."""
    if settings.ca_file is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(root / settings.ca_file))
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"ca_file {settings.ca_file!r}: no certificates in it; correct the name") from exc


async def _hang_up(client: IMAP4) -> None:
    import aioimaplib

    transport = client.protocol.transport
    if transport is None or transport.is_closing():
        return
    with suppress(aioimaplib.AioImapException, OSError, TimeoutError):
        async with asyncio.timeout(2):
            await client.logout()
    transport.close()


def quoted(text: str) -> str:
    """Return ``text`` as an IMAP string. Raises InputError for characters that cannot be in one."""
    if not _SEARCHABLE.fullmatch(text):
        raise InputError(f"{text[:40]!r}: IMAP cannot be asked for this; use plain letters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tells_of_mail(push: Any) -> bool:
    lines = push if isinstance(push, list) else [push]
    return any(b"EXISTS" in bytes(line) for line in lines if isinstance(line, (bytes, bytearray)))


def _read_fetched(lines: Sequence[Any]) -> list[Stored]:
    """Return the mails in the lines of a FETCH; the text of each is the literal that follows its line."""
    found: list[Stored] = []
    head = b""
    for line in lines:
        if isinstance(line, bytearray):  # a literal
            stored = _stored(head, bytes(line))
            if stored:
                found.append(stored)
            head = b""
        elif b"FETCH (" in line:
            head = line
            if not line.endswith(b"}") and (stored := _stored(line, b"")):
                found.append(stored)
    return found


def _stored(head: bytes, raw: bytes) -> Stored | None:
    uid = re.search(rb"\bUID (\d+)", head)
    size = re.search(rb"\bRFC822\.SIZE (\d+)", head)
    at = re.search(rb'\bINTERNALDATE "([^"]+)"', head)
    flags = re.search(rb"\bFLAGS \(([^)]*)\)", head)
    if not uid or not size:
        return None
    return Stored(
        int(uid[1]),
        int(size[1]),
        _time(at[1] if at else b""),
        frozenset((flags[1] if flags else b"").decode("ascii", "replace").split()),
        raw,
    )


def _time(text: bytes) -> datetime:
    try:
        return datetime.strptime(text.decode("ascii").strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime(1970, 1, 1, tzinfo=UTC)
