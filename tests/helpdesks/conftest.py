"""Real counterparts on this machine: a django-helpdesk, mail servers, and a listener for HTTP."""

from __future__ import annotations

import asyncio
import imaplib
import json
import os
import shutil
import smtplib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller

from deskhand.actions import Action, ActionVerdict
from deskhand.helpdesk_settings import DjangoHelpdeskSettings, EmailSettings
from deskhand.interfaces import Request
from deskhand.testing import FixedClock
from deskhand_helpdesks import DjangoHelpdesk, EmailHelpdesk, build_helpdesk, close_helpdesk

SITE = Path(__file__).parent / "desk_site.py"
PATH_SECRET = "a-secret-in-the-path"


def make_action(name: str = "reply", key: str = "key-1", **args: Any) -> Action:
    return Action(id=name, kind="helpdesk", name=name, args=args, key=key, verdict=ActionVerdict.allowed)


@pytest.fixture
def action():
    return make_action


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass
class Desk:
    """A django-helpdesk at work, and two of its staff: the bot and Ann."""

    folder: Path
    port: int
    users: dict[str, dict[str, Any]]
    queue: int
    hook_port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/helpdesk"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, user: str = "ann") -> Any:
        request = urllib.request.Request(
            f"{self.base_url}/api/{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Token {self.users[user]['token']}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as exc:
            exc.close()
            return exc.code

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None, user: str = "ann") -> Any:
        return await asyncio.to_thread(self.call, method, path, body, user)

    async def open_ticket(self, title: str = "Where is my order?", text: str = "Order 1042 has not come.") -> Any:
        body = {"queue": self.queue, "title": title, "description": text, "submitter_email": "eve@customer.test"}
        return await self.ask("POST", "tickets/", {**body, "priority": 3})

    def mails(self) -> list[str]:
        folder = self.folder / "mails"
        return [path.read_text() for path in sorted(folder.iterdir())] if folder.exists() else []


@pytest.fixture(scope="session")
def desk_template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder of a migrated database; made once, because it takes seconds."""
    folder = tmp_path_factory.mktemp("desk-template")
    made = subprocess.run(
        [sys.executable, str(SITE), "migrate"],
        env={**os.environ, "DESK_FOLDER": str(folder)},
        check=True,
        capture_output=True,
    )
    return folder, json.loads(made.stdout.splitlines()[-1])


def start_desk(template: tuple[Path, dict[str, Any]], folder: Path, *, hooked: bool) -> Iterator[Desk]:
    shutil.copytree(template[0], folder, dirs_exist_ok=True)
    hook_port = free_port()
    hook = f"http://127.0.0.1:{hook_port}/webhooks/desk/{PATH_SECRET}"
    env = {**os.environ, "DESK_FOLDER": str(folder)}
    if hooked:
        env |= {"HELPDESK_NEW_TICKET_WEBHOOK_URLS": hook, "HELPDESK_FOLLOWUP_WEBHOOK_URLS": hook}
    with subprocess.Popen(
        [sys.executable, str(SITE), "serve"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        try:
            assert server.stdout is not None
            port = json.loads(server.stdout.readline())["port"]
            yield Desk(folder, port, template[1]["users"], template[1]["queue"], hook_port)
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def desk(desk_template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A django-helpdesk that tells nobody."""
    yield from start_desk(desk_template, tmp_path_factory.mktemp("desk"), hooked=False)


