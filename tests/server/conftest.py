from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI

from deskhand.actions import Action, ActionVerdict, Decision, ReviewRequest
from deskhand.answers import Citation, Commitment, CommitmentKind, CommitmentStatus, Draft, Passage, Reason, Triage
from deskhand.clock import SystemClock
from deskhand.config import WorkspaceFolder, find_workspace
from deskhand.errors import InputError
from deskhand.records import Outcome, RunRecord, RunResult, RunStatus
from deskhand.testing import DEFAULT_CONFIG, NOON, FixedClock, build_passage, build_ticket, build_workspace
from deskhand.tickets import Event, Message, Priority, Requester, Role, Ticket
from deskhand_graphs import Workspace
from deskhand_helpdesks.signatures import sign_webhook
from deskhand_runs import RunStore
from deskhand_runs.doors import EngineStatus
from deskhand_runs.inbox import Accepted, EntryState, InboxEntry
from deskhand_server import Serving, build_app, serve

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORD = "correct horse"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
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


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    monkeypatch.setenv("DESK_SECRET", "path-secret")
    monkeypatch.setenv("DESK_TOKEN", "token")
    monkeypatch.setenv("DESKHAND_PASSWORD", PASSWORD)
    monkeypatch.setenv("DESKHAND_API_KEY", API_KEY)


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
        door = await self.ask("GET", "/login", headers={"accept": "text/html"})
        [(cookie, anchor)] = door.cookies().items()
        form = {"csrf": form_value(door.text, "csrf"), "name": name, "password": PASSWORD, "next": "/"}
        answer = await self.post_form("/login", form, {"cookie": f"{cookie}={anchor}"})
        assert answer.status == 303, answer.text
        [(cookie, token)] = answer.cookies().items()
        self.cookie = f"{cookie}={token}"

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


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Return a function that builds an application; ``config`` replaces the workspace's."""
    stores = []

    def make(config: str = CONFIG) -> House:
        folder = find_workspace(build_workspace(tmp_path / f"house-{len(stores)}", config=config))
        store = RunStore.open(folder)
        stores.append(store)
        engine, clock = MemoryEngine(store), FixedClock()
        app = build_app(engine, Workspace.open(folder), folder.config.server, clock)
        return House(app, engine, clock, folder)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


PASSAGE = build_passage("You can return any product within 30 days of delivery. Labels are free.", score=0.9)
REPLY = "Hello Ann,\n\nYou can return any product within 30 days of delivery.\n\nTestware support"


def park(
    store: RunStore,
    ticket_id: str = "T-1",
    *,
    run_id: str | None = None,
    text: str = "How long do I have to return a lamp?",
    subject: str = "Return a lamp",
    author: str = "Ann Lee",
    draft: str | None = REPLY,
    reasons: tuple[Reason, ...] = (Reason(code="review_by_default"),),
    actions: tuple[Action, ...] = (),
    passage: Passage = PASSAGE,
    priority: Priority | None = None,
    category: str | None = "returns",
    quote: str = "within 30 days of delivery",
) -> str:
    """Store a run that waits for a person, and return its id."""
    run_id = run_id or f"run-{ticket_id.lower()}"
    ticket = build_ticket(
        text,
        ticket_id=ticket_id,
        subject=subject,
        messages=(Message(id="m1", author=author, role=Role.customer, text=text, at=NOON),),
        requester=Requester(id="C-1", name=author, email="ann@example.com", is_verified=True),
    )
    sentence = "You can return any product within 30 days of delivery."
    made = (
        Draft(
            text=draft,
            citations=(Citation(sentence=sentence, passage_id=passage.id, quote=quote),),
            commitments=(
                Commitment(
                    text="within 30 days",
                    kind=CommitmentKind.deadline,
                    passage_id=passage.id,
                    status=CommitmentStatus.backed,
                ),
                Commitment(text="EUR 5", kind=CommitmentKind.price, status=CommitmentStatus.unbacked),
            ),
        )
        if draft
        else None
    )
    result = RunResult(
        run_id=run_id,
        ticket_id=ticket_id,
        graph="support",
        status=RunStatus.parked,
        triage=Triage(category=category, priority=priority, language="en", confidence=0.9, certified=False),
        draft=made,
        decision=Outcome.review,
        actions=actions,
        needs_human=True,
        reasons=reasons,
        passages=(passage,),
    )
    review = ReviewRequest(run_id=run_id, ask_id=f"{run_id}:0", draft=made, actions=actions, reasons=reasons)
    store.claim(ticket, "support", new_id=lambda: run_id, now=NOON)
    store.park(run_id, result, review, NOON)
    return run_id


