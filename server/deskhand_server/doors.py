"""Logging in and out."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from deskhand_server.access import read_cookies
from deskhand_server.bodies import Refused
from deskhand_server.desk import Desk, desk_of
from deskhand_server.forms import Form, field, read_fields, read_own_form, visitor_of
from deskhand_server.rendering import door_csp, door_style, page
from deskhand_server.shell import local_path

if TYPE_CHECKING:
    from starlette.datastructures import Headers

router = APIRouter()
_log = logging.getLogger(__name__)

_DOOR_COOKIE = "deskhand-door"
_NAME_CHARS = 80
_BROWSER_DAYS = 180
_TOO_FAST = "Too many wrong passwords. Wait {} s and log in again."
_NO_NAME = "Give your name; it stands beside what you decide."


def login_page(
    request: Request,
    *,
    status: int = 401,
    error: str = "",
    link_name: str | None = None,
    action: str = "/login",
    wait_s: int = 0,
    typed: Form | None = None,
) -> Response:
    """Return the page that asks for the password, or for one click on a one-time link.

    ``typed`` is what a form held that was refused: the name and the way on stay, the password does not.
    """
    desk = desk_of(request)
    anchor = read_cookies(request.headers).get(_DOOR_COOKIE) or secrets.token_urlsafe(16)
    headers = {"content-security-policy": door_csp()}
    if status == 401:
        headers["www-authenticate"] = 'Bearer realm="deskhand"'
    if wait_s:
        headers["retry-after"] = str(wait_s)
    answer = page(
        "login.html",
        status,
        headers,
        style=door_style(),
        brand=desk.workspace.folder.config.brand.name,
        error=error,
        action=action,
        link_name=link_name,
        has_password=desk.access.password is not None,
        csrf=desk.access.sessions.form_token(f"door|{anchor}"),
        next=local_path(field(typed, "next") if typed else _way_on(request)),
        name=field(typed or {}, "name"),
    )
    answer.set_cookie(_DOOR_COOKIE, anchor, httponly=True, samesite="strict", secure=desk.is_secure, max_age=3600)
    return answer


def _way_on(request: Request) -> str | None:
    if request.url.path.startswith("/login"):
        return request.query_params.get("next")
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


@router.get("/login")
async def ask(request: Request) -> Response:
    """Ask for the password."""
    return login_page(request)


@router.post("/login")
async def login(request: Request) -> Response:
    """Log in by password."""
    desk = desk_of(request)
    try:
        fields = await _door_fields(desk, request)
    except Refused as exc:
        return login_page(request, status=exc.status, error=str(exc))
    address, browser = _address(request), desk.access.known_browser(request.headers)
    if wait_s := desk.access.tries.wait_s(address, browser):
        desk.metrics.logins.labels("limited").inc()
        return login_page(request, status=429, error=_TOO_FAST.format(wait_s), wait_s=wait_s, typed=fields)
    if not desk.access.is_password(field(fields, "password")):
        desk.access.tries.fail(address, browser)
        desk.metrics.logins.labels("refused").inc()
        _log.warning("login refused: wrong password from %s", address)
        return login_page(request, error="That is not the password.", typed=fields)
    name = " ".join(field(fields, "name").split())[:_NAME_CHARS]
    if not name or not name.isprintable():
        return login_page(request, status=400, error=_NO_NAME, typed=fields)
    return _enter(desk, request, name, local_path(field(fields, "next")))


@router.get("/login/{token}")
async def ask_link(request: Request, token: str) -> Response:
    """Ask for one click: programs that look at links must not use them up."""
    name = desk_of(request).access.links.peek(token)
    if name is None:
        return login_page(request, error="This link was used, or is over. Log in by password, or start again.")
    return login_page(request, status=200, link_name=name, action=f"/login/{token}")


@router.post("/login/{token}")
async def login_by_link(request: Request, token: str) -> Response:
    """Log in by a one-time link."""
    desk = desk_of(request)
    try:
        fields = await _door_fields(desk, request)
    except Refused as exc:
        return login_page(request, status=exc.status, error=str(exc))
    name = desk.access.links.use(token)
    if name is None:
        desk.metrics.logins.labels("refused").inc()
        return login_page(request, error="This link was used, or is over. Log in by password, or start again.")
    return _enter(desk, request, name, local_path(field(fields, "next")))


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session."""
    desk = desk_of(request)
    await read_own_form(request)
    session = visitor_of(request).session
    assert session is not None, "a form of ours belongs to a session"
    desk.access.sessions.close(session)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(desk.access.cookie, httponly=True, samesite="strict", secure=desk.is_secure)
    return answer


async def _door_fields(desk: Desk, request: Request) -> Form:
    """Return the login form's fields. Raises Refused when another site made the browser send it."""
    fields = await read_fields(request)
    anchor = read_cookies(request.headers).get(_DOOR_COOKIE, "")
    is_ours = anchor and desk.access.sessions.is_form_token(f"door|{anchor}", field(fields, "csrf"))
    if not is_ours or _is_cross_site(request.headers):
        raise Refused(403, "foreign_form", "This form was too old or not ours. Try again.")
    return fields


def _is_cross_site(headers: Headers) -> bool:
    return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _enter(desk: Desk, request: Request, name: str, path: str) -> Response:
    access = desk.access
    desk.metrics.logins.labels("accepted").inc()
    answer = RedirectResponse(path, 303)
    kept = {access.cookie: (access.sessions.open(name), desk.settings.session_hours * 3600)}
    if access.known_browser(request.headers) is None:
        kept[access.browser_cookie] = (access.sessions.browser_token(), _BROWSER_DAYS * 86_400)
    for cookie, (token, seconds) in kept.items():
        answer.set_cookie(cookie, token, int(seconds), httponly=True, samesite="strict", secure=desk.is_secure)
    return answer


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"
