"""Logins: signed tokens of sessions, browsers and forms, and one-time links."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from deskhand.clock import Clock
from deskhand.errors import StoreError

KEY_BYTES = 32
_log = logging.getLogger(__name__)
LINK_MINUTES = 15
"""How long a one-time link may be used."""


def load_key(path: Path) -> bytes:
    """Return the server's own key, made on first use and readable by its owner only. Raises StoreError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_key(path)
        path.chmod(0o600)
        key = path.read_bytes()
    except OSError as exc:
        raise StoreError(f"{path}: the server's key cannot be kept ({exc.strerror}); check the folder") from exc
    if len(key) != KEY_BYTES:
        raise StoreError(f"{path}: is not a key of {KEY_BYTES} bytes; delete it, which logs everybody out")
    return key


def _write_key(path: Path) -> None:
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write(scratch, secrets.token_bytes(KEY_BYTES))
    try:
        os.link(scratch, path)  # of two processes that start at once, one wins and both read its key
    except FileExistsError:
        pass
    finally:
        scratch.unlink()


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True)
class Session:
    """A person who is logged in."""

    id: str
    name: str
    expires_at: float


class ClosedSessions:
    """The sessions that somebody logged out of, in a file, so that a restart does not revive a copied token.

    A session is forgotten when it would have ended by itself.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises StoreError when it cannot be read: the sessions in it would live again."""
        self._path = path
        try:
            self._ends: dict[str, float] = dict(json.loads(path.read_text())) if path.exists() else {}
        except (OSError, ValueError, TypeError) as exc:
            raise StoreError(
                f"{path}: cannot be read ({exc}); delete it together with server.key, which logs everybody out"
            ) from exc

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._ends

    def add(self, session: Session, now: datetime) -> None:
        """Remember that a session was ended; when that cannot be stored, until the process ends."""
        self._ends = {id_: end for id_, end in self._ends.items() if end > now.timestamp()}
        self._ends[session.id] = session.expires_at
        scratch = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            _write(scratch, json.dumps(list(self._ends.items())).encode())
            scratch.replace(self._path)
        except OSError as exc:
            _log.error("%s: a logout is kept until the next start only (%s); check the folder", self._path, exc)
            scratch.unlink(missing_ok=True)


@dataclass
class Sessions:
    """Makes and reads session tokens.

    Args:
        key: Signs tokens. A changed password makes it another one, so that it logs everybody out.
        clock: For the end of a session.
        hours: How long a session lasts.
        closed: Those that were ended before their time.
    """

    key: bytes
    clock: Clock
    hours: float
    closed: ClosedSessions

    def open(self, name: str) -> str:
        """Return a new session's token for the person ``name``."""
        expires_at = (self.clock.now() + timedelta(hours=self.hours)).timestamp()
        payload = json.dumps([secrets.token_urlsafe(12), name, expires_at]).encode()
        body = base64.urlsafe_b64encode(payload).decode()
        return f"{body}.{self._sign('session', body)}"

    def read(self, token: str) -> Session | None:
        """Return the session of a token that we signed, is not over and was not closed; else None."""
        body, _, signature = token.partition(".")
        if not is_equal(signature, self._sign("session", body)):
            return None
        try:
            session = Session(*json.loads(base64.urlsafe_b64decode(body)))
        except (ValueError, TypeError, binascii.Error):
            return None
        if session.id in self.closed or session.expires_at <= self.clock.now().timestamp():
            return None
        return session

    def close(self, session: Session) -> None:
        """End a session: its token is refused from now on."""
        self.closed.add(session, self.clock.now())

    def browser_token(self) -> str:
        """Return what a browser keeps to be recognised after a logout; it opens nothing."""
        browser = secrets.token_urlsafe(12)
        return f"{browser}.{self._sign('browser', browser)}"

    def known_browser(self, token: str) -> str | None:
        """Return the id of a browser that has logged in under this password, or None."""
        browser, _, signature = token.partition(".")
        return browser if is_equal(signature, self._sign("browser", browser)) else None

    def form_token(self, anchor: str) -> str:
        """Return what a form must carry; ``anchor`` is the session's id, or the login form's cookie."""
        return self._sign("form", anchor)

    def is_form_token(self, anchor: str, token: str) -> bool:
        """Tell whether ``token`` came with a form that we gave to this browser."""
        return bool(anchor) and is_equal(token, self.form_token(anchor))

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self.key, f"{purpose}|{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def session_key(key: bytes, password: str | None) -> bytes:
    """Return the key for sessions under this password."""
    return hmac.new(key, f"password|{password or ''}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def is_equal(one: str, other: str) -> bool:
    """Compare two secrets in a time that says nothing about where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


@dataclass
class Links:
    """One-time login links. They live in memory only: a restart ends them."""

    clock: Clock
    _open: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def issue(self, name: str) -> str:
        """Return a token that logs ``name`` in once, within ``LINK_MINUTES``."""
        token = secrets.token_urlsafe(24)
        self._open[_digest(token)] = (name, self.clock.now() + timedelta(minutes=LINK_MINUTES))
        return token

    def peek(self, token: str) -> str | None:
        """Return whom a link would log in, or None when it is used, over or unknown."""
        name, until = self._open.get(_digest(token), (None, None))
        return name if until is not None and self.clock.now() < until else None

    def use(self, token: str) -> str | None:
        """Return whom a link logs in, and end it."""
        name = self.peek(token)
        self._open.pop(_digest(token), None)
        return name


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
