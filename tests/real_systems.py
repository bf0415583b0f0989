"""Real counterparts on this machine, for the tests of several rooms: a django-helpdesk, and a pair of mail servers."""

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

SITE = Path(__file__).parent / "helpdesks" / "desk_site.py"
PATH_SECRET = "a-secret-in-the-path"


def free_port() -> int:
    """Return a port that nobody else is given for a minute: a connection that it ended keeps it reserved.

    The system gives such a port only to who asks for it by its number, as servers do (SO_REUSEADDR).
    """
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        accepted.close()
        assert client.recv(1) == b""
        return server.getsockname()[1]


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


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
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as exc:
            exc.close()
            return exc.code

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None, user: str = "ann") -> Any:
        return await asyncio.to_thread(self.call, method, path, body, user)

    def open(self, title: str, text: str) -> Any:
        body = {"queue": self.queue, "title": title, "description": text, "submitter_email": "eve@customer.test"}
        return self.call("POST", "tickets/", {**body, "priority": 3})

    async def open_ticket(self, title: str = "Where is my order?", text: str = "Order 1042 has not come.") -> Any:
        return await asyncio.to_thread(self.open, title, text)

    def answer(self, ticket_id: int, text: str) -> Any:
        """Have Ann, a person, answer."""
        return self.call("POST", "followups/", {"ticket": ticket_id, "comment": text, "public": True})

    def write_mail(self, text: str, title: str = "An order", ticket_id: int | None = None) -> None:
        """Have a customer write: the helpdesk reads a mail as it reads those of its mailbox."""
        subject = f"[support-{ticket_id}] {title}" if ticket_id else title
        raw = f"From: Eve Adams <eve@customer.test>\r\nTo: support@desk.test\r\nSubject: {subject}\r\n\r\n{text}\r\n"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/mail", data=raw.encode())
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
        except urllib.error.HTTPError as exc:  # it is stored, and the listener of the webhook was down
            exc.close()

    def rows(self, what: str) -> list[dict[str, Any]]:
        """Return all tickets or followups, lowest id first, as the REST API tells of them."""
        found, page = [], 1
        while True:
            listing = self.call("GET", f"{what}/?page={page}&page_size=100")
            found += listing["results"]
            if not listing["next"]:
                return sorted(found, key=lambda row: row["id"])
            page += 1

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
        client = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=60)
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
            wait_for(lambda: is_open(port), "the mail server")
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


class Service:
    """``deskhand serve`` on a workspace, in a process that can be killed and started again on the same port."""

    API_KEY = "a-key-of-the-tests"
    PASSWORD = "a password of the tests"

    def __init__(self, folder: Path, port: int, **environment: str) -> None:
        self.folder, self.port = folder, port
        clean = {key: value for key, value in os.environ.items() if not key.startswith("DESKHAND_")}
        keys = {"DESKHAND_API_KEY": self.API_KEY, "DESKHAND_PASSWORD": self.PASSWORD}
        self.env = clean | keys | environment
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        path = self.folder / "service.log"
        return path.read_text() if path.exists() else ""

    def begin(self) -> None:
        """Start it, without waiting until it answers."""
        command = [sys.executable, "-m", "deskhand_cli.main", "serve", "--port", str(self.port)]
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workspace", str(self.folder)], env=self.env, stdout=log, stderr=log
            )

    def start(self) -> None:
        self.begin()
        self.wait_ready()

    def wait_ready(self) -> None:
        wait_for(lambda: self.ask("GET", "/readyz")[0] == 200, "the service", 300)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(120)

    def stop(self) -> int:
        """End it as a service manager does, and return its exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        return self.process.wait(120)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return the status and JSON, or text, of an answer; 0 when nobody answers."""
        headers = {"Authorization": f"Bearer {self.API_KEY}", "Content-Type": "application/json"}
        raw = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, method=method, data=raw, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as exc:
            with exc:
                is_json = exc.headers.get_content_type() == "application/json"
                return exc.code, json.load(exc) if is_json else exc.read().decode()
        except OSError:
            return 0, None

    def runs(self, **query: str) -> list[dict[str, Any]]:
        text = "&".join(f"{name}={value}" for name, value in {"limit": "500", **query}.items())
        status, answer = self.ask("GET", f"/api/v1/runs?{text}")
        return answer["runs"] if status == 200 else []

    def waiting(self) -> list[dict[str, Any]]:
        return [run for run in self.runs(status="parked") if run["waits"]]

    def wait_for_drafts(self, number: int, timeout_s: float = 300) -> list[dict[str, Any]]:
        """Wait until so many runs wait for a person, and return them."""

        def are_there() -> bool:
            status, answer = self.ask("GET", "/readyz")
            return status == 200 and answer["waiting"] == number

        wait_for(are_there, f"{number} drafts", timeout_s)
        return self.waiting()

    def wait_idle(self, timeout_s: float = 300) -> None:
        """Wait until nothing that came in is queued or at work, approved replies included."""

        def is_idle() -> bool:
            status, answer = self.ask("GET", "/readyz")
            return status == 200 and answer["queued"] == 0

        wait_for(is_idle, "what is queued", timeout_s)

    def approve(self, run: dict[str, Any], by: str = "kim") -> int:
        wish = {"ask_id": run["ask_id"], "verdict": "approve", "by": by}
        return self.ask("POST", f"/api/v1/runs/{run['run_id']}/decisions", wish)[0]


def wait_for(happened: Callable[[], object], what: str, timeout_s: float = 300) -> None:
    """Wait until something is true. Raises AssertionError when that takes too long."""
    give_up_at = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < give_up_at, f"waited {timeout_s} s for {what}"
        time.sleep(0.1)


@pytest.fixture
def serve_workspace() -> Iterator[Callable[..., Service]]:
    """Return a function that makes a Service of a folder and a port; the processes are ended in the end."""
    made: list[Service] = []

    def make(folder: Path, port: int = 0, **environment: str) -> Service:
        made.append(Service(folder, port or free_port(), **environment))
        return made[-1]

    yield make
    for service in made:
        if service.process is not None and service.process.poll() is None:
            service.kill()


@pytest.fixture
def own_desk(desk_template, tmp_path: Path) -> Iterator[Desk]:
    """A django-helpdesk of one test alone, which sends webhooks to ``hook_port``."""
    yield from start_desk(desk_template, tmp_path / "own-desk", hooked=True)
