"""Real counterparts on this machine: a django-helpdesk, mail servers, and a listener for HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from real_systems import PATH_SECRET, Desk, MailPair

from deskhand.actions import Action, ActionVerdict
from deskhand.helpdesk_settings import DjangoHelpdeskSettings, EmailSettings
from deskhand.interfaces import Request
from deskhand.testing import FixedClock
from deskhand_helpdesks import DjangoHelpdesk, EmailHelpdesk, build_helpdesk, close_helpdesk


def make_action(name: str = "reply", key: str = "key-1", **args: Any) -> Action:
    return Action(id=name, kind="helpdesk", name=name, args=args, key=key, verdict=ActionVerdict.allowed)


@pytest.fixture
def action():
    return make_action


@asynccontextmanager
async def connect(base_url: str, bot: dict[str, Any], **settings: Any) -> AsyncIterator[DjangoHelpdesk]:
    table = {
        "kind": "django-helpdesk",
        "base_url": base_url,
        "token_env": "DESK_TOKEN",
        "secret_envs": ["DESK_SECRET"],
        "actor_ids": [str(bot["id"])],
        "timeout_s": 60,
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
            "timeout_s": 60,
            **settings,
        }
        helpdesk = build_helpdesk("mail", EmailSettings(**table), tmp_path, FixedClock())
        assert isinstance(helpdesk, EmailHelpdesk)
        return helpdesk

    return build
