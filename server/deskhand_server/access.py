"""Who may come in. Every path asks for a login or an API key, except the few that are listed here."""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from deskhand.clock import Clock
from deskhand.service_settings import ServerSettings
from deskhand.settings import read_key
from deskhand_server.sessions import ClosedSessions, Links, Session, Sessions, is_equal, session_key
from deskhand_server.tries import Tries

if TYPE_CHECKING:
    from starlette.datastructures import Headers

OPEN_PATHS = ("/healthz", "/login")
OPEN_PREFIXES = ("/login/", "/webhooks/")
"""The login's own paths ask for the password or a link; webhooks for the helpdesk's signature or secret."""


@dataclass(frozen=True)
class Visitor:
    """Somebody who may come in: by a session, or by an API key."""

    name: str
    session: Session | None = None


class Access:
    """Recognises visitors. Passwords and keys are read from the environment when they are needed and kept nowhere."""

    def __init__(self, key: bytes, settings: ServerSettings, clock: Clock, closed: ClosedSessions) -> None:
        self._key = key
        self._closed = closed
        self._settings = settings
        self._clock = clock
        self._sessions: Sessions | None = None
        self.links = Links(clock)
        self.tries = Tries(clock)
        prefix = "__Host-" if settings.public_url.startswith("https://") else ""
        self.cookie = f"{prefix}deskhand"
        self.browser_cookie = f"{prefix}deskhand-browser"

    @property
    def password(self) -> str | None:
        """The reviewers' password; None when there is none, and then only links log in."""
        return read_key(self._settings.password_env)

    @property
    def sessions(self) -> Sessions:
        """The sessions under the password as it is now."""
        key = session_key(self._key, self.password)
        if self._sessions is None or self._sessions.key != key:
            self._sessions = Sessions(key, self._clock, self._settings.session_hours, self._closed)
        return self._sessions

    def is_password(self, given: str) -> bool:
        """Tell whether this is the password, in constant time; never when none is set."""
        password = self.password
        return is_equal(given, password or "") and password is not None

    def known_browser(self, headers: Headers) -> str | None:
        """Return the id of the browser that sends these headers when it has logged in before, else None."""
        return self.sessions.known_browser(read_cookies(headers).get(self.browser_cookie, ""))

    def visitor(self, headers: Headers) -> Visitor | None:
        """Return who sends a request with these headers, or None."""
        given = _given_key(headers)
        if given is not None:
            return Visitor("api") if self._is_api_key(given) else None
        token = read_cookies(headers).get(self.cookie, "")
        session = self.sessions.read(token) if token else None
        return Visitor(session.name, session) if session else None

    def _is_api_key(self, given: str) -> bool:
        # every key is compared, so that the time does not tell which one was nearly right
        keys = [read_key(name) for name in self._settings.api_key_envs]
        return any([is_equal(given, key) for key in keys if key is not None])


def is_open(path: str) -> bool:
    """Tell whether a path answers without a login."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def _given_key(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return headers.get("x-api-key")


def read_cookies(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request; none when they cannot be read."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}
