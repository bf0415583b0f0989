from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from parked_runs import actions, park
from server_house import API_KEY, CONFIG, PASSWORD, form_value
from starlette.routing import Mount, Route

from deskhand.errors import StoreError
from deskhand.testing import FixedClock
from deskhand_server.sessions import LINK_MINUTES, ClosedSessions, Sessions, load_key
from deskhand_server.shell import SECURITY_HEADERS, local_path

OPEN = {"/healthz", "/login", "/login/{token}", "/webhooks/{source}", "/webhooks/{source}/{secret}"}


def _routes(app: Any) -> list[tuple[str, str]]:
    """Return every method and path of the application, whatever is added to it later."""
    found = []
    for route in _flat(app.routes):
        if isinstance(route, Mount):
            found += [("GET", f"{route.path}/desk.js"), ("GET", f"{route.path}/desk.css")]
        else:
            found += [(method, route.path) for method in sorted(route.methods)]
    return found


def _flat(routes: Any) -> list[Any]:
    flat = []
    for route in routes:
        inner = getattr(route, "original_router", None)
        if isinstance(route, (Route, Mount)):
            flat.append(route)
        else:
            assert inner is not None, f"{route!r}: look into it too"
            prefix = getattr(route, "include_context", None)
            assert prefix is not None
            flat += _flat(inner.routes)
    return flat


async def test_every_route_but_the_open_ones_refuses_without_login_or_key(house: Any) -> None:
    run_id = park(house.engine.store)
    routes = _routes(house.app)
    assert len(routes) > 15
    for method, path in routes:
        if path in OPEN:
            continue
        url = path.replace("{run_id}", run_id).replace("{seq}", "1").replace("{what}", "retry")
        for headers in ({}, {"accept": "text/html"}, {"authorization": "Bearer wrong"}, {"cookie": "deskhand=x.y"}):
            answer = await house.ask(method, url, b"", headers)
            assert answer.status == 401, (method, url, headers)
            assert "Lamp" not in answer.text and "lamp" not in answer.text
    assert house.engine.store.load(run_id).waits and house.engine.settled == []


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/../server.key", "//", "/login/../metrics", "/docs", "/openapi.json"]
)
async def test_unknown_paths_refuse_too(house: Any, path: str) -> None:
    answer = await house.ask("GET", path)
    assert answer.status in (401, 404)
    assert (await house.ask("POST", "/api/v1/runs", b"{}")).status == 401


async def test_open_webhooks_refuse_what_is_not_verified(house: Any) -> None:
    for path in ("/webhooks/shop", "/webhooks/desk", "/webhooks/desk/wrong"):
        assert (await house.ask("POST", path, b"{}")).status == 403


async def test_health_is_open_and_says_nothing(house: Any) -> None:
    answer = await house.ask("GET", "/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_browser_without_login_gets_the_login_page_and_goes_on_after_it(house: Any) -> None:
    answer = await house.ask("GET", "/recent?a=1", headers={"accept": "text/html"})
    assert answer.status == 401 and 'name="password"' in answer.text
    assert form_value(answer.text, "next") == "/recent?a=1"
    assert "script" not in answer.text.lower()


async def test_login_gives_a_strict_cookie_and_lets_in(house: Any) -> None:
    await house.log_in("Maria Keller")
    page = await house.get("/")
    assert page.status == 200 and "Maria Keller" in page.text


async def test_login_begins_a_new_session_whatever_cookie_came_with_it(house: Any) -> None:
    await house.log_in("Mallory")
    planted = house.cookie
    house.enter(await house.try_password(PASSWORD, "Maria", cookie=planted))
    assert house.cookie.split("; ")[0] not in planted
    assert "Maria" in (await house.get("/")).text
    assert (await house.post("/logout")).status == 303
    house.cookie = planted
    assert "Mallory" in (await house.get("/")).text, "a session of its own"


async def test_cookies_are_http_only_strict_and_secure_where_the_url_is(
    house: Any, make_house: Callable[..., Any]
) -> None:
    plain = make_house(CONFIG.replace("https://", "http://"))
    for one, is_secure in ((house, True), (plain, False)):
        door = await one.ask("GET", "/login")
        [cookie] = [value for name, value in door.headers if name == "set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and ("Secure" in cookie) is is_secure
        await one.log_in()
        assert one.cookie.startswith("__Host-deskhand=" if is_secure else "deskhand=")


async def test_login_needs_a_name_and_our_own_form(house: Any) -> None:
    door = await house.ask("GET", "/login")
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in door.cookies().items())}
    form = {"csrf": form_value(door.text, "csrf"), "name": " ", "password": PASSWORD}
    assert (await house.post_form("/login", form, cookie)).status == 400
    assert (await house.post_form("/login", {**form, "csrf": "0" * 64}, cookie)).status == 403
    assert (await house.post_form("/login", form, {})).status == 403
    assert (await house.post_form("/login", form, {**cookie, "sec-fetch-site": "cross-site"})).status == 403
    assert (await house.ask("POST", "/login", b"\xff=\xff", cookie)).status == 400


