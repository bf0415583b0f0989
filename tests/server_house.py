"""The HTTP service in a test: an application over an engine in memory, and the ways to ask it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI

from deskhand.actions import Decision
from deskhand.config import WorkspaceFolder
from deskhand.errors import InputError
from deskhand.records import RunRecord, RunStatus
from deskhand.testing import DEFAULT_CONFIG, NOON, FixedClock, build_ticket
from deskhand.tickets import Event, Ticket
from deskhand_helpdesks.signatures import sign_webhook
from deskhand_runs import RunStore
from deskhand_runs.doors import EngineStatus
from deskhand_runs.inbox import Accepted, EntryState, InboxEntry

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORD = "correct horse"
API_KEY = "key-one"
CONFIG = (
    DEFAULT_CONFIG
    + """
[helpdesks.shop]
kind = "standard-webhooks"
secret_envs = ["SHOP_SECRET"]

[helpdesks.desk]
kind = "django-helpdesk"
base_url = "http://127.0.0.1:9"
token_env = "DESK_TOKEN"
secret_envs = ["DESK_SECRET"]

[server]
public_url = "https://desk.example"
max_body_bytes = 100000
"""
)


@dataclass
class MemoryEngine:
    """Stands for the engine: keeps what it accepts, and fails when it is told to."""

    store: RunStore
    accepted: list[tuple[Event, Ticket | None, str | None]] = field(default_factory=list)
    stuck: list[InboxEntry] = field(default_factory=list)
    settled: list[tuple[str, int, str]] = field(default_factory=list)
    error: Exception | None = None
    is_owner: bool = True
    paused: tuple[str, ...] = ()

    async def accept(self, event: Event, ticket: Ticket | None = None, *, graph: str | None = None) -> Accepted:
        if self.error is not None:
            raise self.error
        known = [(one.source, one.delivery_id) for one, _, _ in self.accepted]
        if (event.source, event.delivery_id) in known:
            return Accepted(known.index((event.source, event.delivery_id)) + 1, is_new=False)
        self.accepted.append((event, ticket, graph))
        return Accepted(len(self.accepted), is_new=True)

    async def decide(self, run_id: str, decision: Decision) -> RunRecord:
        if self.error is not None:
            raise self.error
        self.store.decide(run_id, decision, NOON)
        return self.store.load(run_id)

    async def retry(self, seq: int) -> InboxEntry:
        return self._settle("retry", seq, "")

    async def skip(self, seq: int, by: str) -> InboxEntry:
        return self._settle("skip", seq, by)

    def _settle(self, what: str, seq: int, by: str) -> InboxEntry:
        if self.error is not None:
            raise self.error
        self.settled.append((what, seq, by))
        return self.stuck[0]

    def entry(self, seq: int) -> InboxEntry:
        if not 0 < seq <= len(self.accepted):
            raise InputError(f"{seq}: no such entry")
        event, ticket, _ = self.accepted[seq - 1]
        return build_entry(seq, event, ticket)

    def entries(self, *, state: str | None = None, ticket_id: str | None = None, limit: int = 100) -> list[InboxEntry]:
        return [entry for entry in self.stuck if entry.state == state][:limit]

    def status(self) -> EngineStatus:
        if self.error is not None:
            raise self.error
        n_parked = len([run for run in self.store.list(status=RunStatus.parked) if run.waits])
        states = [entry.state for entry in self.stuck]
        return EngineStatus(
            n_queued=3,
            n_at_work=1,
            n_parked=n_parked,
            n_dead=states.count(EntryState.dead),
            n_held=states.count(EntryState.held),
            oldest_queued_s=7.0,
            is_paused=bool(self.paused),
            paused_sources=self.paused,
            owner=self.is_owner,
        )

    async def drain(self, grace_s: float) -> None:
        self.settled.append(("drain", 0, ""))


def build_entry(
    seq: int, event: Event, ticket: Ticket | None = None, state: str = "queued", reason: str = ""
) -> InboxEntry:
    return InboxEntry(
        seq=seq,
        source=event.source,
        delivery_id=event.delivery_id,
        ticket_id=event.ticket_id,
        event=event,
        ticket=ticket,
        received_at=NOON,
        state=EntryState(state),
        reason=reason,
        run_id=None,
        graph="support",
        n_attempts=2,
        updated_at=NOON,
    )


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def cookies(self) -> dict[str, str]:
        pairs = [value.split(";")[0].partition("=") for key, value in self.headers if key == "set-cookie"]
        return {name: value for name, _, value in pairs}


Headers = dict[str, str] | list[tuple[str, str]]
Chunks = list[bytes]


async def call_app(
    app: FastAPI,
    method: str,
    path: str,
    body: bytes | Chunks = b"",
    headers: Headers | None = None,
    *,
    stall: bool = False,
    hang_up: bool = False,
) -> Answer:
    """Send one request straight to the application, in as many chunks as ``body`` has."""
    given = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    raw_path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw_path,
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given],
        "client": ("192.0.2.1", 5000),
        "server": ("testserver", 80),
    }
    chunks = list(body) if isinstance(body, list) else [body]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks) or stall or hang_up}
        if stall:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return Answer(start["status"], [(k.decode(), v.decode()) for k, v in start["headers"]], content)


@dataclass
class House:
    """An application over a MemoryEngine, and the ways to ask it."""

    app: FastAPI
    engine: MemoryEngine
    clock: FixedClock
    folder: WorkspaceFolder
    cookie: str = ""

    async def ask(self, method: str, path: str, body: bytes | Chunks = b"", headers: Headers | None = None) -> Answer:
        return await call_app(self.app, method, path, body, headers)

    async def api(self, method: str, path: str, value: object = None, **headers: str) -> Answer:
        body = b"" if value is None else json.dumps(value).encode()
        return await self.ask(method, path, body, {"Authorization": f"Bearer {API_KEY}", **headers})

    async def log_in(self, name: str = "Maria") -> None:
        """Log in as a browser does; ``get`` and ``post`` are then in this session."""
        answer = await self.try_password(PASSWORD, name)
        assert answer.status == 303, answer.text
        self.enter(answer)

    async def try_password(self, password: str, name: str = "Maria", *, way_on: str = "/", cookie: str = "") -> Answer:
        """Send the login form as a browser does that has these cookies."""
        door = await self.ask("GET", "/login", headers={"accept": "text/html"})
        [(anchor, value)] = door.cookies().items()
        form = {"csrf": form_value(door.text, "csrf"), "name": name, "password": password, "next": way_on}
        return await self.post_form("/login", form, {"cookie": f"{anchor}={value}; {cookie}"})

    def enter(self, answer: Answer) -> None:
        """Go on in the session that an answer has begun."""
        self.cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies().items())

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path, headers={"accept": "text/html", "cookie": self.cookie})

    async def post(self, path: str, fields: dict[str, Any] | None = None, *, page: str = "/") -> Answer:
        csrf = form_value((await self.get(page)).text, "csrf")
        return await self.post_form(path, {"csrf": csrf, **(fields or {})}, {"cookie": self.cookie})

    async def post_form(self, path: str, fields: dict[str, Any], headers: dict[str, str]) -> Answer:
        body = urlencode(fields, doseq=True).encode()
        kind = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
        return await self.ask("POST", path, body, kind | headers)

    async def deliver(self, payload: object, *, delivery_id: str = "d-1", **changes: Any) -> Answer:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return await self.ask("POST", changes.pop("path", "/webhooks/shop"), body, signed(body, delivery_id, **changes))


def form_value(page: str, name: str) -> str:
    return page.split(f'name="{name}" value="')[1].split('"')[0]


def signed(body: bytes, delivery_id: str = "d-1", *, at: datetime = NOON, secret: str = SECRET) -> dict[str, str]:
    return {"content-type": "application/json", **sign_webhook(secret, delivery_id, at, body)}


def payload(ticket: Ticket | None = None, kind: str = "ticket.created") -> dict[str, Any]:
    shown = (ticket or build_ticket()).model_dump(mode="json")
    return {"type": kind, "timestamp": NOON.isoformat(), "data": {"ticket": shown, "actor": "ann"}}