@pytest.fixture(scope="session")
def hooked_desk(desk_template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A django-helpdesk that sends webhooks to ``hook_port``, where a test may listen."""
    yield from start_desk(desk_template, tmp_path_factory.mktemp("hooked-desk"), hooked=True)


@asynccontextmanager
async def connect(base_url: str, bot: dict[str, Any], **settings: Any) -> AsyncIterator[DjangoHelpdesk]:
    table = {
        "kind": "django-helpdesk",
        "base_url": base_url,
        "token_env": "DESK_TOKEN",
        "secret_envs": ["DESK_SECRET"],
        "actor_ids": [str(bot["id"])],
        "timeout_s": 20,
        **settings,
    }
    helpdesk = build_helpdesk("desk", DjangoHelpdeskSettings(**table), Path(), FixedClock())
    assert isinstance(helpdesk, DjangoHelpdesk)
    try:
        yield helpdesk
    finally:
        await close_helpdesk(helpdesk)


@pytest.fixture
def connect_desk(monkeypatch: pytest.MonkeyPatch):
    """Return a connector to a Desk, as the bot."""

    def connector(desk: Desk, base_url: str = "", **settings: Any):
        monkeypatch.setenv("DESK_TOKEN", desk.users["bot"]["token"])
        monkeypatch.setenv("DESK_SECRET", PATH_SECRET)
        return connect(base_url or desk.base_url, desk.users["bot"], **settings)

    return connector


@dataclass
class Listener:
    """A server that keeps what it gets and answers what it was told to."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(Request(request.method, str(request.url), dict(request.headers), body))
        answer = self.answers.pop(0) if self.answers else web.Response(text="{}", content_type="application/json")
        return await answer(request, body) if callable(answer) else answer


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[Listener]:
    listener = Listener()
    app = web.Application(client_max_size=50_000_000)
    app.router.add_route("*", "/{path:.*}", listener.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield listener
    finally:
        await runner.cleanup()


@pytest.fixture
def listen():
    """Return a context manager: a Listener on a port, a free one for 0."""
    return listening


@dataclass
class MailPair:
    """An IMAP server with our mailbox, and an SMTP server that puts mail for us into it and keeps all other mail."""

    smtp_port: int
    imap_port: int
    inbox: str
    sent_folder: str
    address: str = "support@desk.test"
    sink: list[bytes] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)  # what the next commands are answered
    after_data: list[Any] = field(default_factory=list)  # called once a mail is taken

    @contextmanager
    def imap(self, folder: str = "") -> Iterator[imaplib.IMAP4]:
        client = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=10)
        client.login("support", "mail-password")
        try:
            client.select(folder or self.inbox)
            yield client
        finally:
            client.logout()

    def put(self, *raws: bytes, folder: str = "") -> None:
        with self.imap() as client:
            for raw in raws:
                assert client.append(folder or self.inbox, "", imaplib.Time2Internaldate(time.time()), raw)[0] == "OK"

    def write(self, text: str = "Where is order 1042?", **headers: str) -> None:
        """Send a mail as a customer does, by SMTP. ``_`` in a header's name is ``-``."""
        sender = headers.pop("From", "Eve Adams <eve@customer.test>")
        lines = {"From": sender, "To": self.address, "Subject": "Order", "Message_ID": f"<{time.time_ns()}@c.test>"}
        given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in {**lines, **headers}.items())
        self.send(f"{given}\r\n{text}\r\n".encode())

    def send(self, raw: bytes) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port) as client:
            client.sendmail("eve@customer.test", [self.address], raw)

    def received(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=policy.default) for raw in self.sink]

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.mail_from = address
        return self._answer("MAIL")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self._answer("RCPT")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self._answer("DATA")
        if answer.startswith("250"):
            if self.address in envelope.rcpt_tos:
                self.put(envelope.content)
            else:
                self.sink.append(envelope.content)
            if self.after_data:
                self.after_data.pop()(server)
        return answer

    def _answer(self, command: str) -> str:
        return self.answers[command].pop(0) if self.answers.get(command) else "250 OK"


@pytest.fixture(scope="session")
def imap_port() -> Iterator[int]:
    """The port of a pymap with one user, whose mailboxes are in memory."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "pymap"), "--host", "127.0.0.1", "--port", str(port), "--no-tls"]
    account = ["dict", "--demo-user", "support", "--demo-password", "mail-password"]
    with subprocess.Popen([*command, *account], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield port
        finally:
            server.terminate()


@pytest.fixture
def mail_pair(imap_port: int) -> Iterator[MailPair]:
    name = f"t{time.time_ns()}"
    pair = MailPair(0, imap_port, f"In-{name}", f"Sent-{name}")
    with pair.imap("INBOX") as client:
        assert client.create(pair.inbox)[0] == "OK"
    controller = Controller(pair, hostname="127.0.0.1", port=free_port(), server_hostname="mail.desk.test")
    controller.start()
    pair.smtp_port = controller.port
    try:
        yield pair
    finally:
        controller.stop()


@pytest.fixture
def mail_desk(mail_pair: MailPair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that makes a connector to ``mail_pair``."""
    monkeypatch.setenv("MAIL_PASSWORD", "mail-password")

    def build(**settings: Any) -> EmailHelpdesk:
        table = {
            "kind": "email",
            "address": mail_pair.address,
            "from_name": "Desk Support",
            "imap_host": "127.0.0.1",
            "imap_port": mail_pair.imap_port,
            "imap_tls": False,
            "smtp_host": "127.0.0.1",
            "smtp_port": mail_pair.smtp_port,
            "smtp_tls": "none",
            "smtp_login": False,
            "user": "support",
            "password_env": "MAIL_PASSWORD",
            "mailbox": mail_pair.inbox,
            "sent_mailbox": mail_pair.sent_folder,
            "timeout_s": 5,
            **settings,
        }
        helpdesk = build_helpdesk("mail", EmailSettings(**table), tmp_path, FixedClock())
        assert isinstance(helpdesk, EmailHelpdesk)
        return helpdesk

    return build