async def test_without_a_password_only_a_link_logs_in(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DESKHAND_PASSWORD")
    door = await house.ask("GET", "/login")
    assert 'name="password"' not in door.text and "one-time link" in door.text
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in door.cookies().items())}
    form = {"csrf": form_value(door.text, "csrf"), "name": "x", "password": ""}
    assert (await house.post_form("/login", form, cookie)).status == 401


async def _use_link(house: Any, token: str) -> Any:
    page = await house.ask("GET", f"/login/{token}")
    cookie = "; ".join(f"{name}={value}" for name, value in page.cookies().items())
    return await house.post_form(f"/login/{token}", {"csrf": form_value(page.text, "csrf")}, {"cookie": cookie})


async def test_link_logs_in_once(house: Any) -> None:
    token = house.app.state.desk.access.links.issue("root")
    shown = await house.ask("GET", f"/login/{token}")
    assert shown.status == 200 and "root" in shown.text
    first, second = await _use_link(house, token), await _use_link(house, token)
    assert (first.status, second.status) == (303, 401)
    house.enter(first)
    assert "root" in (await house.get("/")).text


async def test_link_ends_after_a_while_and_a_forged_one_never_begins(house: Any) -> None:
    token = house.app.state.desk.access.links.issue("root")
    house.clock.at += timedelta(minutes=LINK_MINUTES)
    assert (await _use_link(house, token)).status == 401
    assert (await house.ask("GET", "/login/made-up")).status == 401
    assert (await house.ask("POST", f"/login/{token}", b"")).status == 403