def actions() -> tuple[Action, ...]:
    """Two that a person may approve, and one that the policy refuses."""
    verdicts = (ActionVerdict.needs_approval, ActionVerdict.allowed, ActionVerdict.refused)
    return tuple(
        Action(
            id=f"a{n}",
            kind="helpdesk",
            name=("set_priority", "add_tag", "change_email")[n],
            args={"value": f"value {n}"},
            provenance={"value": f"origin {n}"},
            key=f"k{n}",
            verdict=verdict,
            reason=f"because {n}",
        )
        for n, verdict in enumerate(verdicts)
    )


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger="deskhand_server")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("deskhand_server")]


@dataclass
class Live:
    """A real server in a thread, over a real engine."""

    url: str
    folder: WorkspaceFolder
    serving: Serving
    run: Callable[[Callable[[], Awaitable[Any]]], Any]
    engine: Any


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server as ``deskhand serve`` runs it, on a free port, with the engine at work."""
    from deskhand_runs import open_engine

    names = {"SHOP_SECRET": SECRET, "DESKHAND_PASSWORD": PASSWORD, "DESKHAND_API_KEY": API_KEY}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    config = CONFIG.replace("https://desk.example", "http://127.0.0.1")
    folder = find_workspace(build_workspace(tmp_path_factory.mktemp("live"), config=config))
    started = threading.Event()
    found: dict[str, Any] = {}

    async def work() -> None:
        found["loop"] = asyncio.get_running_loop()
        with Workspace.open(folder) as workspace:
            workspace.knowledge.ingest()
            workspace.learn()
            async with open_engine(workspace) as engine:
                found["engine"] = engine
                app = build_app(engine, workspace, folder.config.server, SystemClock())

                def on_start(serving: Serving) -> None:
                    found["serving"] = serving
                    started.set()

                await serve(app, engine, host="127.0.0.1", port=0, on_start=on_start, work_s=10)
            await workspace.aclose()

    def main() -> None:
        try:
            asyncio.run(work())
        except BaseException as exc:
            found["error"] = exc
            raise
        finally:
            started.set()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert started.wait(60)
    if "serving" not in found:
        raise RuntimeError("the server did not start") from found.get("error")
    serving: Serving = found["serving"]

    def run(make: Callable[[], Awaitable[Any]]) -> Any:
        async def wrapped() -> Any:
            return await make()

        return asyncio.run_coroutine_threadsafe(wrapped(), found["loop"]).result(60)

    yield Live(serving.url, folder, serving, run, found["engine"])
    found["loop"].call_soon_threadsafe(serving.stop)
    thread.join(60)
    assert not thread.is_alive(), "the server did not stop"
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def utc_now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The functions above, for test modules, which cannot import from here."""
    return SimpleNamespace(
        park=park,
        payload=payload,
        signed=signed,
        actions=actions,
        call_app=call_app,
        build_entry=build_entry,
        form_value=form_value,
        utc_now=utc_now,
        config=CONFIG,
        password=PASSWORD,
        api_key=API_KEY,
        secret=SECRET,
        passage=PASSAGE,
        reply=REPLY,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not os.path.exists(CHROMIUM) and not os.environ.get("CI"):
        pytest.skip("there is no chromium here; install Debian's, CI has it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
