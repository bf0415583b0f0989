"""What surrounds every route: the last resort for errors, security headers, and the door."""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deskhand_server.access import is_open

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from deskhand_server.desk import Desk

_log = logging.getLogger(__name__)

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CSP,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "cache-control": "no-store",
}
RETRY_AFTER_S = 10
VISITOR = "deskhand.visitor"
"""The key of the request's scope under which the door leaves who came in."""


class LastResort:
    """Turns whatever nobody expected into 503, which senders repeat; the log has the traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_begun = False

        async def watch(message: MutableMapping[str, Any]) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:  # the edge to the outside
            route = getattr(scope.get("route"), "path", "?")
            _log.exception("unexpected error in %s %s", scope["method"], route)
            if not is_begun:
                answer = unavailable("something went wrong here; try again in a moment, the log says what it was")
                await SecurityHeaders(answer)(scope, receive, send)


class SecurityHeaders:
    """Adds the security headers to every answer; what a route has set itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def dress(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, dress if scope["type"] == "http" else send)


class HeadAsGet:
    """Answers HEAD as GET is answered, for probes that ask so; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        await self.app({**scope, "method": "GET"} if is_head else scope, receive, send)


class Door:
    """Lets in who has a session or an API key, and everybody to the open paths. It asks before any route is looked up.

    Args:
        app: What is behind it.
        desk: Returns the desk, which knows who may come in.
        login: Returns the page that asks for the password.
    """

    def __init__(self, app: ASGIApp, desk: Callable[[], Desk], login: Callable[[Request], Response]) -> None:
        self.app = app
        self._desk = desk
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await _refuse_socket(self.app, scope, receive, send)
            return
        if not is_open(scope["path"]):
            headers = Headers(scope=scope)
            visitor = self._desk().access.visitor(headers)
            refusal = self._refusal(Request(scope), headers) if visitor is None else None
            if visitor and visitor.session and scope["path"].startswith("/api/"):
                refusal = _api_needs_key(scope["method"])
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            scope[VISITOR] = visitor
        await self.app(scope, receive, send)

    def _refusal(self, request: Request, headers: Headers) -> Response:
        if request.method == "GET" and "text/html" in headers.get("accept", ""):
            return self._login(request)
        return refuse(401, "log in, or send an API key as 'Authorization: Bearer ...'")


async def _refuse_socket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await app(scope, receive, send)
    else:  # there are no web sockets here
        await send({"type": "websocket.close", "code": 1008})


def _api_needs_key(method: str) -> Response | None:
    """A browser that is logged in may look at the API; what changes something needs a key, not a cookie."""
    if method == "GET":
        return None
    return refuse(403, "a login may only read the API; send an API key as 'Authorization: Bearer ...'")


def refuse(status: int, why: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error for machines."""
    extra = {"www-authenticate": 'Bearer realm="deskhand"'} if status == 401 else {}
    return JSONResponse({"error": why}, status, headers=extra | (headers or {}))


def unavailable(why: str) -> Response:
    """Return the one server error there is: not stored, try again."""
    return refuse(503, why, {"retry-after": str(RETRY_AFTER_S)})


def local_path(given: str | None) -> str:
    """Return ``given`` when it is a path of ours that may be gone to after a login, else the queue's."""
    text = given or ""
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return quote(text, safe="/?&=%-._~") if is_ours and not text.startswith(("/login", "/logout")) else "/"