async def test_session_ends_with_its_hours_its_logout_or_a_new_password(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.log_in()
    house.clock.at += timedelta(hours=12)
    assert (await house.get("/")).status == 401
    await house.log_in()
    out = await house.post("/logout")
    assert out.status == 303 and (await house.get("/")).status == 401
    await house.log_in()
    monkeypatch.setenv("DESKHAND_PASSWORD", "another")
    assert (await house.get("/")).status == 401


def test_logout_survives_a_restart_until_the_session_would_have_ended(tmp_path: Path) -> None:
    path, clock = tmp_path / "sessions.closed", FixedClock()
    sessions = Sessions(b"k" * 32, clock, 12, ClosedSessions(path))
    copied, other = sessions.open("Maria"), sessions.open("Maria")
    sessions.close(sessions.read(copied))
    assert path.stat().st_mode & 0o777 == 0o600
    again = Sessions(b"k" * 32, clock, 12, ClosedSessions(path))
    assert again.read(copied) is None and again.read(other) is not None
    clock.at += timedelta(hours=13)
    late = again.open("Lee")
    again.close(again.read(late))
    assert len(json.loads(path.read_text())) == 1  # those that are over are forgotten


def test_file_of_logouts_that_cannot_be_read_or_written_says_so(
    tmp_path: Path, log_lines: Callable[[], list[str]]
) -> None:
    path, clock = tmp_path / "sessions.closed", FixedClock()
    path.write_text("{")
    with pytest.raises(StoreError, match="logs everybody out"):
        ClosedSessions(path)
    sessions = Sessions(b"k" * 32, clock, 12, ClosedSessions(tmp_path / "nowhere" / "sessions.closed"))
    token = sessions.open("Maria")
    sessions.close(sessions.read(token))
    assert sessions.read(token) is None and "until the next start" in log_lines()[0]


@pytest.mark.parametrize("change", ["name", "end", "body", "signature", "empty"])
async def test_changed_session_is_refused(house: Any, change: str) -> None:
    await house.log_in()
    name, _, token = house.cookie.split("; ")[0].partition("=")
    body, _, signature = token.partition(".")
    forged = {"name": f"{body[:-4]}AAAA.{signature}", "end": f"{body}A.{signature}", "body": f".{signature}"}
    forged |= {"signature": f"{body}.{'0' * 64}", "empty": ""}
    house.cookie = f"{name}={forged[change]}"
    assert (await house.get("/")).status == 401


async def test_form_without_its_token_changes_nothing(house: Any) -> None:
    run_id = park(house.engine.store)
    await house.log_in()
    fields = {"ask_id": f"{run_id}:0", "verdict": "approve"}
    for csrf in ({}, {"csrf": "0" * 64}):
        answer = await house.post_form(f"/runs/{run_id}/decide", fields | csrf, {"cookie": house.cookie})
        assert answer.status == 403
    own = form_value((await house.get("/")).text, "csrf")
    await house.log_in("another session")
    answer = await house.post_form(f"/runs/{run_id}/decide", fields | {"csrf": own}, {"cookie": house.cookie})
    assert answer.status == 403 and house.engine.store.load(run_id).waits
    assert (await house.post_form("/logout", {}, {"cookie": house.cookie})).status == 403


async def test_api_key_opens_pages_but_sends_no_forms(house: Any) -> None:
    run_id = park(house.engine.store)
    assert (await house.api("GET", f"/runs/{run_id}")).status == 200
    assert (await house.api("POST", f"/runs/{run_id}/decide")).status == 403
    for header in ({"x-api-key": API_KEY}, {"authorization": f"bearer  {API_KEY} "}):
        assert (await house.ask("GET", "/readyz", headers=header)).status == 200
    for header in ({"x-api-key": ""}, {"x-api-key": "key-onE"}, {"authorization": f"Basic {API_KEY}"}):
        assert (await house.ask("GET", "/readyz", headers=header)).status == 401


async def test_blank_key_or_password_lets_nobody_in(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKHAND_API_KEY", " ")
    assert (await house.ask("GET", "/readyz", headers={"x-api-key": ""})).status == 401
    assert (await house.ask("GET", "/readyz", headers={"x-api-key": " "})).status == 401


async def test_login_reads_the_api_and_changes_nothing_through_it(house: Any) -> None:
    await house.log_in()
    cookie = {"cookie": house.cookie}
    assert (await house.ask("GET", "/api/v1/runs", headers=cookie)).status == 200
    assert (await house.ask("POST", "/api/v1/runs", b"{}", cookie)).status == 403


async def test_every_answer_has_the_security_headers(house: Any) -> None:
    run_id = park(house.engine.store)
    await house.log_in()
    answers = [
        await house.get("/"),
        await house.get(f"/runs/{run_id}"),
        await house.get("/static/desk.js"),
        await house.get("/nothing"),
        await house.ask("GET", "/healthz"),
        await house.ask("GET", "/"),
        await house.ask("POST", "/webhooks/shop"),
    ]
    for answer in answers:
        assert {name for name in SECURITY_HEADERS if answer.header(name) is None} == set()
        assert "unsafe" not in (answer.header("content-security-policy") or "")
    assert "script-src 'self'" in (answers[0].header("content-security-policy") or "")


async def test_pages_hold_no_inline_script_or_style(house: Any) -> None:
    run_id = park(house.engine.store, actions=actions())
    await house.log_in()
    for path in ("/", f"/runs/{run_id}", "/recent", "/nothing"):
        text = (await house.get(path)).text
        assert "<style" not in text and " style=" not in text and " onclick" not in text
        assert text.count("<script") == 1 and '<script src="/static/desk.js" defer></script>' in text
        assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/runs/run-1?after=x", "/runs/run-1?after=x"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\nb", "/"),
        ("/login", "/"),
        ("", "/"),
        (None, "/"),
    ],
)
def test_login_goes_on_to_paths_of_ours_only(given: str | None, path: str) -> None:
    assert local_path(given) == path


async def test_web_sockets_are_closed(house: Any) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await house.app({"type": "websocket", "path": "/", "headers": [], "query_string": b""}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_server_key_is_for_its_owner_only_and_stays(house: Any, make_house: Callable[..., Any]) -> None:
    path = house.folder.state / "server.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert load_key(path) == path.read_bytes() and stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(StoreError, match="delete it"):
        load_key(path)


def test_server_key_that_cannot_be_written_says_so(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be kept"):
        load_key(tmp_path / "file" / "server.key")
